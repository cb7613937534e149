package frameworktest

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meros-project/meros/framework"
)

const (
	look  = 10 * time.Second // between two looks at what is expected
	quiet = 30 * time.Second // for which it must hold: longer than offer.DefaultRefuse
)

// Run runs a scheduler through each of Config.Seeds seeds: a cluster begins, faults strike for Config.Trouble, everything is healed, and
// what is expected must come true within Config.Patience and stay so for half a minute. New makes a scheduler, for each run a fresh one.
//
// The test also fails when a rule of the cluster itself is broken, when a handler returns an error or panics, and when the scheduler leaves
// the simulated world; the package's documentation says how that is found out. The first seed is run twice for it. A failure prints the seed
// and the line that runs it again.
func Run(t testing.TB, cfg Config, scheduler func() framework.Scheduler, expect ...Expectation) {
	t.Helper()
	cfg = cfg.withDefaults(t)
	first := &diary{}
	for i := range cfg.Seeds {
		if i > 0 {
			cfg.Seed, first = cfg.Seed+1, nil
		}
		hash := run(t, cfg, scheduler, expect, first, false)
		if first != nil {
			first.hash = hash
			second := &diary{first: first}
			inBubble(t, func(t testing.TB, bubble bool) { run(t, cfg, scheduler, expect, second, bubble) })
		}
	}
}

// inBubble calls f in a bubble of package synctest, where t allows it.
func inBubble(t testing.TB, f func(t testing.TB, bubble bool)) {
	if t, is := t.(*testing.T); is {
		synctest.Test(t, func(t *testing.T) { f(t, true) })
		return
	}
	f(t, false)
}

// run runs one seed once.
func run(t testing.TB, cfg Config, scheduler func() framework.Scheduler, expect []Expectation, d *diary, bubble bool) uint64 {
	t.Helper()
	c := &Cluster{t: t, cfg: cfg, world: cfg.world()}
	c.watch()
	if bubble {
		c.bubble = time.Now()
	}
	var s framework.Scheduler
	c.inside("the function given to Run", func() { s = scheduler() })
	f := c.Start(cfg.Framework, s)
	f.diary = d
	c.Trouble(cfg.Trouble)
	var held time.Duration
	for patience := cfg.Patience; held < quiet; patience -= look {
		failed, hopeless := f.failures(expect)
		switch {
		case len(failed) == 0:
			held += look
		case hopeless || patience <= 0:
			c.fatal("%s", strings.Join(failed, "\n\t"))
		default:
			held = 0
		}
		c.advance(look)
	}
	c.strays("the scheduler")
	d.finish(c)
	c.check()
	return c.Hash()
}
