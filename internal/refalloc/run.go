package refalloc

import (
	"cmp"
	"slices"
	"time"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
	"github.com/meros-project/meros/offer/resource"
)

// Run tries every slave with every client; see allocator.Allocator.
func (a *Allocator) Run(now time.Time, out []allocator.Allotment) []allocator.Allotment {
	a.now = now
	for _, s := range a.fleet {
		s.expire(now)
	}
	a.tally()
	before := len(out)
	for _, s := range a.turns() {
		if a.takesPart(s) {
			out = a.serve(s, out)
		}
	}
	a.changed = len(out) > before
	if a.changed {
		a.runs++
	}
	return out
}

// turns returns the slaves in the order in which this run tries them: those on which somebody's needs are free before the others.
func (a *Allocator) turns() []*slave {
	var needs []resource.Quantities
	for _, c := range a.clients {
		if c.enabled() {
			needs = append(needs, c.needs...)
		}
	}
	out := slices.Clone(a.fleet)
	for _, s := range out {
		s.turn, s.late = mix64(a.cfg.Seed, a.runs, s.seq), 0
		if len(needs) > 0 && !scalars(s.free).enough(needs) {
			s.late = 1
		}
	}
	slices.SortFunc(out, func(x, y *slave) int {
		return cmp.Or(cmp.Compare(x.late, y.late), cmp.Compare(x.turn, y.turn), cmp.Compare(x.seq, y.seq))
	})
	return out
}

// serve allots what a slave has free until nobody takes any of it. One client a run gets its shared volumes.
func (a *Allocator) serve(s *slave, out []allocator.Allotment) []allocator.Allotment {
	v := &visit{slave: s, sharing: true, given: map[*client]int{}}
	for len(s.free) > 0 || v.sharing && len(s.Resources.Shared()) > 0 {
		c, res := a.pick(v)
		if c == nil {
			break
		}
		if len(res.Shared()) > 0 {
			v.sharing = false
			s.shown[c.key()] = true
		}
		out = a.allot(v, c, res, out)
	}
	return out
}

// visit is a run's look at one slave.
type visit struct {
	slave      *slave
	sharing    bool            // its shared volumes are still to be had
	given      map[*client]int // who was allotted something of it, and where in the run's allotments that is
	again      bool            // only those are asked
	guaranteed bool            // only those with an unmet guarantee are asked
}

// pick returns the first client that takes something of the slave, and what: first one with an unmet guarantee, then by share alone. When
// allotments are shares of a slave, those that have one come after all others.
func (a *Allocator) pick(v *visit) (*client, resource.Resources) {
	order := a.order(v.slave)
	for _, v.again = range []bool{false, true} {
		if v.again && (!a.inParts() || len(v.given) == 0) {
			break
		}
		for _, v.guaranteed = range []bool{true, false} {
			if v.guaranteed && !a.required.some() {
				continue
			}
			for _, c := range order {
				if res := a.offerTo(c, v); len(res) > 0 {
					return c, res
				}
			}
		}
	}
	return nil, nil
}

// offerTo returns what of a slave a client is to be offered.
func (a *Allocator) offerTo(c *client, v *visit) resource.Resources {
	s := v.slave
	if !a.eligible(c, v) {
		return nil
	}
	caps := c.framework.caps
	res := s.free
	if v.sharing && caps.Has(offer.SharedResources) && !s.shown[c.key()] {
		res = res.Add(s.Resources.Shared())
	}
	if !usableAsIs(res) {
		res = res.Filter(func(e resource.Resource) bool {
			return e.AvailableTo(c.role.name) && (!e.Revocable || caps.Has(offer.RevocableResources)) &&
				(len(e.Reservations) < 2 || caps.Has(offer.ReservationRefinement))
		})
	}
	if a.inParts() {
		res = a.portion(c, s, res)
	}
	if v.guaranteed || a.required.some() || c.role.limited() {
		res = a.bounded(c.role, res, v.guaranteed)
	}
	if have := scalars(res); !have.enough(c.min) || !have.enough(c.needs) {
		return nil
	}
	if s.refused(c.key(), res) {
		return nil
	}
	return res
}

// eligible reports whether a client is asked at all.
func (a *Allocator) eligible(c *client, v *visit) bool {
	f, s := c.framework, v.slave
	_, given := v.given[c]
	if a.inParts() && given != v.again || a.cfg.MaxOutstanding > 0 && f.outstanding >= a.cfg.MaxOutstanding && !given {
		return false
	}
	if home, there := a.cfg.Region, s.Domain.Region; home != "" && there != "" && there != home && !f.caps.Has(offer.RegionAware) {
		return false
	}
	for _, name := range a.scarce {
		if s.Resources.Scalar(name) > 0 && !c.asked(name) {
			return false
		}
	}
	return c.constraints.Pass(&s.Slave)
}

// usableAsIs reports whether nothing in res is only for some roles or some frameworks.
func usableAsIs(res resource.Resources) bool {
	for i := range res {
		if len(res[i].Reservations) > 0 || res[i].Revocable {
			return false
		}
	}
	return true
}

// allot gives resources of a slave to a client: as a new allotment, or as more of one that it has from this run.
func (a *Allocator) allot(v *visit, c *client, res resource.Resources, out []allocator.Allotment) []allocator.Allotment {
	s := v.slave
	if i, ok := v.given[c]; ok {
		out[i].Resources = out[i].Resources.Add(res)
	} else {
		v.given[c] = len(out)
		out = append(out, allocator.Allotment{Framework: c.framework.id, Role: c.role.name, Slave: s.ID, Resources: res})
		s.unanswered[c.key()]++
		c.framework.outstanding++
		c.count++
		c.role.directCount++
		for r := c.role; r != nil; r = r.parent {
			r.count++
		}
	}
	c.charge(s.heldBy(c), -1)
	s.hold(c, res)
	c.charge(s.heldBy(c), 1)
	a.available.addPlain(s.free, -1)
	s.free = minus(s.free, res.NonShared())
	a.available.addPlain(s.free, 1)
	if a.required.some() {
		a.require()
	}
	a.rankClient(c)
	for r := c.role; r != nil; r = r.parent {
		a.rankRole(r)
	}
	a.sorted = false
	return out
}
