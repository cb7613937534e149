package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/internal/recording"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

func recordBenchmark() benchmark {
	return benchmark{
		name:  "e2e/record",
		what:  "how much more processor time the leading master needs when it records, in percent",
		goals: []goal{{key: "percent", most: true, limit: 3}},
		flags: func(fs *flag.FlagSet) func(context.Context, *report) error {
			var o recordOptions
			fs.IntVar(&o.tasks, "tasks", 20_000, "tasks in a round, with a recording and without")
			fs.IntVar(&o.slaves, "slaves", 4, "slaves of a cluster")
			fs.IntVar(&o.parallel, "parallel", 2500, "tasks that fit on a slave at once")
			fs.IntVar(&o.clusters, "clusters", 3, "pairs of clusters, one after the other, since two processes of one program differ by themselves")
			fs.IntVar(&o.rounds, "rounds", 20, "rounds for each pair of clusters; the figure is the median of all")
			return o.run
		},
	}
}

type recordOptions struct{ tasks, slaves, parallel, clusters, rounds int }

// recordRounds are what the leaders took in each round, in microseconds a task: without a recording and with one.
type recordRounds struct {
	took    [2][]float64
	written float64 // bytes a task
}

// run has two clusters at a time, of which one records, and launches the same tasks on one and on the other in turns, so that both meet the
// same machine. The three masters of each are processes of their own; what is compared is the processor time, user and system, of the two that
// lead: network, registry, core, and the recording with its writes. Slaves and framework are as in e2e/launch. The figure is the median of
// the rounds' ratios; that of the sums is printed beside it, with what rounds differ by and what a first round, which warms up, does not tell.
func (o *recordOptions) run(ctx context.Context, r *report) error {
	for _, err := range []error{atLeast("rounds", o.rounds, 1), atLeast("clusters", o.clusters, 1), atLeast("slaves", o.slaves, 1),
		atLeast("tasks", o.tasks, 1), atLeast("parallel", o.parallel, 1)} {
		if err != nil {
			return err
		}
	}
	var all recordRounds
	var ratios []float64
	for i := range o.clusters {
		pair, err := o.steady(ctx, r)
		if err != nil {
			return err
		}
		var own []float64
		for k, without := range pair.took[0] {
			own = append(own, 100*(pair.took[1][k]/without-1))
		}
		ratios = append(ratios, own...)
		for n := range all.took {
			all.took[n] = append(all.took[n], pair.took[n]...)
		}
		all.written = max(all.written, pair.written)
		r.say("clusters %d: the leader takes %.2f us a task without and %.2f with a recording; %.1f %% more, rounds from %.1f to %.1f", i+1,
			median(pair.took[0]), median(pair.took[1]), median(own), quantile(own, 0), quantile(own, 1))
	}
	r.set("us_per_task", median(all.took[0]))
	r.set("us_per_task_recorded", median(all.took[1]))
	r.set("bytes_per_task", all.written)
	r.set("rounds", float64(len(ratios)))
	r.set("percent_p25", quantile(ratios, 0.25))
	r.set("percent_p75", quantile(ratios, 0.75))
	r.set("percent_of_sums", 100*(sum(all.took[1])/sum(all.took[0])-1))
	r.set("percent", median(ratios))
	return nil
}

func sum(values []float64) (total float64) {
	for _, v := range values {
		total += v
	}
	return total
}

// steady repeats what was disturbed, by an election or a connection that was cut, as happens when the machine is too busy.
func (o *recordOptions) steady(ctx context.Context, r *report) (out recordRounds, err error) {
	for range 5 {
		if out, err = o.pair(ctx, r); err == nil || ctx.Err() != nil {
			return out, err
		}
		r.say("%v: once more", err)
	}
	return out, err
}

// pair runs all rounds on two clusters.
func (o *recordOptions) pair(ctx context.Context, r *report) (out recordRounds, err error) {
	var clusters [2]*recordCluster
	for n := range clusters {
		if clusters[n], err = o.start(ctx, r, n == 1); err != nil {
			return out, err
		}
		defer func() { err = errors.Join(err, clusters[n].stop()) }()
	}
	tasks := float64(o.tasks)
	for i := range o.rounds + 1 {
		for k := range clusters {
			n := (i + k) % 2 // who goes first changes
			took, err := clusters[n].round(ctx, o, r)
			if err != nil {
				return out, err
			}
			if i > 0 { // the first warms up
				out.took[n] = append(out.took[n], float64(took.Nanoseconds())/1000/tasks)
			}
		}
	}
	bytes, err := recorded(clusters[1].dir(clusters[1].leader))
	out.written = float64(bytes) / tasks / float64(o.rounds+1)
	return out, err
}

