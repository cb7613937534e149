package allocator

import (
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
			if i := a.holder(s, c.handle); i >= 0 {
				out = append(out, Allotment{Framework: id, Role: c.role.name, Slave: s.id, Resources: a.value(a.holding(s, i).lot())})
			}
		}
	}
	return out
}

// Free returns what is free on a slave, without shared volumes, which are never used up. It is for tests and operators.
func (a *Hierarchical) Free(id offer.SlaveID) resource.Resources {
	if s := a.slaveIndex[id]; s != nil {
		return a.value(s.free)
	}
	return nil
}

func (a *Hierarchical) holder(s *slave, client int32) int {
	for i, h := range a.words.words(s.held) {
		if holding(h).client() == client {
			return i
		}
	}
	return -1
}

func (a *Hierarchical) holding(s *slave, i int) holding { return holding(a.words.words(s.held)[i]) }

func (a *Hierarchical) setHolding(s *slave, i int, h holding) { a.words.words(s.held)[i] = uint64(h) }

// hold adds to what a client holds on a slave. What is free is not its business.
func (a *Hierarchical) hold(s *slave, c *client, l lot) {
	i := a.holder(s, c.handle)
	if i < 0 {
		i = int(s.held.n)
		a.words.insert(&s.held, i, uint64(newHolding(c.handle, 0)))
		c.holdings++
		a.reconsider(s)
	}
	was := a.holding(s, i).lot()
	a.account(c, a.newlyCounted(was, l), 1)
	a.setHolding(s, i, newHolding(c.handle, a.add(was, l)))
}

// unhold takes from what a client holds on a slave and returns how much of it that was.
func (a *Hierarchical) unhold(s *slave, c *client, l lot) lot {
	i := a.holder(s, c.handle)
	if i < 0 {
		return 0
	}
	was := a.holding(s, i).lot()
	left := a.sub(was, l)
	if left == failed {
		l = a.intern(clip(a.value(was), a.value(l)))
		left = a.sub(was, l)
	}
	if left != 0 {
		a.setHolding(s, i, newHolding(c.handle, left))
	} else {
		a.setHolding(s, i, a.holding(s, int(s.held.n)-1))
		a.words.delete(&s.held, int(s.held.n)-1)
		c.holdings--
	}
	a.account(c, a.newlyCounted(left, l), -1)
	a.forgetClient(c)
	return l
}

// newlyCounted returns l without the shared volumes that are in old: a client counts each of them once.
func (a *Hierarchical) newlyCounted(old, l lot) lot {
	if a.lot(l).traits&hasShared == 0 {
		return l
	}
	m, known := a.lots.recall(opNew, l, old)
	if known {
		return m.result
	}
	res := a.value(l)
	out := make(resource.Resources, 0, len(res))
	for i := range res {
		if !res[i].Shared || !a.value(old).Contains(res[i:i+1]) {
			out = append(out, res[i])
		}
	}
	*m = remembered{l, old, a.intern(out), opNew}
	return m.result
}

// account adds resources to what a client and the roles above it hold and consume, sign times, and moves them in their orders.
func (a *Hierarchical) account(c *client, l lot, sign int64) {
	in := a.lot(l)
	if in.traits&hasReserved != 0 {
		a.accountReserved(c, in.res, sign)
	}
	c.held.addVec(in.all, sign)
	c.role.direct.addVec(in.all, sign)
	for r := c.role; r != a.root; r = r.parent {
		r.held.addVec(in.all, sign)
		r.consumed.addVec(in.plain, sign)
		if sign < 0 && r.blocked {
			a.wake(r)
		}
	}
	a.require(c.role)
	a.reorder(c)
}

// accountReserved counts what a client holds of reservations as consumption of the roles below the one that each is reserved to: what is
// reserved to an ancestor counts there already.
func (a *Hierarchical) accountReserved(c *client, res resource.Resources, sign int64) {
	for i := range res {
		e := &res[i]
		if e.Type != resource.ScalarType || e.Revocable || len(e.Reservations) == 0 {
			continue
		}
		k := a.kinds.of(e.Name)
		if owner := e.Reservations[len(e.Reservations)-1].Role; k >= 0 && resource.IsDescendant(c.role.name, owner) {
			for r := c.role; r.name != owner; r = r.parent {
				a.consume(r, k, sign*int64(e.Scalar))
			}
		}
	}
}

