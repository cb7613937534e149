package allocator

import (
	"slices"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// Held returns what a framework holds, allotted or used, by slave and role in the order of their names. It is for tests and operators.
func (a *Hierarchical) Held(id offer.FrameworkID) []Allotment {
	f := a.frameworks[id]
	if f == nil {
		return nil
	}
	var out []Allotment
	for _, s := range a.slavesByID() {
		for _, c := range f.clients {
			if i := s.holder(c.handle); i >= 0 {
				out = append(out, Allotment{Framework: id, Role: c.role.name, Slave: s.id, Resources: s.held[i].res})
			}
		}
	}
	return out
}

// Free returns what is free on a slave, without shared volumes, which are never used up. It is for tests and operators.
func (a *Hierarchical) Free(id offer.SlaveID) resource.Resources {
	if s := a.slaveIndex[id]; s != nil {
		return s.free
	}
	return nil
}

func (s *slave) holder(client int32) int {
	return slices.IndexFunc(s.held, func(h holding) bool { return h.client == client })
}

// hold adds to what a client holds on a slave. What is free is not its business.
func (a *Hierarchical) hold(s *slave, c *client, res resource.Resources) {
	i := s.holder(c.handle)
	if i < 0 {
		i = len(s.held)
		s.held = append(s.held, holding{client: c.handle})
		c.holdings++
		a.maintained.stale = a.maintained.stale || s.maintenance != nil
	}
	a.account(c, newlyCounted(s.held[i].res, res), 1)
	s.held[i].res = s.held[i].res.Add(res)
	if s.held[i].res.Equal(s.total) { // as after an offer of all that is left: one copy will do
		s.held[i].res = s.total
	}
}

// unhold takes from what a client holds on a slave and returns how much of res that was.
func (a *Hierarchical) unhold(s *slave, c *client, res resource.Resources) resource.Resources {
	i := s.holder(c.handle)
	if i < 0 {
		return nil
	}
	left := resource.Resources(nil)
	if !same(s.held[i].res, res) {
		ok := false
		if left, ok = s.held[i].res.Sub(res); !ok {
			res = clip(s.held[i].res, res)
			left, _ = s.held[i].res.Sub(res)
		}
	}
	s.held[i].res = left
	if len(left) == 0 {
		s.held[i] = s.held[len(s.held)-1]
		s.held[len(s.held)-1] = holding{}
		s.held = s.held[:len(s.held)-1]
		c.holdings--
	}
	a.account(c, newlyCounted(left, res), -1)
	a.forgetClient(c)
	return res
}

// newlyCounted returns res without the shared volumes that are in old: a client counts each of them once.
func newlyCounted(old, res resource.Resources) resource.Resources {
	if traitsOf(res)&hasShared == 0 {
		return res
	}
	out := make(resource.Resources, 0, len(res))
	for i := range res {
		if !res[i].Shared || !old.Contains(res[i:i+1]) {
			out = append(out, res[i])
		}
	}
	return out
}

// account adds resources to what a client and the roles above it hold and consume, sign times, and moves them in their orders.
func (a *Hierarchical) account(c *client, res resource.Resources, sign int64) {
	x := &a.run
	x.sum.clear()
	x.sumPlain.clear()
	for i := range res {
		e := &res[i]
		if e.Type != resource.ScalarType {
			continue
		}
		k := a.kinds.of(e.Name)
		if k < 0 {
			continue
		}
		amount := sign * int64(e.Scalar)
		x.sum.add(k, amount)
		switch n := len(e.Reservations); {
		case e.Revocable:
		case n == 0:
			x.sumPlain.add(k, amount)
		default:
			// What is reserved to an ancestor counts there already.
			if owner := e.Reservations[n-1].Role; resource.IsDescendant(c.role.name, owner) {
				for r := c.role; r.name != owner; r = r.parent {
					a.consume(r, k, amount)
				}
			}
		}
	}
	c.held.addVec(x.sum, 1)
	c.role.direct.addVec(x.sum, 1)
	for r := c.role; r != a.root; r = r.parent {
		r.held.addVec(x.sum, 1)
		r.consumed.addVec(x.sumPlain, 1)
		if sign < 0 && r.blocked {
			a.wake(r)
		}
	}
	a.require(c.role)
	a.reorder(c)
}

// used is Used, and part of SlaveAdded.
func (a *Hierarchical) used(al Allotment) {
	s := a.slaveIndex[al.Slave]
	if s == nil || len(al.Resources) == 0 || al.Role == "" {
		return
	}
	a.hold(s, a.client(a.framework(al.Framework), al.Role), al.Resources)
	a.take(s, al.Resources)
	if s.mixed {
		a.markDirty(s)
	}
}

// recovered is Recovered.
func (a *Hierarchical) recovered(at int64, ev Recovered) {
	s, c := a.slaveIndex[ev.Slave], a.findClient(ev.Framework, ev.Role)
	if s == nil || c == nil {
		return
	}
	if ev.Refuse > 0 && c.subscribed && c.framework.active && len(ev.Resources) > 0 {
		a.addFilter(s, c, ev.Resources, at+int64(min(ev.Refuse, offer.MaxRefuse)))
	}
	if res := a.unhold(s, c, ev.Resources); len(res) > 0 {
		a.give(s, res)
	}
}

// converted is Converted. One whose From is not there is ignored.
func (a *Hierarchical) converted(ev Converted) {
	s := a.slaveIndex[ev.Slave]
	if s == nil {
		return
	}
	if ev.Framework == "" {
		if !s.free.Contains(only(ev.From, false)) || !s.shared.Contains(only(ev.From, true)) {
			return
		}
	} else {
		c := a.findClient(ev.Framework, ev.Role)
		if c == nil {
			return
		}
		i := s.holder(c.handle)
		if i < 0 {
			return
		}
		if _, ok := s.held[i].res.Sub(ev.From); !ok {
			return
		}
		// First in, then out, so that the client is not forgotten in between.
		a.hold(s, c, ev.To)
		a.unhold(s, c, ev.From)
	}
	total, ok := s.total.Sub(ev.From)
	if !ok {
		total, _ = s.total.Sub(clip(s.total, ev.From))
	}
	total = total.Add(ev.To)
	if !ok || !ev.From.Unstacked().Equal(ev.To.Unstacked()) {
		a.setTotal(s, total)
		return
	}
	// The common case: the same amounts under other reservations. No share changes.
	a.reserve(ev.To, 1)
	a.reserve(ev.From, -1)
	s.total = total
	a.derive(s)
	a.refree(s)
}
