package sim

import (
	"bytes"
	"time"

	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/internal/wire"
	"github.com/meros-project/meros/offer"
)

// hand has the leader give the lead to another, a few times in a row; sometimes its process stops then.
func (w *World) hand(d *dice) {
	gap := d.mostly(50*time.Millisecond, 10*time.Second)
	stops := d.chance(0.3)
	for i := range 1 + d.IntN(5) {
		w.after(time.Duration(i)*gap, func() {
			old := w.log.leader
			if w.calm || !w.log.transfer(d) || !stops {
				return
			}
			m := old.m
			w.note(m.id, "is asked to stop")
			w.after(d.between(0, time.Second), func() {
				m.kill()
				w.after(d.mostly(100*time.Millisecond, time.Minute), m.restart)
			})
		})
	}
}

// transfer ends a reign in good order: what was proposed is settled, and another master leads soon.
func (g *replicated) transfer(d *dice) bool {
	w, r := g.w, g.leader
	if r == nil || g.election || !w.able(r.m) {
		return false
	}
	var others []*master
	for _, m := range w.masters {
		if m != r.m && !m.behind && w.able(m) {
			others = append(others, m)
		}
	}
	if len(others) == 0 {
		return false
	}
	to := others[d.IntN(len(others))]
	w.note(r.m.id, "hands the lead to %s, with %d entries under way", to.id, len(r.flight))
	w.states.reach(StateTransferred)
	g.election, g.leader = true, nil
	for _, p := range append([]*proposal(nil), r.flight...) {
		g.settle(p)
	}
	w.after(d.between(0, time.Second), r.end)
	w.after(d.between(5*time.Millisecond, 500*time.Millisecond), func() {
		if !w.able(to) || to.behind {
			g.decide()
			return
		}
		g.crown(to)
	})
	return true
}

// spared reports whether there is a member with the whole log that is not m: what m holds may be lost.
func (w *World) spared(m *master) bool {
	for _, x := range w.masters {
		if x != m && !x.out && !x.behind {
			return true
		}
	}
	return false
}

// changeMembers takes a master out of the cluster, the leader too, and puts another in its place later: one change at a time.
func (w *World) changeMembers(d *dice) {
	g := w.log
	if g.leader == nil || g.election || !w.able(g.leader.m) {
		return
	}
	m := w.masters[d.IntN(len(w.masters))]
	if d.chance(0.3) {
		m = g.leader.m
	}
	for _, x := range w.masters {
		if x.out {
			return
		}
	}
	if !w.spared(m) {
		return
	}
	m.out = true
	if !w.quorate() { // such a change does not commit
		m.out = false
		return
	}
	w.note(m.id, "is no member any more")
	if g.leader.m == m {
		w.states.reach(StateLeaderRemoved)
		g.elect()
	}
	g.watch()
	if d.chance(0.5) {
		w.after(d.between(0, 10*time.Second), func() {
			if m.out {
				m.kill()
			}
		})
	}
	w.after(d.mostly(5*time.Second, 10*time.Minute), func() {
		if !m.out {
			return
		}
		w.note(m.id, "is replaced")
		m.kill()
		m.lose()
		m.restart()
	})
}

// quorate reports whether some master could lead.
func (w *World) quorate() bool {
	for _, m := range w.masters {
		if !m.behind && w.able(m) {
			return true
		}
	}
	return false
}

// lose is the end of all that a master has on disk.
func (m *master) lose() { m.behind, m.state, m.applied = true, registry.New(), 0 }

// fetch gets a master what it lacks of the log. That takes a while, and begins anew when the leader that sends it is gone. It leads nothing
// meanwhile, and a new member votes only then.
func (m *master) fetch() {
	w, life, d := m.w, m.life, m.w.dice(FaultInstall)
	var try func()
	try = func() {
		if m.life != life || !m.behind {
			return
		}
		r := w.log.leader
		if r == nil || m.paused || !w.hears(r.m, m) || !w.hears(m, r.m) {
			w.after(time.Second, try)
			return
		}
		w.after(d.mostly(50*time.Millisecond, time.Minute), func() {
			switch {
			case m.life != life || !m.behind:
			case w.log.leader != r || m.paused || !w.hears(r.m, m):
				w.states.reach(StateInstallCut)
				try()
			default:
				w.note(m.id, "has the log again")
				w.states.reach(StateCaughtUp)
				m.catchUp()
				m.behind, m.out = false, false
				w.log.watch()
			}
		})
	}
	try()
}

// install has a follower lose all it has, so that it gets a snapshot from a leader who may end meanwhile.
func (w *World) install(d *dice) {
	m := w.masters[d.IntN(len(w.masters))]
	if g := w.log; g.leader != nil && g.leader.m == m || m.out || m.behind || !w.spared(m) {
		return
	}
	w.note(m.id, "loses its data")
	m.kill()
	m.lose()
	w.after(d.between(time.Second, 5*time.Second), m.restart)
	if d.chance(0.6) {
		w.after(d.between(time.Second, 20*time.Second), func() {
			if g := w.log; !w.calm && g.leader != nil {
				old := g.leader.m
				old.kill()
				w.after(d.mostly(time.Second, time.Minute), old.restart)
			}
		})
	}
}

