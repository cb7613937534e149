package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/slavecore"
	"github.com/meros-project/meros/internal/wire"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// double is the program of a second process that was started by mistake: it takes the other's place and does nothing there.
type double struct{ info offer.Framework }

func (d double) describe() offer.Framework { return d.info }
func (double) died()                       {}
func (double) unfinished(*World) string    { return "" }
func (double) handle(_ *framework, m message.Message) bool {
	_, update := m.(*message.Update)
	return !update
}

// someProgram draws a scheduler that runs and is known to the masters; nil if there is none.
func (w *World) someProgram(d *dice) (*framework, *program) {
	if len(w.frameworks) == 0 {
		return nil, nil
	}
	f := w.frameworks[d.IntN(len(w.frameworks))]
	p, is := f.user.(*program)
	if !is || !f.alive || f.paused || f.ended || f.fid == "" || f.core == nil {
		return nil, nil
	}
	return f, p
}

// doubleUp starts a second process under the id of a scheduler that lives. The masters serve who came last; who is sent away starts again, as
// its supervisor would have it, and sends the other away.
func (w *World) doubleUp(d *dice) {
	f, p := w.someProgram(d)
	if f == nil {
		return
	}
	t := &framework{node: node{w: w, id: f.id + "b"}, user: double{p.info}, fid: f.fid, twin: true}
	w.twins = append(w.twins, t)
	wait := d.mostly(time.Second, 3*time.Minute)
	f.excused = w.ns + int64(wait+5*time.Minute)
	t.begin()
	w.after(wait, t.vanish)
}

// vanish ends a twin for good.
func (f *framework) vanish() {
	f.ended = true
	f.crash()
}

func (w *World) endTwins() {
	for _, t := range w.twins {
		t.vanish()
	}
	w.twins = nil
}

// sentAway reports whether a session's end is one after which the program starts again under the same id.
func (f *framework) sentAway(why *offer.Refusal) bool {
	return why != nil && f.w.ns <= f.excused && (why.Reason == offer.ReasonFrameworkConflict || why.Reason == offer.ReasonInternal)
}

// resumeSession starts a program again under its id.
func (p *program) resumeSession(f *framework) {
	if !f.ended {
		return
	}
	f.ended, f.why = false, nil
	p.died()
	if !f.away {
		f.begin()
	}
}

// misbehave has a scheduler do what none should: masters and slaves must not mind, nor must other schedulers.
func (w *World) misbehave(d *dice) {
	f, p := w.someProgram(d)
	if f == nil {
		return
	}
	w.states.reach(StateBadManners)
	switch d.IntN(6) {
	case 0:
		p.silent = w.ns + int64(d.mostly(5*time.Second, 5*time.Minute))
		w.note(f.id, "acknowledges nothing")
	case 1:
		w.note(f.id, "acknowledges what it has and what it never got")
		f.acknowledgeAnything(d)
	case 2:
		p.impatient = w.ns + int64(d.between(time.Second, 5*time.Second))
		w.note(f.id, "declines without a filter")
		refs := make([]offer.OfferID, 200)
		for i := range refs {
			refs[i] = offer.OfferID(fmt.Sprintf("none-%d", i))
		}
		for range 10 {
			f.blurt(&message.Decline{Offers: refs, Filter: offer.Filter{Refuse: offer.NoFilter}})
		}
	case 3:
		w.note(f.id, "subscribes again and again")
		for i := range 20 {
			w.after(time.Duration(i)*d.between(50*time.Millisecond, time.Second), func() {
				if f.conn != nil && !w.calm {
					f.conn.sever(10 * time.Millisecond)
				}
			})
		}
	case 4:
		if p.accepted != nil {
			w.note(f.id, "accepts the same offers again")
			m := p.accepted
			w.after(d.mostly(time.Millisecond, time.Minute), func() { f.blurt(m) })
		}
	case 5:
		w.note(f.id, "asks for much that is not there")
		many := &message.Reconcile{}
		for i := range 500 {
			many.Tasks = append(many.Tasks, message.TaskRef{Task: offer.TaskID(fmt.Sprintf("never-%d", i)), Slave: "s-1"})
		}
		f.blurt(many)
		var tasks []offer.Task
		for i := range 1000 {
			tasks = append(tasks, offer.Task{ID: offer.TaskID(fmt.Sprintf("never-%d", i)), Resources: need, Command: &offer.Command{Value: "work"}})
		}
		f.blurt(&message.Accept{Last: true, Offers: []offer.OfferID{"none"}, Operations: []offer.Operation{offer.Launch(tasks...)}})
		f.blurt(&message.KillTask{Task: "never-1"})
	}
}

// madeUp reports whether a task never was one.
func madeUp(id offer.TaskID) bool { return strings.HasPrefix(string(id), "never-") }

// blurt says something past the session.
func (f *framework) blurt(m message.Message) {
	if f.alive && !f.paused && f.core != nil && f.conn != nil && !f.w.calm {
		f.conn.toMaster(f.envelope(m))
	}
}

// acknowledgeAnything acknowledges what was acknowledged before, what never was, and what is another's.
func (f *framework) acknowledgeAnything(d *dice) {
	for _, r := range f.w.history.order {
		if r.slave == nil || len(r.log) == 0 || !d.chance(0.3) {
			continue
		}
		ack := &message.Acknowledge{Slave: r.slave.sid, Task: r.id(), UUID: r.log[0].uuid}
		if r.delivered == 0 {
			ack.UUID[0] ^= 1
		}
		f.blurt(ack)
		f.blurt(ack)
	}
}

