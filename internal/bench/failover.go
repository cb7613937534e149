package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"time"

	"github.com/meros-project/meros/offer/resource"
)

func failoverBenchmark() benchmark {
	return benchmark{
		name: "e2e/failover",
		what: "kill -9 of the leading master to the next offer at a framework, at default settings",
		goals: []goal{{key: "p50_ms", most: true, limit: 1200}, {key: "p99_ms", most: true, limit: 2000},
			{key: "false_elections", most: true, limit: 0}},
		flags: func(fs *flag.FlagSet) func(context.Context, *report) error {
			var o failoverOptions
			fs.IntVar(&o.rounds, "rounds", 100, "how often the leader is killed")
			fs.IntVar(&o.slaves, "slaves", 1000, "light slaves that come back each time")
			fs.DurationVar(&o.load, "load", 30*time.Second, "how long one core is kept busy while elections that nobody caused are counted")
			fs.DurationVar(&o.spread, "spread", 200*time.Millisecond, "within which the slaves come back at random; the default is that of real slaves")
			fs.Uint64Var(&o.seed, "seed", 1, "of the moments at which the leader is killed")
			return o.run
		},
	}
}

type failoverOptions struct {
	rounds, slaves int
	load, spread   time.Duration
	seed           uint64
}

// A failoverWorld is three masters in processes of their own, a fleet, and a framework that keeps its offers.
type failoverWorld struct {
	masters *children
	fleet   *fleet
	sink    *sink
	dir     string
	leader  childNews
}

// startWorld returns once every slave is registered and an offer has come. Close it.
func startWorld(ctx context.Context, r *report, cfg fleetConfig) (w *failoverWorld, err error) {
	w = &failoverWorld{}
	defer func() {
		if err != nil {
			_ = w.close()
		}
	}()
	if w.dir, err = os.MkdirTemp("", "meros-bench-"); err != nil {
		return w, err
	}
	if w.masters, err = startChildren(w.dir, r, 3); err != nil {
		return w, err
	}
	for i := range w.masters.specs {
		if err := w.masters.start(i); err != nil {
			return w, err
		}
	}
	if w.leader, err = w.masters.await(ctx); err != nil {
		return w, err
	}
	if w.sink, err = startSink(ctx, w.masters.addresses(), r.logger()); err != nil {
		return w, err
	}
	if err := w.sink.await(ctx, func() bool { return w.sink.epoch > 0 }); err != nil {
		return w, fmt.Errorf("subscribe: %w", err)
	}
	cfg.masters = w.masters.addresses()
	w.fleet = newFleet(cfg)
	w.fleet.start(ctx)
	if err := w.fleet.awaitRegistered(ctx, w.leader.reign); err != nil {
		return w, err
	}
	if _, err := w.sink.awaitOffer(ctx, 0); err != nil {
		return w, fmt.Errorf("first offer: %w", err)
	}
	for i := range w.masters.specs {
		if err := w.masters.joined(ctx, i); err != nil {
			return w, fmt.Errorf("master %d: %w", i, err)
		}
	}
	if err := w.masters.poll(); err != nil {
		return w, err
	}
	w.leader = w.masters.last
	return w, nil
}

func (w *failoverWorld) close() error {
	var errs []error
	if w.fleet != nil {
		w.fleet.stop()
	}
	if w.sink != nil {
		errs = append(errs, w.sink.stop())
	}
	if w.masters != nil {
		errs = append(errs, w.masters.stop())
	}
	if w.dir != "" {
		errs = append(errs, os.RemoveAll(w.dir))
	}
	return joined(errs)
}

// A failover is what one killed leader has cost.
type failover struct {
	killed, elected, offered, recovered time.Time
}

