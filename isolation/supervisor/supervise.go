package supervisor

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/process"
	"github.com/meros-project/meros/offer"
)

// gateTimeout is how long the first process may wait at the gate while no slave is there to let it through. What was not begun by then
// is not begun at all: the slave, if it ever returns, finds a start that has failed.
const gateTimeout = 15 * time.Minute

// What a slave says to a supervisor, a line each.
const (
	sayGo   = "go"   // the first process is under control: let it through
	sayTerm = "term" // SIGTERM to the task's process group
	sayKill = "kill" // SIGKILL to everything

	sayLease = "lease" // and a number: the container's lease is good until then, in nanoseconds by process.Clock
)

// state is what a supervisor tells each slave that connects, and again when it changes: a line of JSON.
type state struct {
	Process process.ID
	Started bool // it has become the task; false: it waits at the gate
	Free    bool // the container has ended, and how is written down: the supervisor waits for another order. Told to whoever gives it only
}

// supervisor is the state of a supervisor process.
type supervisorState struct {
	orders  *orderLine
	next    chan []byte // gets the order that follows this one; closed without one when there is no more slave
	dir     string
	attempt int // which claim to take
	order   orderRead
	first   process.ID
	apart   bool                // the first process has namespaces of its own
	explain func([]byte) string // what the first process reports, in words; nil where it reports words
	mu      sync.Mutex
	gate    *os.File // closed and nil when the first process was let through
	wanted  bool     // it may be let through, says the slave
	ready   bool     // and so say the container's namespaces
	failure string   // why those are not ready, if they will not be
	told    state
	conns   map[net.Conn]bool
	over    bool    // the container has ended: what is still said about it comes too late
	slain   bool    // everything is being killed: nothing may be let through any more
	lease   *keeper // nil without one

	streams      taskStreams
	sessions     int  // under mu
	talked       bool // there was one; under mu
	sessionGroup sync.WaitGroup
	execs        atomic.Uint64 // that were ever begun

	reaping  sync.Mutex
	reaped   bool                    // the first process; under reaping
	children map[int]chan offer.Exit // who is told the exit status of other processes; under reaping
}

