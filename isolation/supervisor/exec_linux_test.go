package supervisor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/cgroup"
	"github.com/meros-project/meros/isolation/isolationtest"
	"github.com/meros-project/meros/isolation/process"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// collected is output that is looked at while it grows.
type collected struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (c *collected) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.b.Write(p)
}

func (c *collected) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.b.String()
}

func shell(line string) isolation.ExecSpec {
	return isolation.ExecSpec{Command: offer.Command{Shell: true, Value: line}}
}

// exec runs a command in a container to its end.
func (b *bench) exec(id string, spec isolation.ExecSpec) (stdout, stderr string, exit offer.Exit) {
	b.t.Helper()
	var out, errs bytes.Buffer
	spec.Stdout, spec.Stderr = &out, &errs
	s, err := b.r.Exec(context.Background(), id, spec)
	require.NoError(b.t, err)
	exit, err = s.Wait()
	require.NoError(b.t, err, "stdout %q, stderr %q", out.String(), errs.String())
	return out.String(), errs.String(), exit
}

// running starts a container that goes on until it is killed.
func (b *bench) running(id string) int {
	b.t.Helper()
	b.r.Start(b.spec(id, "echo up; exec sleep 1000"), false)
	return b.started(id)
}

func TestACommandRunsInAContainerBesideTheTask(t *testing.T) {
	b := newBench(t)
	b.running("a")
	spec := shell(`echo "$MESOS_TASK_ID $MORE"; pwd; echo no >&2; cat; exit 7`)
	spec.Command.Environment = []offer.Variable{{Name: "MORE", Value: "x y"}}
	out, errs, exit := b.exec("a", spec)
	require.Equal(t, "t-a x y\n"+filepath.Join(b.base, "sandbox-a")+"\n", out)
	require.Equal(t, "no\n", errs)
	require.Equal(t, offer.Exit{Code: 7}, exit)
	_, _, exit = b.exec("a", shell("kill -USR1 $$"))
	require.Equal(t, offer.Exit{Signal: int(syscall.SIGUSR1)}, exit)
	require.Equal(t, "up\n", b.output("a", "stdout"), "its output is not the task's")
}

func TestTheUserAndRightsOfACommandAreTheTasks(t *testing.T) {
	b := newBench(t)
	facts := `id -u; id -G; umask; ulimit -n; grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status; echo "$HOME $USER $PATH"`
	b.r.Start(b.spec("a", facts+"; exec sleep 1000"), false)
	b.started("a")
	eventually(t, "the task has printed", func() bool { return strings.Count(b.output("a", "stdout"), "\n") == 12 })
	out, errs, exit := b.exec("a", shell(facts))
	require.True(t, exit.Success(), errs)
	require.Equal(t, b.output("a", "stdout"), out)
	if os.Geteuid() == 0 {
		require.NotEqual(t, "0", strings.Fields(out)[0])
	}
	_, _, exit = b.exec("a", shell("echo reopened > /dev/stdout && echo here > /dev/stderr"))
	require.True(t, exit.Success())
}

func TestInputGoesInAndItsEndToo(t *testing.T) {
	b := newBench(t)
	b.running("a")
	spec := shell("wc -c; echo done")
	spec.Stdin = true
	var out bytes.Buffer
	spec.Stdout = &out
	s, err := b.r.Exec(context.Background(), "a", spec)
	require.NoError(t, err)
	n, err := s.Stdin().Write(make([]byte, 3<<20)) // many windows
	require.NoError(t, err)
	require.Equal(t, 3<<20, n)
	require.NoError(t, s.Stdin().Close())
	exit, err := s.Wait()
	require.NoError(t, err)
	require.True(t, exit.Success())
	require.Equal(t, fmt.Sprintf("%d\ndone\n", 3<<20), out.String())
	_, err = s.Stdin().Write([]byte("late"))
	require.Error(t, err)
}