// failover kills the leader and waits for the next one, for an offer under it, and for every slave; then the killed one is back too.
func (w *failoverWorld) failover(ctx context.Context) (f failover, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*time.Minute, fmt.Errorf("no recovery in two minutes"))
	defer cancel()
	if err := w.settle(ctx); err != nil {
		return f, err
	}
	victim, epoch := w.leader.child, w.sink.subscriptions()
	if f.killed, err = w.masters.kill(victim); err != nil {
		return f, err
	}
	if w.leader, err = w.masters.await(ctx); err != nil {
		return f, err
	}
	f.elected = w.leader.at
	if f.offered, err = w.sink.awaitOffer(ctx, epoch); err != nil {
		return f, fmt.Errorf("next offer: %w", err)
	}
	if err := w.fleet.awaitRegistered(ctx, w.leader.reign); err != nil {
		return f, err
	}
	f.recovered = time.Now()
	w.masters.bury(victim)
	if err := w.masters.start(victim); err != nil {
		return f, err
	}
	if err := w.masters.joined(ctx, victim); err != nil {
		return f, fmt.Errorf("master %d, started again: %w", victim, err)
	}
	return f, w.settle(ctx)
}

// settle goes on with the winner of elections that nobody caused.
func (w *failoverWorld) settle(ctx context.Context) error {
	if err := w.masters.poll(); err != nil {
		return err
	}
	if w.masters.last.reign <= w.leader.reign {
		return nil
	}
	w.leader = w.masters.last
	if err := w.sink.await(ctx, func() bool { return w.sink.offers > 0 }); err != nil {
		return err
	}
	return w.fleet.awaitRegistered(ctx, w.leader.reign)
}

func (o *failoverOptions) run(ctx context.Context, r *report) error {
	for _, err := range []error{atLeast("rounds", o.rounds, 1), atLeast("slaves", o.slaves, 1)} {
		if err != nil {
			return err
		}
	}
	w, err := startWorld(ctx, r, fleetConfig{slaves: o.slaves, resources: resource.Must("cpus:8;mem:16384"), spread: o.spread, seed: o.seed})
	if err != nil {
		return err
	}
	r.say("%d slaves registered; %d rounds", o.slaves, o.rounds)
	formed := w.masters.elections
	rnd := rand.New(rand.NewPCG(o.seed, 1))
	var toOffer, toElected, after []time.Duration
	for i := range o.rounds {
		sleep(ctx, time.Duration(rnd.Int64N(int64(300*time.Millisecond)))) // so that no round meets the same phase of heartbeats
		f, err := w.failover(ctx)
		if err != nil {
			return joined([]error{fmt.Errorf("round %d: %w", i+1, err), w.close()})
		}
		toOffer = append(toOffer, f.offered.Sub(f.killed))
		toElected = append(toElected, f.elected.Sub(f.killed))
		after = append(after, f.offered.Sub(f.elected))
		r.say("round %d: elected after %.0f ms, offer after %.0f ms, all slaves back after %.0f ms", i+1,
			milliseconds(toElected[i]), milliseconds(toOffer[i]), milliseconds(f.recovered.Sub(f.killed)))
	}
	caused := w.masters.elections - formed - o.rounds
	r.say("one core busy for %s", o.load)
	burn(ctx, o.load)
	if err := w.masters.poll(); err != nil {
		return joined([]error{err, w.close()})
	}
	underLoad := w.masters.elections - formed - o.rounds - caused
	if err := w.close(); err != nil {
		return err
	}
	r.print("kill to elected: p50 %.0f ms, p99 %.0f ms", milliseconds(median(toElected)), milliseconds(quantile(toElected, 0.99)))
	r.print("elected to first offer: p50 %.1f ms, p99 %.1f ms", milliseconds(median(after)), milliseconds(quantile(after, 0.99)))
	r.print("elections that nobody caused: %d in %d rounds, %d in %s with one core busy", caused, o.rounds, underLoad, o.load)
	r.set("p50_ms", milliseconds(median(toOffer)))
	r.set("p99_ms", milliseconds(quantile(toOffer, 0.99)))
	r.set("elected_to_offer_ms", milliseconds(median(after)))
	r.set("false_elections", float64(caused+underLoad))
	return nil
}

// burn keeps one core busy.
func burn(ctx context.Context, d time.Duration) {
	end := time.Now().Add(d)
	x := uint64(1)
	for time.Now().Before(end) && ctx.Err() == nil {
		for range 1_000_000 {
			x = x*6364136223846793005 + 1442695040888963407
		}
	}
	runtime.KeepAlive(x) // so that the work is not optimised away
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