// supervise is the whole life of a supervisor. With ready, it may be a while until there is a container for it.
func supervise(ready bool) int {
	f := os.NewFile(orderDescriptor, "slave")
	conn, err := net.FileConn(f)
	if err != nil {
		fmt.Fprintf(os.Stderr, "supervisor: %v\n", err)
		return 1
	}
	_ = f.Close()
	if ready {
		getReady()
	}
	orders := newOrderLine(conn.(*net.UnixConn))
	line, err := orders.next()
	for err == nil && line != nil {
		s := &supervisorState{orders: orders, next: make(chan []byte, 1), conns: map[net.Conn]bool{}, children: map[int]chan offer.Exit{}}
		if line, err = s.run(line); err != nil {
			s.complain(err)
			return 1
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		fmt.Fprintf(os.Stderr, "supervisor: %v\n", err)
		return 1
	}
	return 0
}

// complain tells whoever looks for the container's result why there is none, also a slave that did not start this supervisor.
func (s *supervisorState) complain(err error) {
	text := fmt.Sprintf("supervisor: %v\n", err)
	if s.dir == "" || os.WriteFile(filepath.Join(s.dir, logFile), []byte(text), 0o600) != nil {
		fmt.Fprint(os.Stderr, text)
	}
}

// getReady does once what every container needs, so that its turn is short when it comes.
func getReady() {
	_ = process.BootID()
	warmStart()
	warmed, _ := json.Marshal(orderRead{Spec: &specRead{}, Plan: &isolation.Plan{User: &isolation.User{}, Seccomp: &isolation.Seccomp{},
		Namespaces: &isolation.Namespaces{}, Cgroups: &isolation.Cgroups{Tasks: []string{""}}}})
	_ = json.Unmarshal(warmed, &orderRead{})
	_, _ = json.Marshal(state{})
	_, _ = json.Marshal(report{})
}

// run carries out an order, and returns the next one; nil if there is none for this supervisor.
func (s *supervisorState) run(line []byte) ([]byte, error) {
	a, ln, err := s.orders.listener(line)
	if err != nil {
		return nil, err
	}
	s.dir, s.attempt = a.Dir, a.Attempt
	if err := readRecord(s.dir, orderRecord, &s.order); err != nil {
		return nil, err
	}
	mine, err := claim(s.dir, s.attempt, claimRun)
	if err != nil {
		return nil, fmt.Errorf("claim the run: %w", err)
	}
	if !mine {
		return nil, nil // a slave that was restarted has decided otherwise
	}
	// The signals of a host that shuts down must not end the supervisor before its task.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer close(signals)
	defer signal.Stop(signals)
	if err := process.BecomeReaper(); err != nil {
		return nil, err
	}
	if lease := s.order.Spec.Lease; lease > 0 {
		if s.lease, err = newKeeper(s.order.LeaseUntil); err != nil {
			return nil, fmt.Errorf("lease: %w", err)
		}
		if s.lease.expired() {
			return nil, appendRecord(s.dir, exitRecord, report{Failed: "its lease ran out before it was started", Expired: true})
		}
	}
	reports, err := s.startFirst()
	if err != nil {
		return nil, appendRecord(s.dir, exitRecord, report{Failed: err.Error()})
	}
	told := make(chan fate, 1)
	go s.watchFirst(reports, told)
	s.join(s.orders, s.orders.lines)
	go s.accept(ln)
	if s.lease != nil {
		go s.keepLease()
	}
	go func() {
		for sig := range signals {
			if sig == syscall.SIGTERM {
				s.signal(syscall.SIGTERM)
			}
		}
	}()
	late := time.AfterFunc(gateTimeout, s.abandon)
	defer late.Stop()
	if err := s.finish(told); err != nil || !a.Again || !s.isClean() {
		return nil, err
	}
	_ = ln.Close()
	return s.becomeFree(), nil
}

// finish waits for the container's end and tells it.
func (s *supervisorState) finish(told <-chan fate) error {
	exit, known := s.wait()
	of := <-told
	if of.known {
		exit, known = of.exit, true
	}
	expired := s.endedByLease(exit, known, of.failed)
	s.streams.drain()
	err := appendRecord(s.dir, exitRecord, report{Exit: exit, Unknown: !known, Failed: of.failed, Expired: expired})
	if known && of.failed == "" {
		s.streams.finish(&exit)
	} else {
		s.streams.finish(nil)
	}
	s.finishSessions()
	return err
}

// isClean reports whether nothing of the container is left in this process, neither descriptors nor goroutines, as after most: those that somebody
// has looked into, or that do not simply end, are the last of their supervisor.
func (s *supervisorState) isClean() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.told.Started && s.ready && !s.talked && s.gate == nil && s.lease == nil && s.order.Spec.Streams == nil && !s.order.Spec.Tied
}

// becomeFree says that the supervisor has no container any more, and waits for its next order; nil when there will be none.
func (s *supervisorState) becomeFree() []byte {
	s.mu.Lock()
	s.over = true
	for c := range s.conns {
		if c != net.Conn(s.orders) {
			_ = c.Close()
		}
	}
	s.told.Free = true
	s.tell(s.orders) // where the slave has gone, nobody hears it
	s.mu.Unlock()
	return <-s.next
}

// startFirst starts the container's first process, which waits at the gate. It returns where that process reports.
func (s *supervisorState) startFirst() (*os.File, error) {
	spec, plan := s.order.Spec, s.order.Plan
	plan.Setenv(markName, s.dir)
	streams, err := s.openStreams(plan)
	if err != nil {
		return nil, err
	}
	b := &beginning{plan: plan, function: spec.Function, terminal: s.streams.terminal != nil, streams: streams, dir: s.dir}
	defer b.close()
	reports, err := b.open()
	if err == nil && spec.Function != "" {
		b.data, err = passing(s.dir, "data", spec.Data)
	}
	if err != nil {
		return nil, err
	}
	pid, err := b.start()
	if err != nil {
		return nil, errors.Join(err, b.opener.Close(), reports.Close())
	}
	s.gate, s.explain, s.apart = b.opener, b.explain, plan.Namespaces != nil
	if s.ready = b.furnished == nil; !s.ready {
		go s.awaitRoom(b.furnished, pid)
	}
	s.first, err = process.Identify(pid)
	if err != nil {
		s.first = process.ID{PID: pid, Boot: process.BootID()} // it has ended already; not reaped, so that the number is still its own
	}
	if err := appendRecord(s.dir, processRecord, s.first); err != nil {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		return nil, err
	}
	s.told = state{Process: s.first}
	return reports, nil
}