func TestATerminalHasASizeThatCanBeChanged(t *testing.T) {
	b := newBench(t)
	b.running("a")
	spec := shell(`test -t 0 && test -t 1 && test -t 2 && stty size; trap 'stty size; exit 5' WINCH; echo ready; while :; do sleep 0.05; done`)
	spec.Terminal = &offer.TerminalSize{Rows: 33, Columns: 101}
	out := &collected{}
	spec.Stdout = out
	s, err := b.r.Exec(context.Background(), "a", spec)
	require.NoError(t, err)
	eventually(t, "the command is ready", func() bool { return strings.Contains(out.String(), "ready") })
	require.NoError(t, s.Resize(offer.TerminalSize{Rows: 44, Columns: 55}))
	exit, err := s.Wait()
	require.NoError(t, err)
	require.Equal(t, offer.Exit{Code: 5}, exit)
	require.Equal(t, "33 101\r\nready\r\n44 55\r\n", out.String())
}

func TestKeysOnATerminalAreSignalsAndTheEndOfInput(t *testing.T) {
	b := newBench(t)
	b.running("a")
	for keys, want := range map[string]offer.Exit{"\x03": {Signal: int(syscall.SIGINT)}, "word\n": {Code: 3}, "": {Code: 4}} {
		spec := shell(`echo ready; read line || exit 4; test "$line" = word && exit 3; exit 1`)
		spec.Terminal = &offer.TerminalSize{Rows: 24, Columns: 80}
		out := &collected{}
		spec.Stdout = out
		s, err := b.r.Exec(context.Background(), "a", spec)
		require.NoError(t, err)
		eventually(t, "the command is ready", func() bool { return strings.Contains(out.String(), "ready") })
		_, err = s.Stdin().Write([]byte(keys))
		require.NoError(t, err)
		if keys == "" {
			require.NoError(t, s.Stdin().Close())
		}
		exit, err := s.Wait()
		require.NoError(t, err)
		require.Equal(t, want, exit, "%q", keys)
	}
}

func TestASignalReachesTheCommandAndNotTheTask(t *testing.T) {
	b := newBench(t)
	b.running("a")
	spec := shell(`trap 'exit 9' TERM; echo ready; while :; do sleep 0.05; done`)
	out := &collected{}
	spec.Stdout = out
	s, err := b.r.Exec(context.Background(), "a", spec)
	require.NoError(t, err)
	eventually(t, "the command is ready", func() bool { return strings.Contains(out.String(), "ready") })
	require.Error(t, s.Signal(0))
	require.NoError(t, s.Signal(int(syscall.SIGTERM)))
	exit, err := s.Wait()
	require.NoError(t, err)
	require.Equal(t, offer.Exit{Code: 9}, exit)
	_, _, exit = b.exec("a", shell("true"))
	require.True(t, exit.Success(), "the container goes on")
}

// alive reports whether a process with that number runs.
func alive(pid int) bool {
	_, err := process.Identify(pid)
	return err == nil
}

// numbers are those that were printed, a line each.
func numbers(text string) (list []int) {
	for _, f := range strings.Fields(text) {
		var n int
		if _, err := fmt.Sscan(f, &n); err == nil {
			list = append(list, n)
		}
	}
	return list
}

// family is a command that starts others in several ways and prints their numbers.
const family = `echo $$; sleep 1000 & echo $!; setsid sleep 1000 & echo $!; (setsid sh -c 'echo $$; exec sleep 1000' &); `

