package main

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"time"

	"github.com/meros-project/meros/framework/launcher/core"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// placeBenchmark is the decision of the launcher alone: what waits, offers, and what is launched where.
func placeBenchmark() benchmark {
	return benchmark{name: "launcher/place", what: "placements a second by the launcher, with spread and constraints; growth: how much slower than with a tenth of the slaves",
		goals: []goal{{key: "placements_per_s", limit: 50_000}, {key: "growth", most: true, limit: 2}},
		flags: func(fs *flag.FlagSet) func(context.Context, *report) error {
			slaves := fs.Int("slaves", 10_000, "slaves, all of which are offered at once")
			tasks := fs.Int("tasks", 20_000, "tasks, in apps of 10 instances")
			rounds := fs.Int("rounds", 5, "rounds at each size; the median counts")
			return func(ctx context.Context, r *report) error {
				if err := atLeast("slaves", *slaves, 100); err != nil {
					return err
				}
				if err := atLeast("tasks", *tasks, 10); err != nil {
					return err
				}
				if err := atLeast("rounds", *rounds, 1); err != nil {
					return err
				}
				return runPlace(ctx, r, *slaves, *tasks, *rounds)
			}
		}}
}

func runPlace(ctx context.Context, r *report, slaves, tasks, rounds int) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var times, walls [2][]time.Duration
	for range rounds {
		for i, n := range [2]int{slaves / 10, slaves} {
			if err := ctx.Err(); err != nil {
				return err
			}
			took, wall, placed, err := placeOnce(n, tasks)
			if err != nil {
				return err
			}
			r.say("%d slaves: %d tasks placed in %v, of which %v computing", n, placed, wall, took)
			times[i] = append(times[i], took/time.Duration(max(placed, 1)))
			walls[i] = append(walls[i], wall/time.Duration(max(placed, 1)))
		}
	}
	small, large := median(times[0]), median(times[1])
	r.print("%d slaves: %v a placement; %d slaves: %v", slaves/10, small, slaves, large)
	r.set("placements_per_s", float64(time.Second)/float64(large))
	r.set("growth", float64(large)/float64(small))
	r.set("wall_placements_per_s", float64(time.Second)/float64(median(walls[1])))
	r.set("wall_growth", float64(median(walls[1]))/float64(median(walls[0])))
	return nil
}

// placeOnce submits apps, offers every slave, and takes the time until everything is accepted or declined: what this thread computes, and by the
// clock on the wall, which counts whatever else the machine does.
func placeOnce(slaves, tasks int) (took, wall time.Duration, placed int, err error) {
	c, err := core.New(core.Config{Gather: -1})
	if err != nil {
		return 0, 0, 0, err
	}
	offers := make([]offer.Offer, slaves)
	for i := range offers {
		offers[i] = offer.Offer{ID: offer.OfferID(fmt.Sprintf("o-%d", i)), SlaveID: offer.SlaveID(fmt.Sprintf("s-%d", i)), Role: resource.AnyRole,
			Hostname: fmt.Sprintf("host-%d.example", i), Resources: resource.Must(fmt.Sprintf("cpus:%d;mem:131072;disk:1000000;ports:[31000-31999]", 24+i%3*8)),
			Attributes: []offer.Attribute{{Name: "rack", Text: fmt.Sprintf("r%d", i/40)}, {Name: "disk", Text: []string{"ssd", "hdd"}[i%8/7]}}}
	}
	work := make([]core.Task, tasks)
	for i := range work {
		app := i / 10
		t := core.Task{Set: fmt.Sprintf("app-%d", app), Ports: 1, Policy: core.Spread, Constraints: []core.Constraint{{Field: "rack", Op: core.GroupBy},
			{Field: core.FieldHostname, Op: core.MaxPer, Value: "1"}, {Field: "disk", Op: core.Unlike, Value: "hdd.*"}}}
		t.Task = offer.Task{ID: offer.TaskID(fmt.Sprintf("app-%d.%d", app, i%10)), Command: &offer.Command{Value: "serve", Shell: true},
			Resources: resource.Must(fmt.Sprintf("cpus:%d;mem:%d", 1+app%2, 256<<(app%3)))}
		work[i] = t
	}
	now := time.Unix(1_000_000, 0)
	var out []core.Effect
	runtime.GC() // what was made above
	cpu, _ := threadCPU()
	began := time.Now()
	step := func(ev core.Event) {
		out = c.Step(now, ev, out[:0])
		for _, e := range out {
			switch e := e.(type) {
			case core.Accept:
				placed += len(e.Tasks)
			case core.Refused:
				err = e.Refusal
			}
		}
	}
	step(core.Subscribed{})
	for i := range work {
		step(core.Submitted{Task: work[i]})
	}
	step(core.Offered{Offers: offers})
	for at := c.Deadline(); !at.IsZero() && !at.After(now); at = c.Deadline() {
		step(core.Tick{})
	}
	wall = time.Since(began)
	took = wall
	if computed, ok := threadCPU(); ok {
		took = computed - cpu
	}
	return took, wall, placed, err
}
