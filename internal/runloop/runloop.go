package runloop

import (
	"context"
	"errors"
	"sync"
	"time"
)

// A Core is a pure state machine: see the core contract in the repository's doc.go.
type Core[E, F any] interface {
	Step(now time.Time, ev E, out []F) []F
	Deadline() time.Time
}

// Config of a Loop. Core, Tick and Perform are required.
type Config[E, F any] struct {
	Core Core[E, F]
	// Tick is the event that is stepped when Core.Deadline has come.
	Tick E
	// Perform carries out effects, in order, on the loop's goroutine. It gets those of several steps at once, so that a shell can
	// write once for each connection. It must not keep the slice and must not block; what takes time is started here and ends as an
	// event, by Complete. An error ends the loop.
	Perform func(effects []F) error
	// Settled, if not nil, is called after each batch of steps and what it had to perform, on the loop's goroutine: for what a shell
	// reads from the core, which may have changed without an effect.
	Settled func()
	// Inbox bounds the events that wait; Post blocks at the bound. Defaults to 16,384.
	Inbox int
	// Batch bounds the events that are stepped before their effects are performed. Defaults to 1,024.
	Batch int
	// Now reads the clock. Defaults to time.Now.
	Now func() time.Time
	// Record, if not nil, sees every event with its time before it is stepped.
	Record func(now time.Time, ev E)
}

// clockEvery is how many events of a batch share a look at the clock, which costs as much as a small step.
const clockEvery = 16

// ErrStopped is returned by Post when the loop has ended.
var ErrStopped = errors.New("runloop: stopped")

// A Loop feeds events to a core, one at a time, and performs its effects. Post, TryPost and Complete are safe for concurrent use.
type Loop[E, F any] struct {
	cfg Config[E, F]

	mu      sync.Mutex
	queue   []E
	space   *sync.Cond // signalled when the queue has shrunk or the loop has ended
	stopped bool

	wake chan struct{} // capacity 1: the queue is not empty
	done chan struct{}
}

// New returns a Loop that does nothing until Run.
func New[E, F any](cfg Config[E, F]) *Loop[E, F] {
	if cfg.Inbox <= 0 {
		cfg.Inbox = 16384
	}
	if cfg.Batch <= 0 {
		cfg.Batch = 1024
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	l := &Loop[E, F]{cfg: cfg, wake: make(chan struct{}, 1), done: make(chan struct{})}
	l.space = sync.NewCond(&l.mu)
	return l
}

// Post queues an event from outside. It waits while the inbox is full, which is what holds a fast peer back, and returns ctx's error or
// ErrStopped if the event was not queued.
func (l *Loop[E, F]) Post(ctx context.Context, ev E) error {
	return l.PostAll(ctx, []E{ev})
}

// PostAll queues events in order, as Post does, with one wake-up. It waits until the inbox is below its bound and may then pass the
// bound by len(evs).
func (l *Loop[E, F]) PostAll(ctx context.Context, evs []E) error {
	l.mu.Lock()
	if len(l.queue) >= l.cfg.Inbox && !l.stopped {
		stop := context.AfterFunc(ctx, func() {
			l.mu.Lock()
			l.space.Broadcast()
			l.mu.Unlock()
		})
		for len(l.queue) >= l.cfg.Inbox && !l.stopped && ctx.Err() == nil {
			l.space.Wait()
		}
		stop()
	}
	switch {
	case l.stopped:
		l.mu.Unlock()
		return ErrStopped
	case ctx.Err() != nil:
		l.mu.Unlock()
		return ctx.Err()
	}
	l.queue = append(l.queue, evs...)
	l.mu.Unlock()
	l.notify()
	return nil
}

// TryPost queues an event unless the inbox is full or the loop has ended, and reports whether it did.
func (l *Loop[E, F]) TryPost(ev E) bool {
	l.mu.Lock()
	ok := !l.stopped && len(l.queue) < l.cfg.Inbox
	if ok {
		l.queue = append(l.queue, ev)
	}
	l.mu.Unlock()
	if ok {
		l.notify()
	}
	return ok
}

// Complete queues the answer to an effect. It never waits, so that Perform may call it: what it adds is bounded by the effects that
// are outstanding. After the loop has ended it does nothing.
func (l *Loop[E, F]) Complete(ev E) {
	l.mu.Lock()
	ok := !l.stopped
	if ok {
		l.queue = append(l.queue, ev)
	}
	l.mu.Unlock()
	if ok {
		l.notify()
	}
}

func (l *Loop[E, F]) notify() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Done is closed when Run has returned.
func (l *Loop[E, F]) Done() <-chan struct{} { return l.done }

// Run steps events until ctx ends (then it returns nil; events still queued are dropped) or Perform fails (then its error). It may be
// called once. The core is touched by the calling goroutine only.
func (l *Loop[E, F]) Run(ctx context.Context) error {
	defer l.stop()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var batch []E
	var effects []F
	var err error
	for ctx.Err() == nil {
		batch = l.take(batch[:0])
		if effects, err = l.steps(ctx, batch, effects); err != nil {
			return err
		}
		clear(batch)
		wait, due := l.untilDeadline()
		if due {
			now := l.cfg.Now()
			l.record(now, l.cfg.Tick)
			if effects, err = l.perform(l.cfg.Core.Step(now, l.cfg.Tick, effects[:0])); err != nil {
				return err
			}
			continue
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-l.wake:
		case <-timer.C:
		}
	}
	return nil
}

// steps feeds a batch to the core, performing the effects every Batch events.
func (l *Loop[E, F]) steps(ctx context.Context, batch []E, effects []F) ([]F, error) {
	for len(batch) > 0 && ctx.Err() == nil {
		n := min(len(batch), l.cfg.Batch)
		effects = effects[:0]
		var now time.Time
		for i, ev := range batch[:n] {
			if i%clockEvery == 0 {
				now = l.cfg.Now()
			}
			l.record(now, ev)
			effects = l.cfg.Core.Step(now, ev, effects)
		}
		batch = batch[n:]
		var err error
		if effects, err = l.perform(effects); err != nil {
			return effects, err
		}
	}
	return effects, nil
}

func (l *Loop[E, F]) perform(effects []F) ([]F, error) {
	var err error
	if len(effects) > 0 {
		err = l.cfg.Perform(effects)
		clear(effects)
	}
	if err == nil && l.cfg.Settled != nil {
		l.cfg.Settled()
	}
	return effects[:0], err
}

func (l *Loop[E, F]) record(now time.Time, ev E) {
	if l.cfg.Record != nil {
		l.cfg.Record(now, ev)
	}
}

// take swaps the queue for an empty one.
func (l *Loop[E, F]) take(empty []E) []E {
	select {
	case <-l.wake:
	default:
	}
	l.mu.Lock()
	batch := l.queue
	l.queue = empty
	if len(batch) > 0 {
		l.space.Broadcast()
	}
	l.mu.Unlock()
	return batch
}

// untilDeadline says how long to wait for the core's deadline, and whether it has come. It is asked after every batch, so that a full
// inbox cannot starve the timer. An idle core is looked at every hour.
func (l *Loop[E, F]) untilDeadline() (time.Duration, bool) {
	at := l.cfg.Core.Deadline()
	if at.IsZero() {
		return time.Hour, false
	}
	wait := at.Sub(l.cfg.Now())
	return max(wait, 0), wait <= 0
}

func (l *Loop[E, F]) stop() {
	l.mu.Lock()
	l.stopped = true
	l.queue = nil
	l.space.Broadcast()
	l.mu.Unlock()
	close(l.done)
}
