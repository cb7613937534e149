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

// startsBenchmark measures starts. Where their processor time goes (perf, two busy processors, ext4, true as the task):
//
//	process only, a supervisor for each:              default isolators, supervisors reused:
//	44 %  the supervisor as a program: exec, dynamic  44 %  what the supervisor does: a third of it forks the first process,
//	      linking, runtime, packages, threads, end          a tenth makes its namespaces' mounts
//	27 %  what it does: fork 6, files of the sandbox  33 %  the slave: cgroups 13 (made 4, joined 3, watched 2, removed 2,
//	      6, its order 5                                    looked whether empty 1), files of the run 3, the rest talk
//	23 %  the slave                                   15 %  the container's init, most of it for its fork of the task
//	 5 %  true                                         6 %  true
//
// A program of Go that links net and does nothing takes six times as much as true, three and a half times if it was built without C: so the ratio
// of one supervisor for each task cannot come near its goal while supervisors are copies of a host program that links C.
func startsBenchmark() benchmark {
	return benchmark{
		name: "slave/starts",
		what: "starts of true a second on one real slave with the default isolators; launch to RUNNING one at a time; with process only, the ratio to a bare fork and exec, and that of bursts for which supervisors are ready",
		goals: []goal{{key: "starts_per_s", limit: 150}, {key: "p99_ms", most: true, limit: 50},
			{key: "ratio", most: true, limit: 8}, {key: "ratio_ready", most: true, limit: 4}},
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
	base, err := os.MkdirTemp("", "mb")
	if err != nil {
		return err
	}
	// At the end: some file systems look at each file that was deleted lately when they make one, and a slave keeps its sandboxes for days.
	defer os.RemoveAll(base)
	if err := os.Chmod(base, 0o711); err != nil {
		return err
	}
	medians := map[bool]float64{}
	for _, ready := range []bool{false, true} {
		key := "ratio"
		if ready {
			key = "ratio_ready"
		}
		var ratios []float64
		for i := range o.rounds {
			bare, err := o.bare(program, ready)
			if err != nil {
				return err
			}
			held, err := o.supervised(ctx, base, program, ready)
			if err != nil {
				return err
			}
			ratios = append(ratios, held.Seconds()/bare.Seconds())
			r.say("%s, round %d: %.0f starts/s with process only, %.0f bare", key, i+1, float64(o.tasks)/held.Seconds(), float64(o.tasks)/bare.Seconds())
		}
		r.print("%s: %.2f", key, ratios)
		medians[ready] = median(ratios)
	}
	if err := o.onSlave(ctx, r, program); err != nil {
		return err
	}
	r.set("ratio", medians[false])
	r.set("ratio_ready", medians[true])
	return o.memory(ctx, base, r)
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

// bare starts the program and waits for it, as a program without any slave would; with bursts, so many at a time, and then the next.
func (o *startsOptions) bare(program string, bursts bool) (took time.Duration, err error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	start := func() error {
		p, err := os.StartProcess(program, []string{program}, &os.ProcAttr{Env: []string{}, Files: []*os.File{null, null, null}})
		if err == nil {
			_, err = p.Wait()
		}
		return err
	}
	at := o.tasks // of one burst
	if bursts {
		at = o.parallel
	}
	errs := make([]error, o.parallel)
	for first := 0; first < o.tasks; first += at {
		var wg sync.WaitGroup
		began := time.Now()
		for i := range o.parallel {
			wg.Go(func() {
				for n := first + i; n < min(first+at, o.tasks) && errs[i] == nil; n += o.parallel {
					errs[i] = start()
				}
			})
		}
		wg.Wait()
		took += time.Since(began)
	}
	return took, joined(errs)
}

// A held is a runner with the process isolator alone, as far as the benchmark needs one.
type held struct {
	dir    string
	runner *supervisor.Runner
	events chan isolation.Event
	close  func() error
}

func openHeld(base string, ready, room int) (*held, error) {
	dir, err := os.MkdirTemp(base, "mb")
	if err != nil {
		return nil, err
	}
	h := &held{dir: dir, events: make(chan isolation.Event, room)}
	h.runner = supervisor.New(supervisor.Config{Dir: filepath.Join(dir, "run"), Memory: supervisor.MemoryDir(filepath.Base(dir)),
		Isolation: isolation.Chain{process.New(process.Config{})}, Ready: ready})
	h.close = h.runner.Close
	if err = os.Chmod(dir, 0o711); err == nil {
		err = h.runner.Open(nil, func(ev isolation.Event) { h.events <- ev })
	}
	if err != nil {
		return nil, errors.Join(err, h.close())
	}
	return h, nil
}

func (h *held) start(n int, command offer.Command) error {
	spec := &isolation.Spec{Container: strconv.Itoa(n), Sandbox: filepath.Join(h.dir, "sandbox-"+strconv.Itoa(n)), Command: &command}
	if err := os.Mkdir(spec.Sandbox, 0o700); err != nil {
		return err
	}
	h.runner.Start(spec, false)
	return nil
}

// await waits for the next event of a kind; what was not started is an error.
func (h *held) await(ctx context.Context, kind isolation.EventKind) (isolation.Event, error) {
	for {
		select {
		case ev := <-h.events:
			if ev.Kind == isolation.StartFailed {
				return ev, fmt.Errorf("container %s: %+v", ev.Container, ev)
			}
			if ev.Kind == kind {
				return ev, nil
			}
		case <-ctx.Done():
			return isolation.Event{}, context.Cause(ctx)
		}
	}
}

// supervised starts the program as often in containers of the process isolator, and waits for the end of each; with bursts, so many at a time,
// each with a supervisor that is ready for it.
func (o *startsOptions) supervised(ctx context.Context, base, program string, bursts bool) (took time.Duration, err error) {
	ready, at := 0, o.tasks
	if bursts {
		ready, at = o.parallel, o.parallel
	}
	h, err := openHeld(base, ready, 4*o.parallel)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	for first := 0; first < o.tasks; first += at {
		for h.runner.Ready() < ready {
			select {
			case <-time.After(time.Millisecond):
			case <-ctx.Done():
				return 0, context.Cause(ctx)
			}
		}
		last, next := min(first+at, o.tasks), first
		began := time.Now()
		for ended := first; ended < last; ended++ {
			for ; next < min(ended+o.parallel, last); next++ {
				if err := h.start(next, offer.Command{Value: program}); err != nil {
					return 0, err
				}
			}
			ev, err := h.await(ctx, isolation.Exited)
			if err != nil {
				return 0, err
			}
			if !ev.Exit.Success() {
				return 0, fmt.Errorf("container %s: %+v", ev.Container, ev)
			}
			h.runner.Forget(ev.Container)
		}
		took += time.Since(began)
	}
	return took, nil
}

// memory measures what the supervisors of running tasks take.
func (o *startsOptions) memory(ctx context.Context, base string, r *report) (err error) {
	h, err := openHeld(base, 0, 4*o.parallel)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	var sum memoryUse
	for n := range o.parallel {
		if err := h.start(n, offer.Command{Value: "sleep", Arguments: []string{"sleep", "1000"}}); err != nil {
			return err
		}
	}
	for range o.parallel {
		ev, err := h.await(ctx, isolation.Started)
		if err != nil {
			return err
		}
		defer func() {
			h.runner.Kill(ev.Container, true)
			_, wrong := h.await(context.WithoutCancel(ctx), isolation.Exited)
			err = errors.Join(err, wrong)
		}()
		parent, err := process.Parent(ev.PID)
		if err != nil {
			return err
		}
		use, err := memoryOf(parent.PID)
		if err != nil {
			return err
		}
		sum.resident += use.resident
		sum.share += use.share
	}
	each := 1 << 20 * float64(o.parallel)
	r.say("a supervisor takes %.1f MiB, %.1f with its share of what several have in common counted in full", float64(sum.share)/each, float64(sum.resident)/each)
	r.set("supervisor_mib", float64(sum.share)/each)
	return nil
}
