package frameworktest

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/internal/sim"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// Config of a simulated cluster. The zero value is three masters and four slaves, whose tasks take a second.
type Config struct {
	// Seed decides everything that is left to chance. Defaults to 1. The test flag -meros.seed goes before it.
	Seed uint64
	// Seeds is how many seeds Run goes through: Seed, Seed+1 and so on. Defaults to 1.
	Seeds int

	// Masters defaults to 3, Slaves to 4.
	Masters, Slaves int
	// Resources of each slave. Defaults to cpus:4;mem:4096;disk:4096;ports:[31000-31099].
	Resources resource.Resources
	// Runs says how long a task runs and how it ends; random is the world's own. Defaults to one second and exit status 0.
	Runs func(random *rand.Rand, task *offer.Task) (time.Duration, offer.Exit)

	// Checks answers a task's check, or its health check, when the task has run for so long; random is one of its own. Defaults to what is
	// good: a command that exits with 0, HTTP status 200, a connection. Nobody is asked about tasks of custom executors.
	Checks func(random *rand.Rand, task *offer.Task, check *offer.Check, runs time.Duration) offer.CheckResult

	// Faults are the kinds of trouble that may strike. Defaults to all, of which each seed draws about half.
	Faults Faults
	// FaultEvery is the mean time between two of those that strike now and then. Defaults to 4 s.
	FaultEvery time.Duration
	// Trouble is how long they strike in Run. Defaults to 5 min.
	Trouble time.Duration
	// Patience is how long everything may take in Run to come to its end when trouble is over. Defaults to 1 h.
	Patience time.Duration

	// Framework is what Run's scheduler says about itself. What concerns the connection is not needed. Name defaults to the test's, and
	// FailoverTimeout to a week: a framework that is cut off for longer is over, and no scheduler could help it.
	Framework framework.Config
	// Keep is how many lines of the trace a failure prints. Defaults to 100.
	Keep int
}

func (cfg Config) withDefaults(t testing.TB) Config {
	if cfg.Seed == 0 {
		cfg.Seed = 1
	}
	if *onlySeed != 0 {
		cfg.Seed, cfg.Seeds = *onlySeed, 1
	}
	cfg.Seeds = max(cfg.Seeds, 1)
	if cfg.Keep == 0 {
		cfg.Keep = 100
	}
	if cfg.Runs == nil {
		cfg.Runs = func(*rand.Rand, *offer.Task) (time.Duration, offer.Exit) { return time.Second, offer.Exit{} }
	}
	if cfg.Trouble == 0 {
		cfg.Trouble = 5 * time.Minute
	}
	if cfg.Patience == 0 {
		cfg.Patience = time.Hour
	}
	if cfg.Framework.Name == "" {
		cfg.Framework.Name = t.Name()[:min(len(t.Name()), offer.MaxID)]
	}
	if cfg.Framework.FailoverTimeout == 0 {
		cfg.Framework.FailoverTimeout = 7 * 24 * time.Hour
	}
	return cfg
}

// world is the simulated world of a Config with its defaults.
func (cfg Config) world() *sim.World {
	classes, draw := cfg.Faults.classes()
	w := sim.New(sim.Config{Seed: cfg.Seed, Masters: cfg.Masters, Slaves: cfg.Slaves, Frameworks: -1, Resources: cfg.Resources, Runs: cfg.Runs, Probes: cfg.Checks,
		FaultEvery: cfg.FaultEvery, Keep: cfg.Keep, MaxSteps: 1 << 40, Faults: classes, Swarm: draw})
	w.Calm()
	return w
}