func TestASessionsEndIsItsCommandsWithAllThatItHasStarted(t *testing.T) {
	b := newBench(t)
	task := b.running("a")
	for name, end := range map[string]func(isolation.Session, context.CancelFunc){
		"closed":        func(s isolation.Session, _ context.CancelFunc) { require.NoError(t, s.Close()) },
		"context ended": func(_ isolation.Session, cancel context.CancelFunc) { cancel() },
	} {
		ctx, cancel := context.WithCancel(context.Background())
		spec := shell(family + "wait")
		out := &collected{}
		spec.Stdout = out
		s, err := b.r.Exec(ctx, "a", spec)
		require.NoError(t, err)
		eventually(t, "all are there", func() bool { return len(numbers(out.String())) == 4 })
		end(s, cancel)
		_, err = s.Wait()
		require.Error(t, err, name)
		for _, pid := range numbers(out.String()) {
			eventually(t, name+": it has ended", func() bool { return !alive(pid) })
		}
		cancel()
	}
	out, _, exit := b.exec("a", shell(family+"exit 2"))
	require.Equal(t, offer.Exit{Code: 2}, exit)
	for _, pid := range numbers(out) {
		require.False(t, alive(pid), "what a command leaves behind ends with it")
	}
	require.True(t, alive(task))
}

func TestASessionEndsWithTheSlaveAndTheTaskGoesOn(t *testing.T) {
	b := newBench(t)
	task := b.running("a")
	spec := shell(family + "wait")
	out := &collected{}
	spec.Stdout = out
	s, err := b.r.Exec(context.Background(), "a", spec)
	require.NoError(t, err)
	eventually(t, "all are there", func() bool { return len(numbers(out.String())) == 4 })
	b.restart("a")
	_, err = s.Wait()
	require.ErrorIs(t, err, isolation.ErrSessionLost)
	for _, pid := range numbers(out.String()) {
		eventually(t, "it has ended", func() bool { return !alive(pid) })
	}
	b.r.Adopt("a")
	require.Equal(t, task, b.started("a"))
	_, _, exit := b.exec("a", shell("exit 6"))
	require.Equal(t, offer.Exit{Code: 6}, exit)
}

func TestAForkBombInASessionEndsWithTheSessionAndWithTheContainer(t *testing.T) {
	b := newBench(t)
	const bomb = `b() { for i in 1 2 3; do b & done; sleep 0.2; }; echo $$; while :; do b; done`
	for _, end := range []string{"session", "container"} {
		b.running(end)
		spec := shell("ulimit -p 300 || exit 1; " + bomb)
		out := &collected{}
		spec.Stdout = out
		spec.Stderr = io.Discard
		s, err := b.r.Exec(context.Background(), end, spec)
		require.NoError(t, err)
		eventually(t, "it has begun", func() bool { return len(numbers(out.String())) > 0 })
		if end == "session" {
			require.NoError(t, s.Close())
			eventually(t, "nothing of it is left", func() bool { return !marked(b.r.dir(end)) })
		}
		b.r.Kill(end, true)
		require.Equal(t, offer.Exit{Signal: int(syscall.SIGKILL)}, b.exited(end).Exit)
		require.False(t, marked(b.r.dir(end)))
		_, _ = s.Wait()
	}
}

// marked reports whether a process runs whose environment says that it belongs to a session in that container.
func marked(dir string) bool {
	files, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, f := range files {
		if env, err := os.ReadFile(f); err == nil && bytes.Contains(env, []byte(execName+"=")) && bytes.Contains(env, []byte(dir)) {
			return true
		}
	}
	return false
}

func TestACommandInAContainerThatDoesNotRunIsAnError(t *testing.T) {
	b := newBench(t)
	_, err := b.r.Exec(context.Background(), "a", shell("true"))
	require.ErrorIs(t, err, isolation.ErrNotRunning, "never there")
	b.running("a")
	spec := shell("echo ready; exec sleep 1000")
	out := &collected{}
	spec.Stdout = out
	s, err := b.r.Exec(context.Background(), "a", spec)
	require.NoError(t, err)
	eventually(t, "the command is ready", func() bool { return out.String() != "" })
	b.r.Kill("a", true)
	b.exited("a")
	exit, err := s.Wait()
	require.True(t, err == nil && exit.Signal == int(syscall.SIGKILL) || errors.Is(err, isolation.ErrSessionLost), "%v, %v", exit, err)
	_, err = b.r.Exec(context.Background(), "a", shell("true"))
	require.ErrorIs(t, err, isolation.ErrNotRunning, "not any more")
}

