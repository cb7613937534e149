package frameworktest

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/internal/sim"
)

// A Cluster is a simulated one. It belongs to the test's goroutine.
type Cluster struct {
	t          testing.TB
	cfg        Config
	world      *sim.World
	frameworks []*Framework
	troubles   []trouble
	began      time.Time

	owner  string          // the test's goroutine
	marked context.Context // labels what handlers start
	mark   string
	clean  int            // how many goroutines there were when none was a handler's
	site   atomic.Uintptr // from where handlers are called
	bubble time.Time      // when the bubble began whose clock follows the virtual one; zero if there is none

	mu        sync.Mutex
	complaint string // about a scheduler that leaves the world
}

// A trouble is a time in which faults strike.
type trouble struct{ from, to time.Time }

// New makes a cluster at the beginning of its time: masters elect a leader and slaves register once time passes. It is for tests that
// have steps of their own; others call Run.
func New(t testing.TB, cfg Config) *Cluster {
	t.Helper()
	cfg = cfg.withDefaults(t)
	c := &Cluster{t: t, cfg: cfg, world: cfg.world()}
	c.watch()
	return c
}

// Start starts a framework. Of cfg, what concerns the connection is not needed.
func (c *Cluster) Start(cfg framework.Config, scheduler framework.Scheduler) *Framework {
	c.t.Helper()
	f := &Framework{c: c, cfg: cfg, tasks: map[key]*task{}}
	o := f.observe(scheduler)
	f.guest = c.world.Attach(o)
	o.bindClock()
	c.frameworks = append(c.frameworks, f)
	return f
}

// Now is the true virtual time. The scheduler has a clock of its own, Session.Now, which may jump and drift if faults say so.
func (c *Cluster) Now() time.Time { return c.world.Now() }

// Run lets time pass.
func (c *Cluster) Run(d time.Duration) {
	c.t.Helper()
	c.advance(d)
	c.strays("the scheduler")
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
		c.advance(100 * time.Millisecond)
	}
}

// Trouble lets the faults of Config.Faults strike for a while, and then heals everything. It lets time pass if they are Calm.
func (c *Cluster) Trouble(d time.Duration) {
	c.t.Helper()
	if c.cfg.Faults == Calm {
		c.Run(d)
		return
	}
	from := c.Now()
	c.world.Trouble()
	c.advance(d)
	c.world.Heal()
	c.troubles = append(c.troubles, trouble{from, c.Now()})
	c.strays("the scheduler")
	c.check()
}

// advance lets time pass, and stops early when something is wrong.
func (c *Cluster) advance(d time.Duration) {
	c.t.Helper()
	const step = 10 * time.Second
	for ; d > step; d -= step {
		c.world.Advance(step)
		c.check()
	}
	c.world.Advance(d)
	c.check()
}

// calm is how much of the time between two moments was without trouble.
func (c *Cluster) calm(from, to time.Time) time.Duration {
	d := to.Sub(from)
	for _, x := range c.troubles {
		begin, end := x.from, x.to
		if begin.Before(from) {
			begin = from
		}
		if end.After(to) {
			end = to
		}
		if both := end.Sub(begin); both > 0 {
			d -= both
		}
	}
	return d
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

// Running is how many processes of tasks run in the cluster.
func (c *Cluster) Running() int { return c.world.Running() }

// Hash is that of everything that has happened: the same seed and scheduler give the same.
func (c *Cluster) Hash() uint64 { return c.world.Hash() }

// check fails the test when a rule of the cluster is broken, a session has ended with an error, or a scheduler has left the world.
func (c *Cluster) check() {
	c.t.Helper()
	c.mu.Lock()
	complaint := c.complaint
	c.mu.Unlock()
	if complaint != "" {
		c.fatal("%s", complaint)
	}
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
	args = append(append([]any{c.cfg.Seed}, args...), again(c.t.Name(), c.cfg.Seed))
	c.t.Fatalf("frameworktest: seed %d: "+format+"\nrun it again: %s", args...)
}
