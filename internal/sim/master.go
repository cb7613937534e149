package sim

import (
	"fmt"
	"time"

	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/offer"
)

// A master is a process with a replica of the registry and, while it leads, a core.
type master struct {
	node
	number   int
	hung     bool          // its disk does not answer
	lagging  bool          // applies nothing
	out      bool          // is no member of the cluster
	behind   bool          // lacks what the others have: cannot lead
	rotten   bool          // its data is damaged, and it does not start
	slow     bool          // its disk is
	failing  time.Duration // its next write fails, and this is how long the disk takes to be mended; zero: writes succeed
	poisoned bool          // its core fails at the next message
	state    *registry.State
	applied  int
	seen     uint64 // how much of the registry it has seen in this life
	reign    *reign
}

// A reign is one core in office.
type reign struct {
	m         *master
	number    uint64
	cluster   offer.ClusterID
	core      *mastercore.Core
	conns     map[mastercore.ConnID]*link
	lastID    mastercore.ConnID
	flight    []*proposal // in order
	unread    []*proposal // committed, and the core does not know it yet
	unlearned time.Time   // when it last was not told that a write of its was committed; its registry is ahead of it until it has repeated that
	settles   time.Time
	tickAt    int64 // zero: none is set
	ended     bool
	busy      bool
	queue     []mastercore.Event
	unseen    int // events since the core was checked as a whole
	office    office
	watch     oversight
	witness   Witness
}

// catchUp applies what is committed and returns the results of the last entry.
func (m *master) catchUp() (results []registry.Result) {
	g := m.w.log
	if m.applied < g.base {
		state := m.w.transplant(m, g.state.View())
		if state == nil {
			return nil
		}
		m.w.note(m.id, "installs a snapshot of %d entries over %d", g.base, m.applied)
		m.w.states.reach(StateSnapshotInstalled)
		m.state, m.applied = state, g.base
	}
	for ; m.applied < g.length(); m.applied++ {
		m.w.history.applied(m)
		results = m.apply(g.entries[m.applied-g.base])
	}
	return results
}

// lead begins a reign on this master.
func (m *master) lead() {
	m.catchUp()
	view := m.state.View()
	r := &reign{m: m, number: view.Reign(), cluster: view.ClusterID(), conns: map[mastercore.ConnID]*link{}, office: newOffice(m.w)}
	r.core = m.newCore()
	r.watch = newOversight(r)
	if witness := m.w.cfg.Witness; witness != nil {
		r.witness = witness(m.time(), r.core)
	}
	m.reign = r
	m.w.counts.Reigns++
	m.w.note(m.id, "leads reign %d", r.number)
	r.arm()
}

// kill ends the process; its replica is lost, the log is not.
func (m *master) kill() {
	if !m.alive {
		return
	}
	m.w.note(m.id, "killed")
	m.died()
	m.hung, m.lagging, m.failing, m.poisoned = false, false, 0, false
	leads := m.w.log.leader != nil && m.w.log.leader.m == m
	if m.reign != nil {
		if leads {
			m.w.log.elect()
		}
		m.reign.end()
	}
	m.w.severAll(time.Second, func(l *link) bool { return l.server == m })
	m.w.log.watch()
}

// restart begins with the log, half of the time by way of a snapshot.
func (m *master) restart() {
	if m.alive {
		return
	}
	if m.rotten {
		m.w.note(m.id, "refuses to start: its log is damaged")
		m.w.states.reach(StateRotRefused)
		return
	}
	m.w.note(m.id, "restarted")
	m.alive = true
	m.life++
	m.seen = 0
	if m.behind {
		m.fetch()
		return
	}
	m.state, m.applied = registry.New(), 0
	m.catchUp()
	if m.w.chance(0.5) {
		if state := m.w.transplant(m, m.state.View()); state != nil {
			m.state = state
		}
	}
}

// end throws the core away. Its connections are told and closed.
func (r *reign) end() {
	if r.ended {
		return
	}
	r.ended = true
	for len(r.unread) > 0 { // those who lead next know it
		r.learns(r.unread[0].propose.Token)
	}
	r.m.w.note(r.m.id, "reign %d ends", r.number)
	if r.m.reign == r {
		r.m.reign = nil
	}
	if w := r.m.w; w.log.leader == r {
		w.log.elect()
	}
	for id := mastercore.ConnID(1); id <= r.lastID; id++ {
		if l := r.conns[id]; l != nil {
			l.toClient(message.Envelope{Cluster: r.cluster, Message: &message.Leader{}})
			l.close()
		}
	}
}

