package sim

import (
	"fmt"
	"time"

	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
)

// A master is a process with a replica of the registry and, while it leads, a core.
type master struct {
	w       *World
	id      string
	alive   bool
	cutOff  bool // by a partition
	state   *registry.State
	applied int
	reign   *reign
}

// A reign is one core in office.
type reign struct {
	m       *master
	number  uint64
	cluster offer.ClusterID
	core    *mastercore.Core
	conns   map[mastercore.ConnID]*link
	lastID  mastercore.ConnID
	flight  []*proposal
	settles time.Time
	tickAt  time.Time
	ended   bool
	busy    bool
	queue   []mastercore.Event
	witness Witness
}

// catchUp applies what is committed and returns the results of the last entry.
func (m *master) catchUp() (results []registry.Result) {
	for ; m.applied < len(m.w.log.entries); m.applied++ {
		results = m.state.Apply(m.w.log.entries[m.applied])
	}
	return results
}

// lead begins a reign on this master.
func (m *master) lead() {
	m.catchUp()
	view := m.state.View()
	r := &reign{m: m, number: view.Reign(), cluster: view.ClusterID(), conns: map[mastercore.ConnID]*link{}}
	r.core = mastercore.New(m.w.now, mastercore.Config{
		MasterID: m.id, Allocator: allocator.New(allocator.Config{Seed: m.w.cfg.Seed, MaxOutstanding: mastercore.DefaultMaxOffers}),
		Registry: view, Seed: m.w.cfg.Seed,
	})
	if witness := m.w.cfg.Witness; witness != nil {
		r.witness = witness(m.w.now, r.core)
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
	m.alive = false
	leads := m.w.log.leader != nil && m.w.log.leader.m == m
	if m.reign != nil {
		if leads {
			m.w.log.elect()
		}
		m.reign.end()
	}
	m.w.severAll(time.Second, func(l *link) bool { return l.server == m })
}

// restart begins with the log, half of the time by way of a snapshot.
func (m *master) restart() {
	if m.alive {
		return
	}
	m.w.note(m.id, "restarted")
	m.alive = true
	m.state, m.applied = registry.New(), 0
	m.catchUp()
	if m.w.chance(0.5) {
		state, err := registry.Import(m.w.carrySnapshot(m.state.View()))
		if err != nil {
			m.w.violate("L6", "snapshot of %s: %v", m.id, err)
			return
		}
		m.state = state
	}
}

// end throws the core away. Its connections are told and closed.
func (r *reign) end() {
	if r.ended {
		return
	}
	r.ended = true
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
	if !m.alive {
		return
	}
	if l.reign == nil {
		if m.reign == nil {
			l.toClient(message.Envelope{Cluster: e.Cluster, Message: &message.Leader{}})
			l.close()
			return
		}
		r := m.reign
		r.lastID++
		l.reign, l.id = r, r.lastID
		r.conns[l.id] = l
	}
	r := l.reign
	if r.ended {
		return
	}
	if e.Cluster != "" && e.Cluster != r.cluster || e.Reign > r.number {
		l.toClient(message.Envelope{Cluster: r.cluster, Message: &message.Leader{}})
		l.close()
		return
	}
	r.step(mastercore.Received{Conn: l.id, Message: e.Message})
}

func (m *master) closed(l *link) {
	if r := l.reign; r != nil && !r.ended && r.conns[l.id] == l {
		delete(r.conns, l.id)
		r.step(mastercore.Disconnected{Conn: l.id})
	}
}

// step feeds the core. What an effect brings about at once waits until the effects before it are performed.
func (r *reign) step(ev mastercore.Event) {
	if r.ended {
		return
	}
	r.queue = append(r.queue, ev)
	if r.busy {
		return
	}
	r.busy = true
	for len(r.queue) > 0 && !r.ended {
		ev, r.queue = r.queue[0], r.queue[1:]
		if swap := r.m.w.cfg.Swap; swap != nil {
			r.core = swap(r.core)
		}
		if r.witness != nil {
			r.witness.Event(r.m.w.now, ev)
		}
		effects := r.core.Step(r.m.w.now, ev, nil)
		if r.witness != nil {
			r.witness.Effects(effects)
		}
		for _, e := range effects {
			r.perform(e)
		}
		if err := check(r.core); err != nil {
			r.m.w.violate("core", "%s after %T: %v", r.m.id, ev, err)
			return
		}
	}
	r.busy = false
	if r.witness != nil {
		r.witness.Settled(r.m.w.now)
	}
	r.arm()
}

func (r *reign) perform(e mastercore.Effect) {
	w := r.m.w
	switch e := e.(type) {
	case mastercore.Send:
		if l := r.conns[e.Conn]; l != nil {
			l.toClient(message.Envelope{Cluster: r.cluster, Reign: r.number, Message: e.Message})
		}
	case mastercore.Close:
		if l := r.conns[e.Conn]; l != nil {
			w.note(r.m.id, "closes connection %d: %v", l.number, e.Refusal)
			l.close()
		}
	case mastercore.Propose:
		w.log.propose(r, e)
	case mastercore.Answer:
	case mastercore.Resign:
		w.note(r.m.id, "resigns: %v", e.Refusal)
		w.after(0, r.end)
	case mastercore.Note:
		w.note(r.m.id, "%s slave=%s framework=%s task=%s %s %s", e.Event, e.Slave, e.Framework, e.Task, e.Reason, e.Text)
	default:
		w.violate("sim", "effect %s is not known", fmt.Sprintf("%T", e))
	}
}

// arm sets the next tick.
func (r *reign) arm() {
	at := r.core.Deadline()
	if at.IsZero() || r.ended || !r.tickAt.IsZero() && !at.Before(r.tickAt) {
		return
	}
	if at.Before(r.m.w.now) {
		at = r.m.w.now
	}
	r.tickAt = at
	r.m.w.at(at, func() {
		if r.tickAt.Equal(at) {
			r.tickAt = time.Time{}
			r.step(mastercore.Tick{})
		}
	})
}
