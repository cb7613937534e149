package supervisor

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/cgroup"
	"github.com/meros-project/meros/isolation/process"
	"github.com/meros-project/meros/isolation/stream"
	"github.com/meros-project/meros/offer"
)

// execName is in the environment of every process of a command that was run in a container beside what runs there; its value tells those of one
// command from others.
const execName = "MEROS_EXEC"

// How long the end of a command may take: for what it has left behind to be killed, and for its output to end if somebody keeps that open who has
// hidden from being killed. What was printed by then is read however long the session takes for it: as many bytes as a pipe has that was not made
// larger by root.
const (
	restTimeout   = 5 * time.Second
	endTimeout    = time.Second // for the container to end whose end has killed the command
	outputTimeout = 2 * time.Second
	printedBytes  = 1 << 20
)

// An execution is one command that was run in the container for a session.
type execution struct {
	s       *supervisorState
	conn    *stream.Conn
	pid     int
	mark    string
	exited  chan offer.Exit // gets the exit status when the command is reaped
	gate    *os.File
	reports *os.File
	explain func([]byte) string // what is reported, in words; nil where that is words

	stdin    *os.File // nil if the command reads nothing
	outputs  []executionOutput
	terminal *os.File // nil without; it is stdin and the only output then
	closed   atomic.Bool
}

type executionOutput struct {
	kind stream.Kind
	file *os.File
}

var errEnded = refusal{refusedEnded, "the container has ended, or does not run yet"}

// exec runs a command in the container until it has ended or the session has.
func (s *supervisorState) exec(conn *stream.Conn, spec *isolation.ExecSpec) error {
	s.mu.Lock()
	runs := s.told.Started && !s.slain
	s.mu.Unlock()
	if !runs {
		return errEnded
	}
	x := &execution{s: s, conn: conn, exited: make(chan offer.Exit, 1), mark: fmt.Sprintf("%s=%d.%s", execName, s.execs.Add(1), s.dir)}
	defer x.close()
	if err := x.start(spec); err != nil {
		return err
	}
	input := stream.NewInput()
	var readers sync.WaitGroup
	go x.receive(input)
	defer input.Close()
	if why := x.begun(); why != "" {
		<-x.exited
		if !s.first.Alive() {
			return errEnded
		}
		return refusal{refusedFailed, why}
	}
	_ = conn.SendJSON(stream.Started, begun{PID: x.pid})
	if x.stdin != nil {
		go x.feed(input)
	}
	for _, out := range x.outputs {
		readers.Go(func() { x.tell(out) })
	}
	exit := <-x.exited
	if spec.Quiet && exit.Signal == int(syscall.SIGKILL) && s.ends() {
		return errEnded
	}
	x.killRest()
	for _, out := range x.outputs {
		_ = out.file.SetReadDeadline(time.Now().Add(outputTimeout))
	}
	readers.Wait()
	_ = conn.SendJSON(stream.Exit, exit)
	return nil
}

// ends reports whether the container has ended or is about to.
func (s *supervisorState) ends() bool {
	s.first.Ending()(endTimeout)
	return !s.first.Alive()
}

// start starts the command's process, puts it where the container is, and lets it through its gate.
func (x *execution) start(spec *isolation.ExecSpec) error {
	s := x.s
	b := &beginning{plan: s.execPlan(spec, x.mark), terminal: spec.Terminal != nil, dir: s.dir}
	defer b.close()
	var err error
	if b.streams, err = x.openStreams(spec, b.plan.User); err != nil {
		return err
	}
	if b.enter, err = openNamespaces(s.first.PID); err != nil {
		return x.failed("look for the container's namespaces", err)
	}
	defer b.enter.close()
	x.reports, err = b.open()
	x.gate = b.opener
	if err != nil {
		return err
	}
	if err := x.fork(b); err != nil {
		return err
	}
	return x.admit()
}

// fork starts the command as a child whose end is told to the execution.
func (x *execution) fork(b *beginning) error {
	x.s.reaping.Lock()
	defer x.s.reaping.Unlock()
	if x.s.reaped {
		return errEnded
	}
	pid, err := b.start()
	if err != nil {
		return x.failed("the command", err)
	}
	x.pid, x.explain = pid, b.explain
	x.s.children[x.pid] = x.exited
	return nil
}

// admit puts the process into the container's cgroups and lets it go on. Those of a process that has ended are not its own any more.
func (x *execution) admit() error {
	err := cgroup.Join(x.pid, x.s.first.PID)
	if alive := x.s.first.Alive(); err != nil || !alive {
		x.killRest()
		<-x.exited
		if !alive {
			return errEnded
		}
		return refusal{refusedFailed, err.Error()}
	}
	_, _ = x.gate.Write([]byte{1})
	return nil
}

// failed is the refusal of a command for an error that may come of the container's end.
func (x *execution) failed(what string, err error) error {
	if !x.s.first.Alive() {
		return errEnded
	}
	return refusal{refusedFailed, fmt.Sprintf("%s: %v", what, err)}
}

// execPlan is how a command is started in the container: as what runs there was, but for what was done once for all.
func (s *supervisorState) execPlan(spec *isolation.ExecSpec, mark string) *isolation.Plan {
	of := s.order.Plan
	plan := &isolation.Plan{Directory: of.Directory, User: of.User, Umask: of.Umask, Rlimits: of.Rlimits, NoNewPrivileges: of.NoNewPrivileges,
		Capabilities: of.Capabilities, Seccomp: of.Seccomp, Environment: append([]string(nil), of.Environment...)}
	plan.Program, plan.Argv = process.Arguments(&spec.Command)
	for _, v := range spec.Command.Environment {
		plan.Setenv(v.Name, v.Value)
	}
	plan.Environment = append(plan.Environment, mark)
	return plan
}

