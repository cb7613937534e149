package core

import (
	"fmt"
	"time"
)

// hold is the one group that keeps offers while it lacks a part.
type hold struct {
	unit  *unit
	until time.Time
}

// placeGroup finds places for all members of a group, or keeps what it has found for a while.
func (c *Core) placeGroup(f *forest, u *unit) bool {
	r := c.run
	for _, m := range u.members {
		if m.class.stuck(r.id) {
			u.held = m.class.note.text()
			return false
		}
	}
	r.logging = true
	defer func() { r.logging, r.log = false, r.log[:0] }()
	for i, m := range u.members {
		if c.place(f, m) {
			continue
		}
		why := m.class.note.text()
		m.class.failed = 0 // it lacks what the group has taken; others may not
		var found []*slot
		for _, x := range r.log {
			found = append(found, x.s)
		}
		c.undo(f, 0)
		c.keep(f, u, found, i, why)
		return false
	}
	if c.hold.unit == u {
		c.hold = hold{}
	}
	return true
}

// keep holds the slots that a group has found, unless another one holds some already.
func (c *Core) keep(f *forest, u *unit, found []*slot, places int, why string) {
	u.held = fmt.Sprintf("%d of %d members have a place; the next %s", places, len(u.members), why)
	if len(found) == 0 || c.hold.unit != nil && c.hold.unit != u && !lessUnit(u, c.hold.unit) {
		return
	}
	if c.hold.unit != u {
		c.hold = hold{unit: u, until: c.now.Add(c.cfg.Hold)}
	}
	for _, s := range found {
		if !s.kept {
			s.kept = true
			c.mask(f, s)
		}
	}
}

// mask hides a slot from the other searches of the run.
func (c *Core) mask(f *forest, s *slot) {
	for _, p := range s.places {
		p.tree.update(p.pos, vector{-1, -1, -1, -1, -1})
	}
	if s.ordered {
		f.byScore.Delete(s)
		f.used.Delete(s)
		s.ordered = false
	}
}

// giveUp ends a hold whose time is over: the offers go back, and the group leaves them to others for as long as it has had them.
func (c *Core) giveUp() {
	u := c.hold.unit
	why := u.held
	c.letGo()
	c.dequeue(u)
	c.enqueue(u, c.now.Add(c.cfg.Hold), "it held offers in vain: "+why)
}

// letGo declines what is held, where no run will.
func (c *Core) letGo() {
	c.hold = hold{}
	if c.run != nil {
		for _, s := range c.run.slots {
			s.kept = false
		}
		return
	}
	for _, s := range append([]*slot(nil), c.book.list...) {
		if s.kept {
			c.decline(c.roles[s.role], s.offers)
			c.book.remove(s)
		}
	}
}
