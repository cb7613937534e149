package slave

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/stream"
	"github.com/meros-project/meros/offer"
)

// How sessions are asked for: POST SessionPath with frames of package stream in SessionType, the first of which is a Start with a SessionRequest,
// and answered by frames of which the first is a Started with an isolation.Attached or a Refused with a SessionRefusal, and the last an Exit
// with an offer.Exit or a Refused. Both directions are open until then.
const (
	SessionPath = "/containers/session"
	SessionType = "application/vnd.meros.session"
)

// A SessionRequest says in which container a session is, and what it does there. Exactly one of Exec and Attach is set.
type SessionRequest struct {
	Framework offer.FrameworkID
	Task      offer.TaskID
	Executor  offer.ExecutorID // a custom executor, whose container it is if Task has none of its own

	Exec   *isolation.ExecSpec
	Attach *isolation.AttachSpec
}

// A SessionRefusal says why there is no session, or no more.
type SessionRefusal struct{ Message string }

// The bounds of sessions. Half of those that a container may have are left for checks.
const (
	maxSessions        = 256              // on the slave
	maxTaskSessions    = 8                // in a container
	sessionStart       = 10 * time.Second // for the request
	sessionPatience    = 10 * time.Minute // for a client that takes no output, or not the end of it
	sessionFarewell    = 5 * time.Second  // for a client that was refused to close its side
	errSessionsAreOff  = "sessions are off on this slave (allowed: with Config.Sessions)"
	errNoSuchContainer = "no such task runs here"
)

// sessionCounts are the sessions that are open.
type sessionCounts struct {
	mu  sync.Mutex
	all int
	in  map[string]int // by container
}

func (c *sessionCounts) enter(container string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all >= maxSessions || c.in[container] >= maxTaskSessions {
		return false
	}
	if c.in == nil {
		c.in = map[string]int{}
	}
	c.all++
	c.in[container]++
	return true
}

func (c *sessionCounts) leave(container string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all--
	if c.in[container]--; c.in[container] == 0 {
		delete(c.in, container)
	}
}

// findContainer is the container that a request names, empty if it does not run: the task's own, else its executor's.
func (s *Slave) findContainer(req *SessionRequest) string {
	s.live.mu.Lock()
	defer s.live.mu.Unlock()
	executor := ""
	for container, spec := range s.live.specs {
		switch {
		case spec.Framework != req.Framework:
		case req.Task != "" && spec.Task == req.Task:
			return container
		case req.Executor != "" && spec.Task == "" && spec.Executor == req.Executor:
			executor = container
		}
	}
	return executor
}

// A frameWriter sends each frame at once, and gives up on a client that takes none.
type frameWriter struct {
	w       io.Writer
	control *http.ResponseController
}

func (f frameWriter) Write(b []byte) (int, error) {
	_ = f.control.SetWriteDeadline(time.Now().Add(sessionPatience))
	n, err := f.w.Write(b)
	if err == nil {
		err = f.control.Flush()
	}
	return n, err
}

