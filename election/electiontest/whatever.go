package electiontest

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

const (
	proposers   = 8
	keys        = 3
	perRound    = 40 // swaps of each proposer
	chaosRounds = 5
)

// whatever swaps values from many proposers, each in any reign that has not ended, while reigns are resigned and masters are stopped,
// started and cut off.
func whatever(c *cluster) {
	seed := rand.Uint64()
	c.tb.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	for round := range chaosRounds {
		r := c.next()
		var lost atomic.Bool
		var all sync.WaitGroup
		for p := range proposers {
			from := rand.New(rand.NewPCG(seed, uint64(round*proposers+p+2)))
			all.Go(func() { c.swapper(from, round, p, &lost) })
		}
		began, had := time.Now(), c.history.length()
		for c.history.length() < had+proposers*perRound/4 && !r.over() && time.Since(began) < c.patience {
			<-time.After(time.Millisecond)
		}
		c.fault(rnd, r)
		lost.Store(true)
		c.within("the end of every proposer", all.Wait)
		c.heal()
	}
	r := c.next()
	c.propose(&r, "end")
	c.agree("end")
}

// fault ends the reign r in one of the ways that this cluster knows.
func (c *cluster) fault(rnd *rand.Rand, r reign) {
	ways := []string{"resign", "resign"}
	n := c.nodes[r.of]
	if !n.Forgets {
		ways = append(ways, "restart", "restart all")
	}
	if n.Cut != nil && len(c.nodes) > 1 {
		ways = append(ways, "cut", "cut")
	}
	way := ways[rnd.IntN(len(ways))]
	c.tb.Logf("reign %d of master %d: %s", r.Reign(), r.of, way)
	switch way {
	case "resign":
		c.closed(c.resign(r), "Resign")
	case "restart":
		c.restart(r.of)
	case "restart all":
		c.stopAll()
		c.startAll()
	case "cut":
		n.Cut()
	}
	c.closed(r.Done(), "Done of a reign that was ended")
}

// swapper proposes until it has done its part or the leader is lost.
func (c *cluster) swapper(rnd *rand.Rand, round, p int, lost *atomic.Bool) {
	for i := 0; i < perRound && !lost.Load(); i++ {
		r, ok := c.any(rnd)
		if !ok {
			<-time.After(time.Millisecond)
			continue
		}
		entry := fmt.Sprintf("%sk%d v%d.%d.%d", swapPrefix, rnd.IntN(keys), round, p, i)
		c.batch(r, 1, func(int) string { return entry }).wait()
	}
}

// any returns a reign that has not ended, as far as its Term says.
func (c *cluster) any(rnd *rand.Rand) (reign, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var left []reign
	for _, r := range c.present {
		if !r.over() {
			left = append(left, r)
		}
	}
	c.present = left
	if len(left) == 0 {
		return reign{}, false
	}
	return left[rnd.IntN(len(left))], true
}

func (h *history) length() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.ops)
}
