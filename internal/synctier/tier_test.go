package synctier

import (
	"flag"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/meros-project/meros/offer"
)

var (
	firstSeed = flag.Uint64("seed", 1, "the first seed")
	seedCount = flag.Int("seeds", 12, "how many seeds")
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRealShellsKeepTheirPromisesUnderFaults(t *testing.T) {
	for i := range *seedCount {
		seed := *firstSeed + uint64(i)
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { runSeed(t, seed) })
		})
	}
}

func runSeed(t *testing.T, seed uint64) {
	c := newCluster(t, seed)
	began := time.Now()
	for time.Since(began) < 2*time.Minute {
		time.Sleep(c.between(0, 8*time.Second))
		c.strike()
	}
	c.heal()
	calm := time.Now()
	c.await("after trouble", time.Hour, func() string {
		for _, p := range c.frameworks {
			if why := p.unfinished(); why != "" {
				return why
			}
		}
		return ""
	})
	settled := time.Since(calm)
	c.await("one leader", time.Minute, c.divided)
	c.verdict()
	c.teardown()
	t.Logf("%d faults, %d reigns, %d tasks started for %d jobs, settled %v after the last fault", c.faults, len(c.reigns), len(c.starts),
		jobs*frameworks, settled.Round(time.Second))
}

// verdict is what must hold when all is quiet.
func (c *cluster) verdict() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, n := range c.starts {
		require.Equal(c.t, 1, n, "task %s was started %d times", id, n)
	}
	for _, p := range c.frameworks {
		p.mu.Lock()
		require.Len(c.t, p.done, jobs)
		for job, n := range p.done {
			require.Equal(c.t, 1, n, "%s", job)
		}
		for id, state := range p.states {
			if state == offer.Finished {
				require.Equal(c.t, 1, c.starts[id], "%s is said to have finished", id)
			}
		}
		p.mu.Unlock()
	}
	for i, r := range c.runners {
		require.Empty(c.t, r.Running(), "on %s", c.slaves[i].name)
	}
}

// teardown ends everything; the bubble fails the test if a goroutine is left.
func (c *cluster) teardown() {
	for i, p := range c.frameworks {
		require.NoError(c.t, p.session.Teardown())
		require.NoError(c.t, <-c.fprocs[i].done)
	}
	for _, p := range append(c.slaves, c.mprocs...) {
		p.stop(c.t)
	}
	synctest.Wait()
	require.Zero(c.t, c.network.Connections())
}
