package executor

import (
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/transport"
	"github.com/meros-project/meros/offer"
)

// A Session is an executor's side of its slave. Its methods are safe for concurrent use and do not block.
type Session struct {
	cfg Config

	mu      sync.Mutex
	conn    *transport.Conn // nil while there is none, or before the subscription is sent
	slave   offer.Slave
	fw      offer.Framework
	info    offer.Executor
	tasks   map[offer.TaskID]*task
	pending []offer.Status // that the slave has not taken over yet, in order
	acked   chan struct{}  // closed and replaced when pending shrinks
}

// A task is one that the executor was told to launch and that has not ended.
type task struct {
	policy offer.KillPolicy
	known  bool // an update of it was acknowledged
}

// Slave describes the slave, once it has welcomed the executor.
func (s *Session) Slave() offer.Slave {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.slave
}

// Framework describes the framework, once the slave has welcomed the executor.
func (s *Session) Framework() offer.Framework {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fw
}

// Info is the executor's own description, with its Data, once the slave has welcomed it.
func (s *Session) Info() offer.Executor {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.info
}

// Update reports how a task fares. TaskID and State are required; UUID, time and source are filled in. It is kept until the slave has it
// on disk, and sent again after an interruption. It fails for a state that is not an executor's to report.
func (s *Session) Update(st offer.Status) error {
	switch {
	case st.TaskID == "":
		return errors.New("executor: update: TaskID is empty")
	case !st.State.Valid() || st.State == offer.Staging || st.State == offer.Unreachable || st.State == offer.Unknown || st.State == offer.GoneByOperator:
		return fmt.Errorf("executor: update of task %q: state is %v (allowed: Starting, Running, Killing, or how it ended)", st.TaskID, st.State)
	}
	if _, err := rand.Read(st.UUID[:]); err != nil {
		return fmt.Errorf("executor: update: %w", err)
	}
	st.ExecutorID, st.Source = s.cfg.Executor, offer.SourceExecutor
	if st.Time.IsZero() {
		st.Time = time.Now()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending = append(s.pending, st)
	if s.conn != nil {
		return s.sent(s.conn.Send(message.Envelope{Message: &message.ExecutorUpdate{Status: st}}))
	}
	return nil
}

// sent passes over what a lost connection makes of a message: it is sent again on the next one.
func (s *Session) sent(err error) error {
	if errors.Is(err, &offer.Refusal{Reason: offer.ReasonTooLarge}) {
		s.pending = s.pending[:len(s.pending)-1]
		return fmt.Errorf("executor: update: %w", err)
	}
	return nil
}

// Message sends bytes to the framework. They may be lost: it reports whether there is a connection to send them on.
func (s *Session) Message(data []byte) bool {
	s.mu.Lock()
	conn := s.conn
	s.mu.Unlock()
	return conn != nil && conn.Send(message.Envelope{Message: &message.ExecutorMessage{Data: data}}) == nil
}

// remember notes tasks that were launched and returns those that are new.
func (s *Session) remember(tasks []offer.Task) []offer.Task {
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh := make([]offer.Task, 0, len(tasks))
	for _, t := range tasks {
		if s.tasks[t.ID] == nil {
			s.tasks[t.ID] = &task{policy: t.Kill}
			fresh = append(fresh, t)
		}
	}
	return fresh
}

func (s *Session) policyOf(id offer.TaskID) offer.KillPolicy {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.tasks[id]; t != nil {
		return t.policy
	}
	return offer.KillPolicy{}
}

// acknowledged drops an update that the slave has taken over.
func (s *Session) acknowledged(m *message.ExecutorAck) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, st := range s.pending {
		if st.UUID != m.UUID || st.TaskID != m.Task {
			continue
		}
		s.pending = append(s.pending[:i:i], s.pending[i+1:]...)
		if t := s.tasks[m.Task]; t != nil {
			t.known = true
		}
		if st.State.Terminal() {
			delete(s.tasks, m.Task)
		}
		close(s.acked)
		s.acked = make(chan struct{})
		return
	}
}

// subscribeBytes is the size of the updates that go with the subscription itself; the others follow it.
const subscribeBytes = 1 << 20

// subscribe announces the executor on a new connection, with what the slave may not know.
func (s *Session) subscribe(conn *transport.Conn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	sub := &message.ExecutorSubscribe{Framework: s.cfg.Framework, Executor: s.cfg.Executor, Token: s.cfg.Token}
	for id, t := range s.tasks {
		if !t.known {
			sub.Tasks = append(sub.Tasks, offer.Task{ID: id})
		}
	}
	size, rest := 0, 0
	for ; rest < len(s.pending); rest++ {
		st := &s.pending[rest]
		if size += 256 + len(st.Data) + len(st.Message); size > subscribeBytes {
			break
		}
		sub.Updates = append(sub.Updates, *st)
	}
	envs := []message.Envelope{{Message: sub}}
	for _, st := range s.pending[rest:] {
		envs = append(envs, message.Envelope{Message: &message.ExecutorUpdate{Status: st}})
	}
	if err := conn.Send(envs...); err != nil {
		return err
	}
	s.conn = conn
	return nil
}

func (s *Session) disconnected() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn = nil
}

func (s *Session) welcomed(m *message.ExecutorSubscribed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slave, s.fw, s.info = m.Slave, m.Framework, m.Executor
}

// waiting returns how many updates the slave has not taken over, and a channel that is closed when that changes.
func (s *Session) waiting() (int, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.pending), s.acked
}
