package main

import (
	"context"
	"flag"
	"fmt"
	"time"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

func recoverBenchmark() benchmark {
	return benchmark{
		name:  "e2e/recover",
		what:  "an election to the moment at which every slave and task is known again and offers flow, over TCP without TLS",
		goals: []goal{{key: "seconds", most: true, limit: 3}},
		flags: func(fs *flag.FlagSet) func(context.Context, *report) error {
			var o recoverOptions
			fs.IntVar(&o.slaves, "slaves", 10_000, "light slaves")
			fs.IntVar(&o.tasks, "tasks", 100_000, "running tasks of ten labels each, spread over the slaves")
			fs.IntVar(&o.rounds, "rounds", 5, "elections; the figure is the median")
			fs.DurationVar(&o.spread, "spread", 200*time.Millisecond, "within which the slaves come back at random; the default is that of real slaves")
			return o.run
		},
	}
}

type recoverOptions struct {
	slaves, tasks, rounds int
	spread                time.Duration
}

// run lets the slaves of a cluster come back to a new leader again and again. Each slave's re-registration is encoded ahead, because on a real
// cluster every slave does that by itself. A task is known once the master has welcomed the slave that reported it; at the end the framework
// reconciles, so that each is seen to be.
func (o *recoverOptions) run(ctx context.Context, r *report) error {
	for _, err := range []error{atLeast("rounds", o.rounds, 1), atLeast("slaves", o.slaves, 1), atLeast("tasks", o.tasks, 0)} {
		if err != nil {
			return err
		}
	}
	var world *failoverWorld
	rs := resource.Must("cpus:0.1;mem:5")
	share := func(i int, id offer.SlaveID) []message.SlaveTask {
		var tasks []message.SlaveTask
		for n := i; n < o.tasks; n += o.slaves {
			tasks = append(tasks, runningTask(n, world.sink.session.ID(), id, rs))
		}
		return tasks
	}
	perSlave := int64(o.tasks/o.slaves + 1)
	world, err := startWorld(ctx, r, fleetConfig{slaves: o.slaves, spread: o.spread, seed: 1,
		resources: resource.Must(fmt.Sprintf("cpus:%d;mem:%d", 20+perSlave/10, 10240+5*perSlave))})
	if err != nil {
		return err
	}
	if err := world.fleet.load(share); err != nil {
		return joined([]error{err, world.close()})
	}
	r.say("%d slaves registered, %d tasks", o.slaves, o.tasks)
	formed := world.masters.elections
	var took []float64
	for i := range o.rounds + 1 { // in the first the masters learn of the tasks
		f, err := world.failover(ctx)
		if err != nil {
			return joined([]error{fmt.Errorf("round %d: %w", i, err), world.close()})
		}
		end := f.recovered
		if f.offered.After(end) {
			end = f.offered
		}
		seconds := end.Sub(f.elected).Seconds()
		r.say("round %d: first offer after %.3f s, all slaves after %.3f s", i, f.offered.Sub(f.elected).Seconds(), f.recovered.Sub(f.elected).Seconds())
		if i > 0 {
			took = append(took, seconds)
		}
	}
	caused := world.masters.elections - formed - (o.rounds + 1)
	err = world.checkTasks(ctx, o.tasks)
	if err := joined([]error{err, world.close()}); err != nil {
		return err
	}
	r.print("rounds: %.3f s; elections that nobody caused: %d", took, caused)
	r.set("seconds", median(took))
	return nil
}

// checkTasks reconciles, and fails unless exactly the tasks of the fleet are known and running.
func (w *failoverWorld) checkTasks(ctx context.Context, want int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, fmt.Errorf("reconciliation did not end in a minute"))
	defer cancel()
	w.sink.change(func() { clear(w.sink.statuses) })
	if err := w.sink.session.Reconcile(); err != nil {
		return err
	}
	var have int
	if err := w.sink.await(ctx, func() bool { have = len(w.sink.statuses); return have >= want }); err != nil {
		return fmt.Errorf("%d of %d tasks are known: %w", have, want, err)
	}
	w.sink.mu.Lock()
	defer w.sink.mu.Unlock()
	for id, state := range w.sink.statuses {
		if state != offer.Running {
			return fmt.Errorf("task %s is %s, and should be running", id, state)
		}
	}
	if len(w.sink.statuses) != want {
		return fmt.Errorf("%d tasks are known, and there are %d", len(w.sink.statuses), want)
	}
	return nil
}
