package mastercore

import (
	"time"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
)

// slaveChange is an operator's change of one slave that waits for the registry.
type slaveChange struct {
	n    uint32
	to   answerTo
	then change
}

// change is what a slaveChange does once it is committed. It is data and no function, so that a core can be kept while it waits.
type change interface {
	apply(c *Core, n uint32, s *slave)
}

// changeSlave writes an operator's change of a slave to the registry and carries it out when it is there.
func (c *Core) changeSlave(n uint32, s *slave, to answerTo, op registry.Op, then change) {
	if s.busy {
		c.answer(to, offer.Refuse(offer.ReasonLimitReached, "another change of slave "+string(s.info.ID)+" is under way"))
		return
	}
	s.busy = true
	c.propose(&slaveChange{n, to, then}, op)
}

func (ch *slaveChange) committed(c *Core, results []registry.Result) {
	s := c.slaves.mut(ch.n)
	s.busy = false
	if bad := results[0].Err; bad != nil {
		c.answer(ch.to, bad)
	} else {
		ch.then.apply(c, ch.n, s)
		c.answer(ch.to, nil)
	}
	s = c.slaves.mut(ch.n)
	if s.extra != nil && s.extra.waiting != nil && !s.busy {
		d := s.extra.waiting
		s.extra.waiting = nil
		if c.conns[d.conn] != nil {
			c.reregister(d)
		}
	}
}

// setInactive takes a slave out of the offers, or puts it back.
func (c *Core) setInactive(s *slave, inactive bool) {
	s.inactive = inactive
	if inactive {
		c.rescindSlave(s)
	}
	if s.allocated {
		c.apply(allocator.SlaveActive{Slave: s.info.ID, Active: !inactive && s.conn != 0})
	}
}

func (c *Core) drainSlave(n uint32, s *slave, to answerTo, drain offer.Drain) {
	c.changeSlave(n, s, to, &registry.DrainSlave{ID: s.info.ID, Drain: drain}, &drains{drain})
}

type drains struct{ drain offer.Drain }

func (d *drains) apply(c *Core, n uint32, s *slave) {
	s.drain, s.drained = &d.drain, false
	c.setInactive(s, true)
	c.note(Note{Event: "slave draining", Slave: s.info.ID})
	if s.connected() {
		c.send(s.conn, &message.Drain{Config: &d.drain})
	}
	c.checkDrained(n, s)
}

func (c *Core) activateSlave(n uint32, s *slave, to answerTo, active bool) {
	c.changeSlave(n, s, to, &registry.ActivateSlave{ID: s.info.ID, Active: active}, &activates{active})
}

type activates struct{ active bool }

func (a *activates) apply(c *Core, _ uint32, s *slave) {
	c.setInactive(s, !a.active)
	if a.active && s.drain != nil {
		s.drain, s.drained = nil, false
		if s.connected() {
			c.send(s.conn, &message.Drain{})
		}
	}
}

func (c *Core) markGone(n uint32, s *slave, to answerTo) {
	c.changeSlave(n, s, to, &registry.MarkGone{ID: s.info.ID, At: c.now}, &goes{})
}

type goes struct{}

func (*goes) apply(c *Core, n uint32, s *slave) { c.slaveIsGone(n, s) }

// slaveIsGone ends everything on a slave that an operator vouches for, or that has drained for good.
func (c *Core) slaveIsGone(n uint32, s *slave) {
	c.note(Note{Event: "slave gone", Slave: s.info.ID})
	c.removeSlave(n, s, offer.GoneByOperator, offer.ReasonSlaveRemovedByOperator)
	if s.conn != 0 {
		text := "slave " + string(s.info.ID) + " was marked gone"
		c.refuseSlave(s.conn, offer.ReasonSlaveGone, text, true)
		c.emit(Close{s.conn, offer.Refuse(offer.ReasonSlaveGone, text)})
	}
	waiting := (*slaveExtra)(nil)
	if s.extra != nil && s.extra.waiting != nil {
		waiting = &slaveExtra{waiting: s.extra.waiting}
	}
	*s = slave{state: slaveGone, since: c.now.UTC().Round(0), info: offer.Slave{ID: s.info.ID, Hostname: s.info.Hostname, Address: s.info.Address},
		inactive: true, extra: waiting}
}

// checkDrained notes when the last task of a draining slave has ended and was acknowledged.
func (c *Core) checkDrained(n uint32, s *slave) {
	if s.drain == nil || s.drained || s.busy || !s.connected() || s.tasks.count > 0 || len(s.executors) > 0 || len(s.remnants) > 0 {
		return
	}
	if s.drain.MarkGone {
		s.busy = true
		c.propose(&drainedGone{n}, &registry.SlaveDrained{ID: s.info.ID}, &registry.MarkGone{ID: s.info.ID, At: c.now})
		return
	}
	s.busy = true
	c.propose(&slaveChange{n, answerTo{}, &hasDrained{}}, &registry.SlaveDrained{ID: s.info.ID})
}

type hasDrained struct{}

func (*hasDrained) apply(c *Core, _ uint32, s *slave) {
	s.drained = true
	c.note(Note{Event: "slave drained", Slave: s.info.ID})
}

type drainedGone struct{ n uint32 }

func (d *drainedGone) committed(c *Core, results []registry.Result) {
	change := slaveChange{d.n, answerTo{}, &goes{}}
	change.committed(c, results[1:])
}

// scheduleCountDown makes sure that a count-down is written no later than at.
func (c *Core) scheduleCountDown(at moment) {
	if c.countAt == 0 || at < c.countAt {
		c.countAt = at
		c.timers.set(timerCountDown, 0, at)
	}
}

// countDown records how much time the frameworks that are away have left, so that the next leader goes on from there (F2). Those with much
// time left are recorded less often: an error of a 256th of it at a change of leaders is as good.
func (c *Core) countDown(at moment) {
	if c.countAt != at {
		return
	}
	c.countAt = 0
	if c.counts.away == 0 {
		return
	}
	var list []registry.Remaining
	var numbers []uint32
	next := time.Minute
	flush := func() {
		if len(list) > 0 {
			c.propose(&counted{numbers}, &registry.CountDown{Frameworks: list})
			list, numbers = nil, nil
		}
	}
	for n := uint32(1); n <= c.maxFramework; n++ {
		f := c.frameworks.get(n)
		if f == nil || f.state != frameworkLive || f.conn != 0 || f.busy || f.deadline == 0 {
			continue
		}
		left := time.Duration(max(f.deadline-c.tick, 0))
		next = min(next, max(left/256, c.cfg.CountDownInterval))
		list, numbers = append(list, registry.Remaining{ID: f.info.ID, Remaining: left}), append(numbers, n)
		c.frameworks.mut(n).recorded = false
		if len(list) == registry.MaxCountDown {
			flush()
		}
	}
	flush()
	c.scheduleCountDown(c.in(next))
}

// counted ends a count-down. A framework that came back and was recorded before an attempt that had to be repeated is recorded again.
type counted struct{ numbers []uint32 }

func (ct *counted) committed(c *Core, _ []registry.Result) {
	var back []registry.Remaining
	for _, n := range ct.numbers {
		f := c.frameworks.mut(n)
		if f.state == frameworkLive && f.conn != 0 && f.recorded {
			back = append(back, registry.Remaining{ID: f.info.ID, Remaining: -1})
		}
	}
	if len(back) > 0 {
		c.propose(&counted{}, &registry.CountDown{Frameworks: back})
	}
}