// awaitRoom lets the first process through when the container's namespaces are ready, and ends it if they will not be.
func (s *supervisorState) awaitRoom(furnished <-chan error, pid int) {
	err := <-furnished
	s.mu.Lock()
	s.ready = err == nil
	if err != nil {
		s.failure = err.Error()
	}
	s.openGate()
	s.mu.Unlock()
	if err == nil {
		return
	}
	s.reaping.Lock()
	defer s.reaping.Unlock()
	if !s.reaped {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// openGate lets the first process through if everybody agrees. With mu held.
func (s *supervisorState) openGate() {
	if s.gate != nil && s.wanted && s.ready && !s.slain && !s.lease.expired() {
		_, _ = s.gate.Write([]byte{1})
		_ = s.gate.Close()
		s.gate = nil
	}
}

// passing returns an open file with content that has no name any more.
func passing(dir, name string, content []byte) (*os.File, error) {
	if len(content) == 0 {
		return os.Open(os.DevNull)
	}
	if f, err := memoryFile(name, content); err == nil {
		return f, nil
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		return nil, err
	}
	defer os.Remove(path)
	return os.Open(path)
}

// A fate is what a first process reports.
type fate struct {
	failed string     // why there was no task; empty if there was one
	exit   offer.Exit // how the task ended, if known: of a process that stays beside it
	known  bool
}

// watchFirst learns whether the first process became the task or has started it, and in the latter case how that ended.
func (s *supervisorState) watchFirst(reports *os.File, told chan<- fate) {
	defer reports.Close()
	next := func() string {
		var b [1]byte
		n, _ := io.ReadFull(reports, b[:])
		return string(b[:n])
	}
	why := next()
	if why == aboutToStart {
		why = next()
	} else if why == "" {
		s.mu.Lock()
		told <- fate{failed: cmp.Or(s.failure, "the first process ended before it became the task")}
		s.mu.Unlock()
		return
	}
	if why != "" && why != isStarted {
		rest, _ := io.ReadAll(io.LimitReader(reports, 4096))
		if why += string(rest); s.explain != nil {
			why = s.explain([]byte(why))
		}
		told <- fate{failed: why}
		return
	}
	s.mu.Lock()
	s.told.Started = true
	s.tellAll()
	s.mu.Unlock()
	var of fate
	var status [2]byte
	if n, _ := io.ReadFull(reports, status[:]); n == len(status) {
		of = fate{exit: exitOf(syscall.WaitStatus(status[0]) | syscall.WaitStatus(status[1])<<8), known: true}
	}
	told <- of
}

// abandon ends a start that nobody has come for; while a slave is there, it is asked again later.
func (s *supervisorState) abandon() {
	s.mu.Lock()
	waits, forgotten := s.gate != nil, len(s.conns) == 0
	s.slain = s.slain || waits && forgotten
	s.mu.Unlock()
	switch {
	case waits && forgotten:
		s.killAll()
	case waits:
		time.AfterFunc(gateTimeout, s.abandon)
	}
}

func (s *supervisorState) accept(ln net.Listener) {
	for {
		c, err := ln.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		s.join(c, c)
	}
}

// join begins to talk with a slave.
func (s *supervisorState) join(c net.Conn, from io.Reader) {
	s.mu.Lock()
	s.conns[c] = true
	s.tell(c)
	s.mu.Unlock()
	go s.serve(c, from)
}

func (s *supervisorState) tellAll() {
	for c := range s.conns {
		s.tell(c)
	}
}

func (s *supervisorState) tell(c net.Conn) {
	b, _ := json.Marshal(s.told)
	_, _ = c.Write(append(b, '\n')) // a slave that is gone connects again; a line fits the socket's buffer
}

func (s *supervisorState) serve(c net.Conn, from io.Reader) {
	lines := bufio.NewReader(from)
	for {
		text, err := lines.ReadSlice('\n')
		if err != nil {
			break
		}
		if over := s.isOver(); over && isOrder(text) && c == net.Conn(s.orders) {
			s.next <- text
			return
		} else if over {
			continue
		}
		switch line := strings.TrimSpace(string(text)); line {
		case saySession:
			s.session(c, lines)
			return
		case sayGo:
			s.mu.Lock()
			s.wanted = true
			s.openGate()
			s.mu.Unlock()
		case sayTerm:
			s.signal(syscall.SIGTERM)
		case sayKill:
			s.killAll()
		default:
			s.hearLease(line)
		}
	}
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
	_ = c.Close()
	if c == net.Conn(s.orders) {
		close(s.next)
	}
	if s.order.Spec.Tied {
		s.killAll()
	}
}

func (s *supervisorState) isOver() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over
}

// signal signals the first process's group; before it is the task, a polite end is a sure one.
func (s *supervisorState) signal(sig syscall.Signal) {
	s.mu.Lock()
	started := s.told.Started
	s.mu.Unlock()
	if !started {
		s.killAll()
		return
	}
	s.reaping.Lock()
	defer s.reaping.Unlock()
	if !s.reaped { // so that the number is still its own, and its group's
		_ = syscall.Kill(-s.first.PID, sig)
	}
}

func (s *supervisorState) killAll() {
	s.mu.Lock()
	s.slain = true
	s.mu.Unlock()
	_ = s.first.Signal(syscall.SIGKILL)
	if !s.apart { // else the system ends whatever is in them
		process.KillTree(os.Getpid(), s.first.PID)
	}
}

// reap reaps one child. With a system that can wait without reaping, it does not block, so that no signal is on its way to the number of
// a process that is reaped meanwhile.
func (s *supervisorState) reap(options int) (int, syscall.WaitStatus, error) {
	var ws syscall.WaitStatus
	var pid int
	var err error
	if process.Reaps {
		s.reaping.Lock()
		pid, err = syscall.Wait4(-1, &ws, options, nil)
	} else {
		pid, err = syscall.Wait4(-1, &ws, options, nil)
		s.reaping.Lock()
	}
	defer s.reaping.Unlock()
	if err == nil && pid == s.first.PID {
		s.reaped = true
	}
	if told := s.children[pid]; err == nil && told != nil {
		told <- exitOf(ws)
		delete(s.children, pid)
	}
	return pid, ws, err
}

// wait reaps until the first process has ended and nothing of the container is left. known is false if the operating system did not
// hand out the exit status, as when the host program was started with SIGCHLD ignored.
func (s *supervisorState) wait() (exit offer.Exit, known bool) {
	options := 0
	for {
		if options == 0 {
			_ = process.AwaitChild() // what is wrong, Wait4 says
		}
		pid, ws, err := s.reap(options)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case err == nil && pid == s.first.PID:
			known = true
			exit = exitOf(ws)
		}
		if err != nil { // no child is left
			break
		}
		if !known {
			continue
		}
		// Looking through all processes is dear: first reap whatever has ended already.
		options = syscall.WNOHANG
		if pid == 0 {
			process.KillTree(os.Getpid(), s.first.PID)
			options = 0
		}
	}
	// Where orphans do not become the supervisor's children, the session is all there is to go by.
	for range 500 {
		if process.Reaps || process.KillTree(os.Getpid(), s.first.PID) == 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	return exit, known
}

func exitOf(ws syscall.WaitStatus) offer.Exit {
	if ws.Signaled() {
		return offer.Exit{Signal: int(ws.Signal())}
	}
	return offer.Exit{Code: ws.ExitStatus()}
}