// forge has a stranger repeat what others have said, some of it changed, perhaps as of another cluster or of a reign that is to come.
func (w *World) forge(d *dice) {
	if w.log.leader == nil || len(w.overheard) == 0 {
		return
	}
	h := &hostile{node: node{w: w, id: "bad", alive: true}}
	switch d.IntN(5) {
	case 0:
		h.cluster = "elsewhere"
	case 1:
		h.reign = 1 << 40
	}
	for range 1 + d.IntN(12) {
		b := slices.Clone(w.overheard[d.IntN(len(w.overheard))])
		changed := d.chance(0.5)
		if changed {
			b[len(b)/4+d.IntN(len(b)-len(b)/4)] ^= byte(1 + d.IntN(255))
		}
		out, err := wire.DecodeBatch(nil, b)
		if err != nil {
			continue
		}
		for _, e := range out {
			if e.Message.Kind() == message.KindSlaveReregister { // who is believed to be a slave may say anything of its tasks
				continue
			}
			h.left = append(h.left, e.Message)
		}
	}
	w.note("bad", "a stranger with %d messages of others", len(h.left))
	w.states.reach(StateForged)
	w.send(h, d.between(time.Second, 3*time.Minute))
}

// overhear keeps some of what is said to masters, for strangers.
func (w *World) overhear(c client) {
	if w.swarm.on&FaultForge == 0 || w.calm {
		return
	}
	if _, is := c.(*hostile); is {
		return
	}
	d := w.dice(FaultForge)
	switch {
	case !d.chance(0.1):
	case len(w.overheard) < 32:
		w.overheard = append(w.overheard, slices.Clone(w.sent))
	default:
		w.overheard[d.IntN(32)] = slices.Clone(w.sent)
	}
}

// resize has a slave come back with more than it had, which is welcome, or say that it has less, which keeps it from starting.
func (w *World) resize(d *dice) {
	s := w.someSlave(d)
	if s.disk.rotten {
		return
	}
	s.crash()
	switch {
	case d.chance(0.5) && s.sid != "":
		s.shrunk = true
		w.note(s.id, "is told that it has less than it had")
	case s.grown < 3:
		s.grown++
		s.resources = s.resources.Add(resource.Must("cpus:1;mem:256"))
		w.note(s.id, "has %s now", s.resources)
		if s.sid != "" {
			w.states.reach(StateGrown)
		}
	}
	w.after(d.between(time.Second, 20*time.Second), s.restart)
}

// triesLess takes a slave's answer to less than it had, which it may start with if what runs fits (R1), and gives it back what it has.
func (s *slave) triesLess(err error) bool {
	w := s.w
	if !s.shrunk {
		return false
	}
	s.shrunk = false
	if err == nil {
		var used resource.Resources
		for _, run := range s.runtime.running {
			used = used.Add(run.resources)
		}
		if used.CPUs() > less().CPUs() || used.Mem() > less().Mem() {
			w.violate("R1", "%s was registered as %s and starts with %s, of which %s are in use", s.id, s.sid, less(), used)
			return false
		}
		w.note(s.id, "would start with %s", less())
	} else {
		w.note(s.id, "refuses to start: %v", err)
		w.states.reach(StateShrinkRefused)
	}
	s.alive = false
	w.after(w.dice(FaultResize).between(time.Second, 20*time.Second), s.restart)
	return true
}

// less is what a slave is told that it has when it has shrunk.
func less() resource.Resources { return resource.Must("cpus:0.5;mem:64") }

// transient draws whether a scheduler wants nothing on disk.
func (w *World) transient() bool {
	return w.cfg.Faults&FaultTransient != 0 && w.dice(FaultTransient).chance(0.2)
}

// unwritten sees the start of a process of a framework that wants nothing on disk.
func (h *history) unwritten(s *slave, key string, rs resource.Resources) {
	r := h.of(key)
	if r.launched && r.slave != s || h.done[key] { // T5: one slave, once
		h.w.violate("T5", "%s is launched a second time, on %s", key, s.id)
	}
	r.launched, r.transient, r.slave, r.resources = true, true, s, rs
}

// reportedUnwritten sees what a slave says of a task that is not on its disk: it is held to what happens.
func (h *history) reportedUnwritten(s *slave, r *record, st *offer.Status) {
	if r.slave != s || st.UUID.IsZero() {
		return
	}
	if st.State == offer.Finished && (!r.exited || !r.exit.Success()) { // T9
		h.w.violate("T9", "%s is said to have finished, but exited=%v with %v", r.key, r.exited, r.exit)
	}
	if st.State.Terminal() && r.running { // T11
		h.w.violate("T11", "%s is %s and a process of it runs on %s", r.key, st.State, s.id)
	}
}

// forgets reports whether a task's slave knows nothing of it in its next life, not even how it ended.
func (h *history) forgets(f offer.FrameworkID, t offer.TaskID) bool {
	r := h.find(f, t)
	return r != nil && r.transient
}

// endOrphans ends what no journal knows when a slave's process begins.
func (r *runtime) endOrphans(s *slave) {
	r.all = slices.DeleteFunc(r.all, func(c *container) bool {
		if !c.transient {
			return false
		}
		if c.running {
			c.running = false
			s.w.states.reach(StateTransientLost)
			if c.exec != nil {
				c.exec.ended()
			} else {
				s.w.history.exited(s, c.task, offer.Exit{Signal: 9})
			}
		}
		return true
	})
}

// starts sees to a container of a framework that wants nothing on disk.
func (c *container) starts(s *slave, e slavecore.Start) {
	if c.transient = e.Framework.NoCheckpoint; c.transient && e.Task != nil {
		s.w.history.unwritten(s, c.task, e.Task.Resources)
	}
}
