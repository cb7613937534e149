package sim

import (
	"errors"
	"time"

	"github.com/meros-project/meros/internal/invariant"
	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/slavecore"
	"github.com/meros-project/meros/offer"
)

// broken reports a core's own violation under the rule's number.
func (w *World) broken(who string, ev any, err error) {
	rule := "core"
	var v *invariant.Violation
	if errors.As(err, &v) {
		rule = v.Rule
	}
	w.violate(rule, "%s after %T: %v", who, ev, err)
}

// due reports whether a core is to be checked as a whole. That costs in proportion to what it knows, so it is done each time for a while,
// and then as seldom as keeps its share of the work constant; what the events themselves tell is checked each time, by history.
func (w *World) due(unseen *int, size int) bool {
	*unseen++
	if w.cfg.CheckEvery > 0 && *unseen < w.cfg.CheckEvery || w.cfg.CheckEvery == 0 && w.steps > 2000 && *unseen < 40+size {
		return false
	}
	*unseen = 0
	return true
}

func (r *reign) check(ev mastercore.Event) {
	w := r.m.w
	if r.ended || !w.due(&r.unseen, len(w.slaves)+len(w.history.order)/4) {
		return
	}
	if err := r.core.Check(); err != nil {
		w.broken(r.m.id, ev, err)
	}
}

func (s *slave) check(ev slavecore.Event) {
	if s.w.due(&s.unseen, 2*len(s.runtime.all)) {
		if err := s.core.Check(); err != nil {
			s.w.broken(s.id, ev, err)
		}
	}
}

func (f *framework) check(ev any) {
	if f.w.due(&f.unseen, len(f.w.history.order)/4) {
		if err := f.core.Check(); err != nil {
			f.w.broken(f.id, ev, err)
		}
	}
}

// converged reports whether all work is done; why names what is not.
func (w *World) converged() (why string) {
	for _, f := range w.frameworks {
		if f.away {
			continue
		}
		if f.ended {
			if _, is := f.user.(*program); is {
				return f.id + " has not begun anew"
			}
			continue
		}
		if f.fid == "" {
			return f.id + " is not subscribed"
		}
		if why := f.user.unfinished(w); why != "" {
			return f.id + ": " + why
		}
	}
	for _, s := range w.slaves {
		if !s.away && (s.core == nil || !s.core.Registered()) {
			return s.id + " is not registered"
		}
	}
	for _, r := range w.history.order {
		f := w.history.owners[r.framework]
		switch {
		case r.slave != nil && r.slave.away, r.dead, f != nil && f.away && !w.history.retired[r.framework]:
		case r.running:
			return r.key + " still runs"
		case r.launched && !r.transient && f != nil && !f.ended && f.fid == r.framework && !w.history.retired[r.framework] && (!r.terminal || r.delivered < len(r.log) && !r.buried):
			return r.key + ": its updates are not delivered"
		case r.terminal && !r.transient && f != nil && !f.ended && f.fid == r.framework && !f.away && !w.history.retired[r.framework] && r.durable < len(r.log):
			return r.key + ": its updates are not acknowledged on disk"
		}
	}
	return ""
}

// verdict checks what must hold when all is quiet.
func (w *World) verdict() {
	if why := w.converged(); why != "" {
		if r := w.log.leader; r != nil {
			w.show(r.m.id, "knows:\n%s", r.core.Describe())
		}
		for _, r := range w.history.order { // T10: an acknowledgement gets to the disk
			if r.terminal && !r.transient && !r.dead && !r.slave.away && r.acked == len(r.log) && r.durable < r.acked && !w.history.retired[r.framework] {
				w.violate("T10", "%s: %d updates are acknowledged, %d of them on disk", r.key, r.acked, r.durable)
			}
		}
		w.violate("T1", "no convergence: %s", why)
		return
	}
	w.history.agree()
	if bad := w.history.registers.check(); bad != nil {
		w.violate("L3", "no order of these agrees with what was read:\n%s", bad)
	}
	for _, s := range w.slaves {
		if s.core != nil {
			if err := s.core.Check(); err != nil {
				w.broken(s.id, "the calm", err)
			}
		}
	}
	if (w.cfg.Seed+uint64(w.round))%4 == 0 { // it takes as long as some minutes of trouble
		w.history.prefixes(w.slaves[w.round%len(w.slaves)])
	}
	w.checkBooks()
}

// checkBooks looks at the leader's books once all is quiet: every slave is connected, nothing is used, and no more is offered than there is
// (R1, R4), but for what is away.
func (w *World) checkBooks() {
	if w.log.leader == nil {
		w.violate("L8", "nobody leads")
		return
	}
	if err := w.log.leader.core.Check(); err != nil {
		w.broken(w.log.leader.m.id, "the calm", err)
		return
	}
	awaySlave := func(id offer.SlaveID) bool { m := w.history.machines[id]; return m == nil || m.sid != id || m.away }
	awayFramework := func(id offer.FrameworkID) bool { f := w.history.owners[id]; return f == nil || f.away || f.fid != id }
	v := w.log.leader.core.View()
	connected, want := 0, 0
	for s := range v.Slaves() {
		if s.State == mastercore.SlaveConnected && !awaySlave(s.ID) {
			connected++
		}
		if !s.Resources.Contains(s.Offered) {
			w.violate("R1", "slave %s: %s is offered of %s", s.ID, s.Offered, s.Resources)
		}
		tasks := 0
		for t := range v.TasksOn(s.ID) {
			if !awayFramework(t.Framework) {
				tasks++
				if !awaySlave(s.ID) {
					w.violate("R4", "task %s of %s is %s on %s for ever", t.ID, t.Framework, t.State, s.ID)
				}
			}
		}
		for _, x := range s.Remnants { // one of a framework that was removed just now may be on its way out
			if w.ns-w.history.retiredAt[x.Framework] > int64(20*time.Second) && !awaySlave(s.ID) {
				w.violate("R4", "%s%s of %s, which was removed, is on %s for ever", x.Task, x.Executor, x.Framework, s.ID)
			}
		}
		if s.Tasks == 0 && len(s.Executors) == 0 && len(s.Remnants) == 0 && !s.Used.Empty() && !awaySlave(s.ID) {
			w.violate("R4", "slave %s (%s, %s): nothing is there and %s is used", s.ID, s.Hostname, s.State, s.Used)
		}
		if !awaySlave(s.ID) && s.State == mastercore.SlaveConnected {
			w.history.executors(w.history.machines[s.ID], s.Executors)
		}
	}
	for _, s := range w.slaves {
		if !s.away {
			want++
		}
	}
	if connected != want {
		w.violate("T6", "%d of %d slaves are connected", connected, want)
	}
	for _, f := range w.frameworks {
		if f.ended || f.away {
			continue
		}
		if got, ok := v.Framework(f.fid); !ok || !got.Connected {
			w.violate("F1", "%s is not connected", f.id)
		}
	}
}
