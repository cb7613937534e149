package allocator

import "slices"

// unanswered counts the allotments on a slave, of a framework in a role, whose offers are outstanding.
type unanswered struct {
	framework *framework
	role      string
	offers    int
}

// bound reports whether a framework has as many offers outstanding as it may. What more there is of the slave at hand, in a role in
// which it is given something of it already, joins the same offer.
func (a *Hierarchical) bound(c *client) bool {
	f := c.framework
	if a.cfg.MaxOutstanding == 0 || f.outstanding < a.cfg.MaxOutstanding || slices.Contains(a.run.given, c.handle) {
		return false
	}
	f.bound = true
	return true
}

// noteOutstanding counts a new allotment.
func (a *Hierarchical) noteOutstanding(s *slave, c *client) {
	if a.cfg.MaxOutstanding == 0 {
		return
	}
	c.framework.outstanding++
	for i := range s.unanswered {
		if u := &s.unanswered[i]; u.framework == c.framework && u.role == c.role.name {
			u.offers++
			return
		}
	}
	s.unanswered = append(s.unanswered, unanswered{c.framework, c.role.name, 1})
}

// answered is Answered.
func (a *Hierarchical) answered(ev Answered) {
	s, f := a.slaveIndex[ev.Slave], a.frameworks[ev.Framework]
	if s == nil || f == nil {
		return
	}
	i := slices.IndexFunc(s.unanswered, func(u unanswered) bool { return u.framework == f && u.role == ev.Role })
	if i < 0 {
		return
	}
	if s.unanswered[i].offers--; s.unanswered[i].offers == 0 {
		s.unanswered = slices.Delete(s.unanswered, i, i+1)
	}
	a.lessOutstanding(f, 1)
}

// answerSlave answers all offers of a slave that goes.
func (a *Hierarchical) answerSlave(s *slave) {
	for _, u := range s.unanswered {
		a.lessOutstanding(u.framework, u.offers)
	}
	s.unanswered = nil
}

// answerFramework answers all offers of a framework that goes.
func (a *Hierarchical) answerFramework(f *framework) {
	if f.outstanding > 0 {
		for _, s := range a.slaves {
			if s != nil {
				s.unanswered = slices.DeleteFunc(s.unanswered, func(u unanswered) bool { return u.framework == f })
			}
		}
	}
	f.outstanding, f.bound = 0, false
}

func (a *Hierarchical) lessOutstanding(f *framework, n int) {
	f.outstanding -= n
	if !f.bound || f.outstanding >= a.cfg.MaxOutstanding {
		return
	}
	f.bound = false
	for _, c := range f.clients {
		a.wakeClient(c)
	}
}
