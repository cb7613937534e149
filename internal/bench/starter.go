package main

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// A starter is a scheduler that launches batches of tasks, so many at once, and notes how long each takes from its launch to RUNNING.
type starter struct {
	program   string
	arguments []string // of which the first is the name; nil for the program alone
	stays     bool     // the tasks do not end: one is done when it runs
	resources resource.Resources
	changed   chan struct{} // has a token when something has
	failed    chan error

	mu       sync.Mutex
	session  *framework.Session
	offers   []offer.Offer // not used yet
	launches map[offer.TaskID]time.Time
	waits    []time.Duration // of the batch
	number   int             // of tasks launched ever
	left     int             // to launch in the batch
	open     int             // launched and not done
	atOnce   int
	last     time.Time // when the last one was done
}

// A startsResult is what one batch has taken.
type startsResult struct {
	took  time.Duration   // from the first launch to the last end
	waits []time.Duration // from launch to RUNNING
}

// batch launches n tasks and returns when all are done. done is what the session ends with.
func (x *starter) batch(ctx context.Context, done <-chan error, n, atOnce int) (startsResult, error) {
	x.mu.Lock()
	x.launches, x.waits, x.left, x.atOnce = map[offer.TaskID]time.Time{}, nil, n, atOnce
	began := time.Now()
	err := x.launch()
	x.mu.Unlock()
	for err == nil {
		x.mu.Lock()
		over, out := x.left == 0 && x.open == 0, startsResult{took: x.last.Sub(began), waits: x.waits}
		x.mu.Unlock()
		if over {
			return out, nil
		}
		select {
		case <-x.changed:
		case err = <-x.failed:
		case err = <-done:
			err = fmt.Errorf("the session ended: %w", err)
		case <-ctx.Done():
			err = fmt.Errorf("%d of %d tasks not launched, %d not done: %w", x.left, n, x.open, context.Cause(ctx))
		}
	}
	return startsResult{}, err
}

// launch uses what is offered. With mu held.
func (x *starter) launch() error {
	for x.left > 0 && x.open < x.atOnce && len(x.offers) > 0 {
		f := x.offers[0]
		x.offers = x.offers[1:]
		n := min(int(f.Resources.CPUs()/x.resources.CPUs()), x.left, x.atOnce-x.open)
		if n == 0 {
			if err := x.session.Decline([]offer.OfferID{f.ID}, framework.Refuse(offer.NoFilter)); err != nil {
				return err
			}
			continue
		}
		tasks := make([]offer.Task, n)
		for i := range tasks {
			tasks[i] = offer.Task{ID: offer.TaskID("t-" + strconv.Itoa(x.number)), Name: "bench", Resources: x.resources,
				Command: &offer.Command{Value: x.program, Arguments: x.arguments}}
			x.number++
			x.launches[tasks[i].ID] = time.Now()
		}
		x.left -= n
		x.open += n
		if err := x.session.Accept([]offer.OfferID{f.ID}, []offer.Operation{offer.Launch(tasks...)}, framework.Refuse(offer.NoFilter)); err != nil {
			return err
		}
	}
	return nil
}

// Subscribed implements framework.Scheduler.
func (x *starter) Subscribed(_ context.Context, s *framework.Session) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.session, x.offers = s, nil
	return nil
}

// Offers implements framework.Scheduler.
func (x *starter) Offers(_ context.Context, _ *framework.Session, offers []offer.Offer) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.offers = append(x.offers, offers...)
	return x.launch()
}

// Status implements framework.Scheduler.
func (x *starter) Status(_ context.Context, _ *framework.Session, st offer.Status) error {
	now := time.Now()
	x.mu.Lock()
	defer x.mu.Unlock()
	at, known := x.launches[st.TaskID]
	switch {
	case st.State == offer.Running && known && !at.IsZero():
		x.launches[st.TaskID] = time.Time{}
		x.waits = append(x.waits, now.Sub(at))
		if !x.stays {
			return nil
		}
	case st.State == offer.Finished && !x.stays:
	case st.State.Terminal() && known:
		select {
		case x.failed <- fmt.Errorf("task %s: %s (%s %s)", st.TaskID, st.State, st.Reason, st.Message):
		default:
		}
		return nil
	default:
		return nil
	}
	x.open--
	x.last = now
	select {
	case x.changed <- struct{}{}:
	default:
	}
	return x.launch()
}
