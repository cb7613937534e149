package sim

import (
	"slices"
	"time"

	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/offer"
)

// replicated models the elector and its log: one true sequence of entries, a leader that may append to it, and leaders that do not know yet
// that they are deposed. What a leader had in flight when it lost is committed or not, by lot, and it may never learn which. Followers
// lag; one that has missed what was compacted gets a snapshot.
type replicated struct {
	w        *World
	base     int              // entries that are compacted away
	state    *registry.State  // of the compacted entries
	entries  []registry.Entry // the others
	leader   *reign           // the true one; nil between elections
	election bool             // one is under way
	watching bool
	opened   uint64 // elections so far
}

// keepEntries is how many entries follow a snapshot at least; twice as many are compacted.
const keepEntries = 100

// proposal is an entry on its way to a majority.
type proposal struct {
	reign   *reign
	propose mastercore.Propose
	due     bool // its majority has it, as soon as it has those before it
	settled bool
	told    bool // the leader believes that it is committed
	results []registry.Result
}

func (g *replicated) length() int { return g.base + len(g.entries) }

// elect begins an election, unless one is under way: after a while a master that can hold a majority leads.
func (g *replicated) elect() {
	if g.election {
		return
	}
	g.election = true
	g.depose()
	g.w.after(g.w.between(300*time.Millisecond, 3*time.Second), g.decide)
}

// watch deposes a leader that cannot hold its majority, once its lease is over.
func (g *replicated) watch() {
	if g.leader == nil || g.watching || g.w.able(g.leader.m) {
		return
	}
	g.watching = true
	r := g.leader
	g.w.after(g.w.between(time.Second, 3*time.Second), func() {
		g.watching = false
		if g.leader == r && !g.w.able(r.m) {
			g.elect()
		}
	})
}

func (g *replicated) decide() {
	var able []*master
	for _, m := range g.w.masters {
		if !m.behind && g.w.able(m) {
			able = append(able, m)
		}
	}
	if len(able) == 0 {
		g.w.after(g.w.between(300*time.Millisecond, 3*time.Second), g.decide)
		return
	}
	g.crown(able[g.w.random.IntN(len(able))])
}

// crown begins the reign of a master that has the whole log and a majority.
func (g *replicated) crown(m *master) {
	g.election = false
	if m.reign != nil { // deposed without having noticed
		m.reign.end()
	}
	if p := g.w.cfg.Plant; p != nil && p.Forgets != nil {
		g.entries = g.entries[:len(g.entries)-p.Forgets(len(g.entries))]
	}
	g.opened++
	key := registry.Key{0xff, byte(g.opened >> 16), byte(g.opened >> 8), byte(g.opened)}
	open := &registry.Open{Cluster: offer.ClusterID("sim-" + m.id), Master: m.id, Level: 1}
	g.entries = append(g.entries, registry.Entry{Commands: []registry.Command{{Key: key, Op: open}}})
	m.lead()
	g.leader = m.reign
	g.w.history.led(m.reign)
}

// depose ends the true leader's hold on the log. It may act on for a while before it notices.
func (g *replicated) depose() {
	old := g.leader
	if old == nil {
		return
	}
	g.leader = nil
	g.w.counts.Deposed++
	for _, p := range old.flight {
		if p.settled {
			continue
		}
		p.settled = true
		g.w.states.reach(StateDeposedInFlight)
		committed := g.w.chance(0.5)
		if committed {
			g.append(old, p.propose)
			g.w.counts.Unknown++
		}
		unknown := committed || g.w.chance(0.5)
		if p.told {
			continue
		}
		g.w.after(g.w.between(0, 2*time.Second), func() {
			old.step(mastercore.NotCommitted{Token: p.propose.Token, Unknown: unknown})
		})
	}
	old.flight = nil
	g.w.after(g.w.between(0, 3*time.Second), func() {
		if !old.m.paused || old.ended || old.m.reign != old { // one that stands still notices when it goes on
			old.end()
			return
		}
		g.w.states.reach(StatePausedLeader)
		old.m.later(func() { g.w.after(g.w.between(0, time.Second), old.end) })
	})
}

func (g *replicated) append(r *reign, p mastercore.Propose) {
	e := g.w.carryEntry(registry.Entry{Reign: r.number, Commands: p.Commands})
	g.w.history.committed(e)
	g.entries = append(g.entries, e)
	if len(g.entries) >= 2*keepEntries {
		for _, e := range g.entries[:keepEntries] {
			g.state.Apply(e)
		}
		g.base += keepEntries
		g.entries = append([]registry.Entry(nil), g.entries[keepEntries:]...)
	}
}

