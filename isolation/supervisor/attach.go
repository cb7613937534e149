package supervisor

import (
	"errors"
	"net"
	"sync"
	"time"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/stream"
	"github.com/meros-project/meros/offer"
)

// listenerBytes is how much output may wait for somebody who is attached. Who is slower is cut off: the task does not wait.
const listenerBytes = 1 << 20

// earlyBytes is how much of its first output a task that waits for somebody to type keeps for them, such as its prompt.
const earlyBytes = 64 << 10

// A listener is somebody who is attached to the task.
type listener struct {
	cut func() // ends a write that is stuck

	mu     sync.Mutex
	change sync.Cond
	wait   []piece
	bytes  int
	ended  bool // no more will come
	exit   *offer.Exit
	slow   bool
}

type piece struct {
	kind stream.Kind
	data []byte
}

func newListener(cut func()) *listener {
	l := &listener{cut: cut}
	l.change.L = &l.mu
	return l
}

// put gives the listener something, or cuts it off if it has not taken enough of what came before.
func (l *listener) put(p piece) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.ended:
		return
	case l.bytes+len(p.data) > listenerBytes:
		l.ended, l.slow = true, true
		l.cut()
	default:
		l.bytes += len(p.data)
		l.wait = append(l.wait, p)
	}
	l.change.Signal()
}

// end says that no more will come; exit is nil if nobody knows how the task has ended, or it has not.
func (l *listener) end(exit *offer.Exit) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		l.ended, l.exit = true, exit
	}
	l.change.Signal()
}

// next waits for output. Without any, it is over.
func (l *listener) next() (p piece, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.wait) == 0 && !l.ended {
		l.change.Wait()
	}
	if l.slow || len(l.wait) == 0 {
		return piece{}, false
	}
	p, l.wait[0] = l.wait[0], piece{}
	l.wait = l.wait[1:]
	l.bytes -= len(p.data)
	return p, true
}

// tell passes on what the task has printed.
func (t *taskStreams) tell(kind stream.Kind, b []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.listeners) == 0 && !t.waits {
		return
	}
	p := piece{kind, append([]byte(nil), b...)}
	if t.waits {
		t.early, t.earlySize = append(t.early, p), t.earlySize+len(b)
		for t.earlySize > earlyBytes {
			t.earlySize -= len(t.early[0].data)
			t.early = t.early[1:]
		}
	}
	for l := range t.listeners {
		l.put(p)
	}
}

// attach shows the session what the task prints from now on, and what one that waited for somebody to type has printed before, and gives the task what it types, until one of them ends.
func (s *supervisorState) attach(raw net.Conn, conn *stream.Conn, spec *isolation.AttachSpec) error {
	t := &s.streams
	l := newListener(func() { _ = raw.SetWriteDeadline(time.Now().Add(sessionsLinger)) })
	t.mu.Lock()
	feeds := spec.Stdin && t.stdin != nil && !t.inputOver
	switch {
	case t.over:
		t.mu.Unlock()
		return errEnded
	case feeds && t.feeding:
		t.mu.Unlock()
		return refusal{refusedFailed, "somebody else is attached to the task's input (allowed: one at a time)"}
	}
	t.feeding = t.feeding || feeds
	t.listeners[l] = true
	for _, p := range t.early {
		l.put(p)
	}
	t.waits, t.early = false, nil
	terminal := t.terminal != nil
	t.mu.Unlock()
	input := stream.NewInput()
	var feeder sync.WaitGroup
	defer func() {
		input.Close()
		if feeds {
			_ = t.stdin.SetWriteDeadline(time.Now()) // of a task that does not read
			feeder.Wait()
			_ = t.stdin.SetWriteDeadline(time.Time{})
		}
		t.mu.Lock()
		delete(t.listeners, l)
		if feeds {
			t.feeding = false
		}
		t.mu.Unlock()
	}()
	if err := conn.SendJSON(stream.Started, begun{PID: s.first.PID, Attached: isolation.Attached{Stdin: feeds, Terminal: terminal}}); err != nil {
		return err
	}
	if feeds {
		feeder.Go(func() { t.feed(input, conn) })
	}
	go func() {
		t.receive(conn, input, feeds)
		l.end(nil)
	}()
	for {
		p, ok := l.next()
		if !ok {
			break
		}
		if err := conn.SendData(p.kind, p.data); err != nil {
			return err
		}
	}
	switch {
	case l.slow:
		return refusal{refusedSlow, "the output was not taken fast enough"}
	case l.exit != nil:
		return conn.SendJSON(stream.Exit, l.exit)
	}
	return nil
}

// receive does what the session says until it ends.
func (t *taskStreams) receive(conn *stream.Conn, input *stream.Input, feeds bool) {
	for {
		kind, body, err := conn.Receive()
		switch {
		case err != nil:
			return
		case kind == stream.Stdin && feeds:
			err = input.Put(body)
		case kind == stream.Resize && t.terminal != nil:
			rows, columns := stream.Size(body)
			_ = resizeTerminal(t.terminal, offer.TerminalSize{Rows: rows, Columns: columns})
		}
		if err != nil {
			return
		}
	}
}

// feed gives the task what is typed. The end of the input is the task's, the end of the session is not.
func (t *taskStreams) feed(input *stream.Input, conn *stream.Conn) {
	err := input.Copy(t.stdin, conn.SendWindow)
	switch {
	case errors.Is(err, stream.ErrClosed), err != nil && t.terminal != nil:
	case t.terminal != nil:
		_, _ = t.terminal.Write([]byte{endOfInput})
	default:
		t.mu.Lock()
		t.inputOver = true
		t.mu.Unlock()
		_ = t.stdin.Close()
	}
}
