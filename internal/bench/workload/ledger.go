package workload

import (
	"fmt"
	"time"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
	"github.com/meros-project/meros/offer/resource"
)

// A ledger is what a workload itself knows about the cluster: the judge of the allotments.
type ledger struct {
	slaves     []*slave
	frameworks []*framework
	bySlave    map[offer.SlaveID]*slave
	byID       map[offer.FrameworkID]*framework
	limits     map[string]amounts // by role; below zero: none
	consumed   map[string]amounts // by role, what is held of unrevocable resources
	total      amounts
	min        []amounts
}

type slave struct {
	id      offer.SlaveID
	total   resource.Resources
	free    resource.Resources // without shared volumes, which are never used up
	active  bool
	refused []refusal
}

// A refusal is a filter of several frameworks.
type refusal struct {
	res   resource.Resources
	until time.Time
	by    bitset // by index of framework
}

type framework struct {
	id         offer.FrameworkID
	index      int
	role       string
	caps       offer.Capabilities
	suppressed bool
	min        []amounts
	needs      []amounts // none: anything is of use
	held       amounts
}

func newLedger() *ledger {
	return &ledger{bySlave: map[offer.SlaveID]*slave{}, byID: map[offer.FrameworkID]*framework{}, limits: map[string]amounts{},
		consumed: map[string]amounts{}, min: []amounts{amountsIn(quantities("cpus:0.01")), amountsIn(quantities("mem:32"))}}
}

func (l *ledger) addSlave(s offer.Slave, active bool, used []allocator.Allotment) {
	x := &slave{id: s.ID, total: s.Resources, free: s.Resources.NonShared(), active: active}
	l.slaves = append(l.slaves, x)
	l.bySlave[s.ID] = x
	l.total.add(amountsOf(s.Resources), 1)
	for _, al := range used {
		al.Slave = s.ID
		l.use(al)
	}
}

// grow replaces a slave's total by one that has more.
func (l *ledger) grow(id offer.SlaveID, by resource.Resources) {
	x := l.bySlave[id]
	x.total, x.free = x.total.Add(by), x.free.Add(by)
	l.total.add(amountsOf(by), 1)
}

// use notes what a framework holds without having been offered it. The workloads never use more than there is.
func (l *ledger) use(al allocator.Allotment) {
	x := l.bySlave[al.Slave]
	left, ok := x.free.Sub(al.Resources)
	if !ok {
		panic(fmt.Sprintf("slave %s has %s, used is %s", x.id, x.free, al.Resources))
	}
	x.free = left
	l.hold(l.byID[al.Framework], al.Resources, 1)
}

func (l *ledger) hold(f *framework, rs resource.Resources, sign int64) {
	f.held.add(amountsOf(rs), sign)
	c := l.consumed[f.role]
	c.add(amountsOf(rs.NonRevocable()), sign)
	l.consumed[f.role] = c
}

func (l *ledger) addFramework(f offer.Framework) {
	x := &framework{id: f.ID, index: len(l.frameworks), role: f.Roles[0], caps: f.Capabilities, min: l.min}
	if own := f.MinAllocatable[x.role]; own != nil {
		x.min = nil
		for _, q := range own {
			x.min = append(x.min, amountsIn(q))
		}
	}
	l.frameworks = append(l.frameworks, x)
	l.byID[f.ID] = x
}

// take enters an allotment, or says why it should not have been made.
func (l *ledger) take(now time.Time, al *allocator.Allotment) error {
	s, f := l.bySlave[al.Slave], l.byID[al.Framework]
	bad := func(why string, args ...any) error {
		return fmt.Errorf("slave %s, framework %s, role %s is offered %.300s: %s", al.Slave, al.Framework, al.Role, al.Resources, fmt.Sprintf(why, args...))
	}
	switch {
	case s == nil || !s.active:
		return bad("the slave does not take part")
	case f == nil || f.role != al.Role:
		return bad("the framework is not in that role")
	case f.suppressed:
		return bad("the framework has suppressed offers")
	case len(al.Resources) == 0:
		return bad("that is nothing")
	}
	visible := f.sees(al.Resources)
	if !visible.Equal(al.Resources) {
		return bad("the framework may see only %.300s of it", visible)
	}
	what := amountsOf(al.Resources)
	if !what.containsAny(f.min) {
		return bad("less than the minimum")
	}
	if len(f.needs) > 0 && !what.containsAny(f.needs) {
		return bad("the framework has said that it needs something else")
	}
	own := al.Resources.NonShared()
	left, ok := s.free.Sub(own)
	if !ok {
		return bad("free is only %.300s", s.free)
	}
	if shared := al.Resources.Shared(); len(shared) > 0 && !s.total.Contains(shared) {
		return bad("there is no such volume")
	}
	if s.refuses(now, f, al.Resources) {
		return bad("the framework has refused that")
	}
	s.free = left
	l.hold(f, al.Resources, 1)
	if limit, ok := l.limits[f.role]; ok {
		for k := range limit {
			if c := l.consumed[f.role]; limit[k] >= 0 && c[k] > limit[k] {
				return bad("the role then has %s of %s, over its limit of %s", resource.Scalar(c[k]), kinds[k], resource.Scalar(limit[k]))
			}
		}
	}
	return nil
}

// sees returns what a framework may be offered of resources.
func (f *framework) sees(rs resource.Resources) resource.Resources {
	return rs.Filter(func(e resource.Resource) bool {
		return e.AvailableTo(f.role) && (!e.Revocable || f.caps.Has(offer.RevocableResources)) && (!e.Shared || f.caps.Has(offer.SharedResources))
	})
}

