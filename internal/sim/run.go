package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// defaultPatience is how long all may take to settle where nobody says otherwise.
const defaultPatience = time.Hour

// Config of a run. The zero value of each field but Seed has a default.
type Config struct {
	Seed       uint64
	Masters    int           // defaults to 3
	Slaves     int           // defaults to 4
	Frameworks int           // modelled ones; defaults to 2, negative for none
	Tasks      int           // that each framework wants in each round; defaults to 30
	Rounds     int           // of trouble and calm; defaults to 1
	Trouble    time.Duration // how long the faults of a round go on; defaults to 4 min
	FaultEvery time.Duration // mean time between faults that strike; defaults to 4 s
	Patience   time.Duration // how long all may take to settle once it is calm; defaults to 1 h
	MaxSteps   int           // defaults to 2,000,000
	Wire       bool          // messages, entries, snapshots and journals go through internal/wire
	// Faults are the classes that may be on. Defaults to all of them; NoFaults is none.
	Faults Fault
	// Swarm lets each round draw which of Faults are on; without, all of them are.
	Swarm bool
	// Some leaves a minority of the masters and few of the others behind when a round's faults are over.
	Some bool
	// Rich programs use groups, executors, volumes, ports, several roles, constraints and suppression; others launch plain tasks.
	Rich bool
	// CheckEvery is how many events of a core pass between two full checks of it; the cheap checks are made after each. Defaults to as
	// many as take about as long as one check.
	CheckEvery int
	// Resources of each slave. Defaults to cpus:4;mem:4096;disk:4096;ports:[31000-31099].
	Resources resource.Resources
	// Runs says how long a task runs and how it ends; random is the world's own. Defaults to a mixture.
	Runs func(random *rand.Rand, task *offer.Task) (time.Duration, offer.Exit)
	// Probes answers the checks of a task that has run for so long; random is one of its own. Defaults to good answers. What FaultSick does
	// comes on top.
	Probes func(random *rand.Rand, task *offer.Task, check *offer.Check, runs time.Duration) offer.CheckResult
	// Plant is a bug to be found. Defaults to none.
	Plant *Plant
	Keep  int // lines of the trace to keep for the report; defaults to 0
	// Swap, if not nil, gives what takes the place of a leader's core before each of its events: the same core, or one that was restored.
	Swap func(*mastercore.Core) *mastercore.Core
	// Witness, if not nil, is called at the beginning of each reign; what it returns sees all that the core sees and does.
	Witness func(now time.Time, core *mastercore.Core) Witness
}

// NoFaults in Config.Faults is a calm world.
const NoFaults = endFaults

func (c Config) withDefaults() Config {
	set := func(p *int, n int) {
		if *p == 0 {
			*p = n
		}
	}
	wait := func(p *time.Duration, d time.Duration) {
		if *p == 0 {
			*p = d
		}
	}
	if c.Resources.Empty() {
		c.Resources = resource.Must("cpus:4;mem:4096;disk:4096;ports:[31000-31099]")
	}
	if c.Runs == nil {
		c.Runs = mixture
	}
	if c.Probes == nil {
		c.Probes = sound
	}
	if c.Faults == 0 {
		c.Faults = AllFaults
	}
	set(&c.Masters, 3)
	set(&c.Slaves, 4)
	set(&c.Frameworks, 2)
	set(&c.Tasks, 30)
	set(&c.Rounds, 1)
	set(&c.MaxSteps, 2_000_000)
	wait(&c.Trouble, 4*time.Minute)
	wait(&c.FaultEvery, 4*time.Second)
	wait(&c.Patience, defaultPatience)
	return c
}

// mixture is short tasks and some long ones, few of them longer than a slave may be silent; one in twenty fails.
func mixture(random *rand.Rand, _ *offer.Task) (time.Duration, offer.Exit) {
	runs := 10*time.Millisecond + time.Duration(random.Int64N(int64(20*time.Second)))
	if random.IntN(5) == 0 {
		runs = 20*time.Second + time.Duration(random.Int64N(int64(160*time.Second)))
	}
	if random.IntN(40) == 0 {
		runs = 3*time.Minute + time.Duration(random.Int64N(int64(15*time.Minute)))
	}
	if random.IntN(20) == 0 {
		return runs, offer.Exit{Code: 1}
	}
	return runs, offer.Exit{}
}