// openStreams opens what the command reads and prints to, and returns the child's ends.
func (x *execution) openStreams(spec *isolation.ExecSpec, user *isolation.User) (files []*os.File, err error) {
	if spec.Terminal != nil {
		master, slave, err := openTerminal(*spec.Terminal)
		if err != nil {
			return nil, x.failed("terminal", err)
		}
		x.terminal, x.stdin = master, master
		x.outputs = []executionOutput{{stream.Stdout, master}}
		return []*os.File{slave, slave, slave}, giveTo(user, slave)
	}
	if !spec.Stdin {
		null, err := os.Open(os.DevNull)
		if err != nil {
			return nil, err
		}
		files = append(files, null)
	} else {
		r, w, err := os.Pipe()
		if err != nil {
			return nil, err
		}
		files, x.stdin = append(files, r), w
		if err := giveTo(user, r); err != nil {
			return files, err
		}
	}
	for _, kind := range []stream.Kind{stream.Stdout, stream.Stderr} {
		if spec.Quiet {
			null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
			if err != nil {
				return files, err
			}
			files = append(files, null)
			continue
		}
		r, w, err := os.Pipe()
		if err != nil {
			return files, err
		}
		files = append(files, w)
		x.outputs = append(x.outputs, executionOutput{kind, r})
		if err := giveTo(user, w); err != nil {
			return files, err
		}
	}
	return files, nil
}

// giveTo makes a pipe or terminal the user's, who can then open it by its name in /dev, too.
func giveTo(u *isolation.User, f *os.File) error {
	if u == nil {
		return nil
	}
	err := f.Chown(u.UID, u.GID)
	if errors.Is(err, syscall.EINVAL) { // a system whose pipes are nobody's
		return nil
	}
	return err
}

// begun learns whether the process became the command; otherwise why not.
func (x *execution) begun() string {
	b, _ := io.ReadAll(io.LimitReader(x.reports, 4096))
	switch {
	case string(b) == aboutToStart:
		return ""
	case len(b) == 0:
		return "the command ended before it began"
	case b[0] == aboutToStart[0]:
		b = b[1:]
	}
	if x.explain != nil {
		return x.explain(b)
	}
	return string(b)
}

// receive does what the session says, and ends the command with it.
func (x *execution) receive(input *stream.Input) {
	for {
		kind, body, err := x.conn.Receive()
		if err == nil {
			switch kind {
			case stream.Stdin:
				err = input.Put(body)
			case stream.Resize:
				rows, columns := stream.Size(body)
				if x.terminal != nil {
					_ = resizeTerminal(x.terminal, offer.TerminalSize{Rows: rows, Columns: columns})
				}
			case stream.Signal:
				x.signal(syscall.Signal(stream.Number(body)))
			}
		}
		if err != nil {
			if !x.closed.Load() {
				x.killRest()
			}
			return
		}
	}
}

// signal signals the command's process group while its number is its own.
func (x *execution) signal(sig syscall.Signal) {
	x.s.reaping.Lock()
	defer x.s.reaping.Unlock()
	if x.s.children[x.pid] != nil && sig > 0 {
		_ = syscall.Kill(-x.pid, sig)
	}
}

// feed passes the input on. Its end is the end of a pipe, and on a terminal the key that says so.
func (x *execution) feed(input *stream.Input) {
	if input.Copy(x.stdin, x.conn.SendWindow) != nil {
		return
	}
	if x.terminal != nil {
		_, _ = x.stdin.Write([]byte{endOfInput})
		return
	}
	_ = x.stdin.Close()
}

// endOfInput is what Ctrl-D types.
const endOfInput = 4

// tell passes output on until nobody can print any more. A session that does not take it makes the command wait.
func (x *execution) tell(out executionOutput) {
	b := make([]byte, stream.MaxData)
	for {
		n, err := out.file.Read(b)
		if n > 0 && x.conn.Send(out.kind, b[:n]) != nil {
			return
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			x.tellPrinted(out, b)
		}
		if err != nil {
			return
		}
	}
}

// tellPrinted passes on what was printed before the time was up, and waits for no more.
func (x *execution) tellPrinted(out executionOutput, b []byte) {
	_ = out.file.SetReadDeadline(time.Time{})
	raw, err := out.file.SyscallConn()
	if err != nil {
		return
	}
	for left := printedBytes; left > 0; {
		n := 0
		failed := raw.Read(func(fd uintptr) bool {
			n, err = syscall.Read(int(fd), b)
			return true // also when there is nothing
		})
		if failed != nil || err != nil || n <= 0 || x.conn.Send(out.kind, b[:n]) != nil {
			return
		}
		left -= n
	}
}

// killRest kills the command and what it has left behind, as far as that does not hide; whatever does ends with the container.
func (x *execution) killRest() {
	for end := time.Now().Add(restTimeout); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if process.KillBelow(os.Getpid(), x.mark, x.pid) == 0 {
			return
		}
	}
}

// close closes what the supervisor has open for the execution.
func (x *execution) close() {
	x.closed.Store(true)
	files := []*os.File{x.gate, x.reports, x.stdin}
	for _, out := range x.outputs {
		files = append(files, out.file)
	}
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}
