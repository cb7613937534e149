package sim

import (
	"time"

	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/offer"
)

// What must become of things within a time, once the faults are over.

const (
	// settled is how long all may take to be told after the last fault: the time that a slave may stay away, and a minute.
	settledWithin = 10*time.Minute + time.Minute
	// fedWithin is how long a framework with a demand may go without an offer while there is room: an offer that another hoards comes back
	// after two minutes, the longest filter of the programs here lasts for twenty seconds, and the rest is for cycles.
	fedWithin = 2*time.Minute + 20*time.Second + 40*time.Second
)

// settling looks at the calm world now and then.
func (h *history) settling(step int) {
	if step%6 == 1 { // each minute
		h.deliveries()
	}
	h.hunger()
	if step >= 16 && step&(step-1) == 0 { // ever more seldom: it costs as much as there is
		h.phantoms()
	}
}

// since is how long ago something was, counted from the end of the faults if that was later.
func (h *history) since(ns int64) time.Duration { return time.Duration(h.w.ns - max(ns, h.w.healed)) }

// deliveries is the bound of T1: an end is told in time.
func (h *history) deliveries() {
	for _, r := range h.order {
		f := h.owners[r.framework]
		switch {
		case !r.terminal || r.delivered == len(r.log) || r.buried || f == nil || f.ended || f.away || f.fid != r.framework || h.retired[r.framework]:
		case r.dead || r.slave.away || h.since(r.over) < settledWithin || h.since(f.begun) < settledWithin || h.since(r.slave.begun) < settledWithin:
		default:
			h.w.violate("T1", "%s ended %v ago, and %s was not told", r.key, h.since(r.over), f.id)
		}
	}
}

// hunger is the bound of R10: nobody with a demand that fits waits for ever while there is room.
func (h *history) hunger() {
	w := h.w
	for _, f := range w.frameworks {
		p, is := f.user.(*program)
		if !is || f.away || f.ended || !f.alive || f.fid == "" || p.suppressed || p.open() <= 0 {
			f.hungry = 0
			continue
		}
		if f.hungry == 0 {
			f.hungry = w.ns
		}
		r := w.log.leader
		if r == nil || h.since(max(f.hungry, f.fed)) < fedWithin || time.Duration(w.ns-max(w.operator.changed, r.office.began)) < fedWithin {
			continue
		}
		if got, ok := r.core.View().Framework(f.fid); !ok || !got.Connected {
			continue
		}
		if s, fits := h.room(r, p); fits {
			w.violate("R10", "%s wants %d more tasks, there is room on %s, and it has had no offer for %v", f.id, p.open(), s, h.since(max(f.hungry, f.fed)))
		}
	}
}

// room finds a slave that the program may use, with what a task of it needs neither used nor offered nor reserved.
func (h *history) room(r *reign, p *program) (offer.SlaveID, bool) {
	for s := range r.core.View().Slaves() {
		if s.State != mastercore.SlaveConnected || !s.Active || s.Drain != nil || len(p.info.Constraints) > 0 && s.Attributes[0].Text == "r1" {
			continue
		}
		free, ok := s.Resources.Sub(s.Used.Add(s.Offered).NonShared())
		if ok && free.Unreserved().Contains(need) {
			return s.ID, true
		}
	}
	return "", false
}

// phantoms is T6: what runs on a slave is in the books of its master, once both have been quiet for a while.
func (h *history) phantoms() {
	w := h.w
	r := w.log.leader
	const quiet = int64(2 * time.Minute)
	if r == nil || w.ns-r.office.began < quiet || w.ns-w.healed < quiet {
		return
	}
	known := map[taskKey]bool{}
	v := r.core.View()
	for t := range v.Tasks() {
		known[taskKey{t.Framework, t.ID}] = true
	}
	for _, s := range w.slaves {
		if got, ok := v.Slave(s.sid); !ok || got.State != mastercore.SlaveConnected || s.away || s.core == nil || !s.core.Registered() || w.ns-s.begun < quiet {
			continue
		}
		for _, rec := range s.runtime.running {
			if !h.retired[rec.framework] && w.ns-rec.began > quiet && !known[taskKey{rec.framework, rec.id()}] {
				w.violate("T6", "%s runs %s, of which %s does not know", s.id, rec.key, r.m.id)
			}
		}
	}
}

// executors compares the executors that run on a machine with those in the books (T6).
func (h *history) executors(s *slave, books []mastercore.Executor) {
	for _, c := range s.runtime.all {
		if c.exec == nil || !c.running || h.retired[c.exec.framework] {
			continue
		}
		found := false
		for _, e := range books {
			found = found || e.Framework == c.exec.framework && e.ID == c.exec.info.ID
		}
		if !found {
			h.w.violate("T6", "%s runs executor %s of %s, which its master does not know", s.id, c.exec.info.ID, c.exec.framework)
		}
	}
	for _, e := range books {
		found := false
		for _, c := range s.runtime.all {
			found = found || c.exec != nil && c.running && e.Framework == c.exec.framework && e.ID == c.exec.info.ID
		}
		if !found {
			h.w.violate("T6", "%s has executor %s of %s in its master's books, and it does not run", s.id, e.ID, e.Framework)
		}
	}
}
