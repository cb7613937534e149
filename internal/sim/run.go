package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// Config of a run. The zero value of each field but Seed has a default.
type Config struct {
	Seed       uint64
	Masters    int           // defaults to 3
	Slaves     int           // defaults to 4
	Frameworks int           // modelled ones; defaults to 2, negative for none
	Tasks      int           // that each framework wants; defaults to 30
	Trouble    time.Duration // how long faults go on; defaults to 4 min
	FaultEvery time.Duration // mean time between them; defaults to 4 s
	Patience   time.Duration // how long all may take to settle once it is calm; defaults to 40 min
	MaxSteps   int           // defaults to 2,000,000
	Wire       bool          // messages, entries, snapshots and journals go through internal/wire
	// Resources of each slave. Defaults to cpus:4;mem:4096;ports:[31000-31099].
	Resources resource.Resources
	// Runs says how long a task runs and how it ends; random is the world's own. Defaults to a mixture.
	Runs func(random *rand.Rand, task *offer.Task) (time.Duration, offer.Exit)
	// LyingDisk makes crashed slaves lose a fifth of what was flushed, to show that the checkers notice. Defaults to false.
	LyingDisk bool
	Keep      int // lines of the trace to keep for the report; defaults to 0
	// Swap, if not nil, gives what takes the place of a leader's core before each of its events: the same core, or one that was restored.
	Swap func(*mastercore.Core) *mastercore.Core
	// Witness, if not nil, is called at the beginning of each reign; what it returns sees all that the core sees and does.
	Witness func(now time.Time, core *mastercore.Core) Witness
}

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
		c.Resources = resource.Must("cpus:4;mem:4096;ports:[31000-31099]")
	}
	if c.Runs == nil {
		c.Runs = mixture
	}
	set(&c.Masters, 3)
	set(&c.Slaves, 4)
	set(&c.Frameworks, 2)
	set(&c.Tasks, 30)
	set(&c.MaxSteps, 2_000_000)
	wait(&c.Trouble, 4*time.Minute)
	wait(&c.FaultEvery, 4*time.Second)
	wait(&c.Patience, 40*time.Minute)
	return c
}

// mixture is short tasks and some long ones, of which one in twenty fails.
func mixture(random *rand.Rand, _ *offer.Task) (time.Duration, offer.Exit) {
	runs := 10*time.Millisecond + time.Duration(random.Int64N(int64(20*time.Second)))
	if random.IntN(5) == 0 {
		runs = 20*time.Second + time.Duration(random.Int64N(int64(160*time.Second)))
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
	Launched, Started, Dropped                                                             int
}

// A Report is the outcome of a run.
type Report struct {
	Seed      uint64
	Hash      uint64 // of the trace
	Steps     int
	Settled   time.Duration // from calm to convergence
	Counts    Counts
	Violation *Violation // nil when all went well
	Trace     []string   // the last lines, if Config.Keep
}

// Reproduce is the command that runs the seed again with its trace.
func (r *Report) Reproduce() string {
	return fmt.Sprintf("go run ./internal/sim/simulate -seeds 1 -seed %d -trace 400", r.Seed)
}

// Run runs one seed: trouble, then calm, then the verdict.
func Run(cfg Config) *Report {
	w := New(cfg)
	cfg = w.cfg
	w.faults()
	w.until(epoch.Add(cfg.Trouble))
	settled := w.settle()
	if w.failed == nil {
		w.verdict()
	}
	w.count()
	return &Report{Seed: cfg.Seed, Hash: w.trace.sum, Steps: w.steps, Settled: settled, Counts: w.counts, Violation: w.failed,
		Trace: w.trace.tail()}
}

// settle runs the calm world until all is done, or patience is at its end.
func (w *World) settle() time.Duration {
	if w.failed != nil {
		return 0
	}
	w.heal()
	began := w.now
	for w.failed == nil && w.now.Sub(began) < w.cfg.Patience {
		w.until(w.now.Add(10 * time.Second))
		w.operate()
		if w.converged() == "" {
			settled := w.now.Sub(began)
			w.until(w.now.Add(30 * time.Second)) // for what is still on its way
			return settled
		}
	}
	return w.now.Sub(began)
}

// operate is the operator, who vouches for the end of slaves that no machine is any more: one that lost its identity before it was on disk
// came back as another.
func (w *World) operate() {
	if w.log.leader == nil {
		return
	}
	held := map[offer.SlaveID]bool{} // looked up
	for _, s := range w.slaves {
		if s.core != nil {
			held[s.core.SlaveID()] = true
		}
	}
	r := w.log.leader
	for s := range r.core.View().Slaves() {
		if s.State == mastercore.SlaveUnreachable && !held[s.ID] {
			w.note("op", "marks %s gone", s.ID)
			w.counts.MarkedGone++
			r.step(mastercore.Called{Token: 1, Call: message.Operate{Verb: message.VerbMarkGone, Slave: s.ID}})
		}
	}
}

func (w *World) count() {
	for _, r := range w.history.order {
		if r.launched {
			w.counts.Launched++
		}
		w.counts.Started += r.starts
	}
	for _, f := range w.frameworks {
		p, is := f.user.(*program)
		if !is {
			continue
		}
		for _, j := range p.tasks {
			if j.state == offer.Dropped {
				w.counts.Dropped++
			}
		}
	}
}

func (t *trace) tail() []string {
	if len(t.last) > t.keep {
		return t.last[len(t.last)-t.keep:]
	}
	return t.last
}

// RunSeed runs the world that a campaign gives to a seed: its size and the use of the wire encoding follow from the seed.
func RunSeed(seed uint64, keep int) *Report {
	return Run(Config{Seed: seed, Masters: 1 + 2*int(seed%3), Slaves: 2 + int(seed%5), Frameworks: 1 + int(seed%3), Tasks: 10 + int(seed%20),
		Wire: seed%2 == 0, Keep: keep})
}
