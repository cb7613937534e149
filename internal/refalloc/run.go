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
	for _, s := range a.shuffled() {
		if s.active {
			out = a.serve(s, out)
		}
	}
	a.changed = len(out) > before
	if a.changed {
		a.runs++
	}
	return out
}

// shuffled returns the slaves in the order in which this run tries them.
func (a *Allocator) shuffled() []*slave {
	out := slices.Clone(a.fleet)
	for _, s := range out {
		s.turn = mix64(a.cfg.Seed, a.runs, s.seq)
	}
	slices.SortFunc(out, func(x, y *slave) int { return cmp.Or(cmp.Compare(x.turn, y.turn), cmp.Compare(x.seq, y.seq)) })
	return out
}

// serve allots what a slave has free until nobody takes any of it. One client a run gets its shared volumes.
func (a *Allocator) serve(s *slave, out []allocator.Allotment) []allocator.Allotment {
	start, sharing := len(out), true
	for len(s.free) > 0 || sharing && len(s.Resources.Shared()) > 0 {
		c, res := a.pick(s, sharing)
		if c == nil {
			break
		}
		if len(res.Shared()) > 0 {
			sharing = false
			if s.shown == nil {
				s.shown = map[key]bool{}
			}
			s.shown[c.key()] = true
		}
		out = a.allot(s, c, res, out, start)
	}
	return out
}

// pick returns the first client that takes something of the slave, and what: first one with an unmet guarantee, then by share alone.
func (a *Allocator) pick(s *slave, sharing bool) (*client, resource.Resources) {
	for _, guaranteed := range []bool{true, false} {
		if guaranteed && !a.required.some() {
			continue
		}
		for _, c := range a.order() {
			if res := a.offerTo(c, s, sharing, guaranteed); len(res) > 0 {
				return c, res
			}
		}
	}
	return nil, nil
}

// offerTo returns what of a slave a client is to be offered.
func (a *Allocator) offerTo(c *client, s *slave, sharing, guaranteed bool) resource.Resources {
	caps := c.framework.caps
	if s.Resources.GPUs() > 0 && !a.cfg.GPUsToAll && !caps.Has(offer.GPUResources) {
		return nil
	}
	if home, there := a.cfg.Region, s.Domain.Region; home != "" && there != "" && there != home && !caps.Has(offer.RegionAware) {
		return nil
	}
	res := s.free
	if sharing && caps.Has(offer.SharedResources) && !s.shown[c.key()] {
		res = res.Add(s.Resources.Shared())
	}
	if !usableAsIs(res) {
		res = res.Filter(func(e resource.Resource) bool {
			return e.AvailableTo(c.role.name) && (!e.Revocable || caps.Has(offer.RevocableResources)) &&
				(len(e.Reservations) < 2 || caps.Has(offer.ReservationRefinement))
		})
	}
	if guaranteed || a.required.some() || c.role.limited() {
		res = a.bounded(c.role, res, guaranteed)
	}
	have := amounts{}
	have.add(res, 1)
	if !have.enough(c.min) || s.refused(c.key(), res) {
		return nil
	}
	return res
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

// allot gives resources of a slave to a client: as a new allotment, or as more of one that is in out from start.
func (a *Allocator) allot(s *slave, c *client, res resource.Resources, out []allocator.Allotment, start int) []allocator.Allotment {
	i := slices.IndexFunc(out[start:], func(al allocator.Allotment) bool { return al.Framework == c.framework.id && al.Role == c.role.name })
	if i >= 0 {
		out[start+i].Resources = out[start+i].Resources.Add(res)
	} else {
		out = append(out, allocator.Allotment{Framework: c.framework.id, Role: c.role.name, Slave: s.ID, Resources: res})
		c.count++
		c.role.directCount++
		for r := c.role; r != nil; r = r.parent {
			r.count++
		}
	}
	c.tell(s.heldBy(c), -1)
	s.hold(c, res)
	c.tell(s.heldBy(c), 1)
	before := s.free
	s.free = minus(s.free, res.NonShared())
	a.available.addPlain(before, -1)
	a.available.addPlain(s.free, 1)
	if a.required.some() {
		a.require()
	}
	c.share = a.share(c.held)
	for r := c.role; r != nil; r = r.parent {
		a.rankRole(r)
	}
	a.sorted = false
	return out
}
