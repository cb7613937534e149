package allocator

import (
	"cmp"
	"slices"
	"time"

	"github.com/meros-project/meros/offer"
)

// maintenance is the plan to take a slave out of service, and whom it was told.
type maintenance struct {
	plan  offer.Unavailability
	asked []asked
	stale bool  // who holds something, or an answer, has changed
	next  int64 // when somebody may be asked again, or never
}

// asked is an inverse offer: it is outstanding, or refused until a time.
type asked struct {
	framework   *framework
	outstanding bool
	accepted    bool
	until       int64
}

// maintained is the slaves with a plan, and when an Inverse is next worth making.
type maintained struct {
	slaves []*slave // by seq
	all    bool     // all of them are to be looked at
	stale  bool     // some of them are
	next   int64    // the first of theirs, or never
}

// never is a time that does not come.
const never = int64(-1 << 63)

func (a *Hierarchical) setUnavailable(ev SlaveUnavailable) {
	s := a.slaveIndex[ev.Slave]
	if s == nil {
		return
	}
	x := &a.maintained
	if ev.Unavailability == nil {
		a.endMaintenance(s)
		return
	}
	if s.maintenance == nil {
		i, _ := slices.BinarySearchFunc(x.slaves, s, func(s, t *slave) int { return cmp.Compare(s.seq, t.seq) })
		x.slaves = slices.Insert(x.slaves, i, s)
	} else if samePlan(s.maintenance.plan, *ev.Unavailability) {
		return
	}
	s.maintenance = &maintenance{plan: *ev.Unavailability, next: never}
	a.reconsider(s)
}

// samePlan compares instants, in whatever zone they are told.
func samePlan(x, y offer.Unavailability) bool {
	return x.Start.Equal(y.Start) && x.Duration == y.Duration
}

// reconsider has a slave looked at by the next Inverse, if it has a plan.
func (a *Hierarchical) reconsider(s *slave) {
	if s.maintenance != nil {
		s.maintenance.stale, a.maintained.stale = true, true
	}
}

func (a *Hierarchical) endMaintenance(s *slave) {
	if s.maintenance != nil {
		s.maintenance = nil
		a.maintained.slaves = slices.DeleteFunc(a.maintained.slaves, func(o *slave) bool { return o == s })
	}
}

func (a *Hierarchical) inverseAnswered(at int64, ev InverseAnswered) {
	s, f := a.slaveIndex[ev.Slave], a.frameworks[ev.Framework]
	if s == nil || s.maintenance == nil || f == nil {
		return
	}
	for i := range s.maintenance.asked {
		if q := &s.maintenance.asked[i]; q.framework == f && q.outstanding {
			q.outstanding, q.accepted = false, ev.Accepted
			q.until = at + int64(min(max(ev.Refuse, 0), offer.MaxRefuse))
			a.reconsider(s)
		}
	}
}

// forgetAsked drops what a framework was asked, and its answers: it is gone, or has lost its connection.
func (a *Hierarchical) forgetAsked(f *framework) {
	for _, s := range a.maintained.slaves {
		s.maintenance.asked = slices.DeleteFunc(s.maintenance.asked, func(q asked) bool { return q.framework == f })
	}
}

// Inverse says what is to be asked back; see Allocator. Slaves come in the order of their arrival, and so do the frameworks of each.
func (a *Hierarchical) Inverse(now time.Time, out []Inverse) []Inverse {
	at := a.clock.read(now)
	if !a.inverseDue(at) {
		return out
	}
	return a.askBack(at, out)
}

// inverseDue reports whether somebody is to be asked, or may be.
func (a *Hierarchical) inverseDue(at int64) bool {
	x := &a.maintained
	return len(x.slaves) > 0 && (x.all || x.stale || x.next != never && x.next <= at)
}

// askBack notes and returns the inverse offers that are due, and computes when the next ones are.
func (a *Hierarchical) askBack(at int64, out []Inverse) []Inverse {
	x := &a.maintained
	all := x.all
	x.all, x.stale, x.next = false, false, never
	for _, s := range x.slaves {
		m := s.maintenance
		if all || m.stale || m.next != never && m.next <= at {
			out = a.askHolders(at, s, out)
		}
		x.next = sooner(x.next, m.next)
	}
	return out
}

// askHolders is askBack for one slave.
func (a *Hierarchical) askHolders(at int64, s *slave, out []Inverse) []Inverse {
	m := s.maintenance
	m.stale, m.next = false, never
	holders := a.holdersOf(s)
	m.asked = slices.DeleteFunc(m.asked, func(q asked) bool { return !slices.Contains(holders, q.framework) && !q.outstanding && q.until <= at })
	for _, f := range holders {
		i := slices.IndexFunc(m.asked, func(q asked) bool { return q.framework == f })
		switch {
		case i < 0:
			i = len(m.asked)
			m.asked = append(m.asked, asked{})
		case m.asked[i].outstanding:
			continue
		case m.asked[i].until > at:
			m.next = sooner(m.next, m.asked[i].until)
			continue
		}
		m.asked[i] = asked{framework: f, outstanding: true}
		out = append(out, Inverse{Framework: f.id, Slave: s.id, Unavailability: m.plan})
	}
	return out
}

// sooner returns the earlier of two times, either of which may be never.
func sooner(x, y int64) int64 {
	if x == never || y != never && y < x {
		return y
	}
	return x
}

// holdersOf returns the active frameworks that hold something on a slave, allotted or used, in the order of their arrival.
func (a *Hierarchical) holdersOf(s *slave) []*framework {
	var out []*framework
	for _, h := range a.words.words(s.held) {
		if f := a.clients[holding(h).client()].framework; f.known && f.active && !slices.Contains(out, f) {
			out = append(out, f)
		}
	}
	slices.SortFunc(out, func(f, g *framework) int { return cmp.Compare(f.seq, g.seq) })
	return out
}
