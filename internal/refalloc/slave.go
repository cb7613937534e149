package refalloc

import (
	"slices"
	"time"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
	"github.com/meros-project/meros/offer/resource"
)

// slave is one slave.
type slave struct {
	offer.Slave // Resources is the total
	seq         uint64
	active      bool
	held        []holding
	filters     map[key][]filter
	shown       map[key]bool // who was offered the shared volumes since the slave last changed

	plan  *offer.Unavailability // nil when it is to stay in service
	asked map[offer.FrameworkID]asked

	unanswered map[key]int // allotments whose offers are outstanding

	// Of the present run: when its turn comes, and what is free.
	late int
	turn uint64
	free resource.Resources // total without shared volumes and what is held
}

// holding is what a client holds on a slave, allotted or used.
type holding struct {
	of  *client
	res resource.Resources
}

func (a *Allocator) addSlave(ev allocator.SlaveAdded) {
	a.removeSlave(a.slaves[ev.Slave.ID])
	a.slaveSeq++
	s := &slave{seq: a.slaveSeq, active: !ev.Inactive, filters: map[key][]filter{}, shown: map[key]bool{}, unanswered: map[key]int{},
		asked: map[offer.FrameworkID]asked{}}
	s.Slave = ev.Slave
	s.Attributes = slices.Clone(ev.Slave.Attributes)
	a.slaves[s.ID] = s
	a.fleet = append(a.fleet, s)
	a.reserve(s.Resources)
	for _, used := range ev.Used {
		if len(used.Resources) > 0 && used.Role != "" {
			s.hold(a.client(used.Framework, used.Role), used.Resources)
		}
	}
}

func (a *Allocator) updateSlave(to offer.Slave) {
	s := a.slaves[to.ID]
	if s == nil {
		return
	}
	if s.Hostname != to.Hostname || s.Domain != to.Domain || !slices.EqualFunc(s.Attributes, to.Attributes, sameAttribute) {
		s.Hostname, s.Domain, s.Attributes = to.Hostname, to.Domain, slices.Clone(to.Attributes)
		clear(s.shown)
		clear(s.filters)
	}
	if !s.Resources.Equal(to.Resources) {
		a.setTotal(s, to.Resources)
	}
}

// takesPart reports whether a slave's resources are offered.
func (a *Allocator) takesPart(s *slave) bool {
	return s.active && (a.whitelist == nil || a.whitelist[s.Hostname])
}

func (a *Allocator) setWhitelist(ev allocator.Whitelist) {
	before := map[*slave]bool{}
	for _, s := range a.fleet {
		before[s] = a.takesPart(s)
	}
	a.whitelist = nil
	if !ev.All {
		a.whitelist = map[string]bool{}
		for _, host := range ev.Hosts {
			a.whitelist[host] = true
		}
	}
	for _, s := range a.fleet {
		if a.takesPart(s) != before[s] {
			clear(s.shown)
		}
	}
}

func sameAttribute(x, y offer.Attribute) bool {
	if x.Name != y.Name || x.Text != y.Text || !x.Ranges.Equal(y.Ranges) || (x.Scalar == nil) != (y.Scalar == nil) {
		return false
	}
	return x.Scalar == nil || *x.Scalar == *y.Scalar
}

func (a *Allocator) setTotal(s *slave, total resource.Resources) {
	old := s.Resources
	s.Resources = total
	clear(s.shown)
	a.reserve(total)
	a.unreserve(old)
}

func (a *Allocator) removeSlave(s *slave) {
	if s == nil {
		return
	}
	delete(a.slaves, s.ID)
	a.fleet = slices.DeleteFunc(a.fleet, func(o *slave) bool { return o == s })
	for _, h := range s.held {
		h.of.holdings--
		a.forget(h.of)
	}
	a.unreserve(s.Resources)
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

// filter says that until then a client is not to be offered what is contained in the refused resources.
type filter struct {
	refused resource.Resources
	until   time.Time
}

// maxFilters bounds the filters of one client on one slave; the one that ends first gives way.
const maxFilters = 8

// addFilter adds a filter, unless it says less than one that is there, and drops those that say less than it does.
func (s *slave) addFilter(of key, f filter) {
	for _, o := range s.filters[of] {
		if !o.until.Before(f.until) && o.refused.Contains(f.refused) {
			return
		}
	}
	list := slices.DeleteFunc(s.filters[of], func(o filter) bool { return !o.until.After(f.until) && f.refused.Contains(o.refused) })
	if len(list) >= maxFilters {
		first := 0
		for i := range list {
			if list[i].until.Before(list[first].until) {
				first = i
			}
		}
		list = slices.Delete(list, first, first+1)
	}
	s.filters[of] = append(list, f)
}

// expire drops the filters whose time is over.
func (s *slave) expire(now time.Time) {
	for of, list := range s.filters {
		list = slices.DeleteFunc(list, func(f filter) bool { return !f.until.After(now) })
		if s.filters[of] = list; len(list) == 0 {
			delete(s.filters, of)
		}
	}
}

// refused reports whether a filter covers what a client is to be offered.
func (s *slave) refused(of key, res resource.Resources) bool {
	for _, f := range s.filters[of] {
		if f.refused.Contains(res) {
			return true
		}
	}
	return false
}