// A Witness is shown each event of a core before it is stepped, the effects after it, and when all is performed. A recorder is one.
type Witness interface {
	Event(now time.Time, ev mastercore.Event)
	Effects(effects []mastercore.Effect)
	Settled(now time.Time)
}

// Counts says what a run has met, so that a campaign can tell whether its faults bite.
type Counts struct {
	Reigns, Deposed, Unknown, SlaveCrashes, FrameworkCrashes, Cuts, Partitions, MarkedGone int
	Launched, Started                                                                      int
}

// A Report is the outcome of a run.
type Report struct {
	Seed      uint64
	Config    Config
	Hash      uint64 // of the trace
	Steps     int
	Faults    int
	Time      time.Duration // simulated
	Settled   time.Duration // from calm to convergence, in the last round
	Counts    Counts
	States    States
	Violation *Violation // nil when all went well
	Trace     []string   // the last lines, if Config.Keep
}

// Run runs one seed: rounds of trouble and calm, and a verdict at the end of each.
func Run(cfg Config) *Report {
	w := New(cfg)
	cfg = w.cfg
	var settled time.Duration
	for range cfg.Rounds {
		w.Trouble()
		w.until(w.now.Add(cfg.Trouble))
		settled = w.settle()
		if w.failed != nil {
			break
		}
		w.verdict()
		w.count()
		w.prune()
	}
	return &Report{Seed: cfg.Seed, Config: cfg, Hash: w.trace.sum, Steps: w.steps, Faults: w.Faults, Time: w.now.Sub(epoch), Settled: settled,
		Counts: w.counts, States: w.states, Violation: w.failed, Trace: w.trace.tail()}
}

// settle runs the calm world until all is done, or patience is at its end.
func (w *World) settle() time.Duration {
	if w.failed != nil {
		return 0
	}
	w.heal(w.cfg.Some)
	began := w.now
	for step := 1; w.failed == nil && w.now.Sub(began) < w.cfg.Patience; step++ {
		w.until(w.now.Add(10 * time.Second))
		w.operator.tidy()
		w.history.settling(step)
		if w.converged() == "" {
			settled := w.now.Sub(began)
			w.until(w.now.Add(30 * time.Second)) // for what is still on its way
			return settled
		}
	}
	return w.now.Sub(began)
}

func (w *World) count() {
	for _, r := range w.history.order {
		if r.launched {
			w.counts.Launched++
		}
		w.counts.Started += r.starts
	}
}

// prune forgets what the next round does not need.
func (w *World) prune() {
	w.history.prune()
	for _, f := range w.frameworks {
		if p, is := f.user.(*program); is {
			p.prune()
		}
	}
}

// SmallConfig is the world that a seed gets in a test: small, short, and another size for each.
func SmallConfig(seed uint64) Config {
	return Config{Seed: seed, Masters: 1 + 2*int(seed%3), Slaves: 2 + int(seed%5), Frameworks: 1 + int(seed%3), Tasks: 10 + int(seed%20),
		Wire: seed%2 == 0, Swarm: seed%4 != 0, Some: seed%3 == 0, Rich: seed%5 != 0}
}

// LongConfig is the world that a seed gets in a campaign: a cluster of the size at hand in which trouble never ends for long. Hours is about
// how much time passes in it.
func LongConfig(seed uint64, masters, slaves, frameworks, tasks int, hours float64) Config {
	cfg := Config{Seed: seed, Masters: masters, Slaves: slaves, Frameworks: frameworks, Tasks: tasks, Wire: seed%4 == 0, Swarm: true, Some: true,
		Rich: seed%8 != 1, Trouble: 50 * time.Minute, FaultEvery: time.Duration(10+seed%50) * time.Second, MaxSteps: 1 << 40}
	if cfg.Rounds = int(hours + 0.5); cfg.Rounds < 1 {
		cfg.Rounds, cfg.Trouble = 1, time.Duration(hours*float64(50*time.Minute))
	}
	return cfg
}

// Reproduce is the command that runs the seed again with its trace.
func (r *Report) Reproduce() string {
	return fmt.Sprintf("go run ./internal/sim/simulate -scenario FILE -trace 400, with what is printed above in FILE (seed %d)", r.Seed)
}