// restore puts back the data that a master had a while ago: it must not lead before it has the rest again.
func (w *World) restore(d *dice) {
	m := w.masters[d.IntN(len(w.masters))]
	if !m.alive || m.out || m.behind {
		return
	}
	var b bytes.Buffer
	if _, err := wire.WriteSnapshot(&b, m.state.View().Export()); err != nil {
		w.violate("wire", "snapshot: %v", err)
		return
	}
	at := m.applied
	w.after(d.mostly(30*time.Second, 20*time.Minute), func() {
		if w.calm || m.out || m.behind || !w.spared(m) {
			return
		}
		m.kill()
		state, err := registry.Import(wire.ReadSnapshot(&b))
		if err != nil {
			w.violate("L6", "an old snapshot of %s: %v", m.id, err)
			return
		}
		w.note(m.id, "is set back to entry %d, of %d", at, w.log.length())
		w.states.reach(StateRolledBack)
		m.behind, m.state, m.applied = true, state, at
		w.after(d.between(time.Second, 20*time.Second), m.restart)
	})
}

// masterDisk is what happens to a master's disk: a write fails and ends the process, which finds the disk full for a while or not, or writes
// are slow.
func (w *World) masterDisk(d *dice) {
	m := w.masters[d.IntN(len(w.masters))]
	if g := w.log; g.leader != nil && d.chance(0.6) {
		m = g.leader.m
	}
	if d.chance(0.4) {
		w.note(m.id, "its disk is slow")
		m.slow = true
		w.after(d.mostly(5*time.Second, 5*time.Minute), func() { m.slow = false })
		return
	}
	w.note(m.id, "its next write fails")
	m.failing = d.mostly(time.Second, 3*time.Minute)
	w.after(d.between(time.Second, 10*time.Second), func() { m.writes() }) // a follower writes soon, too
}

// writes is a write on a master that may fail, which ends the process for as long as the disk takes to be mended.
func (m *master) writes() bool {
	if m.failing == 0 || !m.alive {
		return true
	}
	w, back := m.w, m.failing
	m.failing = 0
	w.states.reach(StateWriteFailed)
	w.note(m.id, "a write fails")
	w.after(0, func() {
		m.kill()
		w.after(back, m.restart)
	})
	return false
}

// poison has the leader's core fail at the next message that it gets.
func (w *World) poison(d *dice) {
	if g := w.log; g.leader != nil {
		g.leader.m.poisoned = true
		w.after(d.between(time.Second, 10*time.Second), func() {
			for _, m := range w.masters {
				m.poisoned = false
			}
		})
	}
}

// fromGuest reports whether a message comes from a program from outside, whose session must not be ended for good.
func (r *reign) fromGuest(ev mastercore.Received) bool {
	l := r.conns[ev.Conn]
	if l == nil {
		return false
	}
	f, is := l.client.(*framework)
	if is {
		_, is = f.user.(guest)
	}
	return is
}

// fails is the end of a core at a message: the shell turns the sender away for good where that costs no tasks, so that it does not bring the
// message to the next leader, and the master ends.
func (r *reign) fails(ev mastercore.Received) {
	w := r.m.w
	r.m.poisoned = false
	w.states.reach(StateCoreFailed)
	w.note(r.m.id, "its core fails at a message of kind %d", int(ev.Message.Kind()))
	if l := r.conns[ev.Conn]; l != nil {
		const why = "this message brought the master down"
		last := message.Message(&message.Error{Reason: offer.ReasonInternal, Message: why, Final: true})
		if k := ev.Message.Kind(); k >= message.KindSlaveRegister && k < message.KindSlaveRegistered {
			last = &message.SlaveRefused{Reason: offer.ReasonInternal, Message: why}
		}
		if f, is := l.client.(*framework); is {
			f.excused = w.ns + int64(5*time.Minute)
		}
		delete(r.conns, ev.Conn)
		l.toClient(message.Envelope{Cluster: r.cluster, Reign: r.number, Message: last})
		l.close()
	}
	r.end()
	m := r.m
	w.after(w.between(10*time.Millisecond, time.Second), func() {
		m.kill()
		w.after(w.between(time.Second, 20*time.Second), m.restart)
	})
}

// rot damages what is on a disk at rest. A checksum finds that: the process refuses to start until somebody gives it an empty disk.
func (w *World) rot(d *dice) {
	mend := d.mostly(5*time.Second, 10*time.Minute)
	if m := w.masters[d.IntN(len(w.masters))]; d.chance(0.4) && !m.out && !m.behind && w.spared(m) {
		m.kill()
		m.lose()
		m.rotten = true
		w.after(mend, func() {
			m.rotten = false
			m.restart()
		})
		return
	}
	s := w.someSlave(d)
	if len(s.disk.records) < 2 {
		return
	}
	s.crash()
	s.disk.rotten = true
	w.after(d.between(100*time.Millisecond, 20*time.Second), s.restart)
	w.after(mend, func() {
		if s.disk.rotten {
			s.wipe()
			s.restart()
		}
	})
}
