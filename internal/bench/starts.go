package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/process"
	"github.com/meros-project/meros/isolation/supervisor"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
	"github.com/meros-project/meros/slave"
)

func startsBenchmark() benchmark {
	return benchmark{
		name: "slave/starts",
		what: "starts of true a second on one real slave with the default isolators; launch to RUNNING one at a time; with process only, the ratio to a bare fork and exec",
		goals: []goal{{key: "starts_per_s", limit: 150}, {key: "p99_ms", most: true, limit: 50},
			{key: "ratio", most: true, limit: 8}},
		flags: func(fs *flag.FlagSet) func(context.Context, *report) error {
			var o startsOptions
			fs.IntVar(&o.tasks, "tasks", 1000, "tasks of the run that counts starts a second, and of each run of the ratio")
			fs.IntVar(&o.singles, "singles", 300, "tasks that are launched one at a time")
			fs.IntVar(&o.parallel, "parallel", 8, "tasks at once where they are not launched one at a time")
			fs.IntVar(&o.rounds, "rounds", 3, "pairs of runs for the ratio, which is the median")
			return o.run
		},
	}
}

type startsOptions struct{ tasks, singles, parallel, rounds int }

func (o *startsOptions) run(ctx context.Context, r *report) error {
	for _, err := range []error{atLeast("tasks", o.tasks, 1), atLeast("singles", o.singles, 1), atLeast("parallel", o.parallel, 1), atLeast("rounds", o.rounds, 1)} {
		if err != nil {
			return err
		}
	}
	program, err := exec.LookPath("true")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, 5*time.Minute, errors.New("no result in five minutes"))
	defer cancel()
	if err := o.onSlave(ctx, r, program); err != nil {
		return err
	}
	var ratios []float64
	for i := range o.rounds {
		bare, err := o.bare(program)
		if err != nil {
			return err
		}
		held, err := o.supervised(ctx, program)
		if err != nil {
			return err
		}
		ratios = append(ratios, held.Seconds()/bare.Seconds())
		r.say("round %d: %.0f starts/s with process only, %.0f bare", i+1, float64(o.tasks)/held.Seconds(), float64(o.tasks)/bare.Seconds())
	}
	r.print("ratios: %.2f", ratios)
	r.set("ratio", median(ratios))
	return nil
}

// onSlave measures what a framework sees of one slave with the default isolators.
func (o *startsOptions) onSlave(ctx context.Context, r *report, program string) (err error) {
	w, err := startCluster(ctx, 0, "cpus:1", network{}, r.logger())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	if err := os.Chmod(w.dir, 0o711); err != nil { // a slave that is root runs tasks as somebody else
		return err
	}
	s, err := slave.New(slave.Config{WorkDir: filepath.Join(w.dir, "slave"), Masters: w.masters.addresses, Listen: "none", Hostname: "node",
		Resources: resource.Must(fmt.Sprintf("cpus:%d;mem:%d", o.parallel, 32*o.parallel)), Logger: r.logger().With("node", "slave")})
	if err != nil {
		return err
	}
	slaveCtx, stop := context.WithCancel(ctx)
	before := w.cancel
	w.cancel = func() { stop(); before() }
	w.wg.Go(func() { w.keep(s.Run(slaveCtx)) })
	x := &starter{program: program, resources: resource.Must("cpus:1;mem:32"), changed: make(chan struct{}, 1), failed: make(chan error, 1)}
	done, err := w.session(ctx, framework.Config{Name: "bench", Masters: w.masters.addresses, Logger: r.logger().With("node", "framework")}, x)
	if err != nil {
		return err
	}
	if _, err := x.batch(ctx, done, o.parallel, o.parallel); err != nil { // so that nothing is done for the first time
		return err
	}
	many, err := x.batch(ctx, done, o.tasks, o.parallel)
	if err != nil {
		return err
	}
	r.say("%d starts, %d at once: %.0f/s, launch to RUNNING in the median %s, 99 of 100 within %s", o.tasks, o.parallel,
		float64(o.tasks)/many.took.Seconds(), median(many.waits), quantile(many.waits, 0.99))
	single, err := x.batch(ctx, done, o.singles, 1)
	if err != nil {
		return err
	}
	r.say("%d starts one at a time: launch to RUNNING in the median %s, 99 of 100 within %s", o.singles, median(single.waits), quantile(single.waits, 0.99))
	r.set("starts_per_s", float64(o.tasks)/many.took.Seconds())
	r.set("p50_ms", milliseconds(median(single.waits)))
	r.set("p99_ms", milliseconds(quantile(single.waits, 0.99)))
	return nil
}

// bare starts the program and waits for it, as a program without any slave would.
func (o *startsOptions) bare(program string) (time.Duration, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	errs := make([]error, o.parallel)
	var wg sync.WaitGroup
	began := time.Now()
	for i := range o.parallel {
		wg.Go(func() {
			for n := i; n < o.tasks && errs[i] == nil; n += o.parallel {
				p, err := os.StartProcess(program, []string{program}, &os.ProcAttr{Env: []string{}, Files: []*os.File{null, null, null}})
				if err == nil {
					_, err = p.Wait()
				}
				errs[i] = err
			}
		})
	}
	wg.Wait()
	return time.Since(began), joined(errs)
}

// supervised starts the program as often in containers of the process isolator, and waits for the end of each.
func (o *startsOptions) supervised(ctx context.Context, program string) (took time.Duration, err error) {
	dir, err := os.MkdirTemp("", "mb")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := os.Chmod(dir, 0o711); err != nil {
		return 0, err
	}
	runner := supervisor.New(supervisor.Config{Dir: filepath.Join(dir, "run"), Isolation: isolation.Chain{process.New(process.Config{})}})
	ended := make(chan isolation.Event, 2*o.parallel)
	if err := runner.Open(nil, func(ev isolation.Event) {
		if ev.Kind != isolation.Started {
			ended <- ev
		}
	}); err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, runner.Close()) }()
	start := func(n int) error {
		spec := &isolation.Spec{Container: strconv.Itoa(n), Sandbox: filepath.Join(dir, "sandbox-"+strconv.Itoa(n)), Command: &offer.Command{Value: program}}
		if err := os.Mkdir(spec.Sandbox, 0o700); err != nil {
			return err
		}
		runner.Start(spec, false)
		return nil
	}
	began := time.Now()
	next := 0
	for ; next < min(o.parallel, o.tasks); next++ {
		if err := start(next); err != nil {
			return 0, err
		}
	}
	for range o.tasks {
		select {
		case ev := <-ended:
			if ev.Kind != isolation.Exited || !ev.Exit.Success() {
				return 0, fmt.Errorf("container %s: %+v", ev.Container, ev)
			}
			runner.Forget(ev.Container)
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
		if next < o.tasks {
			if err := start(next); err != nil {
				return 0, err
			}
			next++
		}
	}
	return time.Since(began), nil
}
