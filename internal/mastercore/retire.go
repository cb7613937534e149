package mastercore

import (
	"slices"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
)

// retire removes a framework for good, once the registry has it.
func (c *Core) retire(n uint32, f *framework, to answerTo) {
	if f.busy {
		// Whatever is under way ends soon; the timer or the caller comes again.
		if f.conn == 0 {
			c.frameworkDue(n, f, c.in(c.cfg.RetryDelay))
		} else {
			c.refuse(f, offer.ReasonLimitReached, "another change of this framework is under way")
		}
		c.answer(to, offer.Refuse(offer.ReasonLimitReached, "another change of this framework is under way"))
		return
	}
	f.busy = true
	c.propose(&retirement{n, to}, &registry.RemoveFramework{ID: f.info.ID})
}

type retirement struct {
	n  uint32
	to answerTo
}

func (r *retirement) committed(c *Core, results []registry.Result) {
	f := c.frameworks.mut(r.n)
	f.busy = false
	if bad := results[0].Err; bad != nil {
		c.answer(r.to, bad)
		c.refuse(f, bad.Reason, bad.Message)
		c.nextSubscription(f)
		return
	}
	if f.waiting != nil {
		c.dismiss(f.waiting.conn, offer.ReasonFrameworkCompleted, "framework "+string(f.info.ID)+" was removed; its id is retired")
		f.waiting = nil
	}
	c.removeFramework(r.n, f, r.to != answerTo{})
	c.answer(r.to, nil)
}

// removeFramework ends all that a framework has. Its tasks count as ended at once, since nobody is left to be told; what they hold is free when
// their slaves say that they have ended.
func (c *Core) removeFramework(n uint32, f *framework, byOperator bool) {
	c.note(Note{Event: "framework removed", Framework: f.info.ID})
	c.returnOffers(f)
	last := ConnID(0)
	for i := uint32(1); i <= c.maxSlave; i++ {
		s := c.slaves.get(i)
		if s == nil || s.state != slaveRegistered {
			continue
		}
		s = c.slaves.mut(i)
		if s.conn != 0 && c.runsOn(n, f, i, s) {
			c.send(s.conn, &message.FrameworkShutdown{Framework: f.info.ID})
		}
		c.leaveExecutors(n, f, s)
	}
	for f.tasks.head != 0 {
		slot := f.tasks.head
		t := c.tasks.records.mut(slot)
		if !t.latest.Terminal() {
			c.setByMaster(t, offer.Killed, offer.ReasonFrameworkRemoved, "")
		}
		owner := t.slave
		c.leaveTask(t, c.slaves.mut(owner))
		c.finishTask(slot)
		c.checkDrained(owner, c.slaves.mut(owner))
	}
	if last = f.conn; last != 0 {
		why := " was torn down"
		if byOperator {
			why = " was removed by an operator"
		}
		c.dismiss(last, offer.ReasonFrameworkCompleted, "framework "+string(f.info.ID)+why)
	} else {
		c.counts.away--
	}
	c.apply(allocator.FrameworkRemoved{Framework: f.info.ID})
	f.state, f.conn, f.held = frameworkCompleted, 0, nil
	c.frameworkDue(n, f, 0)
	c.completed = append(c.completed, n)
	for len(c.completed) > c.cfg.MaxCompletedFrameworks {
		c.dropCompleted(c.completed[0])
		c.completed = c.completed[1:]
	}
}

// runsOn reports whether a framework has a task or an executor on a slave.
func (c *Core) runsOn(n uint32, f *framework, slaveNumber uint32, s *slave) bool {
	if slices.ContainsFunc(s.executors, func(e executor) bool { return e.framework == n }) {
		return true
	}
	// The shorter list decides.
	if f.tasks.count < s.tasks.count {
		for slot := f.tasks.head; slot != 0; slot = c.tasks.records.get(slot).ownerNext {
			if c.tasks.records.get(slot).slave == slaveNumber {
				return true
			}
		}
		return false
	}
	for slot := s.tasks.head; slot != 0; slot = c.tasks.records.get(slot).slaveNext {
		if c.tasks.records.get(slot).framework == n {
			return true
		}
	}
	return false
}

func (c *Core) dropCompleted(n uint32) {
	f := c.frameworks.mut(n)
	for f.ended.head != 0 {
		slot := f.ended.head
		c.tasks.cutOwner(&f.ended, slot)
		c.tasks.drop(slot)
	}
	*f = framework{}
}
