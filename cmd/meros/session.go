package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/term"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/stream"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/slave"
)

// errSessionLost says that a session has ended without an exit status.
var errSessionLost = errors.New("the session is lost: the slave does not answer any more, or the output was taken too slowly")

// A terminal is this program's own.
type terminal struct {
	in, out *os.File
}

func (t terminal) there() bool {
	return t.in != nil && t.out != nil && term.IsTerminal(int(t.in.Fd())) && term.IsTerminal(int(t.out.Fd()))
}

// size is zero where it is not known.
func (t terminal) size() offer.TerminalSize {
	columns, rows, err := term.GetSize(int(t.out.Fd()))
	if err != nil || rows < 0 || columns < 0 || rows > 1<<16-1 || columns > 1<<16-1 {
		return offer.TerminalSize{}
	}
	return offer.TerminalSize{Rows: uint16(rows), Columns: uint16(columns)}
}

// A session is one with a container on a slave.
type session struct {
	conn   *stream.Conn
	body   io.ReadCloser
	send   *io.PipeWriter
	credit *stream.Credit
	got    isolation.Attached
	cancel context.CancelFunc
}

// openSession asks the slave at the address.
func (f *masterFlags) openSession(ctx context.Context, address string, request slave.SessionRequest) (*session, error) {
	client, err := f.http()
	if err != nil {
		return nil, err
	}
	client.Timeout = 0
	ctx, cancel := context.WithCancel(ctx)
	from, send := io.Pipe()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.scheme()+"://"+address+slave.SessionPath, from)
	if err != nil {
		cancel()
		return nil, err
	}
	req.Header.Set("Content-Type", slave.SessionType)
	s := &session{send: send, credit: stream.NewCredit(), cancel: cancel}
	out := stream.NewConn(nil, send)
	asked := make(chan error, 1)
	go func() { asked <- out.SendJSON(stream.Start, request) }()
	resp, err := client.Do(req)
	if err != nil {
		s.close()
		<-asked
		return nil, f.explain(ctx, address, err)
	}
	s.body = resp.Body
	if resp.StatusCode != http.StatusOK {
		said, _ := io.ReadAll(io.LimitReader(resp.Body, 4096))
		s.close()
		<-asked
		return nil, fmt.Errorf("%s: %s", address, strings.TrimSpace(string(said)))
	}
	<-asked
	s.conn = stream.NewConn(resp.Body, send)
	kind, body, err := s.conn.Receive()
	switch {
	case err == nil && kind == stream.Started:
		err = json.Unmarshal(body, &s.got)
	case err == nil && kind == stream.Refused:
		err = refusalOf(address, body)
	case err == nil:
		err = errSessionLost
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func refusalOf(address string, body []byte) error {
	var why slave.SessionRefusal
	if err := json.Unmarshal(body, &why); err != nil {
		return err
	}
	return &refused{address, why.Message}
}

// close ends the session.
func (s *session) close() {
	_ = s.send.Close()
	s.credit.Close()
	s.cancel()
	if s.body != nil {
		_ = s.body.Close()
	}
}

// The keys that leave a task on whose terminal one types, one after the other: Ctrl-P, Ctrl-Q.
const (
	leaveFirst  = 16
	leaveSecond = 17
)

// feed sends what is typed until its end. With leave, it calls that when the keys to leave are typed.
func (s *session) feed(from io.Reader, leave func()) {
	b := make([]byte, stream.MaxData)
	half := false // the first of the keys was typed
	for {
		n, err := from.Read(b)
		typed := b[:n]
		if leave != nil && n > 0 {
			var left bool
			if typed, half, left = leaves(typed, half); left {
				leave()
				return
			}
		}
		for len(typed) > 0 {
			m := s.credit.Take(len(typed))
			if m == 0 || s.conn.Send(stream.Stdin, typed[:m]) != nil {
				return
			}
			typed = typed[m:]
		}
		if err != nil {
			_ = s.conn.Send(stream.Stdin, nil)
			return
		}
	}
}

// leaves looks for the keys to leave. The first is held back until the next is known.
func leaves(typed []byte, half bool) (rest []byte, stillHalf, left bool) {
	for _, key := range typed {
		switch {
		case half && key == leaveSecond:
			return nil, false, true
		case half:
			rest = append(rest, leaveFirst)
		}
		if half = key == leaveFirst; !half {
			rest = append(rest, key)
		}
	}
	return rest, half, false
}

// A talk is what a session does with this program's input, output and signals.
type talk struct {
	in          io.Reader // nil: nothing is sent
	out, errs   io.Writer
	own         terminal
	raw         bool // the terminal is the container's, as long as the session lasts
	leaves      bool // the keys to leave, and signals, end the session and not the command
	interrupted <-chan struct{}
	signal      func() syscall.Signal // which one has interrupted
}

// errLeft is how a session ends that was left.
var errLeft = errors.New("left")

// run talks to the session until it ends.
func (t *talk) run(s *session) (offer.Exit, error) {
	defer s.close()
	var left atomic.Bool
	leave := func() { left.Store(true); s.close() }
	stop, err := t.begin(s)
	if err != nil {
		return offer.Exit{}, err
	}
	defer stop()
	if t.in != nil && s.got.Stdin {
		var keys func()
		if t.leaves && t.raw {
			keys = leave
		}
		go s.feed(t.in, keys) // it may read for ever: the program ends
	}
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-t.interrupted:
			if t.leaves {
				leave()
			} else {
				_ = s.conn.Send(stream.Signal, []byte{byte(t.signal())})
			}
		case <-ended:
		}
	}()
	exit, err := t.receive(s)
	if err != nil && left.Load() {
		err = errLeft
	}
	return exit, err
}

// begin makes the terminal the container's.
func (t *talk) begin(s *session) (stop func(), err error) {
	if !t.raw || !s.got.Terminal {
		return func() {}, nil
	}
	before, err := term.MakeRaw(int(t.own.in.Fd()))
	if err != nil {
		return nil, fmt.Errorf("terminal: %w", err)
	}
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			size := t.own.size()
			_ = s.conn.SendSize(size.Rows, size.Columns)
			select {
			case <-changed:
			case <-done:
				return
			}
		}
	})
	return func() {
		signal.Stop(changed)
		close(done)
		s.close() // a size that is being sent
		wg.Wait()
		_ = term.Restore(int(t.own.in.Fd()), before)
	}, nil
}

func (t *talk) receive(s *session) (exit offer.Exit, err error) {
	for {
		kind, body, err := s.conn.Receive()
		if err != nil {
			return exit, errSessionLost
		}
		switch kind {
		case stream.Stdout:
			_, err = t.out.Write(body)
		case stream.Stderr:
			_, err = t.errs.Write(body)
		case stream.Window:
			s.credit.Add(stream.Number(body))
		case stream.Refused:
			return exit, refusalOf("the slave", body)
		case stream.Exit:
			return exit, json.Unmarshal(body, &exit)
		}
		if err != nil { // nobody takes the output
			return exit, exitCode(128 + int(syscall.SIGPIPE))
		}
	}
}

// statusOf is a command's exit status as this program's.
func statusOf(exit offer.Exit) error {
	switch {
	case exit.Signal != 0:
		return exitCode(128 + exit.Signal)
	case exit.Code != 0:
		return exitCode(exit.Code)
	}
	return nil
}