func (s *slave) refuses(now time.Time, f *framework, what resource.Resources) bool {
	for i := range s.refused {
		if r := &s.refused[i]; r.until.After(now) && r.by.has(f.index) && r.res.Contains(what) {
			return true
		}
	}
	return false
}

// recover enters that an allotment, or a part of one, comes back.
func (l *ledger) recover(now time.Time, al allocator.Allotment, refuse time.Duration) {
	s, f := l.bySlave[al.Slave], l.byID[al.Framework]
	s.free = s.free.Add(al.Resources.NonShared())
	l.hold(f, al.Resources, -1)
	if refuse <= 0 {
		return
	}
	until := now.Add(refuse)
	for i := range s.refused {
		if r := &s.refused[i]; r.until.Equal(until) && r.res.Equal(al.Resources) {
			r.by.add(f.index)
			return
		}
	}
	r := refusal{res: al.Resources, until: until}
	r.by.add(f.index)
	s.refused = append(s.refused, r)
}

// revive enters that a framework wants offers of everything again.
func (l *ledger) revive(id offer.FrameworkID) {
	f := l.byID[id]
	f.suppressed = false
	for _, s := range l.slaves {
		for i := range s.refused {
			s.refused[i].by.remove(f.index)
		}
	}
}

// leftover returns an error if something is free that somebody may have, who was not offered it. Headroom is not looked at: the workloads
// never leave a guarantee open that could be met.
func (l *ledger) leftover(now time.Time) error {
	var takers []*framework
	rooms := map[string]amounts{}
	for _, f := range l.frameworks {
		room := l.room(f.role)
		if !f.suppressed && l.total.atMost(room).containsAny(f.min) {
			takers = append(takers, f)
			rooms[f.role] = room
		}
	}
	if len(takers) == 0 {
		return nil
	}
	for _, s := range l.slaves {
		if !s.active || len(s.free) == 0 {
			continue
		}
		if f, what := s.taker(now, takers, rooms); f != nil {
			return fmt.Errorf("slave %s has %.300s free, of which framework %s may have %.300s, and it was not offered", s.id, s.free, f.id, what)
		}
	}
	return nil
}

// taker finds a framework that may be offered something of what is free on s.
func (s *slave) taker(now time.Time, takers []*framework, rooms map[string]amounts) (*framework, resource.Resources) {
	current := s.refused[:0]
	for _, r := range s.refused {
		if r.until.After(now) {
			current = append(current, r)
		}
	}
	s.refused = current
	var (
		last    *framework // whose view this is
		what    resource.Resources
		sum     amounts
		covered bitset // those who refuse all of it
	)
	for _, f := range takers {
		if last == nil || f.role != last.role || f.caps != last.caps {
			last, what, covered = f, f.sees(s.free), covered[:0]
			sum = amountsOf(what).atMost(rooms[f.role])
			for i := range s.refused {
				if s.refused[i].res.Contains(what) {
					covered.addAll(s.refused[i].by)
				}
			}
		}
		if sum.containsAny(f.min) && (len(f.needs) == 0 || sum.containsAny(f.needs)) && !covered.has(f.index) {
			return f, what
		}
	}
	return nil, nil
}

// room is what a role may still have; below zero: without bound.
func (l *ledger) room(role string) amounts {
	limit, ok := l.limits[role]
	if !ok {
		return amounts{-1, -1, -1, -1}
	}
	c := l.consumed[role]
	for k := range limit {
		if limit[k] >= 0 {
			limit[k] = max(0, limit[k]-c[k])
		}
	}
	return limit
}

// has checks what a role holds.
func (l *ledger) has(role string, want amounts) error {
	if c := l.consumed[role]; c != want {
		return fmt.Errorf("role %s holds %v, must hold %v", role, c, want)
	}
	return nil
}

// even checks that shares are as even as the offers of the last run allow, among frameworks that are all in the same role and could have had
// the same: whoever came last was the lowest before.
func (l *ledger) even(out []allocator.Allotment) error {
	lowest, who := 2.0, (*framework)(nil)
	for _, f := range l.frameworks {
		if share := f.held.share(l.total); !f.suppressed && share < lowest {
			lowest, who = share, f
		}
	}
	for i := range out {
		f := l.byID[out[i].Framework]
		if share, step := f.held.share(l.total), amountsOf(out[i].Resources).share(l.total); share-step > lowest+1e-9 {
			return fmt.Errorf("framework %s has a share of %.9f with offers of %.9f, while %s has %.9f", f.id, share, step, who.id, lowest)
		}
	}
	return nil
}

// empty checks that nobody holds anything.
func (l *ledger) empty() error {
	for _, f := range l.frameworks {
		if f.held != (amounts{}) {
			return fmt.Errorf("framework %s still holds %v", f.id, f.held)
		}
	}
	return nil
}

// bitset is a set of small numbers.
type bitset []uint64

func (b bitset) has(i int) bool { return i>>6 < len(b) && b[i>>6]&(1<<(i&63)) != 0 }

func (b *bitset) add(i int) {
	for len(*b) <= i>>6 {
		*b = append(*b, 0)
	}
	(*b)[i>>6] |= 1 << (i & 63)
}

func (b *bitset) addAll(o bitset) {
	for len(*b) < len(o) {
		*b = append(*b, 0)
	}
	for i := range o {
		(*b)[i] |= o[i]
	}
}

func (b bitset) remove(i int) {
	if i>>6 < len(b) {
		b[i>>6] &^= 1 << (i & 63)
	}
}
