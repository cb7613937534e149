package sim

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/offer"
)

// A User is a program from outside the world, such as the session of somebody's scheduler. Its methods are called on the goroutine
// that drives the world, and may call what Bind gave it.
type User interface {
	// Describe is what the program says about itself.
	Describe() offer.Framework
	// Bind hands over the way to call the session.
	Bind(call func(message.Message))
	// Handle takes what the session delivers. False leaves a status unacknowledged; an error ends the session.
	Handle(m message.Message) (ok bool, err error)
}

// New makes a world that stands still: masters, slaves and Config.Frameworks modelled programs (a negative number for none). Use either New
// and the methods in this file, or Run.
func New(cfg Config) *World {
	cfg = cfg.withDefaults()
	w := &World{cfg: cfg, random: rand.New(rand.NewPCG(cfg.Seed, 0x6d65726f73)), now: epoch}
	w.trace.keep = cfg.Keep
	w.log = &replicated{w: w, state: registry.New()}
	w.history = newHistory(w)
	w.operator = operator{w: w, calls: map[uint64]call{}, limits: map[string]bool{}, weights: map[string]bool{}}
	for i := range cfg.Masters {
		m := &master{node: node{w: w, id: fmt.Sprintf("m%d", i+1), alive: true}, number: i, state: registry.New()}
		w.masters = append(w.masters, m)
		w.log.follow(m)
	}
	for i := range cfg.Slaves {
		s := &slave{node: node{w: w, id: fmt.Sprintf("s%d", i+1)}, number: i, runtime: newRuntime(), resources: cfg.Resources}
		s.address = s.id + ":5051"
		w.slaves = append(w.slaves, s)
		w.after(w.between(0, 5*time.Second), s.restart)
	}
	for i := range max(cfg.Frameworks, 0) {
		f := &framework{node: node{w: w, id: fmt.Sprintf("f%d", i+1)}, user: newProgram(w, i+1)}
		w.frameworks = append(w.frameworks, f)
		w.after(w.between(0, 5*time.Second), f.restart)
	}
	w.log.elect()
	return w
}

// A Guest is a framework whose program is from outside.
type Guest struct{ f *framework }

// guest makes a User a user.
type guest struct{ u User }

func (g guest) describe() offer.Framework { return g.u.Describe() }
func (guest) died()                       {}
func (guest) unfinished(*World) string    { return "" }
func (g guest) handle(f *framework, m message.Message) bool {
	ok, err := g.u.Handle(m)
	if err != nil {
		f.ended, f.why = true, err
		f.leave()
	}
	return ok
}

// Attach starts a framework.
func (w *World) Attach(u User) *Guest {
	f := &framework{node: node{w: w, id: fmt.Sprintf("f%d", len(w.frameworks)+1)}}
	w.frameworks = append(w.frameworks, f)
	g := &Guest{f}
	g.begin(u)
	return g
}

func (g *Guest) begin(u User) {
	g.f.user = guest{u}
	u.Bind(func(m message.Message) {
		if _, is := m.(*message.Teardown); is {
			g.f.w.history.torn[g.f.fid] = true
		}
		g.f.call(m)
	})
	g.f.fid = max(g.f.fid, u.Describe().ID)
	g.f.begin()
}

// Replace ends the program's process without a word and starts another under the same id, with nothing but what it brings along.
func (g *Guest) Replace(u User) {
	g.f.crash()
	g.begin(u)
}

// Ended reports whether the session is over for good, and why; nil after a teardown.
func (g *Guest) Ended() (why error, ended bool) { return g.f.why, g.f.ended }

// Now is the virtual time.
func (w *World) Now() time.Time { return w.now }

// Advance lets d pass. It returns early at the first violation of an invariant; see Failed.
func (w *World) Advance(d time.Duration) { w.until(w.now.Add(d)) }

// Failed returns the first violation.
func (w *World) Failed() *Violation { return w.failed }

// Hash is that of the trace so far, and Trace the last Config.Keep lines.
func (w *World) Hash() uint64 { return w.trace.sum }

// Trace returns the last lines of the trace.
func (w *World) Trace() []string { return w.trace.tail() }

// Trouble begins a round of random faults; Heal ends them and brings everybody back.
func (w *World) Trouble() {
	w.calm = false
	w.round++
	w.back()
	w.drawSwarm()
	w.faults()
	for _, f := range w.frameworks {
		if p, is := f.user.(*program); is {
			p.goal++
			p.arrive(f, w.now.Add(w.cfg.Trouble))
		}
	}
}

// Calm keeps the world free of random delays and failures from now on.
func (w *World) Calm() { w.calm = true }

// Heal ends all troubles. An operator vouches for slaves that no machine is any more, as long as it is calm.
func (w *World) Heal() {
	w.heal(false)
	round := w.round
	var vouch func()
	vouch = func() {
		if w.calm && w.round == round {
			w.operator.vouch()
			w.after(10*time.Second, vouch)
		}
	}
	w.after(10*time.Second, vouch)
}

// KillLeader kills the leading master, if there is one, and starts it again after a while.
func (w *World) KillLeader(after time.Duration) bool {
	if w.log.leader == nil {
		return false
	}
	m := w.log.leader.m
	m.kill()
	w.after(after, m.restart)
	return true
}

// CrashSlave kills the process of the i-th slave; its tasks go on, and it starts again after a while.
func (w *World) CrashSlave(i int, after time.Duration) {
	s := w.slaves[i]
	s.crash()
	w.after(after, s.restart)
}

// CutSlave cuts the i-th slave off for a while.
func (w *World) CutSlave(i int, d time.Duration) {
	w.forAWhile(w.isolate(&w.slaves[i].node, true, true), d)
	w.severAll(40*time.Second, func(l *link) bool { return l.client == client(w.slaves[i]) })
}

// Slaves is their number.
func (w *World) Slaves() int { return len(w.slaves) }

// Leading returns the leader's view; nil while nobody leads.
func (w *World) Leading() *mastercore.View {
	if w.log.leader == nil {
		return nil
	}
	return w.log.leader.core.View()
}

// Running is how many processes of tasks run.
func (w *World) Running() (n int) {
	for _, s := range w.slaves {
		n += len(s.runtime.running)
	}
	return n
}
