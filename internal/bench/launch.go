package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

func launchBenchmark() benchmark {
	return benchmark{
		name:  "e2e/launch",
		what:  "tasks a second from launch to acknowledged, and the ratio to one message a frame and one flush a message",
		goals: []goal{{key: "tasks_per_s", limit: 15_000}, {key: "ratio", limit: 2}},
		flags: func(fs *flag.FlagSet) func(context.Context, *report) error {
			var o launchOptions
			fs.IntVar(&o.tasks, "tasks", 800_000, "tasks of each side in a round, in two runs: enough for some twenty collections of garbage each")
			fs.IntVar(&o.slaves, "slaves", 4, "slaves")
			fs.IntVar(&o.parallel, "parallel", 2500, "tasks that fit on a slave at once")
			fs.IntVar(&o.rounds, "rounds", 5, "rounds; the figures are medians")
			fs.IntVar(&o.gc, "gogc", 400, "garbage collection target in percent for the process, which holds the whole cluster")
			fs.BoolVar(&o.unpaired, "unpaired", false, "leave out the runs with one message a frame, and the ratio")
			return o.run
		},
	}
}

type launchOptions struct {
	tasks, slaves, parallel, rounds, gc int
	unpaired                            bool
}

// run launches tasks on real slaves whose executors are simulated: three masters, the slaves and the framework's session are the real ones,
// with Raft, journals and TCP. The time is that from the first accept to the moment at which the last slave has learned that the last
// status of its last task is acknowledged.
func (o *launchOptions) run(ctx context.Context, r *report) error {
	for _, err := range []error{atLeast("rounds", o.rounds, 1), atLeast("slaves", o.slaves, 1), atLeast("tasks", o.tasks, 1),
		atLeast("parallel", o.parallel, 1), atLeast("gogc", o.gc, 1)} {
		if err != nil {
			return err
		}
	}
	defer debug.SetGCPercent(debug.SetGCPercent(o.gc))
	// The first run of a process is slower, because it gets its memory from the system. It does not count.
	first := *o
	first.tasks = max(o.tasks/8, 1)
	if _, err := first.steady(ctx, r, network{}); err != nil {
		return err
	}
	var batched, ratios, processor []float64
	for i := range o.rounds {
		fast, slow, err := o.pair(ctx, r)
		if err != nil {
			return err
		}
		batched = append(batched, fast.rate())
		r.say("round %d: %s", i+1, fast)
		if !o.unpaired {
			ratios = append(ratios, fast.rate()/slow.rate())
			processor = append(processor, float64(slow.cpu)/float64(fast.cpu))
			r.say("round %d: %s with one message a frame: ratio %.2f", i+1, slow, fast.rate()/slow.rate())
		}
	}
	r.print("tasks/s: %.0f", batched)
	r.set("tasks_per_s", median(batched))
	if !o.unpaired {
		r.print("ratios: %.2f, of processor time: %.2f", ratios, processor)
		r.set("ratio", median(ratios))
	}
	return nil
}

// pair makes the runs of a round: each side has two, and they stand around those of the other, since whatever else the machine does comes and
// goes. A side's figures are those of both its runs together.
func (o *launchOptions) pair(ctx context.Context, r *report) (fast, slow launchResult, err error) {
	half := *o
	half.tasks = max(o.tasks/2, 1)
	for _, unbatched := range []bool{false, true, true, false} {
		if unbatched && o.unpaired {
			continue
		}
		one, err := half.steady(ctx, r, network{unbatched: unbatched})
		switch {
		case err != nil && unbatched:
			return fast, slow, fmt.Errorf("unbatched: %w", err)
		case err != nil:
			return fast, slow, err
		case unbatched:
			slow.add(one)
		default:
			fast.add(one)
		}
	}
	return fast, slow, nil
}

// A launchResult is what runs have taken.
type launchResult struct {
	tasks  int
	wall   time.Duration
	cpu    time.Duration // of all that took part
	writes int64         // to connections
}

func (l *launchResult) add(other launchResult) {
	l.tasks += other.tasks
	l.wall += other.wall
	l.cpu += other.cpu
	l.writes += other.writes
}

// rate is tasks a second.
func (l launchResult) rate() float64 { return float64(l.tasks) / l.wall.Seconds() }

func (l launchResult) String() string {
	return fmt.Sprintf("%.0f tasks/s, for each %s of processor and %.2f writes to connections, %.2f processors busy", l.rate(),
		l.cpu/time.Duration(l.tasks), float64(l.writes)/float64(l.tasks), l.cpu.Seconds()/l.wall.Seconds())
}

// errElection says that the leader changed during a run, which then measures something else.
var errElection = errors.New("the leader changed on the way")