func TestWhatCannotBeExecutedIsAnErrorAndHarmsNobody(t *testing.T) {
	b := newBench(t)
	b.running("a")
	for _, c := range []struct {
		command offer.Command
		says    string
	}{
		{offer.Command{Value: "no-such-program"}, `no-such-program: file does not exist in PATH`},
		{offer.Command{Value: "/etc/passwd"}, "permission denied"},
		{offer.Command{}, "command.value: is empty"},
		{offer.Command{Value: "echo", Arguments: []string{"echo", "a\x00b"}}, "has a NUL byte at 1 of 3"},
		{offer.Command{Value: "true", Environment: []offer.Variable{{Name: "A=B", Value: "c"}}}, "has a '='"},
		{offer.Command{Value: "true", User: "root"}, "command.user"},
		{offer.Command{Value: "true", URIs: []offer.URI{{Value: "http://x/y"}}}, "command.uris"},
		{offer.Command{Value: "true", Arguments: []string{"true", strings.Repeat("x", 1<<20)}}, "argument list too long"},
		{offer.Command{Value: "true", Arguments: []string{"true", strings.Repeat("x", 5<<20)}}, "allowed: at most 4194304"},
	} {
		_, err := b.r.Exec(context.Background(), "a", isolation.ExecSpec{Command: c.command})
		require.ErrorContains(t, err, c.says)
	}
	many := offer.Command{Value: "sh", Arguments: []string{"sh", "-c", `echo $#`}}
	for range 64 {
		many.Arguments = append(many.Arguments, strings.Repeat("x", 16<<10)) // 1 MiB
	}
	out, _, _ := b.exec("a", isolation.ExecSpec{Command: many})
	require.Equal(t, "63\n", out)
}

func TestAContainerHasOnlySoManySessions(t *testing.T) {
	b := newBench(t)
	b.running("a")
	var all []isolation.Session
	for range maxSessions {
		s, err := b.r.Exec(context.Background(), "a", shell("exec sleep 1000"))
		require.NoError(t, err)
		all = append(all, s)
	}
	_, err := b.r.Exec(context.Background(), "a", shell("true"))
	require.ErrorIs(t, err, isolation.ErrTooMany)
	require.NoError(t, all[0].Close())
	eventually(t, "there is room again", func() bool {
		s, err := b.r.Exec(context.Background(), "a", shell("true"))
		if err != nil {
			require.ErrorIs(t, err, isolation.ErrTooMany)
			return false
		}
		exit, err := s.Wait()
		return err == nil && exit.Success()
	})
}