// hurry tells a leader too early that an entry is committed, with the results that it would have now, where that bug is planted.
func (g *replicated) hurry(x *proposal) {
	w, r := g.w, x.reign
	plant := w.cfg.Plant
	if plant == nil || plant.Hasty == nil || !slices.ContainsFunc(x.propose.Commands, func(c registry.Command) bool { return plant.Hasty(c.Op) }) {
		return
	}
	r.m.catchUp()
	guess := w.transplant(r.m, r.m.state.View())
	if guess == nil {
		return
	}
	x.told = true
	r.step(mastercore.Committed{Token: x.propose.Token, Results: guess.Apply(registry.Entry{Reign: r.number, Commands: x.propose.Commands})})
}

// propose takes an entry of a reign. Those of one reign settle in order.
func (g *replicated) propose(r *reign, p mastercore.Propose) {
	w := g.w
	w.history.proposed(r, p.Commands)
	if g.leader != r {
		w.after(w.between(0, time.Second), func() {
			r.step(mastercore.NotCommitted{Token: p.Token, Unknown: w.chance(0.5)})
		})
		return
	}
	r.m.writes()
	x := &proposal{reign: r, propose: p}
	r.flight = append(r.flight, x)
	g.hurry(x)
	at := w.now.Add(w.between(200*time.Microsecond, 10*time.Millisecond))
	if !w.calm && w.chance(w.swarm.slowDisk) {
		at = w.now.Add(w.between(50*time.Millisecond, 2*time.Second))
	}
	if r.m.slow {
		d := w.dice(FaultMasterDisk)
		at = w.now.Add(d.mostly(50*time.Millisecond, 5*time.Second))
	}
	if !w.calm && w.chance(w.swarm.depose) {
		w.after(w.between(0, at.Sub(w.now)), g.elect)
	}
	if at.Before(r.settles) {
		at = r.settles
	}
	r.settles = at
	w.at(at, func() { g.settle(x) })
}

// settle is the end of a write. One that hangs holds up those after it: the log of a reign is in the order of its calls, and an entry that
// overtook another would undo what came later, such as a count-down.
func (g *replicated) settle(x *proposal) {
	r, w := x.reign, g.w
	if x.settled || r.ended {
		return
	}
	x.due = true
	if len(r.flight) == 0 || r.flight[0] != x {
		return
	}
	if !w.able(r.m) { // it hangs until the leader is deposed
		w.after(100*time.Millisecond, func() { g.settle(x) })
		return
	}
	x.settled = true
	r.flight = r.flight[1:]
	g.append(r, x.propose)
	x.results = r.m.catchUp()
	g.tell(x)
	if len(r.flight) > 0 && r.flight[0].due {
		g.settle(r.flight[0])
	}
}

// tell lets a leader know that an entry is committed, as soon as its process gets to it, or has that lost.
func (g *replicated) tell(x *proposal) {
	r, w := x.reign, g.w
	if x.told {
		return
	}
	if !w.calm && w.chance(w.swarm.unknown) { // committed, and the leader does not learn it
		w.counts.Unknown++
		r.unlearned = w.now
		w.after(w.between(time.Millisecond, time.Second), func() {
			r.step(mastercore.NotCommitted{Token: x.propose.Token, Unknown: true})
		})
		return
	}
	r.unread = append(r.unread, x)
	r.step(mastercore.Committed{Token: x.propose.Token, Results: x.results})
}

// learns sees a leader take in that an entry is committed. One whose process is short of time does so later than its log, and may be asked
// before: until then it speaks of what was, and the write is not over.
func (r *reign) learns(token uint64) {
	for i, x := range r.unread {
		if x.propose.Token == token {
			r.unread = append(r.unread[:i], r.unread[i+1:]...)
			r.m.w.history.registers.committed(r, x.propose.Commands, x.results)
			return
		}
	}
}

// follow lets a follower apply what it has, now and then.
func (g *replicated) follow(m *master) {
	g.w.after(g.w.between(5*time.Second, 60*time.Second), func() {
		if m.alive && !m.paused && !m.lagging && !m.out && !m.behind && g.leader != nil && g.w.hears(g.leader.m, m) {
			m.catchUp()
		}
		g.follow(m)
	})
}