// used is Used, and part of SlaveAdded.
func (a *Hierarchical) used(al Allotment) {
	s := a.slaveIndex[al.Slave]
	if s == nil || len(al.Resources) == 0 || al.Role == "" {
		return
	}
	l := a.intern(al.Resources)
	a.hold(s, a.client(a.framework(al.Framework), al.Role), l)
	a.take(s, l)
	if s.mixed { // what is left is cut otherwise
		a.markDirty(s)
	}
}

// recovered is Recovered.
func (a *Hierarchical) recovered(at int64, ev Recovered) {
	s, c := a.slaveIndex[ev.Slave], a.findClient(ev.Framework, ev.Role)
	if s == nil || c == nil {
		return
	}
	l := a.lotOf(s, c, ev.Resources)
	refuse := ev.Refuse > 0 && c.subscribed && c.framework.active && l != 0
	from, to := 0, 0
	if refuse {
		from, to = a.addFilter(s, c, l, at+int64(min(ev.Refuse, offer.MaxRefuse)))
	}
	back := a.unhold(s, c, l)
	if back != 0 {
		a.give(s, back)
	}
	if refuse && l == s.free && s.shared == 0 {
		// Everything that is free is refused. Say so, and the next run need not find out.
		a.see(s)
		if !a.filtered(s, c.handle) {
			a.judgePairs(s, c.handle, from, to)
		}
	}
}

// lotOf is intern for something that is likely to be what c holds on s.
func (a *Hierarchical) lotOf(s *slave, c *client, res resource.Resources) lot {
	if i := a.holder(s, c.handle); i >= 0 {
		if l := a.holding(s, i).lot(); same(a.value(l), res) {
			return l
		}
	}
	return a.intern(res)
}

// see makes the verdicts of a slave be about what is free now.
func (a *Hierarchical) see(s *slave) {
	if s.seen != s.free {
		a.unjudge(s)
		s.seen = s.free
	}
}

// covers reports whether y can be taken from x.
func (a *Hierarchical) covers(x, y lot) bool {
	if a.lot(y).traits&hasShared == 0 {
		return a.contains(x, y)
	}
	return a.sub(x, y) != failed // counts what is shared
}

// sameKinds reports whether amounts of x and of y could be one entry.
func sameKinds(x, y resource.Resources) bool {
	for i := range x {
		for j := range y {
			if x[i].SameKind(y[j]) {
				return true
			}
		}
	}
	return false
}

// converted is Converted. One whose From is not there is ignored.
func (a *Hierarchical) converted(ev Converted) {
	s := a.slaveIndex[ev.Slave]
	if s == nil {
		return
	}
	from, to := a.intern(ev.From), a.intern(ev.To)
	all := failed // what the framework holds now, if that was all of the slave and so still is
	if ev.Framework == "" {
		if !a.contains(s.free, a.restOf(from)) || !a.contains(s.shared, a.sharedOf(from)) {
			return
		}
	} else {
		c := a.findClient(ev.Framework, ev.Role)
		if c == nil {
			return
		}
		i := a.holder(s, c.handle)
		if i < 0 || !a.covers(a.holding(s, i).lot(), from) {
			return
		}
		same := a.holding(s, i).lot() == s.total && !sameKinds(ev.From, ev.To)
		// First in, then out, so that the client is not forgotten in between.
		a.hold(s, c, to)
		a.unhold(s, c, from)
		if i = a.holder(s, c.handle); same && i >= 0 {
			all = a.holding(s, i).lot()
		}
	}
	total, ok := all, true
	if all == failed {
		rest := a.sub(s.total, from)
		if ok = rest != failed; !ok {
			rest = a.sub(s.total, a.intern(clip(a.value(s.total), ev.From)))
		}
		total = a.add(rest, to)
	}
	if !ok || !ev.From.Unstacked().Equal(ev.To.Unstacked()) {
		a.setTotal(s, total)
		return
	}
	// The common case: the same amounts under other reservations. No share changes.
	a.reserve(to, 1)
	a.reserve(from, -1)
	s.total = total
	a.derive(s)
	a.refree(s)
}
