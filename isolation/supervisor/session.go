package supervisor

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"time"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/stream"
)

// maxSessions is how many sessions a container may have at once.
const maxSessions = 16

// sessionsLinger is how long a supervisor whose container has ended goes on for sessions that do not take what is left for them.
const sessionsLinger = time.Second

// saySession makes a connection to a supervisor one of frames: the supervisor answers with the same line, and everything behind that is
// package stream's.
const saySession = "session"

// A request is what a session begins with; one field is set.
type request struct {
	Exec   *isolation.ExecSpec
	Attach *isolation.AttachSpec
}

// A begun is the answer to a request.
type begun struct {
	PID      int // of the command that was asked for, or of the container's first process
	Attached isolation.Attached
}

// A refusal is the other answer.
type refusal struct {
	Code    string
	Message string
}

// The codes of refusals.
const (
	refusedEnded  = "ended" // the container does not run
	refusedMany   = "many"
	refusedSlow   = "slow"
	refusedFailed = "failed" // Message says why
)

func (r refusal) Error() string { return r.Message }

// session serves a connection that has said saySession.
func (s *supervisorState) session(c net.Conn, in io.Reader) {
	s.mu.Lock()
	delete(s.conns, c) // no states any more
	s.talked = true
	free := s.sessions < maxSessions
	if free {
		s.sessions++
		s.sessionGroup.Add(1)
	}
	s.mu.Unlock()
	defer c.Close()
	if _, err := c.Write([]byte(saySession + "\n")); err == nil {
		conn := stream.NewConn(in, c)
		err := s.converse(c, conn, free)
		if why := (refusal{}); errors.As(err, &why) {
			_ = conn.SendJSON(stream.Refused, why)
		}
	}
	if free {
		s.mu.Lock()
		s.sessions--
		s.mu.Unlock()
		s.sessionGroup.Done()
	}
}

// converse does what the session asks for.
func (s *supervisorState) converse(c net.Conn, conn *stream.Conn, free bool) error {
	kind, body, err := conn.Receive()
	if err != nil || kind != stream.Start {
		return err
	}
	var req request
	if err := json.Unmarshal(body, &req); err != nil || req.Exec == nil && req.Attach == nil {
		return refusal{refusedFailed, "a session of a kind that this supervisor does not know"}
	}
	if !free {
		return refusal{Code: refusedMany}
	}
	if req.Attach != nil {
		return s.attach(c, conn, req.Attach)
	}
	return s.exec(conn, req.Exec)
}

// finishSessions gives the sessions of a container that has ended a moment to tell it.
func (s *supervisorState) finishSessions() {
	done := make(chan struct{})
	go func() {
		s.sessionGroup.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(sessionsLinger):
	}
}
