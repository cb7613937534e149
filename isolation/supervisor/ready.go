package supervisor

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/meros-project/meros/isolation/process"
)

// orderDescriptor is where a supervisor gets its order, and speaks with the slave that has started it. When the slave ends before it gave
// an order, the supervisor ends too.
const orderDescriptor = 3

// maxOrder bounds an assignment, in bytes.
const maxOrder = 4096

// An assignment tells a supervisor which container is its own. With it comes the listener on the container's socket, which the slave opens
// so that a slave that is started again can connect before the supervisor has claimed the run, and is refused once that has died.
type assignment struct {
	Dir     string
	Attempt int  // which claim to take
	Again   bool // when the container has ended, to wait for another one
}

// A supervisorProcess is a supervisor that this process has started, and the connection to it. Whoever has it ends it or hands it on.
type supervisorProcess struct {
	program *os.Process
	conn    *net.UnixConn
	log     *os.File // in memory: what it said on stderr; nil where there is no such thing
}

// startSupervisor starts a supervisor, which waits for its order, from a copy of the host program that nobody can change, or, where the
// system has none or will not execute it, from the program's file. One that is to be kept ready prepares for its order.
func startSupervisor(ready bool) (*supervisorProcess, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	mine, other, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer other.Close()
	p := &supervisorProcess{conn: mine}
	stderr := null
	if log, err := memoryFile("log", nil); err == nil {
		p.log, stderr = log, log
	}
	args := []string{supervisorName}
	if ready {
		args = append(args, readyArgument)
	}
	attr := &os.ProcAttr{Dir: "/", Files: []*os.File{null, null, stderr, other},
		Env: []string{roleVariable + "=" + supervisorName, "GOMAXPROCS=2", raceSetting, "PATH=" + process.DefaultPath}, Sys: &syscall.SysProcAttr{Setsid: true}}
	err = errors.ErrUnsupported
	if sealed, why := sealedProgram(); why == nil {
		p.program, err = os.StartProcess(sealed, args, attr)
	}
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrPermission) {
		var program string
		if program, err = self(); err == nil {
			p.program, err = os.StartProcess(program, args, attr)
		}
	}
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *supervisorProcess) close() {
	_ = p.conn.Close()
	if p.log != nil {
		_ = p.log.Close()
	}
}

// end ends a supervisor that has no order, or that nobody will open the gate of: whatever it has started ends with it.
func (p *supervisorProcess) end() {
	_ = p.program.Kill()
	_, _ = p.program.Wait()
	p.close()
}

// said is the beginning of what it has said on stderr.
func (p *supervisorProcess) said() string {
	if p == nil || p.log == nil {
		return ""
	}
	b := make([]byte, maxSaid)
	n, _ := p.log.ReadAt(b, 0)
	return string(b[:n])
}

// assign gives the supervisor its order.
func (p *supervisorProcess) assign(a assignment, listener *os.File) error {
	b, err := json.Marshal(a)
	if err != nil {
		return err
	}
	if len(b) >= maxOrder {
		return fmt.Errorf("an assignment of %d bytes (allowed: %d)", len(b), maxOrder-1)
	}
	_, _, err = p.conn.WriteMsgUnix(append(b, '\n'), unix.UnixRights(int(listener.Fd())), nil)
	return err
}

// An orderLine is a supervisor's end of the connection to the slave that has started it: a line is an order, with a descriptor, or a word for the
// container that it has.
type orderLine struct {
	*net.UnixConn
	lines *bufio.Reader
	fds   []int // received and not used yet
}

func newOrderLine(conn *net.UnixConn) *orderLine {
	l := &orderLine{UnixConn: conn}
	l.lines = bufio.NewReaderSize(l, maxOrder)
	return l
}

// Read implements io.Reader. The system never hands out more than what one descriptor came with.
func (l *orderLine) Read(b []byte) (int, error) {
	oob := make([]byte, unix.CmsgSpace(4))
	n, nOob, _, _, err := l.ReadMsgUnix(b, oob)
	if err != nil {
		return 0, err // n is less than zero
	}
	if n == 0 {
		err = io.EOF
	}
	if messages, wrong := unix.ParseSocketControlMessage(oob[:nOob]); wrong == nil {
		for i := range messages {
			fds, _ := unix.ParseUnixRights(&messages[i])
			l.fds = append(l.fds, fds...)
		}
	}
	return n, err
}

// isOrder tells an order from a word, which may still come when its container has ended.
func isOrder(line []byte) bool { return len(line) > 0 && line[0] == '{' }

// next waits for an order. io.EOF says that there will be none.
func (l *orderLine) next() ([]byte, error) {
	for {
		line, err := l.lines.ReadSlice('\n')
		if err != nil || isOrder(line) {
			return line, err
		}
	}
}

