package mastercore

import (
	"slices"

	"github.com/meros-project/meros/internal/invariant"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// Check reports the first invariant that does not hold, as an *invariant.Violation. It takes time in proportion to all that the core knows
// and is for tests and for the moment before a master gives up.
func (c *Core) Check() error {
	for _, check := range []func() error{c.checkBook, c.checkSlaves, c.checkFrameworks, c.checkIndex, c.checkReferences, c.checkAllocator,
		c.checkQuestions} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// checkBook is R2 and R9: each offer is in the book once, for a role of a connected framework, on a connected and active slave.
func (c *Core) checkBook() (err error) {
	c.offers.Scan(func(n uint64, o *outstanding) bool {
		f, s := c.frameworks.get(o.framework), c.slaves.get(o.slave)
		switch {
		case n != o.number || n > c.nextOffer || o.id != c.offerID(n):
			err = invariant.Violated("R2", "offer %d has the id %s", n, o.id)
		case f.state != frameworkLive || f.conn == 0:
			err = invariant.Violated("R2", "offer %s is outstanding for %s, which is not connected", o.id, f.info.ID)
		case !s.connected() || s.inactive:
			err = invariant.Violated("R2", "offer %s is of slave %s, which is not connected or not active", o.id, s.info.ID)
		case !slices.Contains(f.info.Roles, o.role):
			err = invariant.Violated("R9", "offer %s is for role %s, which %s does not have", o.id, o.role, f.info.ID)
		case count(f.offers, n) != 1 || count(s.offers, n) != 1:
			err = invariant.Violated("R2", "offer %s is listed %d and %d times", o.id, count(f.offers, n), count(s.offers, n))
		}
		return err == nil
	})
	return err
}

func count(list []uint64, n uint64) (k int) {
	for _, x := range list {
		if x == n {
			k++
		}
	}
	return k
}

// checkSlaves is R1: what tasks, executors and remnants use and what is offered fits in the total, nothing twice.
func (c *Core) checkSlaves() error {
	var have counts
	for n := uint32(1); n <= c.maxSlave; n++ {
		s := c.slaves.get(n)
		if s == nil {
			continue
		}
		if s.state == slaveRecovering || s.state == slaveRegistered {
			have.admitted++
		}
		if s.state == slaveRecovering {
			have.recovering++
		}
		if s.silent {
			have.silent++
		}
		if err := c.checkSlave(n, s); err != nil {
			return err
		}
	}
	if have.admitted != c.counts.admitted || have.recovering != c.counts.recovering || have.silent != c.counts.silent {
		return invariant.Violated("S4", "slaves are counted as %+v but are %+v", c.counts, have)
	}
	return nil
}

func (c *Core) checkSlave(n uint32, s *slave) error {
	if s.conn != 0 && (s.state != slaveRegistered || !c.holds(s.conn, connSlave, n)) {
		return invariant.Violated("S4", "slave %d holds connection %d in state %d", n, s.conn, s.state)
	}
	left, ok := s.info.Resources, true
	take := func(r resource.Resources) {
		if ok {
			left, ok = left.Sub(r.NonShared())
		}
	}
	tasks := 0
	for slot := s.tasks.head; slot != 0; {
		t := c.tasks.records.get(slot)
		tasks++
		if !t.has(taskLive) || t.slave != n {
			return invariant.Violated("T1", "task %s is listed on slave %d, which does not have it", t.id(), n)
		}
		if t.has(taskLapsed) && !t.state.Terminal() {
			return invariant.Violated("T2", "task %s was told gone and is %v", t.id(), t.state)
		}
		if t.lease > 0 && !t.state.Terminal() && s.lapse == 0 && !c.confirm.underWay && len(c.confirm.over) == 0 {
			return invariant.Violated("T13", "nobody looks whether the lease of task %s is over", t.id())
		}
		if holds := s.state == slaveRegistered && !t.latest.Terminal() && t.state != offer.Unreachable; t.has(taskHolds) != holds {
			return invariant.Violated("R1", "task %s of slave %s in state %v: holds resources is %v", t.id(), s.info.ID, t.latest, t.has(taskHolds))
		}
		if t.has(taskHolds) {
			take(c.tasks.resources.of(t.resources))
		}
		slot = t.slaveNext
	}
	if tasks != s.tasks.count {
		return invariant.Violated("T1", "slave %s has %d tasks and counts %d", s.info.ID, tasks, s.tasks.count)
	}
	for i := range s.executors {
		take(s.executors[i].resources)
	}
	for i := range s.remnants {
		r := &s.remnants[i]
		if s.state != slaveRegistered || r.framework == "" || (r.task == "") == (r.executor == "") {
			return invariant.Violated("R11", "slave %s in state %d still runs %+v", s.info.ID, s.state, r.remnantKey)
		}
		take(r.resources)
	}
	for _, number := range s.offers {
		o, found := c.offers.Get(number)
		if !found {
			return invariant.Violated("R2", "slave %s lists offer %d, which is not outstanding", s.info.ID, number)
		}
		take(o.resources)
	}
	if !ok && !s.over {
		return invariant.Violated("R1", "slave %s: more than %v is used and offered", s.info.ID, s.info.Resources)
	}
	return nil
}

func (c *Core) checkFrameworks() error {
	away, live := 0, 0
	for n := uint32(1); n <= c.maxFramework; n++ {
		f := c.frameworks.get(n)
		if f == nil {
			continue
		}
		if f.state == frameworkLive && f.conn == 0 {
			away++
			if f.deadline == 0 && !f.busy {
				return invariant.Violated("F2", "framework %s is away without a deadline", f.info.ID)
			}
		}
		if f.conn != 0 && !c.holds(f.conn, connFramework, n) {
			return invariant.Violated("F1", "framework %s holds connection %d", f.info.ID, f.conn)
		}
		if f.state != frameworkLive && (f.tasks.count > 0 || len(f.offers) > 0) {
			return invariant.Violated("F5", "framework %d is retired and has %d tasks and %d offers", n, f.tasks.count, len(f.offers))
		}
		tasks := 0
		for slot := f.tasks.head; slot != 0; slot = c.tasks.records.get(slot).ownerNext {
			tasks++
			if t := c.tasks.records.get(slot); t.framework != n || !t.has(taskLive) {
				return invariant.Violated("T1", "task %s is listed for framework %d, which does not have it", t.id(), n)
			}
		}
		live += tasks
		ended := 0
		for slot := f.ended.head; slot != 0; slot = c.tasks.records.get(slot).ownerNext {
			ended++
		}
		if tasks != f.tasks.count || ended != f.ended.count || ended > c.cfg.MaxCompletedTasks {
			return invariant.Violated("T1", "framework %s has %d and %d tasks and counts %d and %d", f.info.ID, tasks, ended, f.tasks.count, f.ended.count)
		}
	}
	if away != c.counts.away {
		return invariant.Violated("F2", "%d frameworks are away and %d are counted", away, c.counts.away)
	}
	return nil
}

// checkIndex is T5: one live task for each framework and id, found under it.
func (c *Core) checkIndex() error {
	indexed := 0
	for n := uint32(1); n <= c.maxFramework; n++ {
		f := c.frameworks.get(n)
		if f == nil {
			continue
		}
		for slot := f.tasks.head; slot != 0; {
			t := c.tasks.records.get(slot)
			found := c.tasks.find(n, t.id())
			if !t.has(taskShadow) {
				indexed++
				if found != slot {
					return invariant.Violated("T5", "task %s of %s is not found under its id", t.id(), f.info.ID)
				}
			}
			slot = t.ownerNext
		}
	}
	if indexed != c.tasks.indexed {
		return invariant.Violated("T5", "%d tasks are live and %d are indexed", indexed, c.tasks.indexed)
	}
	return nil
}

// checkReferences compares the counts of interned resources and roles with the tasks that refer to them.
func (c *Core) checkReferences() error {
	resources, roles := map[uint32]uint32{}, map[uint32]uint32{}
	for slot := uint32(1); slot < c.tasks.next; slot++ {
		if t := c.tasks.records.get(slot); t != nil && t.flags&(taskLive|taskDone) != 0 {
			resources[t.resources]++
			roles[t.role]++
		}
	}
	for h := uint32(1); h < c.tasks.resources.next; h++ {
		if refs := c.tasks.resources.entries.get(h).refs; refs != resources[h] {
			return invariant.Violated("R5", "resources %d are referred to %d times and count %d", h, resources[h], refs)
		}
	}
	for h := uint32(1); h < c.tasks.roles.next; h++ {
		if refs := c.tasks.roles.entries.get(h).refs; refs != roles[h] {
			return invariant.Violated("R5", "role %d is referred to %d times and counts %d", h, roles[h], refs)
		}
	}
	return nil
}

// checkAllocator is R4: allocator and master agree on what is free.
func (c *Core) checkAllocator() error {
	if a, ok := c.cfg.Allocator.(interface{ Check() error }); ok {
		if err := a.Check(); err != nil {
			return invariant.Violated("R4", "allocator: %v", err)
		}
	}
	a, ok := c.cfg.Allocator.(interface {
		Free(id offer.SlaveID) resource.Resources
	})
	if !ok {
		return nil
	}
	for n := uint32(1); n <= c.maxSlave; n++ {
		s := c.slaves.get(n)
		if s == nil || !s.allocated || s.over {
			continue
		}
		want, have := c.freeOn(s).NonShared(), a.Free(s.info.ID)
		if p := &c.returned; p.slave == s.info.ID {
			for range p.times {
				have = have.Add(p.resources.NonShared())
			}
		}
		if !want.Equal(have) {
			return invariant.Violated("R4", "slave %s: %v is free, the allocator has %v", s.info.ID, want, have)
		}
	}
	return nil
}

// holds reports whether a connection is that of slave or framework n.
func (c *Core) holds(id ConnID, kind connKind, n uint32) bool {
	cn := c.conns[id]
	return cn != nil && cn.kind == kind && cn.of == n
}

// checkQuestions is T8: what was asked and is not answered is counted, and a commit is on its way or a time is set for it.
func (c *Core) checkQuestions() error {
	p := &c.confirm
	if c.done {
		return nil
	}
	open, underWay := len(p.questions), 0
	for _, x := range c.proposals { // a sum, in any order
		if done, ok := x.then.(*confirmed); ok {
			open += len(done.questions)
			underWay++
		}
	}
	for _, j := range c.jobs {
		if a, ok := j.(*answers); ok {
			open += len(a.questions)
		}
	}
	switch {
	case open != p.open || open > c.cfg.MaxAllQuestions:
		return invariant.Violated("T8", "%d questions are open and %d are counted", open, p.open)
	case underWay > 1 || p.underWay != (underWay == 1):
		return invariant.Violated("T8", "%d confirmations are under way, which is noted as %v", underWay, p.underWay)
	case len(p.questions) > 0 && !p.underWay && p.timer == 0:
		return invariant.Violated("T8", "%d questions wait and nothing is done about them", len(p.questions))
	}
	return nil
}
