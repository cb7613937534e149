package sim

import (
	"time"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/slavecore"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// starve leaves a node so little of its processor that each event waits for its turn.
func (w *World) starve(d *dice) {
	n := w.whom(d)
	n.cost = int64(d.between(time.Millisecond, 60*time.Millisecond))
	w.note(n.id, "takes %v for each event", time.Duration(n.cost))
	w.after(d.mostly(5*time.Second, 5*time.Minute), n.fed)
}

// noForks keeps a machine from starting processes.
func (w *World) noForks(d *dice) {
	s := w.someSlave(d)
	s.barren = true
	w.note(s.id, "can start no process")
	w.after(d.mostly(time.Second, 3*time.Minute), func() { s.barren = false })
}

// suspend puts one machine to sleep, or half of them, or all of them at once, as a hypervisor does.
func (w *World) suspend(d *dice) {
	wait, share := d.mostly(time.Second, 2*time.Minute), 1.0
	switch d.IntN(3) {
	case 0:
		w.whom(d).sleep(wait)
		return
	case 1:
		share = 0.5
	}
	w.note("sim", "suspended, for %v", wait)
	w.states.reach(StateSuspended)
	for _, n := range w.nodes() {
		if share == 1 || d.chance(share) {
			n.sleep(wait)
		}
	}
	w.log.watch()
}

// sleep is a pause in which the monotonic clock stands still, while the date goes on.
func (n *node) sleep(d time.Duration) {
	if n.alive && !n.paused {
		n.asleep = n.w.ns
		n.pause(d)
	}
}

// wake sets the clock of a node that has slept: its monotonic part goes on where it was.
func (n *node) wake() {
	if n.asleep == 0 {
		return
	}
	lost := n.clock.reading(n.w.ns) - n.clock.reading(n.asleep)
	n.clock.drift(n.w.ns, n.clock.ppm)
	n.clock.mono -= lost
	n.slept += lost
	n.clock.wall += lost
	n.asleep = 0
}

// spin crashes a master or a scheduler again and again.
func (w *World) spin(d *dice) {
	m := w.masters[d.IntN(len(w.masters))]
	var f *framework
	if len(w.frameworks) > 0 && d.chance(0.5) {
		f = w.frameworks[d.IntN(len(w.frameworks))]
		if f.outside() {
			return
		}
	}
	w.states.reach(StateSpun)
	for i := range 10 + d.IntN(11) {
		back := d.between(10*time.Millisecond, 2*time.Second)
		w.after(time.Duration(i)*3*time.Second+d.between(0, time.Second), func() {
			switch {
			case w.calm:
			case f != nil && f.alive:
				f.crash()
				w.after(back, f.restart)
			case f == nil && m.alive:
				m.kill()
				w.after(back, m.restart)
			}
		})
	}
}

// stopSlave asks a slave's process to stop in good order, perhaps twice, perhaps right at the start, and starts it again.
func (w *World) stopSlave(d *dice) {
	s := w.someSlave(d)
	if !s.alive || s.paused {
		return
	}
	if d.chance(0.3) {
		s.crash()
		s.begin()
	}
	s.back = d.mostly(100*time.Millisecond, 5*time.Minute)
	w.note(s.id, "is asked to stop")
	s.step(slavecore.StopAsked{})
	s.step(slavecore.StopAsked{})
}

// killSupervisor ends a container in a way that nobody sees.
func (w *World) killSupervisor(d *dice) {
	s := w.someSlave(d)
	r := &s.runtime
	for _, c := range r.all {
		if c.running && c.exec == nil && d.chance(0.5) {
			w.note(s.id, "the supervisor of %s is killed", c.id)
			w.states.reach(StateUnwatched)
			r.vanish(s, c)
			return
		}
	}
}

// vanish is the end of a container and of what would know about it.
func (r *runtime) vanish(s *slave, c *container) {
	exit := offer.Exit{Signal: 9}
	c.running, c.exit, c.unseen = false, exit, true
	s.w.history.exited(s, c.task, exit)
	if s.alive && c.told == s.life {
		s.step(slavecore.Exited{Container: c.id})
	}
}

// blunder is what operators are sorry for later.
func (w *World) blunder(d *dice) {
	o := &w.operator
	if w.log.leader == nil {
		return
	}
	role := operatorRoles[d.IntN(len(operatorRoles))]
	w.states.reach(StateBlunder)
	switch d.IntN(4) {
	case 0: // nobody in the role may have anything
		o.changed = w.ns
		o.limits[role] = true
		o.look()
		o.ask(message.Operate{Verb: message.VerbSetQuota, Role: role, Limit: resource.Quantities{{Name: resource.CPUs}}})
	case 1: // a role gets next to nothing, or all
		weight := resource.Scalar(1)
		if d.chance(0.5) {
			weight = resource.Units(1_000_000)
		}
		o.weights[role] = true
		o.ask(message.Operate{Verb: message.VerbSetWeight, Role: role, Weight: weight})
	case 2:
		grace := d.between(0, 10*time.Second)
		w.everySlave(d, func(s *slave) message.Operate {
			return message.Operate{Verb: message.VerbDrain, Slave: s.sid, Drain: offer.Drain{MaxGrace: grace}}
		})
	case 3:
		w.everySlave(d, func(s *slave) message.Operate { return message.Operate{Verb: message.VerbDeactivate, Slave: s.sid} })
	}
}

// everySlave makes a call about each slave, and takes it back after a while.
func (w *World) everySlave(d *dice, call func(*slave) message.Operate) {
	for _, s := range w.slaves {
		if s.sid != "" {
			w.operator.ask(call(s))
		}
	}
	w.after(d.mostly(5*time.Second, 3*time.Minute), func() {
		for _, s := range w.slaves {
			if !w.calm && s.sid != "" {
				w.operator.ask(message.Operate{Verb: message.VerbReactivate, Slave: s.sid})
			}
		}
	})
}
