package core

import "time"

// A role's offers: whether they are wanted, and what the master was told of it.
type role struct {
	name    string
	waiting int // units in the queue

	told       bool // the master knows
	suppressed bool
	refused    bool // offers were refused for a time since the last revive
	fresh      bool // something waits that has not seen what was refused
	revived    time.Time
	reviveAt   time.Time
}

// ready says that more waits.
func (r *role) ready(n int) {
	r.waiting += n
	r.fresh = true
}

// changed says that what was refused may be good now.
func (r *role) changed() { r.fresh = true }

// renew forgets what an earlier master was told.
func (r *role) renew() { r.told, r.refused, r.revived = false, false, time.Time{} }

// idleRefuse is how long offers are refused for which there is no use at all: until a revive.
const idleRefuse = 10 * time.Minute

// refuse is for how long offers of a role are not to come again.
func (c *Core) refuseFor(r *role) time.Duration {
	r.refused = true
	if r.waiting == 0 {
		return idleRefuse
	}
	return c.cfg.Refuse
}

// demand stops offers that nobody waits for, and asks for those that somebody does.
func (c *Core) demand() {
	for _, r := range c.order {
		r.reviveAt = time.Time{}
		switch {
		case !c.subscribed:
		case r.waiting == 0:
			if !r.told || !r.suppressed {
				r.told, r.suppressed = true, true
				c.effect(Suppress{r.name})
			}
			r.fresh = false
		case !r.told || r.suppressed || r.refused && r.fresh:
			if at := r.revived.Add(c.cfg.ReviveEvery); r.told && !r.suppressed && !r.revived.IsZero() && at.After(c.now) {
				r.reviveAt = at
				continue
			}
			r.told, r.suppressed, r.refused, r.fresh, r.revived = true, false, false, false, c.now
			c.effect(Revive{r.name})
		}
	}
}
