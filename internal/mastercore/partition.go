package mastercore

import (
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/offer"
)

// brake keeps a leader that has lost its own network from marking the fleet unreachable.
type brake struct {
	held   []uint32 // slaves whose time is over, oldest first
	since  moment   // when the first of them was held back
	set    bool     // a timer is set
	marked int      // slaves that were marked since; they count as silent ones
}

// braking reports whether so many slaves are silent that the fault is rather the master's own.
func (c *Core) braking() bool {
	fleet, silent := c.counts.admitted+c.brake.marked, c.counts.silent+c.brake.marked
	return fleet >= c.cfg.BrakeMinimum && silent*100 > fleet*c.cfg.BrakePercent
}

// markUnreachable begins to mark a slave that does not answer: the registry first, then everybody else (L2).
func (c *Core) markUnreachable(n uint32, s *slave) {
	if s.busy {
		c.slaveDue(n, s, c.in(c.cfg.RetryDelay))
		return
	}
	if c.braking() {
		c.brake.held = append(c.brake.held, n)
		if c.brake.since == 0 {
			c.brake.since = c.tick
			c.note(Note{Event: "brake on", Text: utoa(uint64(c.counts.silent)) + " of " + utoa(uint64(c.counts.admitted)) + " slaves are silent"})
		}
		if !c.brake.set {
			c.brake.set = true
			c.timers.set(timerBrake, 0, c.in(c.cfg.PingInterval))
		}
		return
	}
	s.busy = true
	c.propose(&unreachable{n}, &registry.MarkUnreachable{ID: s.info.ID, At: c.now})
}

// releaseBrake looks again at slaves that were held back: those that answer are pinged again; once the silence is no longer general, or has
// lasted for BrakeHold, the others are marked, in the latter case a twentieth of the fleet at a time.
func (c *Core) releaseBrake() {
	c.brake.set = false
	held := c.brake.held
	c.brake.held = nil
	allowed := len(held)
	if c.braking() {
		allowed = 0
		if c.tick >= c.brake.since+moment(c.cfg.BrakeHold) {
			allowed = (c.counts.admitted+c.brake.marked)/20 + 1
		}
	}
	for _, n := range held {
		s := c.slaves.mut(n)
		switch {
		case s.state != slaveRegistered && s.state != slaveRecovering:
		case s.due != 0:
			// It came back and is on its own timer again.
		case s.connected() && int(s.misses) < c.cfg.PingMisses:
			c.slaveDue(n, s, c.in(c.cfg.PingInterval))
		case allowed > 0 && !s.busy:
			allowed--
			s.busy = true
			c.propose(&unreachable{n}, &registry.MarkUnreachable{ID: s.info.ID, At: c.now})
		default:
			c.brake.held = append(c.brake.held, n)
			if s.connected() {
				c.send(s.conn, &message.Ping{Connected: true}) // it may answer yet
			}
		}
	}
	if len(c.brake.held) > 0 {
		c.brake.set = true
		c.timers.set(timerBrake, 0, c.in(c.cfg.PingInterval))
	} else if c.brake.since != 0 {
		c.brake.since, c.brake.marked = 0, 0
		c.note(Note{Event: "brake off"})
	}
}

type unreachable struct{ n uint32 }

func (u *unreachable) committed(c *Core, results []registry.Result) {
	s := c.slaves.mut(u.n)
	s.busy = false
	if bad := results[0].Err; bad != nil {
		c.note(Note{Event: "slave not marked unreachable", Slave: s.info.ID, Reason: bad.Reason, Text: bad.Message})
	} else {
		c.loseSlave(u.n, s)
	}
	if s.extra != nil && s.extra.waiting != nil {
		d := s.extra.waiting
		s.extra.waiting = nil
		if c.conns[d.conn] != nil {
			c.reregister(d) // it came back while it was being marked
		}
	}
}

// loseSlave takes an unreachable slave out of use. Its tasks are kept: they may come back.
func (c *Core) loseSlave(n uint32, s *slave) {
	s.since = c.now.UTC().Round(0)
	c.note(Note{Event: "slave unreachable", Slave: s.info.ID})
	if c.brake.since != 0 {
		c.brake.marked++
	}
	c.rescindSlave(s)
	c.forgetAllocation(s)
	c.setState(s, slaveUnreachable)
	c.slaveDue(n, s, 0)
	if s.conn != 0 {
		c.emit(Close{s.conn, offer.Refuse(offer.ReasonSlaveDisconnected, "the slave did not answer and was marked unreachable")})
		s.conn, s.renewal = 0, 0
	}
	for slot := s.tasks.head; slot != 0; {
		t := c.tasks.records.mut(slot)
		if !t.state.Terminal() { // one that has ended, of which the framework has not heard yet, is not heard of any more either
			latest := offer.Unreachable
			if t.latest.Terminal() {
				latest = t.latest
			}
			t.setStatus(&offer.Status{State: offer.Unreachable, Source: offer.SourceMaster, Reason: offer.ReasonSlaveRemoved, Time: c.now}, latest)
			c.tellTask(slot, s)
		}
		slot = t.slaveNext
	}
	s.executors, s.remnants = nil, nil
	c.failure(s)
}

// prune lets the registry forget slaves that have been unreachable or gone for long, or the oldest of too many.
func (c *Core) prune() {
	c.timers.set(timerPrune, 0, c.in(c.cfg.PruneInterval))
	var ids []offer.SlaveID
	var numbers []uint32
	count := 0
	for n := c.maxSlave; n >= 1; n-- {
		s := c.slaves.get(n)
		if s == nil || s.busy || s.since.IsZero() || s.state != slaveUnreachable && s.state != slaveGone {
			continue
		}
		count++
		if count > c.cfg.PruneCount || c.now.Sub(s.since) > c.cfg.PruneAge {
			ids, numbers = append(ids, s.info.ID), append(numbers, n)
			if len(ids) == registry.MaxPrune {
				break
			}
		}
	}
	if len(ids) > 0 {
		for _, n := range numbers {
			c.slaves.mut(n).busy = true
		}
		c.propose(&pruned{numbers}, &registry.PruneSlaves{IDs: ids})
	}
}

type pruned struct{ numbers []uint32 }

func (p *pruned) committed(c *Core, results []registry.Result) {
	for _, n := range p.numbers {
		s := c.slaves.mut(n)
		s.busy = false
		waiting := (*reregistration)(nil)
		if s.extra != nil {
			waiting = s.extra.waiting
			s.extra.waiting = nil
		}
		if results[0].Err == nil {
			c.note(Note{Event: "slave pruned", Slave: s.info.ID})
			for s.tasks.head != 0 {
				c.finishTask(s.tasks.head)
			}
			if s.state == slaveGone {
				*s = slave{state: slaveGone}
			} else {
				*s = slave{}
			}
		}
		if waiting != nil && c.conns[waiting.conn] != nil {
			c.reregister(waiting)
		}
	}
}