// steady repeats a run in which the leader changed, as it does when the machine is too busy for heartbeats.
func (o *launchOptions) steady(ctx context.Context, r *report, via network) (out launchResult, err error) {
	for range 5 {
		if out, err = o.once(ctx, via, r.logger()); !errors.Is(err, errElection) {
			return out, err
		}
		r.say("%v: once more", err)
	}
	return out, err
}

// once runs all tasks in a cluster of its own.
func (o *launchOptions) once(ctx context.Context, via network, logger *slog.Logger) (out launchResult, err error) {
	runtime.GC()
	via.writes = new(atomic.Int64)
	ctx, cancel := context.WithTimeoutCause(ctx, 3*time.Minute, errors.New("no result in three minutes"))
	defer cancel()
	w, err := startCluster(ctx, o.slaves, fmt.Sprintf("cpus:%d;mem:%d", o.parallel, 32*o.parallel), via, logger)
	if err != nil {
		return out, err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	l := &launcher{o: *o, resources: resource.Must("cpus:1;mem:32"), states: make([]offer.State, o.tasks), complete: make(chan struct{}), failed: make(chan error, 1)}
	for i := range l.states {
		l.states[i] = offer.Unknown // not launched
	}
	cfg := framework.Config{Name: "bench", Masters: w.masters.addresses, Network: via, Logger: logger.With("node", "framework")}
	done, err := w.session(ctx, cfg, l)
	if err != nil {
		return out, err
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
	wall, cpu := time.Since(l.began), cpuTime()-l.cpu
	if w.masters.changed() {
		return out, errElection
	}
	if err != nil {
		return out, err
	}
	return launchResult{tasks: o.tasks, wall: wall, cpu: cpu, writes: via.writes.Load()}, nil
}

// A launcher is a scheduler that launches tasks on whatever it is offered until all are launched. It holds the offers of the beginning back
// until every slave has made one.
type launcher struct {
	o         launchOptions
	resources resource.Resources
	complete  chan struct{}
	failed    chan error    // a task ended in another way than it should
	began     time.Time     // when the first accept was sent; read after complete is closed
	cpu       time.Duration // processor time used by then

	mu       sync.Mutex
	held     []offer.Offer
	launched int
	finished int
	states   []offer.State
}

func (l *launcher) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return fmt.Sprintf("%d of %d tasks launched, %d finished", l.launched, len(l.states), l.finished)
}

// Subscribed implements framework.Scheduler.
func (l *launcher) Subscribed(context.Context, *framework.Session) error { return nil }

// Offers implements framework.Scheduler.
func (l *launcher) Offers(_ context.Context, s *framework.Session, offers []offer.Offer) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.began.IsZero() {
		l.held = append(l.held, offers...)
		if len(l.held) < l.o.slaves {
			return nil
		}
		offers, l.held = l.held, nil
		l.began, l.cpu = time.Now(), cpuTime()
	}
	for _, f := range offers {
		n := min(int(f.Resources.CPUs()/l.resources.CPUs()), len(l.states)-l.launched)
		if n == 0 {
			if err := s.Decline([]offer.OfferID{f.ID}, framework.Refuse(time.Hour)); err != nil {
				return err
			}
			continue
		}
		tasks := make([]offer.Task, n)
		for i := range tasks {
			tasks[i] = offer.Task{ID: taskID(l.launched), Name: "bench", Resources: l.resources,
				Command: &offer.Command{Value: "true"}}
			l.states[l.launched] = offer.Staging
			l.launched++
		}
		if err := s.Accept([]offer.OfferID{f.ID}, []offer.Operation{offer.Launch(tasks...)}, framework.Refuse(offer.NoFilter)); err != nil {
			return err
		}
	}
	return nil
}

func taskID(n int) offer.TaskID { return offer.TaskID("t-" + strconv.Itoa(10_000_000+n)) }

// Status implements framework.Scheduler.
func (l *launcher) Status(_ context.Context, _ *framework.Session, st offer.Status) error {
	number, ok := strings.CutPrefix(string(st.TaskID), "t-")
	n, err := strconv.Atoi(number)
	n -= 10_000_000
	if !ok || err != nil || n < 0 || n >= len(l.states) {
		panic(fmt.Sprintf("a status of task %q, which was never launched", st.TaskID))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.states[n]
	switch {
	case st.State == was: // told again
	case was == offer.Staging && st.State == offer.Running, was == offer.Running && st.State == offer.Finished:
		l.states[n] = st.State
	default:
		select {
		case l.failed <- fmt.Errorf("task %s: %s after %s (%s %s)", st.TaskID, st.State, was, st.Reason, st.Message):
		default:
		}
	}
	if st.State == offer.Finished && was != offer.Finished {
		if l.finished++; l.finished == len(l.states) {
			close(l.complete)
		}
	}
	return nil
}

// cpuTime is the processor time that this process has used.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
