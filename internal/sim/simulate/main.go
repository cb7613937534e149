// Command simulate runs seeds of the simulated world and prints progress. For each seed that fails it prints the rule, the last lines of the
// trace, and a scenario file of the smallest run it could find that fails for the same reason.
package main

import (
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/meros-project/meros/internal/sim"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

type options struct {
	seeds, first                       uint64
	hours                              float64
	masters, slaves, frameworks, tasks int
	faults                             sim.Fault
	every                              time.Duration
	trace, workers, shrink             int
	twice                              bool
	resources                          string
	runs, last                         time.Duration
}

func main() {
	var o options
	flag.Uint64Var(&o.seeds, "seeds", 100, "how many seeds to run")
	flag.Uint64Var(&o.first, "seed", 1, "the first seed")
	flag.Float64Var(&o.hours, "hours", 1, "about how many hours each seed lives")
	flag.IntVar(&o.masters, "masters", 3, "masters")
	flag.IntVar(&o.slaves, "slaves", 20, "slaves")
	flag.IntVar(&o.frameworks, "frameworks", 4, "frameworks")
	flag.IntVar(&o.tasks, "tasks", 60, "tasks that each framework gets to run in an hour")
	flag.IntVar(&o.trace, "trace", 40, "lines of the trace to print for a seed that fails")
	flag.IntVar(&o.workers, "workers", runtime.GOMAXPROCS(0), "seeds at the same time")
	flag.IntVar(&o.shrink, "shrink", 60, "runs to spend on making a seed that fails smaller")
	flag.BoolVar(&o.twice, "twice", false, "run each seed twice and compare the traces")
	flag.DurationVar(&o.every, "every", 0, "mean time between two faults (default: 10 s to 1 min, by seed)")
	flag.StringVar(&o.resources, "resources", "", "resources of each slave (default: those of a small one)")
	flag.DurationVar(&o.runs, "runs", 0, "how long tasks run on the average (default: half a minute)")
	flag.DurationVar(&o.last, "for", 0, "begin no seed after this time (default: all are run)")
	tree := flag.String("tree", "", "derive the first seed from this text, such as the hash of a tree")
	faults := flag.String("faults", "all", "classes of faults that may be on")
	scenario := flag.String("scenario", "", "run this scenario file and nothing else")
	bank := flag.Bool("bank", false, "look for each planted bug with fresh seeds, from -seed on")
	rewrite := flag.Bool("rewrite", false, "with -bank: store the seeds that were found, for the tests")
	plants := flag.String("plants", "", "with -bank: look for these only, with commas in between; nothing is stored")
	budget := flag.Duration("budget", time.Minute, "with -bank: processor time for each bug")
	profile := flag.String("cpuprofile", "", "write a profile there")
	flag.Parse()
	var err error
	if o.faults, err = sim.ParseFaults(*faults); err != nil {
		fail("%v", err)
	}
	if o.faults == 0 {
		o.faults = sim.NoFaults
	}
	if o.seeds == 0 || o.workers < 1 || o.hours <= 0 || flag.NArg() > 0 || o.masters < 1 || o.masters > 9 || o.slaves < 1 {
		fail("-seeds, -hours, -workers, -slaves and -masters (9 at most) must be above 0, and nothing may follow the flags")
	}
	if *tree != "" {
		h := fnv.New64a()
		_, _ = h.Write([]byte(*tree))
		o.first = h.Sum64() >> 16
		fmt.Printf("seeds from %d, of tree %s\n", o.first, *tree)
	}
	if *profile != "" {
		f, err := os.Create(*profile)
		if err != nil {
			fail("%v", err)
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			fail("%v", err)
		}
	}
	debug.SetGCPercent(400) // worlds are small and short-lived
	ok := false
	switch {
	case *scenario != "":
		ok = replay(*scenario, o.trace)
	case *bank && *plants != "":
		ok = hunts(strings.Split(*plants, ","), o.first, *budget, false)
	case *bank:
		ok = hunts(sim.PlantNames(), o.first, *budget, *rewrite)
	default:
		ok = (&campaign{options: o, shown: time.Now()}).run()
	}
	pprof.StopCPUProfile()
	if !ok {
		os.Exit(1)
	}
}

func fail(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "simulate: "+format+"\n", args...)
	os.Exit(2)
}

