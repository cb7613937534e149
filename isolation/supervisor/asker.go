package supervisor

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/process"
	"github.com/meros-project/meros/isolation/stream"
	"github.com/meros-project/meros/offer"
)

var (
	_ isolation.Execer   = (*Runner)(nil)
	_ isolation.Attacher = (*Runner)(nil)
)

// Exec implements isolation.Execer.
func (r *Runner) Exec(ctx context.Context, container string, spec isolation.ExecSpec) (isolation.Session, error) {
	if err := checkExec(&spec); err != nil {
		return nil, err
	}
	s, _, err := r.ask(ctx, container, request{Exec: &spec}, spec.Stdout, spec.Stderr)
	return s, err
}

// Attach implements isolation.Attacher.
func (r *Runner) Attach(ctx context.Context, container string, spec isolation.AttachSpec) (isolation.Session, isolation.Attached, error) {
	return r.ask(ctx, container, request{Attach: &spec}, spec.Stdout, spec.Stderr)
}

func checkExec(spec *isolation.ExecSpec) error {
	bad := func(text string) error { return offer.Refuse(offer.ReasonInvalidField, text) }
	switch c := &spec.Command; {
	case c.User != "":
		return bad(fmt.Sprintf("command.user: is %.100q (allowed: none: a session has its container's)", c.User))
	case len(c.URIs) > 0:
		return bad(fmt.Sprintf("command.uris: has %d (allowed: none in a session)", len(c.URIs)))
	}
	return process.CheckCommand(&spec.Command)
}

// ask begins a session with a container's supervisor.
func (r *Runner) ask(ctx context.Context, container string, req request, stdout, stderr io.Writer) (isolation.Session, isolation.Attached, error) {
	none := isolation.Attached{}
	start, err := json.Marshal(req)
	if err != nil {
		return nil, none, err
	}
	if len(start) > stream.MaxJSON {
		return nil, none, offer.Refuse(offer.ReasonInvalidField, fmt.Sprintf("command: has %d bytes (allowed: at most %d)", len(start), stream.MaxJSON))
	}
	c := r.get(container)
	if c == nil {
		return nil, none, isolation.ErrNotRunning
	}
	raw, err := (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(c.dir, socketFile))
	if err != nil {
		return nil, none, cmp.Or(ctx.Err(), isolation.ErrNotRunning)
	}
	s := &session{raw: raw, ctx: ctx, stdout: stdout, stderr: stderr, credit: stream.NewCredit(), done: make(chan struct{})}
	s.leave = []func() bool{context.AfterFunc(ctx, s.cut), context.AfterFunc(r.ctx, s.cut)}
	b, err := s.begin(start)
	if err != nil {
		s.end()
		return nil, none, cmp.Or(ctx.Err(), err)
	}
	if !r.tryDo(s.run) {
		s.end()
		return nil, none, isolation.ErrNotRunning
	}
	return s, b.Attached, nil
}

// A session is the slave's side of one.
type session struct {
	raw            net.Conn
	ctx            context.Context
	conn           *stream.Conn
	stdout, stderr io.Writer
	credit         *stream.Credit
	leave          []func() bool
	cutting        sync.Once
	input          sync.Mutex // one Write or Close at a time
	inputEnded     bool

	done chan struct{} // closed when what follows is known
	exit offer.Exit
	err  error
}

// begin makes the connection one of frames and waits for the answer.
func (s *session) begin(start []byte) (b begun, err error) {
	if _, err := s.raw.Write([]byte(saySession + "\n")); err != nil {
		return b, isolation.ErrNotRunning
	}
	lines := bufio.NewReader(s.raw)
	for {
		line, err := lines.ReadString('\n') // before it there are states of the container
		if err != nil {
			return b, isolation.ErrNotRunning
		}
		if strings.TrimSpace(line) == saySession {
			break
		}
	}
	s.conn = stream.NewConn(lines, s.raw)
	if err := s.conn.Send(stream.Start, start); err != nil {
		return b, isolation.ErrNotRunning
	}
	kind, body, err := s.conn.Receive()
	switch {
	case err != nil:
		return b, isolation.ErrNotRunning
	case kind == stream.Refused:
		return b, refusalOf(body)
	case kind != stream.Started:
		return b, isolation.ErrSessionLost
	}
	return b, json.Unmarshal(body, &b)
}

// refusalOf is the error that a refusal stands for.
func refusalOf(body []byte) error {
	var why refusal
	if err := json.Unmarshal(body, &why); err != nil {
		return err
	}
	switch why.Code {
	case refusedEnded:
		return isolation.ErrNotRunning
	case refusedMany:
		return isolation.ErrTooMany
	case refusedSlow:
		return isolation.ErrTooSlow
	}
	return errors.New(why.Message)
}

// run receives until the end.
func (s *session) run() {
	defer close(s.done)
	defer s.end()
	for {
		kind, body, err := s.conn.Receive()
		if err != nil {
			s.err = cmp.Or(s.ctx.Err(), isolation.ErrSessionLost)
			return
		}
		switch kind {
		case stream.Stdout:
			err = writeTo(s.stdout, body)
		case stream.Stderr:
			err = writeTo(s.stderr, body)
		case stream.Window:
			s.credit.Add(stream.Number(body))
		case stream.Refused:
			s.err = refusalOf(body)
			return
		case stream.Exit:
			s.err = json.Unmarshal(body, &s.exit)
			return
		}
		if err != nil {
			s.err = fmt.Errorf("the session's output is not taken: %w", err)
			return
		}
	}
}

func writeTo(w io.Writer, b []byte) error {
	if w == nil {
		return nil
	}
	_, err := w.Write(b)
	return err
}

// cut closes the connection; whoever reads from it sees the end.
func (s *session) cut() { s.cutting.Do(func() { _ = s.raw.Close() }) }

func (s *session) end() {
	for _, f := range s.leave {
		f()
	}
	s.cut()
	s.credit.Close()
}

// Stdin implements isolation.Session.
func (s *session) Stdin() io.WriteCloser { return stdin{s} }

type stdin struct{ s *session }

func (i stdin) Write(b []byte) (int, error) {
	i.s.input.Lock()
	defer i.s.input.Unlock()
	if i.s.inputEnded {
		return 0, io.ErrClosedPipe
	}
	written := 0
	for written < len(b) {
		n := i.s.credit.Take(len(b) - written)
		if n == 0 {
			return written, io.ErrClosedPipe
		}
		if err := i.s.conn.Send(stream.Stdin, b[written:written+n]); err != nil {
			return written, io.ErrClosedPipe
		}
		written += n
	}
	return written, nil
}

func (i stdin) Close() error {
	i.s.input.Lock()
	defer i.s.input.Unlock()
	if i.s.inputEnded {
		return nil
	}
	i.s.inputEnded = true
	return i.s.conn.Send(stream.Stdin, nil)
}

// Resize implements isolation.Session.
func (s *session) Resize(size offer.TerminalSize) error {
	return s.conn.SendSize(size.Rows, size.Columns)
}

// Signal implements isolation.Session.
func (s *session) Signal(number int) error {
	if number < 1 || number > 64 {
		return fmt.Errorf("signal %d (allowed: 1 to 64)", number)
	}
	return s.conn.Send(stream.Signal, []byte{byte(number)})
}

// Wait implements isolation.Session.
func (s *session) Wait() (offer.Exit, error) {
	<-s.done
	return s.exit, s.err
}

// Close implements isolation.Session.
func (s *session) Close() error {
	s.cut()
	<-s.done
	return nil
}