// A recordCluster is masters that are processes, and slaves in this one.
type recordCluster struct {
	*cluster
	masters *children
	leader  int
	done    int // tasks
}

func (c *recordCluster) dir(i int) string {
	return filepath.Join(c.cluster.dir, fmt.Sprintf("record-%d", i))
}

func (c *recordCluster) stop() error { return errors.Join(c.masters.stop(), c.cluster.stop()) }

func (o *recordOptions) start(ctx context.Context, r *report, record bool) (_ *recordCluster, err error) {
	w := &cluster{}
	if w.dir, err = os.MkdirTemp("", "meros-bench-"); err != nil {
		return nil, err
	}
	ctx, w.cancel = context.WithCancel(ctx)
	c := &recordCluster{cluster: w, masters: &children{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.stop())
		}
	}()
	if c.masters, err = startChildren(w.dir, r, 3); err != nil {
		return nil, err
	}
	for i := range c.masters.specs {
		if record {
			c.masters.specs[i].Record = c.dir(i)
		} else if r.profile != "" {
			c.masters.specs[i].Profile += ".without"
		}
		if err := c.masters.start(i); err != nil {
			return nil, err
		}
	}
	elected, err := c.masters.await(ctx)
	if err != nil {
		return nil, err
	}
	c.leader = elected.child
	resources := fmt.Sprintf("cpus:%d;mem:%d", o.parallel, 32*o.parallel)
	return c, w.startSlaves(ctx, c.masters.addresses(), o.slaves, resources, network{writes: new(atomic.Int64)}, r.logger())
}

// round runs tasks by a framework of its own and returns the leader's processor time for them.
func (c *recordCluster) round(ctx context.Context, o *recordOptions, r *report) (time.Duration, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("no result in a minute"))
	defer cancel()
	l := &launcher{o: launchOptions{tasks: o.tasks, slaves: o.slaves, parallel: o.parallel}, resources: resource.Must("cpus:1;mem:32"),
		states: make([]offer.State, o.tasks), complete: make(chan struct{}), failed: make(chan error, 1)}
	for i := range l.states {
		l.states[i] = offer.Unknown
	}
	cfg := framework.Config{Name: "bench", Masters: c.masters.addresses(), Network: network{writes: new(atomic.Int64)}, Logger: r.logger()}
	session, err := framework.New(cfg, l)
	if err != nil {
		return 0, err
	}
	pid := c.masters.procs[c.leader].cmd.Process.Pid
	before, err := processCPU(pid)
	if err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- session.Run(ctx) }()
	c.done += o.tasks
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for over := false; !over && err == nil && c.masters.elections == 1; {
		select {
		case <-l.complete:
			over, err = true, c.awaitForgotten(ctx, c.done)
		case err = <-l.failed:
		case <-ticker.C:
			err = c.masters.poll()
		case <-ctx.Done():
			err = fmt.Errorf("%s: %w", l, context.Cause(ctx))
		}
	}
	after, perr := processCPU(pid)
	err = errors.Join(err, perr, session.Teardown(), <-ended)
	if polled := c.masters.poll(); polled != nil {
		err = errors.Join(err, polled)
	} else if c.masters.elections > 1 {
		err = errElection
	}
	return after - before, err
}

// recorded is the size of the recordings in a folder, none of which may have a gap: a recording that was cut costs nothing.
func recorded(dir string) (bytes int64, err error) {
	files, err := recording.Files(dir)
	if err != nil {
		return 0, err
	}
	for _, path := range files {
		in, err := recording.Open(path)
		if err != nil {
			return 0, err
		}
		gap := in.Header.Gap
		if err := in.Close(); err != nil {
			return 0, err
		}
		if gap != "" {
			return 0, fmt.Errorf("the recording was cut: %s", gap)
		}
		info, err := os.Stat(path)
		if err != nil {
			return 0, err
		}
		bytes += info.Size()
	}
	return bytes, nil
}
