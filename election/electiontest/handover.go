package electiontest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/meros-project/meros/election"
)

const handOvers = 5

// timeout is that of a Patient master: an age beside what a hand-over takes, and less than a check waits for a reign.
func (c *cluster) timeout() time.Duration { return c.patience / 5 }

// handedOver resigns where a leader of whom nothing is heard is given up only after a long time. A hand-over takes milliseconds, and one
// that is waited out no less than that time; the line between them is drawn in the middle, and most must be on the right side.
func handedOver(c *cluster) {
	if len(c.nodes) < 2 {
		c.tb.Log("not checked: there is nobody to hand over to")
		return
	}
	var took []time.Duration
	r := c.nextWithin(6 * c.patience) // there was nobody to hand over, so the first may have waited
	c.propose(&r, "begin")
	c.agree("begin")
	for range handOvers {
		began := time.Now()
		resigned := c.resign(r)
		next := c.next()
		took = append(took, time.Since(began))
		c.closed(resigned, "Resign")
		r = next
	}
	slices.Sort(took)
	c.tb.Logf("hand-overs took %v; a leader is given up after %v", took, c.timeout())
	c.require(took[handOvers/2] < c.timeout()/2, "most reigns that were resigned were waited out, not handed over: the next began after %v", took)
}

// transferred hands leadership to the master that led before, and back. One that hands it to whoever is next will, with three masters, name
// another.
func transferred(c *cluster) {
	if _, ok := c.nodes[0].elector.(election.Transferer); !ok || len(c.nodes) < 2 {
		c.tb.Log("not checked: these masters cannot hand over to one that is named, or there is but one")
		return
	}
	began := time.Now()
	before, id := -1, "" // who led before
	r := c.next()
	for hits := 0; hits < 4; {
		c.require(time.Since(began) < 2*c.patience, "leadership went to the master that was named %d times in %v", hits, time.Since(began))
		if !c.knowsItLeads(r) {
			r = c.next()
			continue
		}
		leader, _ := c.nodes[r.of].elector.Leader()
		named := before >= 0 && before != r.of
		if !named {
			c.closed(c.resign(r), "Resign")
		} else if err := c.transfer(r, id); err != nil {
			c.tb.Logf("reign %d was not handed to master %d: %v", r.Reign(), before, err)
			<-time.After(10 * time.Millisecond)
			if r.over() {
				r = c.next()
			}
			continue
		}
		next := c.later(r)
		_, _, err := c.proposed(r, fmt.Sprint("late in ", r.Reign()))
		c.require(isDeposed(err), "a proposal after Transfer: %v", err)
		if named && next.of == before {
			hits++
		} else if named {
			c.tb.Logf("reign %d was handed to master %d, and master %d leads", r.Reign(), before, next.of)
		}
		before, id, r = r.of, leader.ID, next
	}
	err := c.nodes[before].elector.(election.Transferer).Transfer(context.Background(), id)
	c.require(isDeposed(err) || r.over(), "Transfer on a master that does not lead: %v", err)
	c.require(c.transfer(r, "nobody") != nil, "leadership was handed to a master that is not there")
	c.propose(&r, "end")
	c.agree("end")
}

// later is the next reign after r, which has ended.
func (c *cluster) later(r reign) reign {
	next := c.next()
	for next.Reign() < r.Reign() { // one that was lost, and told late
		c.closed(next.Done(), "Done of a reign after which there was another")
		next = c.next()
	}
	c.require(next.Reign() > r.Reign(), "reign %d came after reign %d", next.Reign(), r.Reign())
	return next
}

func (c *cluster) transfer(r reign, id string) error {
	ctx, cancel := context.WithTimeout(context.Background(), c.patience)
	defer cancel()
	return c.nodes[r.of].elector.(election.Transferer).Transfer(ctx, id)
}