// replay runs one scenario file.
func replay(file string, trace int) bool {
	f, err := os.Open(file)
	if err != nil {
		fail("%v", err)
	}
	defer func() { _ = f.Close() }()
	cfg, err := sim.ParseScenario(f)
	if err != nil {
		fail("%s: %v", file, err)
	}
	cfg.Keep = trace
	r := sim.Run(cfg)
	fmt.Println(strings.Join(r.Trace, "\n"))
	if r.Violation != nil {
		fmt.Printf("%s: %v\n", file, r.Violation)
	}
	return r.Violation == nil
}

// A campaign is many seeds.
type campaign struct {
	options
	mu     sync.Mutex
	done   uint64
	failed int
	hours  float64
	events int
	faults int
	states sim.States
	shown  time.Time
}

// enough is how many hours a campaign lasts before it must have seen every interesting state.
const enough = 200

func (c *campaign) run() bool {
	var wg sync.WaitGroup
	next := make(chan uint64)
	for range c.workers {
		wg.Go(func() {
			for seed := range next {
				c.seed(seed)
			}
		})
	}
	began := time.Now()
	for i := range c.seeds {
		if c.last > 0 && time.Since(began) > c.last {
			break
		}
		next <- c.first + i
	}
	close(next)
	wg.Wait()
	return c.summary()
}

func (c *campaign) config(seed uint64) sim.Config {
	cfg := sim.LongConfig(seed, c.masters, c.slaves, c.frameworks, c.tasks, c.options.hours)
	cfg.Faults = c.options.faults
	if c.every > 0 {
		cfg.FaultEvery = c.every
	}
	if c.resources != "" {
		rs, err := resource.Parse(c.resources)
		if err != nil {
			fail("%v", err)
		}
		cfg.Resources = rs
	}
	if c.runs > 0 {
		cfg.Patience += 4 * c.runs
		cfg.Runs = func(random *rand.Rand, _ *offer.Task) (time.Duration, offer.Exit) {
			return time.Duration(random.Int64N(int64(2 * c.runs))), offer.Exit{}
		}
	}
	return cfg
}

func (c *campaign) seed(seed uint64) {
	cfg := c.config(seed)
	r := sim.Run(cfg)
	differs := c.twice && sim.Run(cfg).Hash != r.Hash
	var text string
	if r.Violation != nil {
		text = c.explain(r)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done++
	c.hours += r.Time.Hours()
	c.events += r.Steps
	c.faults += r.Faults
	c.states.Add(&r.States)
	if r.Violation != nil || differs {
		c.failed++
		fmt.Print(text)
		if differs {
			fmt.Printf("seed %d: two runs differ\n", seed)
		}
	}
	if now := time.Now(); now.Sub(c.shown) > 10*time.Second {
		c.shown = now
		fmt.Printf("%d of %d seeds, %.0f hours, %d events, %d faults, %d violations\n", c.done, c.seeds, c.hours, c.events, c.faults, c.failed)
	}
}

// explain shrinks a run that failed and says all about it.
func (c *campaign) explain(r *sim.Report) string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %v\n", r.Seed, r.Violation)
	small := r
	if c.shrink > 0 {
		small = sim.Shrink(r, c.shrink)
	}
	cfg := small.Config
	cfg.Keep = c.trace
	for _, line := range sim.Run(cfg).Trace {
		fmt.Fprintln(&b, line)
	}
	fmt.Fprintf(&b, "--- scenario, for internal/sim/testdata/regress; run it with go run ./internal/sim/simulate -scenario FILE\n%s---\n", small.Scenario())
	return b.String()
}

// cpu is the time that the process has spent on all cores, so that a speed means one core, and does not depend on who else uses the machine.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		fail("%v", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (c *campaign) summary() bool {
	sometimes := "all"
	missing := c.states.Missing()
	if len(missing) > 0 {
		sometimes = fmt.Sprintf("%d/%d", len(c.states)-len(missing), len(c.states))
		fmt.Printf("never reached: %v\n", missing)
	}
	speed := c.hours * 3600 / cpu().Seconds()
	fmt.Printf("sim seeds=%d hours=%.1f events=%d faults=%d violations=%d sometimes=%s speed=%.0fx\n", c.done, c.hours, c.events, c.faults, c.failed,
		sometimes, speed)
	whole := c.options.faults == sim.AllFaults && c.hours >= enough
	return c.failed == 0 && (len(missing) == 0 || !whole)
}
