package sim

import (
	"slices"
	"strings"

	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/slavecore"
	"github.com/meros-project/meros/offer"
)

// check asks a core for its own invariants.
func check(core any) error {
	if c, ok := core.(interface{ Check() error }); ok {
		return c.Check()
	}
	return nil
}

// history is what an all-seeing observer wrote down, by framework/task.
type history struct {
	w     *World
	tasks map[string]*record // looked up
	order []*record          // ranged over
}

// record is the life of one task on one slave.
type record struct {
	key       string
	framework offer.FrameworkID
	slave     *slave
	launched  bool         // its slave has it on disk
	starts    int          // processes forked
	log       []offer.UUID // its updates, in the order of the slave's log
	delivered int          // how many of log the program has seen, at least once
	terminal  bool         // the log ends with a terminal state
	running   bool         // a process of it lives
}

func (h *history) of(key string) *record {
	r := h.tasks[key]
	if r == nil {
		id, _, _ := strings.Cut(key, "/")
		r = &record{key: key, framework: offer.FrameworkID(id)}
		h.tasks[key] = r
		h.order = append(h.order, r)
	}
	return r
}

// flushed sees each record that reaches a slave's disk in its life.
func (h *history) flushed(s *slave, rec slavecore.Record) {
	switch rec := rec.(type) {
	case *slavecore.Launched:
		r := h.of(string(rec.Framework.ID) + "/" + string(rec.Task.ID))
		r.launched, r.slave = true, s
	case *slavecore.Updated:
		r := h.of(string(rec.Framework) + "/" + string(rec.Status.TaskID))
		r.slave = s
		if !slices.Contains(r.log, rec.Status.UUID) {
			if r.terminal {
				h.w.violate("T2", "%s: update %s after a terminal one", r.key, rec.Status.State)
			}
			r.log = append(r.log, rec.Status.UUID)
			r.terminal = rec.Status.State.Terminal()
		}
	case *slavecore.Reign:
		if rec.Reign < s.reign {
			h.w.violate("L1", "%s accepts reign %d after %d", s.id, rec.Reign, s.reign)
		}
		s.reign = rec.Reign
	}
}

func (h *history) started(s *slave, c *container) {
	r := h.of(c.task)
	r.starts++
	r.running = true
	if r.starts > 1 {
		h.w.violate("T5", "%s was started %d times", c.task, r.starts)
	}
	onDisk := slices.ContainsFunc(s.disk, func(rec slavecore.Record) bool {
		l, is := rec.(*slavecore.Launched)
		return is && l.Container == c.id
	})
	if !onDisk {
		h.w.violate("T5", "%s was started before its launch was on disk", c.task)
	}
}

func (h *history) exited(_ *slave, c *container) { h.of(c.task).running = false }

// delivered sees each status that a program has taken over: those of one task come in the order of the slave's log, without gaps.
func (h *history) delivered(f *framework, st offer.Status) {
	if st.UUID.IsZero() {
		return
	}
	r := h.of(string(f.fid) + "/" + string(st.TaskID))
	i := slices.Index(r.log, st.UUID)
	switch {
	case i < 0: // an answer that the slave does not keep on disk, such as Dropped
		return
	case i > r.delivered:
		h.w.violate("T3", "%s: update %d was delivered before update %d", r.key, i, r.delivered)
	case i == r.delivered:
		r.delivered++
	}
}

// converged reports whether all work is done; why names what is not.
func (w *World) converged() (why string) {
	over := map[offer.FrameworkID]bool{} // looked up
	for _, f := range w.frameworks {
		if f.ended {
			over[f.fid] = true
			continue
		}
		if f.fid == "" {
			return f.id + " is not subscribed"
		}
		if why := f.user.unfinished(w); why != "" {
			return f.id + ": " + why
		}
	}
	for _, r := range w.history.order {
		if r.running {
			return r.key + " still runs"
		}
		if r.launched && !over[r.framework] && (!r.terminal || r.delivered < len(r.log)) {
			return r.key + ": its updates are not delivered"
		}
	}
	return ""
}

// verdict checks what must hold when all is quiet.
func (w *World) verdict() {
	if why := w.converged(); why != "" {
		w.violate("T1", "no convergence: %s", why)
		return
	}
	for _, r := range w.history.order {
		if r.launched && r.starts > 1 {
			w.violate("T5", "%s was started %d times", r.key, r.starts)
		}
	}
	for _, m := range w.masters { // L5: replicas agree
		m.catchUp()
		if m.state.View().Header() != w.masters[0].state.View().Header() {
			w.violate("L5", "%s and %s differ", m.id, w.masters[0].id)
		}
	}
	w.checkBooks()
}

// checkBooks looks at the leader's books once all is quiet: every slave is connected, nothing is used, and no more is offered than there is (R4).
func (w *World) checkBooks() {
	if w.log.leader == nil {
		w.violate("L8", "nobody leads")
		return
	}
	v := w.log.leader.core.View()
	connected := 0
	for s := range v.Slaves() {
		if s.State == mastercore.SlaveConnected {
			connected++
		}
		if !s.Used.Empty() || s.Tasks > 0 {
			w.violate("R4", "slave %s (%s, %s): %d tasks still use %s", s.ID, s.Hostname, s.State, s.Tasks, s.Used)
		}
		if !s.Resources.Contains(s.Offered) {
			w.violate("R1", "slave %s: %s is offered of %s", s.ID, s.Offered, s.Resources)
		}
	}
	if connected != len(w.slaves) {
		w.violate("T6", "%d of %d slaves are connected", connected, len(w.slaves))
	}
	for t := range v.Tasks() {
		w.violate("R4", "task %s of %s is %s for ever", t.ID, t.Framework, t.State)
	}
	for _, f := range w.frameworks {
		if f.ended {
			continue
		}
		if got, ok := v.Framework(f.fid); !ok || !got.Connected {
			w.violate("F1", "%s is not connected", f.id)
		}
	}
}