// listener returns what an order says, and the listener that has come with it.
func (l *orderLine) listener(line []byte) (a assignment, ln *net.UnixListener, err error) {
	fds := l.fds
	l.fds = nil
	if len(fds) != 1 {
		return a, nil, fmt.Errorf("an assignment with %d descriptors (allowed: 1)", len(fds))
	}
	f := os.NewFile(uintptr(fds[0]), "listener")
	defer f.Close()
	if err := json.Unmarshal(line, &a); err != nil {
		return a, nil, fmt.Errorf("assignment: %w", err)
	}
	any, err := net.FileListener(f)
	if err != nil {
		return a, nil, err
	}
	ln, ok := any.(*net.UnixListener)
	if !ok {
		_ = any.Close()
		return a, nil, fmt.Errorf("the assignment's descriptor is a %T (allowed: a listener of the system's own)", any)
	}
	ln.SetUnlinkOnClose(false)
	return a, ln, nil
}

// socketPair returns two ends of a connection; the second is for a child.
func socketPair() (*net.UnixConn, *os.File, error) {
	syscall.ForkLock.RLock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	f, other := os.NewFile(uintptr(fds[0]), "slave"), os.NewFile(uintptr(fds[1]), "supervisor")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, nil, errors.Join(err, other.Close())
	}
	return c.(*net.UnixConn), other, nil
}

// Supervisors whose container has ended are kept beyond those that are wanted, so many and for so long: where many containers end, many are
// started soon.
const (
	maxSpare  = 14
	spareTime = 10 * time.Second
)

// refillPause is how long after a start the next supervisors are made ready: what was started has the processors first.
const refillPause = 10 * time.Millisecond

// A readyPool keeps supervisors that wait for an order. They end when the slave does, however that ends: their connection is closed then.
type readyPool struct {
	want   int // zero: none are kept, not even those that are free again
	failed func(error)
	wake   chan struct{}

	mu        sync.Mutex
	closed    bool
	spareTime time.Duration
	idle      []*supervisorProcess
	starting  int // containers that are being started: the machine has better to do than to make others ready
}

func newReadyPool(want int, failed func(error)) *readyPool {
	return &readyPool{want: want, spareTime: spareTime, failed: failed, wake: make(chan struct{}, 1)}
}

func (p *readyPool) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// began says that one container more is being started, or, with -1, one less.
func (p *readyPool) began(n int) {
	p.mu.Lock()
	p.starting += n
	fill := p.starting == 0 && len(p.idle) < p.want
	p.mu.Unlock()
	if fill {
		p.poke()
	}
}

// take returns the supervisor that has been ready for longest, nil if there is none.
func (p *readyPool) take() *supervisorProcess {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	first := p.idle[0]
	p.idle = append(p.idle[:0], p.idle[1:]...)
	return first
}

// put gives the pool a supervisor that is free again, and reports whether it is kept.
func (p *readyPool) put(s *supervisorProcess) bool {
	p.mu.Lock()
	keeps := p.want > 0 && !p.closed && len(p.idle) < p.want+maxSpare
	if keeps {
		p.idle = append(p.idle, s)
	}
	spare := len(p.idle) > p.want
	p.mu.Unlock()
	if spare {
		p.poke()
	}
	return keeps
}

// spare reports whether there are more than wanted, and how long at most.
func (p *readyPool) spare() (spare bool, atMost time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.idle) > p.want, p.spareTime
}

// takeSpares takes out those beyond what is wanted.
func (p *readyPool) takeSpares() []*supervisorProcess {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) <= p.want {
		return nil
	}
	out := slices.Clone(p.idle[p.want:])
	p.idle = slices.Delete(p.idle, p.want, len(p.idle))
	return out
}

func (p *readyPool) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.idle)
}

// run keeps the pool full until ctx ends, and then ends what is in it.
func (p *readyPool) run(ctx context.Context) {
	defer p.close()
	for {
		for p.lacks(ctx) {
			s, err := startSupervisor(true)
			if err != nil {
				p.failed(err)
				break
			}
			p.mu.Lock()
			p.idle = append(p.idle, s)
			p.mu.Unlock()
		}
		var over <-chan time.Time
		if spare, atMost := p.spare(); spare {
			over = time.After(atMost)
		}
		select {
		case <-p.wake:
		case <-over:
			for _, s := range p.takeSpares() {
				s.end()
			}
		case <-ctx.Done():
			return
		}
		select {
		case <-time.After(refillPause):
		case <-ctx.Done():
			return
		}
	}
}

func (p *readyPool) lacks(ctx context.Context) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return ctx.Err() == nil && p.starting == 0 && len(p.idle) < p.want
}

func (p *readyPool) close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.closed = nil, true
	p.mu.Unlock()
	for _, s := range idle {
		s.end()
	}
}
