package refalloc

import (
	"slices"

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
