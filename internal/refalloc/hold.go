package refalloc

import (
	"slices"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
	"github.com/meros-project/meros/offer/resource"
)

// holding is what a client holds on a slave, allotted or used.
type holding struct {
	of  *client
	res resource.Resources
}

// hold adds to what a client holds.
func (s *slave) hold(c *client, res resource.Resources) {
	for i := range s.held {
		if s.held[i].of == c {
			s.held[i].res = s.held[i].res.Add(res)
			return
		}
	}
	s.held = append(s.held, holding{c, res})
	c.holdings++
}

func (s *slave) heldBy(c *client) resource.Resources {
	for _, h := range s.held {
		if h.of == c {
			return h.res
		}
	}
	return nil
}

// release takes from what a client holds as much of res as there is, and reports whether that was anything.
func (a *Allocator) release(s *slave, c *client, res resource.Resources) bool {
	for i := range s.held {
		h := &s.held[i]
		if h.of != c {
			continue
		}
		before := h.res
		h.res = minus(before, res)
		some := !h.res.Equal(before)
		if len(h.res) == 0 {
			s.held = slices.Delete(s.held, i, i+1)
			c.holdings--
		}
		a.forget(c)
		return some
	}
	return false
}

// recovered is Recovered.
func (a *Allocator) recovered(ev allocator.Recovered) {
	s, c := a.slaves[ev.Slave], a.clients[key{ev.Framework, ev.Role}]
	if s == nil || c == nil {
		return
	}
	if ev.Refuse > 0 && c.subscribed && c.framework.active && len(ev.Resources) > 0 {
		s.addFilter(c.key(), filter{ev.Resources, a.now.Add(min(ev.Refuse, offer.MaxRefuse))})
	}
	if a.release(s, c, ev.Resources) {
		clear(s.shown)
	}
}

// converted is Converted. One whose From is not there is ignored.
func (a *Allocator) converted(ev allocator.Converted) {
	s := a.slaves[ev.Slave]
	if s == nil {
		return
	}
	if ev.Framework == "" {
		if !s.unheld().Contains(ev.From.NonShared()) || !s.Resources.Shared().Contains(ev.From.Shared()) {
			return
		}
	} else {
		c := a.clients[key{ev.Framework, ev.Role}]
		if c == nil {
			return
		}
		if _, ok := s.heldBy(c).Sub(ev.From); !ok || s.heldBy(c) == nil {
			return
		}
		s.hold(c, ev.To)
		a.release(s, c, ev.From)
	}
	a.setTotal(s, minus(s.Resources, ev.From).Add(ev.To))
}

// unheld returns what of the slave nobody holds, without shared volumes, which are never used up.
func (s *slave) unheld() resource.Resources {
	free := s.Resources.NonShared()
	for _, h := range s.held {
		free = minus(free, h.res.NonShared())
	}
	return free
}

// minus returns have without as much of want as is in it.
func minus(have, want resource.Resources) resource.Resources {
	if left, ok := have.Sub(want); ok {
		return left
	}
	for _, e := range want {
		for _, h := range have {
			if h.SameKind(e) {
				have, _ = have.Sub(resource.Resources{overlap(h, e)})
				break
			}
		}
	}
	return have
}

// overlap returns the part of e that is in h, which has the same identity.
func overlap(h, e resource.Resource) resource.Resource {
	switch {
	case e.Shared:
		e.SharedCount = min(e.Count(), h.Count())
	case e.Volume != nil:
	case e.Type == resource.RangesType:
		e.Ranges = e.Ranges.Intersect(h.Ranges)
	case e.Type == resource.SetType:
		e.Set = e.Set.Sub(e.Set.Sub(h.Set))
	default:
		e.Scalar = min(e.Scalar, h.Scalar)
	}
	return e
}
