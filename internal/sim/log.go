package sim

import (
	"time"

	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/offer"
)

// replicated models the elector and its log: one true sequence of entries, a leader that may append to it, and leaders that do not know yet
// that they are deposed. What a leader had in flight when it lost is committed or not, by lot, and it may never learn which.
type replicated struct {
	w        *World
	entries  []registry.Entry
	leader   *reign // the true one; nil between elections
	election bool   // one is under way
	opened   uint64 // elections so far
}

// proposal is an entry on its way to a majority.
type proposal struct {
	reign   *reign
	propose mastercore.Propose
	settled bool
}

// elect begins an election, unless one is under way: after a while a master that is alive and connected leads.
func (g *replicated) elect() {
	if g.election {
		return
	}
	g.election = true
	g.depose()
	g.w.after(g.w.between(300*time.Millisecond, 3*time.Second), g.decide)
}

func (g *replicated) decide() {
	var able []*master
	for _, m := range g.w.masters {
		if m.alive && !m.cutOff {
			able = append(able, m)
		}
	}
	if 2*len(able) <= len(g.w.masters) { // no majority
		g.w.after(g.w.between(300*time.Millisecond, 3*time.Second), g.decide)
		return
	}
	g.election = false
	m := able[g.w.random.IntN(len(able))]
	if m.reign != nil { // deposed without having noticed
		m.reign.end()
	}
	g.opened++
	key := registry.Key{0xff, byte(g.opened >> 8), byte(g.opened)}
	open := &registry.Open{Cluster: offer.ClusterID("sim-" + m.id), Master: m.id, Level: 1}
	g.entries = append(g.entries, registry.Entry{Commands: []registry.Command{{Key: key, Op: open}}})
	m.lead()
	g.leader = m.reign
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
		committed := g.w.chance(0.5)
		if committed {
			g.append(old, p.propose)
			g.w.counts.Unknown++
		}
		unknown := committed || g.w.chance(0.5)
		g.w.after(g.w.between(0, 2*time.Second), func() {
			old.step(mastercore.NotCommitted{Token: p.propose.Token, Unknown: unknown})
		})
	}
	old.flight = nil
	g.w.after(g.w.between(0, 3*time.Second), old.end)
}

func (g *replicated) append(r *reign, p mastercore.Propose) {
	g.entries = append(g.entries, g.w.carryEntry(registry.Entry{Reign: r.number, Commands: p.Commands}))
}

// propose takes an entry of a reign. Those of one reign settle in order.
func (g *replicated) propose(r *reign, p mastercore.Propose) {
	if g.leader != r {
		g.w.after(g.w.between(0, time.Second), func() {
			r.step(mastercore.NotCommitted{Token: p.Token, Unknown: g.w.chance(0.5)})
		})
		return
	}
	x := &proposal{reign: r, propose: p}
	r.flight = append(r.flight, x)
	at := g.w.now.Add(g.w.between(200*time.Microsecond, 10*time.Millisecond))
	if !g.w.calm && g.w.chance(0.05) { // a slow disk
		at = g.w.now.Add(g.w.between(50*time.Millisecond, 2*time.Second))
		if g.w.chance(0.5) {
			g.w.after(g.w.between(0, at.Sub(g.w.now)), g.elect)
		}
	}
	if at.Before(r.settles) {
		at = r.settles
	}
	r.settles = at
	g.w.at(at, func() { g.settle(x) })
}

func (g *replicated) settle(x *proposal) {
	r := x.reign
	if x.settled || r.ended {
		return
	}
	if r.m.cutOff { // no majority: it hangs until the leader is deposed
		g.w.after(100*time.Millisecond, func() { g.settle(x) })
		return
	}
	x.settled = true
	for i, p := range r.flight {
		if p == x {
			r.flight = append(r.flight[:i], r.flight[i+1:]...)
			break
		}
	}
	g.append(r, x.propose)
	results := r.m.catchUp()
	r.step(mastercore.Committed{Token: x.propose.Token, Results: results})
}
