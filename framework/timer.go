package framework

import (
	"context"
	"time"
)

// A timer is a function that Session.After was given.
type timer struct {
	f       func(ctx context.Context, s *Session) error
	clock   *time.Timer // nil in a Driver
	stopped bool        // under the handlers' mu
}

// clock takes the place of the machine's in a Driver.
type clock struct {
	now   func() time.Time
	after func(d time.Duration, do func() error)
}

// Now is the time by the session's clock: time.Now in production, virtual time in framework/frameworktest. A scheduler that asks nobody
// else for the time can be tested there through hours in which something is late.
func (s *Session) Now() time.Time {
	if s.clock != nil {
		return s.clock.now()
	}
	return time.Now()
}

// After calls f once, when d has passed by the session's clock: like a handler, that is never at the same time as one, with the handlers'
// context, and an error or a panic ends the session. It is what a scheduler has in the place of goroutines, time.AfterFunc and time.Sleep.
// f is not called any more when stop was called by a handler, or when the session has ended. Timers end with the process: a scheduler
// that is started again sets its own anew. After may be called before Run, and by any goroutine.
func (s *Session) After(d time.Duration, f func(ctx context.Context, s *Session) error) (stop func()) {
	t := &timer{f: f}
	h := s.calls
	if s.clock != nil {
		s.clock.after(d, func() error { return h.fire(h.driven, t) })
	} else {
		h.arm(t, d)
	}
	return func() { h.stop(t) }
}

// arm starts a timer, if the session has not ended.
func (h *handlers) arm(t *timer, d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		t.clock = time.AfterFunc(d, func() { h.expired(t) })
		h.timers[t] = struct{}{}
	}
}

func (h *handlers) stop(t *timer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t.stopped = true
	if t.clock != nil {
		t.clock.Stop()
		delete(h.timers, t)
	}
}

// expired queues a timer for the handlers' goroutine.
func (h *handlers) expired(t *timer) {
	h.mu.Lock()
	if _, waiting := h.timers[t]; waiting && !h.closed {
		delete(h.timers, t)
		h.due = append(h.due, t)
	}
	h.mu.Unlock()
	h.nudge()
}

// takeDue takes the timers that are due now.
func (h *handlers) takeDue() []*timer {
	h.mu.Lock()
	defer h.mu.Unlock()
	due := h.due
	h.due = nil
	return due
}

// fire runs a timer's function as a handler, unless it was stopped.
func (h *handlers) fire(ctx context.Context, t *timer) (err error) {
	h.mu.Lock()
	stopped := t.stopped
	t.stopped = true
	h.mu.Unlock()
	if stopped {
		return nil
	}
	defer h.caught("After", &err)
	if err := t.f(ctx, h.s); err != nil {
		return &handlerError{method: "After", err: err}
	}
	return nil
}

// close stops all timers for good.
func (h *handlers) close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for t := range h.timers {
		t.clock.Stop()
	}
	clear(h.timers)
	h.due = nil
}
