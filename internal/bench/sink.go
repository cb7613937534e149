package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/offer"
)

// A sink is a real framework session that keeps the offers it gets and notes when they came. It counts the tasks it is told of.
type sink struct {
	session *framework.Session
	cancel  context.CancelFunc
	done    chan struct{}
	err     error // once done is closed

	mu       sync.Mutex
	epoch    int       // subscriptions so far
	first    time.Time // when the first offer since the last subscription came; zero: none yet
	offers   int       // since the last subscription
	statuses map[offer.TaskID]offer.State
	changed  chan struct{}
}

func startSink(ctx context.Context, masters []string, logger *slog.Logger) (*sink, error) {
	k := &sink{done: make(chan struct{}), statuses: map[offer.TaskID]offer.State{}, changed: make(chan struct{})}
	s, err := framework.New(framework.Config{Name: "bench", Masters: masters, FailoverTimeout: time.Hour, Logger: logger}, k)
	if err != nil {
		return nil, err
	}
	k.session = s
	ctx, k.cancel = context.WithCancel(ctx)
	go func() {
		defer close(k.done)
		k.err = s.Run(ctx)
	}()
	return k, nil
}

func (k *sink) stop() error {
	k.cancel()
	<-k.done
	return k.err
}

func (k *sink) change(f func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f()
	close(k.changed)
	k.changed = make(chan struct{})
}

// Subscribed implements framework.Scheduler.
func (k *sink) Subscribed(context.Context, *framework.Session) error {
	k.change(func() { k.epoch, k.first, k.offers = k.epoch+1, time.Time{}, 0 })
	return nil
}

// Offers implements framework.Scheduler.
func (k *sink) Offers(_ context.Context, _ *framework.Session, offers []offer.Offer) error {
	now := time.Now()
	k.change(func() {
		if k.offers == 0 {
			k.first = now
		}
		k.offers += len(offers)
	})
	return nil
}

// Status implements framework.Scheduler.
func (k *sink) Status(_ context.Context, _ *framework.Session, st offer.Status) error {
	k.change(func() { k.statuses[st.TaskID] = st.State })
	return nil
}

// subscriptions tells how many there were.
func (k *sink) subscriptions() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.epoch
}

// await waits until ready, which is called with the lock held, says so.
func (k *sink) await(ctx context.Context, ready func() bool) error {
	for {
		k.mu.Lock()
		ok, changed := ready(), k.changed
		k.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-k.done:
			return k.err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// awaitOffer waits for the first offer after more than epoch subscriptions and returns when it came.
func (k *sink) awaitOffer(ctx context.Context, epoch int) (time.Time, error) {
	var at time.Time
	err := k.await(ctx, func() bool { at = k.first; return k.epoch > epoch && !at.IsZero() })
	return at, err
}