// session serves one session. What a browser sends on behalf of a web page has another content type, unless the page is asked first.
func (s *Slave) session(w http.ResponseWriter, r *http.Request) {
	switch {
	case !s.cfg.Sessions:
		fail(w, badFile{http.StatusForbidden, errSessionsAreOff})
		return
	case r.Header.Get("Content-Type") != SessionType:
		fail(w, badFile{http.StatusUnsupportedMediaType, fmt.Sprintf("content type %.100q (allowed: %s)", r.Header.Get("Content-Type"), SessionType)})
		return
	case s.serving.Load() == nil:
		fail(w, badFile{http.StatusServiceUnavailable, "the slave does not run"})
		return
	}
	control := http.NewResponseController(w)
	_ = control.EnableFullDuplex() // HTTP/2 always is
	if r.ProtoMajor == 1 {         // what is read of the request behind the answer is at odds with waiting for another one
		w.Header().Set("Connection", "close")
	}
	_ = control.SetReadDeadline(time.Now().Add(sessionStart))
	conn := stream.NewConn(r.Body, frameWriter{w, control})
	kind, body, err := conn.Receive()
	var req SessionRequest
	if err == nil && kind != stream.Start {
		err = fmt.Errorf("a frame of kind %d (allowed: the first is a Start)", kind)
	}
	if err == nil {
		err = json.Unmarshal(body, &req)
	}
	if err == nil && (req.Exec == nil) == (req.Attach == nil) {
		err = errors.New("exec and attach: one of them must be set")
	}
	if err != nil {
		fail(w, badFile{http.StatusBadRequest, "session: " + oneLine(err)})
		return
	}
	_ = control.SetReadDeadline(time.Time{})
	w.Header().Set("Content-Type", SessionType)
	if err := s.converse(r.Context(), conn, control, &req); err != nil {
		_ = conn.SendJSON(stream.Refused, SessionRefusal{Message: oneLine(err)})
		_ = control.SetReadDeadline(time.Now().Add(sessionFarewell)) // for what the client may still send
	}
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// converse begins the session and stays with it to its end. It returns why there was none.
func (s *Slave) converse(ctx context.Context, conn *stream.Conn, control *http.ResponseController, req *SessionRequest) error {
	container := s.findContainer(req)
	if container == "" {
		return errors.New(errNoSuchContainer)
	}
	if !s.sessions.enter(container) {
		return fmt.Errorf("too many sessions (allowed: %d in a container, %d on the slave)", maxTaskSessions, maxSessions)
	}
	defer s.sessions.leave(container)
	told := make(chan struct{})
	session, got, err := s.beginSession(ctx, container, conn, told, req)
	if err != nil {
		return err
	}
	err = conn.SendJSON(stream.Started, got)
	close(told)
	if err != nil {
		_ = session.Close()
	}
	input := stream.NewInput()
	var wg sync.WaitGroup
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		receiveSession(conn, session, input)
		_ = session.Close() // whoever has gone leaves nothing behind
	}()
	wg.Go(func() {
		if input.Copy(session.Stdin(), conn.SendWindow) == nil {
			_ = session.Stdin().Close()
		}
	})
	exit, err := session.Wait()
	input.Close()
	wg.Wait()
	if err == nil {
		_ = conn.SendJSON(stream.Exit, exit)
	} else {
		_ = conn.SendJSON(stream.Refused, SessionRefusal{Message: oneLine(err)})
	}
	select { // a connection that is closed before all that was sent on it is read may lose what was answered: also a slow client gets everything
	case <-heard:
	case <-time.After(sessionPatience):
	case <-ctx.Done():
	}
	_ = control.SetReadDeadline(time.Now())
	<-heard
	return nil
}

// beginSession asks the runner. What is printed waits until told is closed: a quick command has printed, or ended, before its client knows of it.
func (s *Slave) beginSession(ctx context.Context, container string, conn *stream.Conn, told <-chan struct{}, req *SessionRequest) (isolation.Session, isolation.Attached, error) {
	out := func(kind stream.Kind) io.Writer {
		return writerFunc(func(b []byte) (int, error) {
			select {
			case <-told:
				return len(b), conn.SendData(kind, b)
			case <-ctx.Done():
				return 0, ctx.Err()
			}
		})
	}
	if req.Exec != nil {
		execer, ok := s.runner.(isolation.Execer)
		if !ok {
			return nil, isolation.Attached{}, errors.New("the slave's runner runs no commands in containers")
		}
		spec := *req.Exec
		spec.Stdout, spec.Stderr = out(stream.Stdout), out(stream.Stderr)
		session, err := execer.Exec(ctx, container, spec)
		return session, isolation.Attached{Stdin: spec.Stdin || spec.Terminal != nil, Terminal: spec.Terminal != nil}, err
	}
	attacher, ok := s.runner.(isolation.Attacher)
	if !ok {
		return nil, isolation.Attached{}, errors.New("the slave's runner attaches to no containers")
	}
	spec := *req.Attach
	spec.Stdout, spec.Stderr = out(stream.Stdout), out(stream.Stderr)
	return attacher.Attach(ctx, container, spec)
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// receiveSession does what the client says until it is gone.
func receiveSession(conn *stream.Conn, session isolation.Session, input *stream.Input) {
	for {
		kind, body, err := conn.Receive()
		if err != nil {
			return
		}
		switch kind {
		case stream.Stdin:
			err = input.Put(body)
		case stream.Resize:
			rows, columns := stream.Size(body)
			_ = session.Resize(offer.TerminalSize{Rows: rows, Columns: columns})
		case stream.Signal:
			_ = session.Signal(stream.Number(body))
		}
		if err != nil {
			return
		}
	}
}