func TestASessionWhoseOutputNobodyTakesHoldsUpOnlyItself(t *testing.T) {
	b := newBench(t)
	b.running("a")
	free := make(chan struct{})
	spec := shell("exec yes")
	spec.Stdout = writer(func(p []byte) (int, error) {
		<-free
		return len(p), nil
	})
	slow, err := b.r.Exec(context.Background(), "a", spec)
	require.NoError(t, err)
	_, _, exit := b.exec("a", shell("exit 3"))
	require.Equal(t, offer.Exit{Code: 3}, exit)
	spec.Stdout = writer(func([]byte) (int, error) { return 0, errors.New("full") })
	broken, err := b.r.Exec(context.Background(), "a", spec)
	require.NoError(t, err)
	_, err = broken.Wait()
	require.ErrorContains(t, err, "full")
	b.r.Kill("a", true)
	require.Equal(t, isolation.Exited, b.next().Kind, "the container's end is told all the same")
	close(free)
	_, _ = slow.Wait()
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

func TestACommandIsInTheContainersCgroups(t *testing.T) {
	isolationtest.NeedsRoot(t)
	cg, err := cgroup.New(cgroup.Config{Root: "meros-test-session", Slave: fmt.Sprint(os.Getpid())})
	require.NoError(t, err)
	b := newBench(t)
	b.openWith(cg)
	s := b.spec("a", "exec sleep 1000")
	s.Resources = resource.Must("cpus:1;mem:64")
	b.r.Start(s, false)
	pid := b.started("a")
	want, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	require.NoError(t, err)
	require.Contains(t, string(want), "meros-test-session")
	out, _, _ := b.exec("a", shell("cat /proc/self/cgroup"))
	require.Equal(t, string(want), out)
	b.r.Kill("a", true)
	b.exited("a")
}

func TestACommandEntersTheContainersNamespaces(t *testing.T) {
	isolationtest.NeedsRoot(t)
	b := newBench(t)
	b.openProcess(process.Config{AllowRoot: true, Capabilities: []string{"sys_admin"}, AllowCalls: []string{process.AllCalls}})
	s := b.spec("a", "")
	s.User = "root"
	line := "mount -t tmpfs none /mnt && echo inside > /mnt/file && hostname within && echo ready && exec sleep 1000"
	s.Command = &offer.Command{Value: "unshare", Arguments: []string{"unshare", "-m", "-u", "-i", "-n", "sh", "-c", line}}
	b.r.Start(s, false)
	pid := b.started("a")
	eventually(t, "the container is ready", func() bool { return b.output("a", "stdout") == "ready\n" })
	out, errs, _ := b.exec("a", shell("cat /mnt/file; hostname; pwd; for n in mnt uts ipc net pid; do readlink /proc/self/ns/$n; done"))
	want := "inside\nwithin\n" + s.Sandbox + "\n"
	for _, n := range []string{"mnt", "uts", "ipc", "net", "pid"} {
		link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, n))
		require.NoError(t, err)
		want += link + "\n"
	}
	require.Equal(t, want, out, errs)
	own, err := os.Readlink("/proc/self/ns/mnt")
	require.NoError(t, err)
	require.NotContains(t, out, own)
}

// A late writer takes what comes until only the last bytes are missing, then nothing for longer than a command's output may take to end, then the rest.
type late struct {
	bytes.Buffer
	pause sync.Once
	after int
}

func (l *late) Write(p []byte) (int, error) {
	if l.Len() >= l.after {
		l.pause.Do(func() { time.Sleep(outputTimeout + time.Second) })
	}
	return l.Buffer.Write(p)
}

func TestWhoTakesTheOutputSlowlyGetsAllOfItAfterTheEndOfTheCommand(t *testing.T) {
	b := newBench(t)
	b.running("a")
	const all = 1 << 20
	spec := shell(fmt.Sprintf("head -c %d /dev/zero; exit 9", all))
	sessions := map[*late]isolation.Session{}
	for left := 280; left <= 340; left += 10 { // about what fits the pipe and the connection, but not the connection alone
		out := &late{after: all - left<<10}
		spec.Stdout = out
		s, err := b.r.Exec(context.Background(), "a", spec)
		require.NoError(t, err)
		sessions[out] = s
	}
	for out, s := range sessions {
		exit, err := s.Wait()
		require.NoError(t, err)
		require.Equal(t, offer.Exit{Code: 9}, exit)
		require.Equal(t, all, out.Len(), "with %d held back", all-out.after)
	}
}

func TestACheckThatTheEndOfItsContainerKillsHasNoExitStatus(t *testing.T) {
	b := newBench(t)
	for id, kill := range map[string]func(){"a": func() { b.r.Kill("a", true) }, "b": func() { b.r.Kill("b", false) }} {
		b.running(id)
		spec := shell("sleep 1000")
		spec.Quiet = true
		s, err := b.r.Exec(context.Background(), id, spec)
		require.NoError(t, err)
		kill()
		exit, err := s.Wait()
		require.ErrorIs(t, err, isolation.ErrNotRunning, "%+v", exit)
		b.exited(id)
	}
	b.running("c")
	spec := shell("kill -9 $$")
	spec.Quiet = true
	s, err := b.r.Exec(context.Background(), "c", spec)
	require.NoError(t, err)
	exit, err := s.Wait()
	require.NoError(t, err)
	require.Equal(t, offer.Exit{Signal: 9}, exit, "its own doing")
}
