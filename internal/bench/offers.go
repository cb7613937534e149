package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

func offerBenchmark() benchmark {
	return benchmark{
		name:  "e2e/offer",
		what:  "a slave's report that a task has ended to the next offer of its resources at the framework",
		goals: []goal{{key: "p50_ms", most: true, limit: 2}},
		flags: func(fs *flag.FlagSet) func(context.Context, *report) error {
			var o offerOptions
			fs.IntVar(&o.rounds, "rounds", 2000, "tasks, one after the other")
			fs.IntVar(&o.slaves, "slaves", 100, "light slaves; each task takes all of one")
			fs.IntVar(&o.real, "real", 200, "tasks on a real slave besides, whose journal is flushed before it reports")
			return o.run
		},
	}
}

type offerOptions struct{ rounds, slaves, real int }

// run measures with light slaves, which note the moment at which they send the last status of a task, and prints beside it what a framework
// sees of a real slave, from the end of the container.
func (o *offerOptions) run(ctx context.Context, r *report) error {
	for _, err := range []error{atLeast("rounds", o.rounds, 1), atLeast("slaves", o.slaves, 1), atLeast("real", o.real, 0)} {
		if err != nil {
			return err
		}
	}
	took, err := o.light(ctx, r.logger())
	if err != nil {
		return err
	}
	r.say("%d rounds with %d light slaves: max %.2f ms", len(took), o.slaves, milliseconds(quantile(took, 1)))
	if o.real > 0 {
		real, err := o.journaled(ctx, r.logger())
		if err != nil {
			return fmt.Errorf("with a real slave: %w", err)
		}
		r.print("a real slave, end of the container to the next offer: p50 %.2f ms, p99 %.2f ms", milliseconds(median(real)),
			milliseconds(quantile(real, 0.99)))
	}
	r.set("p50_ms", milliseconds(median(took)))
	r.set("p99_ms", milliseconds(quantile(took, 0.99)))
	return nil
}

func (o offerOptions) light(ctx context.Context, logger *slog.Logger) (took []time.Duration, err error) {
	w, err := startCluster(ctx, 0, "", network{}, logger)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	t := newTurner(o.rounds, o.slaves)
	f := newFleet(fleetConfig{masters: w.masters.addresses, slaves: o.slaves, resources: resource.Must("cpus:4;mem:4096"), executing: true,
		finishing: func(offer.SlaveID, offer.TaskID) { t.ending() }, seed: 1})
	f.start(ctx)
	defer f.stop()
	return t.measure(ctx, w)
}

func (o offerOptions) journaled(ctx context.Context, logger *slog.Logger) (took []time.Duration, err error) {
	w, err := startCluster(ctx, 1, "cpus:4;mem:4096", network{}, logger)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	t := newTurner(o.real, 1)
	w.executors[0].ending = t.ending
	return t.measure(ctx, w)
}

// A turner is a scheduler that runs one task at a time, each on all of one slave, in turn.
type turner struct {
	rounds, slaves int
	done           chan struct{}

	mu      sync.Mutex
	offers  []offer.Offer // kept; the first is used next
	running offer.SlaveID // empty: none
	ended   time.Time     // of the task that runs
	took    []time.Duration
	next    int
}

func newTurner(rounds, slaves int) *turner {
	return &turner{rounds: rounds, slaves: slaves, done: make(chan struct{})}
}

func (t *turner) measure(ctx context.Context, w *cluster) ([]time.Duration, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 5*time.Minute, errors.New("no result in five minutes"))
	defer cancel()
	ended, err := w.session(ctx, framework.Config{Name: "bench", Masters: w.masters.addresses}, t)
	if err != nil {
		return nil, err
	}
	select {
	case <-t.done:
	case err := <-ended:
		return nil, fmt.Errorf("the session ended: %w", err)
	case <-ctx.Done():
		t.mu.Lock()
		defer t.mu.Unlock()
		return nil, fmt.Errorf("%d of %d tasks: %w", len(t.took), t.rounds, context.Cause(ctx))
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.took, nil
}

// ending notes that the task that runs ends now.
func (t *turner) ending() {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = now
}

// Subscribed implements framework.Scheduler.
func (t *turner) Subscribed(context.Context, *framework.Session) error { return nil }

// Offers implements framework.Scheduler.
func (t *turner) Offers(_ context.Context, s *framework.Session, offers []offer.Offer) error {
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, f := range offers {
		if f.SlaveID == t.running {
			if t.ended.IsZero() {
				return fmt.Errorf("slave %s is offered while its task runs", f.SlaveID)
			}
			t.took = append(t.took, now.Sub(t.ended))
			t.running, t.ended = "", time.Time{}
		}
	}
	t.offers = append(t.offers, offers...)
	if len(t.took) == t.rounds {
		select {
		case <-t.done:
		default:
			close(t.done)
		}
		return nil
	}
	if t.running != "" || len(t.offers) < t.slaves {
		return nil
	}
	f := t.offers[0]
	t.offers = append(t.offers[:0], t.offers[1:]...)
	t.running, t.next = f.SlaveID, t.next+1
	task := offer.Task{ID: offer.TaskID(fmt.Sprintf("t-%d", t.next)), Name: "bench", Resources: f.Resources, Command: &offer.Command{Value: "true"}}
	return s.Launch(f, task)
}

// Rescinded implements framework.Rescinder: offers that were kept for too long come again.
func (t *turner) Rescinded(_ context.Context, _ *framework.Session, gone []offer.OfferID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, id := range gone {
		for i, f := range t.offers {
			if f.ID == id {
				t.offers = append(t.offers[:i], t.offers[i+1:]...)
				break
			}
		}
	}
}

// Status implements framework.Scheduler.
func (t *turner) Status(_ context.Context, _ *framework.Session, st offer.Status) error {
	if st.State.Terminal() && st.State != offer.Finished {
		panic(fmt.Sprintf("task %s: %s (%s %s)", st.TaskID, st.State, st.Reason, st.Message))
	}
	return nil
}
