package framework

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/meros-project/meros/internal/frameworkcore"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
)

// handlers calls the user's methods one at a time. Its queue is bounded by what the core delivers before an answer.
type handlers struct {
	s    *Session
	wake chan struct{} // has a token when queue has grown

	mu     sync.Mutex
	queue  []frameworkcore.Deliver
	timers map[*timer]struct{} // that wait
	due    []*timer
	closed bool // no timer is taken any more

	driven context.Context // of a Driver
}

func newHandlers(s *Session) *handlers {
	return &handlers{s: s, wake: make(chan struct{}, 1), timers: map[*timer]struct{}{}}
}

func (h *handlers) add(d frameworkcore.Deliver) {
	h.mu.Lock()
	h.queue = append(h.queue, d)
	h.mu.Unlock()
	h.nudge()
}

func (h *handlers) nudge() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// take swaps the queue for an empty one.
func (h *handlers) take(empty []frameworkcore.Deliver) []frameworkcore.Deliver {
	h.mu.Lock()
	defer h.mu.Unlock()
	batch := h.queue
	h.queue = empty
	return batch
}

// handlerError is a failure of the user's code that ends the session.
type handlerError struct {
	method string
	err    error
}

func (e *handlerError) Error() string { return "framework: " + e.method + ": " + e.err.Error() }
func (e *handlerError) Unwrap() error { return e.err }

// run returns nil when ctx has ended, and the error with which a handler ends the session.
func (h *handlers) run(ctx context.Context) error {
	defer h.close()
	var batch []frameworkcore.Deliver
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-h.wake:
		}
		clear(batch)
		batch = h.take(batch[:0])
		for _, d := range batch {
			if ctx.Err() != nil {
				return nil
			}
			ok, err := h.deliver(ctx, d.Message)
			if err != nil && ctx.Err() == nil {
				return err
			}
			h.s.loop.Complete(frameworkcore.Handled{Seq: d.Seq, Ok: ok})
		}
		for _, t := range h.takeDue() {
			if ctx.Err() != nil {
				return nil
			}
			if err := h.fire(ctx, t); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
}

// caught turns a panic of the user's code into an error. It is deferred.
func (h *handlers) caught(method string, err *error) {
	if p := recover(); p != nil {
		h.s.log.Error("a handler panicked", "method", method, "panic", p, "stack", string(debug.Stack()))
		*err = &handlerError{method: method, err: fmt.Errorf("panic: %v", p)}
	}
}

// deliver calls the method that m is for. Ok says that m was taken over.
func (h *handlers) deliver(ctx context.Context, m message.Message) (ok bool, err error) {
	method := ""
	defer func() {
		if p := recover(); p != nil {
			if method == "" {
				method = fmt.Sprintf("%T", m)
			}
			h.s.log.Error("a handler panicked", "method", method, "panic", p, "stack", string(debug.Stack()))
			ok, err = false, &handlerError{method: method, err: fmt.Errorf("panic: %v", p)}
		}
	}()
	fatal := func(err error) (bool, error) {
		if err != nil {
			return false, &handlerError{method: method, err: err}
		}
		return true, nil
	}
	s, user := h.s, h.s.scheduler
	switch m := m.(type) {
	case *message.Subscribed:
		method = "Subscribed"
		return fatal(user.Subscribed(ctx, s))
	case *message.Offers:
		method = "Offers"
		return fatal(user.Offers(ctx, s, m.Offers))
	case *message.Update:
		method = "Status"
		if err := user.Status(ctx, s, *m.Status); err != nil {
			s.log.Warn("a status was not taken over", "task", m.Status.TaskID, "state", m.Status.State.String(), "err", err)
			return false, nil
		}
		return true, nil
	case *message.OperationUpdate:
		method = "OperationStatus"
		if u, is := user.(OperationReceiver); is {
			return u.OperationStatus(ctx, s, m.Status) == nil, nil
		}
	default:
		method = h.deliverOptional(ctx, m)
	}
	return true, nil
}

// deliverOptional calls the methods of the optional interfaces that have no result.
func (h *handlers) deliverOptional(ctx context.Context, m message.Message) string {
	s, user := h.s, h.s.scheduler
	switch m := m.(type) {
	case *message.Rescind:
		if u, is := user.(Rescinder); is {
			u.Rescinded(ctx, s, m.Offers)
		}
	case *message.FromExecutor:
		if u, is := user.(MessageReceiver); is {
			u.Message(ctx, s, m.Slave, m.Executor, m.Data)
		}
	case *message.Failure:
		if u, is := user.(FailureReceiver); is {
			u.Failed(ctx, s, m.Slave, m.Executor, m.Exit)
		}
	case *message.Error:
		s.log.Warn("the master refused a call", "reason", m.Reason.String(), "message", m.Message)
		if u, is := user.(ErrorReceiver); is {
			u.Refused(ctx, s, offer.Refuse(m.Reason, m.Message))
		}
	case *message.Leader:
		if u, is := user.(Disconnecter); is {
			u.Disconnected(ctx, s)
		}
	}
	return fmt.Sprintf("%T", m)
}