// receive is the shell's part: whose connection is it, and does this master lead.
func (m *master) receive(l *link, e message.Envelope) {
	if !m.alive || m.later(func() { m.receive(l, e) }) {
		return
	}
	if l.reign == nil {
		if m.reign == nil {
			l.toClient(message.Envelope{Cluster: e.Cluster, Message: &message.Leader{}})
			l.close()
			return
		}
		r := m.reign
		l.reign, l.id = r, mastercore.ConnID(l.number)
		r.lastID = max(r.lastID, l.id)
		r.conns[l.id] = l
	}
	r := l.reign
	if r.ended {
		return
	}
	later := e.Reign > r.number && (m.w.cfg.Plant == nil || !m.w.cfg.Plant.Reignless)
	if e.Cluster != "" && e.Cluster != r.cluster || later {
		m.w.states.reach(StateOldReign)
		l.toClient(message.Envelope{Cluster: r.cluster, Message: &message.Leader{}})
		l.close()
		return
	}
	r.step(mastercore.Received{Conn: l.id, Principal: l.principal(), Message: e.Message})
}

func (m *master) closed(l *link) {
	if m.later(func() { m.closed(l) }) {
		return
	}
	if r := l.reign; r != nil && !r.ended && r.conns[l.id] == l {
		delete(r.conns, l.id)
		m.w.history.lost(r, l)
		r.step(mastercore.Disconnected{Conn: l.id})
	}
}

// step feeds the core. What an effect brings about at once waits until the effects before it are performed.
func (r *reign) step(ev mastercore.Event) {
	if r.ended || r.m.later(func() { r.step(ev) }) || r.m.queued(func() { r.step(ev) }) {
		return
	}
	r.queue = append(r.queue, ev)
	if r.busy {
		return
	}
	r.busy = true
	w := r.m.w
	for len(r.queue) > 0 && !r.ended {
		ev, r.queue = r.queue[0], r.queue[1:]
		if m, is := ev.(mastercore.Received); is && r.m.poisoned && !w.calm && !r.fromGuest(m) {
			r.fails(m)
			return
		} else if is {
			w.history.asked(r, r.conns[m.Conn], m.Message)
			if l := r.conns[m.Conn]; l != nil {
				r.watch.asked(l, m.Message)
			}
			if back, is := m.Message.(*message.SlaveReregister); is { // which counts for the leader even if the connection is no more
				r.watch.afresh(back.Slave.ID)
			}
		}
		if c, is := ev.(mastercore.Committed); is {
			r.learns(c.Token)
			r.office.confirms.committed(w.ns, c.Token)
		}
		for _, e := range r.advance(ev) {
			if w.diesHere() {
				r.m.kill()
				w.after(w.between(time.Second, 20*time.Second), r.m.restart)
				return
			}
			r.perform(e)
		}
		w.history.stepped(r)
		r.check(ev)
	}
	r.busy = false
	if r.witness != nil {
		r.witness.Settled(r.m.time())
	}
	r.arm()
}

func (r *reign) perform(e mastercore.Effect) {
	w := r.m.w
	switch e := e.(type) {
	case mastercore.Send:
		if l := r.conns[e.Conn]; l != nil {
			w.history.told(r, l, e.Message)
			l.toClient(message.Envelope{Cluster: r.cluster, Reign: r.number, Message: e.Message})
		}
	case mastercore.Close:
		if l := r.conns[e.Conn]; l != nil {
			w.note(r.m.id, "closes connection %d: %v", l.number, e.Refusal)
			l.dismissed = true
			l.close()
		}
	case mastercore.Propose:
		r.office.confirms.proposed(w.ns, e)
		w.log.propose(r, e)
	case mastercore.Answer:
		w.operator.answered(r, e)
	case mastercore.Resign:
		w.note(r.m.id, "resigns: %v", e.Refusal)
		w.after(0, r.end)
	case mastercore.Note:
		w.note(r.m.id, "%s slave=%s framework=%s task=%s %s %s", e.Event, e.Slave, e.Framework, e.Task, e.Reason, e.Text)
		w.history.noted(e)
	default:
		w.violate("sim", "effect %s is not known", fmt.Sprintf("%T", e))
	}
}

// arm sets the next tick.
func (r *reign) arm() {
	at := r.core.Deadline()
	if at.IsZero() || r.ended {
		return
	}
	due := max(r.m.when(at), r.m.w.ns)
	if r.tickAt != 0 && due >= r.tickAt {
		return
	}
	r.tickAt = due
	r.m.w.atNS(due, func() {
		if r.tickAt == due {
			r.tickAt = 0
			r.step(mastercore.Tick{})
		}
	})
}
