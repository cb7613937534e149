package frameworktest

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/internal/sim"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// Config of a Cluster. The zero value is a calm cluster of three masters and four slaves.
type Config struct {
	// Seed decides everything that is left to chance. Defaults to 1.
	Seed uint64
	// Masters defaults to 3, Slaves to 4.
	Masters, Slaves int
	// Resources of each slave. Defaults to cpus:4;mem:4096;ports:[31000-31099].
	Resources resource.Resources
	// Runs says how long a task runs and how it ends. Defaults to one second and exit status 0.
	Runs func(random *rand.Rand, task *offer.Task) (time.Duration, offer.Exit)
	// FaultEvery is the mean time between two faults of Trouble. Defaults to 4 s.
	FaultEvery time.Duration
	// Keep is how many lines of the trace a failure prints. Defaults to 100.
	Keep int
}

// A Cluster is a simulated one. It belongs to the test's goroutine.
type Cluster struct {
	t          testing.TB
	cfg        Config
	world      *sim.World
	frameworks []*Framework
}

// New makes a cluster at the beginning of its time: masters elect a leader and slaves register once time passes.
func New(t testing.TB, cfg Config) *Cluster {
	t.Helper()
	if cfg.Seed == 0 {
		cfg.Seed = 1
	}
	if cfg.Keep == 0 {
		cfg.Keep = 100
	}
	if cfg.Runs == nil {
		cfg.Runs = func(*rand.Rand, *offer.Task) (time.Duration, offer.Exit) { return time.Second, offer.Exit{} }
	}
	w := sim.New(sim.Config{Seed: cfg.Seed, Masters: cfg.Masters, Slaves: cfg.Slaves, Frameworks: -1, Resources: cfg.Resources, Runs: cfg.Runs,
		FaultEvery: cfg.FaultEvery, Keep: cfg.Keep, MaxSteps: 1 << 40, Swarm: true,
		Faults: sim.AllFaults &^ (sim.FaultOperator | sim.FaultLeave | sim.FaultHostile)}) // what nobody but the program itself could set right
	w.Calm()
	return &Cluster{t: t, cfg: cfg, world: w}
}

// A Framework is one that was started on a Cluster.
type Framework struct {
	c       *Cluster
	cfg     framework.Config
	guest   *sim.Guest
	session *framework.Session
}

// Start starts a framework. Of cfg, what concerns the connection is not needed.
func (c *Cluster) Start(cfg framework.Config, scheduler framework.Scheduler) *Framework {
	c.t.Helper()
	f := &Framework{c: c, cfg: cfg}
	d := f.driver(scheduler)
	f.guest = c.world.Attach(d)
	c.frameworks = append(c.frameworks, f)
	return f
}

func (f *Framework) driver(scheduler framework.Scheduler) *framework.Driver {
	f.c.t.Helper()
	d, err := framework.NewDriver(f.c.t.Context(), f.cfg, scheduler)
	if err != nil {
		f.c.t.Fatalf("frameworktest: %v", err)
	}
	f.session = d.Session()
	return d
}

// Session is the framework's present session, for calls from outside of handlers.
func (f *Framework) Session() *framework.Session { return f.session }

// Restart kills the scheduler's process and starts another one under the same id: it knows what it brings along, and nothing else.
func (f *Framework) Restart(scheduler framework.Scheduler) {
	f.c.t.Helper()
	f.cfg.ID = f.session.ID()
	f.guest.Replace(f.driver(scheduler))
}

// Ended reports whether the session is over, and with what; nil after a teardown.
func (f *Framework) Ended() (err error, ended bool) { return f.guest.Ended() }

// Now is the virtual time.
func (c *Cluster) Now() time.Time { return c.world.Now() }

// Run lets time pass.
func (c *Cluster) Run(d time.Duration) {
	c.t.Helper()
	c.world.Advance(d)
	c.check()
}

// Until lets time pass until cond is true, which is asked every 100 ms of virtual time. It fails the test after limit.
func (c *Cluster) Until(limit time.Duration, cond func() bool) {
	c.t.Helper()
	end := c.world.Now().Add(limit)
	for !cond() {
		if !c.world.Now().Before(end) {
			c.fatal("nothing came of it within %v", limit)
		}
		c.world.Advance(100 * time.Millisecond)
		c.check()
	}
}

// Trouble lets masters, slaves and connections fail at random for a while, and then heals everything.
func (c *Cluster) Trouble(d time.Duration) {
	c.t.Helper()
	c.world.Trouble()
	c.world.Advance(d)
	c.world.Heal()
	c.check()
}

// KillLeader kills the leading master, which starts again after a while. It fails the test when nobody leads.
func (c *Cluster) KillLeader(after time.Duration) {
	c.t.Helper()
	if !c.world.KillLeader(after) {
		c.fatal("nobody leads")
	}
}

// CrashSlave kills the process of a slave, counted from 0; its tasks go on, and it starts again after a while.
func (c *Cluster) CrashSlave(i int, after time.Duration) {
	c.world.CrashSlave(i%c.world.Slaves(), after)
}

// CutSlave cuts a slave, counted from 0, off for a while.
func (c *Cluster) CutSlave(i int, d time.Duration) { c.world.CutSlave(i%c.world.Slaves(), d) }

// Started is how often a process of one of the framework's tasks was started: the cluster promises once at most.
func (f *Framework) Started(task offer.TaskID) int { return f.c.world.Started(f.session.ID(), task) }

// Running is how many processes of tasks run in the cluster.
func (c *Cluster) Running() int { return c.world.Running() }

// Hash is that of everything that has happened: the same seed and scheduler give the same.
func (c *Cluster) Hash() uint64 { return c.world.Hash() }

func (c *Cluster) check() {
	c.t.Helper()
	if v := c.world.Failed(); v != nil {
		c.fatal("%v", v)
	}
	for _, f := range c.frameworks {
		if err, ended := f.guest.Ended(); ended && err != nil {
			c.fatal("framework %s ended: %v", f.cfg.Name, err)
		}
	}
}

func (c *Cluster) fatal(format string, args ...any) {
	c.t.Helper()
	c.t.Log("the last events:\n" + strings.Join(c.world.Trace(), "\n"))
	c.t.Fatalf("frameworktest: seed %d: "+format, append([]any{c.cfg.Seed}, args...)...)
}
