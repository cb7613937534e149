package framework

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/internal/frameworkcore"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/runloop"
	"github.com/meros-project/meros/offer"
)

// A Session is one framework's life with the cluster. Its methods are safe for concurrent use, from the handlers too. They return as
// soon as the call is queued: an *offer.Refusal for input that can be seen to be wrong, or ErrEnded.
type Session struct {
	cfg       Config
	scheduler Scheduler
	log       *slog.Logger
	core      *frameworkcore.Core // of the loop
	loop      *runloop.Loop[frameworkcore.Event, frameworkcore.Effect]
	link      *link
	direct    func(message.Message) // set by a Driver, which takes the loop's place
	clock     *clock                // set by a Driver
	calls     *handlers

	started atomic.Bool
	ready   chan struct{}
	once    sync.Once // closes ready
	id      atomic.Value
	ctx     atomic.Value // of Run, for calls that wait

	closing atomic.Bool // the handlers have ended
	stop    func()      // ends the loop

	ended   bool  // set by Perform, on the loop's goroutine
	outcome error // why, if ended
}

// ErrEnded is returned by the calls of a session that has ended or has not begun.
var ErrEnded = errors.New("framework: the session has ended or has not begun")

var errEnd = errors.New("end") // Perform's way to end the loop

// Run makes a session and runs it; see New and Session.Run.
func Run(ctx context.Context, cfg Config, scheduler Scheduler) error {
	s, err := New(cfg, scheduler)
	if err != nil {
		return err
	}
	return s.Run(ctx)
}

// New makes a session that does nothing until Run: no connection, no goroutine.
func New(cfg Config, scheduler Scheduler) (*Session, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if scheduler == nil {
		return nil, offer.Refuse(offer.ReasonInvalidField, "framework: scheduler is nil")
	}
	s := &Session{cfg: cfg, scheduler: scheduler, log: cfg.Logger, ready: make(chan struct{})}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.id.Store(cfg.ID)
	core, err := newCore(cfg)
	if err != nil {
		return nil, err
	}
	s.core = core
	s.link, s.calls = newLink(cfg, s.log), newHandlers(s)
	s.loop = runloop.New(runloop.Config[frameworkcore.Event, frameworkcore.Effect]{
		Core:    stepper{s},
		Tick:    frameworkcore.Tick{},
		Perform: s.perform,
		Inbox:   cfg.MaxPending,
	})
	return s, nil
}

// Run serves the session until ctx ends or Teardown is done (then it returns nil), a handler fails or panics, or the master refuses the
// framework (an *offer.Refusal). Its last goroutine has ended when it returns. Ending ctx leaves the tasks running for the failover
// timeout. Run may be called once.
func (s *Session) Run(ctx context.Context) error {
	if s.started.Swap(true) || s.loop == nil {
		return errors.New("framework: Run was called twice, or on the session of a Driver")
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s.ctx.Store(ctx)
	// The loop and the connection outlive ctx by what the handlers have taken over last: its acknowledgement goes out.
	inner, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	s.stop = stop
	var wg sync.WaitGroup
	wg.Go(func() { s.link.run(inner, s.loop) })
	wg.Go(func() {
		if err := s.calls.run(ctx); err != nil {
			cancel(err)
		}
		s.closing.Store(true)
		s.loop.Complete(frameworkcore.Tick{})
	})
	err := s.guard(inner)
	cancel(nil)
	stop()
	wg.Wait()
	switch cause := context.Cause(ctx); {
	case s.ended:
		return s.outcome
	case err != nil:
		return err
	case errors.As(cause, new(*handlerError)):
		return cause
	}
	return nil
}

// stepper ends the loop once everything that the handlers have answered is stepped.
type stepper struct{ s *Session }

func (t stepper) Deadline() time.Time { return t.s.core.Deadline() }

func (t stepper) Step(now time.Time, ev frameworkcore.Event, out []frameworkcore.Effect) []frameworkcore.Effect {
	out = t.s.core.Step(now, ev, out)
	if _, tick := ev.(frameworkcore.Tick); tick && t.s.closing.Load() {
		t.s.stop()
	}
	return out
}

// guard runs the loop and turns a panic of the core into an error: it must not end the program it is embedded in.
func (s *Session) guard(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = offer.Refuse(offer.ReasonInternal, fmt.Sprintf("framework: the session's core failed: %v", p))
			s.log.Error("the session's core failed", "panic", p)
		}
	}()
	if err := s.loop.Run(ctx); err != nil && !errors.Is(err, errEnd) {
		return fmt.Errorf("framework: %w", err)
	}
	return nil
}

// Ready is closed when the session is subscribed for the first time.
func (s *Session) Ready() <-chan struct{} { return s.ready }

// ID is the framework's id: Config.ID, or the one the cluster gave; empty before the first subscription of a new framework.
func (s *Session) ID() offer.FrameworkID { return s.id.Load().(offer.FrameworkID) }

// Master is the leading master that the session is connected to; false while it looks for one.
func (s *Session) Master() (election.Peer, bool) {
	s.link.mu.Lock()
	defer s.link.mu.Unlock()
	return s.link.leader, s.link.leader.Address != ""
}

// told keeps what the session itself needs to know of a message that is to be delivered.
func (s *Session) told(m message.Message) {
	if m, ok := m.(*message.Subscribed); ok {
		s.id.Store(m.ID)
		s.once.Do(func() { close(s.ready) })
	}
}

// call queues a user's call. It waits while MaxPending calls do.
func (s *Session) call(m message.Message) error {
	if s.direct != nil {
		s.direct(m)
		return nil
	}
	ctx, ok := s.ctx.Load().(context.Context)
	if !ok {
		return ErrEnded
	}
	if err := s.loop.Post(ctx, frameworkcore.Called{Call: m}); err != nil {
		return ErrEnded
	}
	return nil
}

// perform is the one switch over what the core wants.
func (s *Session) perform(effects []frameworkcore.Effect) error {
	defer s.link.flush()
	s.link.know(s.core.Cluster(), s.core.Reign())
	for _, e := range effects {
		switch e := e.(type) {
		case frameworkcore.Send:
			s.link.send(e.Conn, e.Message)
		case frameworkcore.Reconnect:
			s.log.Info("reconnecting", "why", text(e.Refusal))
			s.link.reconnect()
		case frameworkcore.Deliver:
			s.told(e.Message)
			s.calls.add(e)
		case frameworkcore.End:
			s.ended = true
			if e.Refusal != nil {
				s.outcome = fmt.Errorf("framework: %w", e.Refusal)
			}
			return errEnd
		case frameworkcore.Note:
			s.log.Debug(e.Event, "task", e.Task, "reason", e.Reason.String(), "text", e.Text)
		default:
			panic(fmt.Sprintf("framework: effect %T is not known", e))
		}
	}
	return nil
}

func text(r *offer.Refusal) string {
	if r == nil {
		return ""
	}
	return r.Error()
}
