package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
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
			fs.IntVar(&o.tasks, "tasks", 100_000, "tasks in a run")
			fs.IntVar(&o.slaves, "slaves", 4, "slaves")
			fs.IntVar(&o.parallel, "parallel", 2500, "tasks that fit on a slave at once")
			fs.IntVar(&o.rounds, "rounds", 5, "pairs of runs; the figure is that of the best with and the best without, because what else the machine does only adds")
			return o.run
		},
	}
}

type recordOptions struct{ tasks, slaves, parallel, rounds int }

// run launches the same tasks with and without a recording, in turns. The three masters are processes of their own; what is compared is the
// processor time, user and system, of the one that leads: network, registry, core, and the recording with its writes. Slaves and framework are
// as in e2e/launch.
func (o *recordOptions) run(ctx context.Context, r *report) error {
	for _, err := range []error{atLeast("rounds", o.rounds, 1), atLeast("slaves", o.slaves, 1), atLeast("tasks", o.tasks, 1),
		atLeast("parallel", o.parallel, 1)} {
		if err != nil {
			return err
		}
	}
	var best [2]time.Duration
	var written int64
	for i := range o.rounds {
		var took [2]time.Duration
		for k := range took {
			n := (i + k) % 2 // who goes first changes
			cpu, bytes, err := o.steady(ctx, r, n == 1)
			if err != nil {
				return err
			}
			took[n] = cpu
			if best[n] == 0 || cpu < best[n] {
				best[n] = cpu
			}
			written = max(written, bytes)
		}
		r.say("round %d: the leader takes %s without and %s with a recording", i+1, took[0], took[1])
	}
	tasks := float64(o.tasks)
	r.set("us_per_task", float64(best[0].Microseconds())/tasks)
	r.set("us_per_task_recorded", float64(best[1].Microseconds())/tasks)
	r.set("bytes_per_task", float64(written)/tasks)
	r.set("percent", 100*(float64(best[1])/float64(max(best[0], 1))-1))
	return nil
}

// steady repeats a run that was disturbed, by an election or a connection that was cut, as happens when the machine is too busy.
func (o *recordOptions) steady(ctx context.Context, r *report, record bool) (cpu time.Duration, bytes int64, err error) {
	for range 5 {
		if cpu, bytes, err = o.once(ctx, r, record); err == nil || ctx.Err() != nil {
			return cpu, bytes, err
		}
		r.say("%v: once more", err)
	}
	return cpu, bytes, err
}

// once runs all tasks and returns the leader's processor time for them, and the size of what it has recorded.
func (o *recordOptions) once(ctx context.Context, r *report, record bool) (cpu time.Duration, bytes int64, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, 3*time.Minute, errors.New("no result in three minutes"))
	defer cancel()
	w := &cluster{}
	ctx, w.cancel = context.WithCancel(ctx)
	if w.dir, err = os.MkdirTemp("", "meros-bench-"); err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	c, err := startChildren(w.dir, r, 3)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	records := func(i int) string { return filepath.Join(w.dir, fmt.Sprintf("record-%d", i)) }
	for i := range c.specs {
		if record {
			c.specs[i].Record = records(i)
		}
		if err := c.start(i); err != nil {
			return 0, 0, err
		}
	}
	leader, err := c.await(ctx)
	if err != nil {
		return 0, 0, err
	}
	via := network{writes: new(atomic.Int64)}
	if err := w.startSlaves(ctx, c.addresses(), o.slaves, fmt.Sprintf("cpus:%d;mem:%d", o.parallel, 32*o.parallel), via, r.logger()); err != nil {
		return 0, 0, err
	}
	l := &launcher{o: launchOptions{tasks: o.tasks, slaves: o.slaves, parallel: o.parallel}, resources: resource.Must("cpus:1;mem:32"),
		states: make([]offer.State, o.tasks), complete: make(chan struct{}), failed: make(chan error, 1)}
	for i := range l.states {
		l.states[i] = offer.Unknown
	}
	pid := c.procs[leader.child].cmd.Process.Pid
	before, err := processCPU(pid)
	if err != nil {
		return 0, 0, err
	}
	done, err := w.session(ctx, framework.Config{Name: "bench", Masters: c.addresses(), Network: via, Logger: r.logger()}, l)
	if err != nil {
		return 0, 0, err
	}
	select {
	case <-l.complete:
		err = w.awaitForgotten(ctx, o.tasks)
	case err = <-l.failed:
	case err = <-done:
		err = fmt.Errorf("the session ended: %w", err)
	case <-ctx.Done():
		err = fmt.Errorf("%s: %w", l, context.Cause(ctx))
	}
	after, perr := processCPU(pid)
	if polled := c.poll(); polled == nil && c.elections > 1 {
		return 0, 0, errElection
	} else if err = errors.Join(err, perr, polled); err != nil {
		return 0, 0, err
	}
	if record {
		if bytes, err = recorded(records(leader.child)); err != nil {
			return 0, 0, err
		}
	}
	return after - before, bytes, nil
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

// processCPU is the processor time that a process has used, as Linux tells it, in hundredths of a second.
func processCPU(pid int) (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ") // after the name
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(f))
	}
	var ticks int64
	for _, field := range f[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * (time.Second / 100), nil
}
