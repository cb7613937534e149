package sim

import (
	"fmt"
	"time"

	"github.com/meros-project/meros/offer"
)

// Now is the time by the clock of the program's machine, which may jump and drift.
func (g *Guest) Now() time.Time { return g.f.time() }

// After has something done when d has passed by that clock, unless the program's process has ended by then. An error ends the session.
func (g *Guest) After(d time.Duration, do func() error) {
	f, life := g.f, g.f.life
	at := f.time().Add(d)
	var fire func()
	fire = func() {
		if f.life != life || f.ended || f.later(fire) {
			return
		}
		if due := f.when(at); due > f.w.ns { // its clock has been slow since
			f.w.atNS(due, fire)
			return
		}
		if err := do(); err != nil {
			f.ended, f.why = true, err
			f.leave()
		}
	}
	f.w.atNS(f.when(at), fire)
}

// A Life is what the observer of everything knows of a task id.
type Life struct {
	Starts    int       // processes that were started, on any slave
	Succeeded int       // of them, those that ended with exit status 0
	Began     time.Time // when the one of the last launch was started; zero if none was
	Running   bool      // one of them runs
}

// Life is what has become of a task.
func (w *World) Life(framework offer.FrameworkID, task offer.TaskID) (l Life) {
	for r := w.history.find(framework, task); r != nil; r = r.past {
		l.Starts += r.starts
		l.Running = l.Running || r.running
		if r.exited && r.exit.Success() {
			l.Succeeded++
		}
		if r.starts > 0 && l.Began.IsZero() {
			l.Began = epoch.Add(time.Duration(r.began))
		}
	}
	return l
}

// Unsettled says what is not yet in order; empty when everybody is back and has heard everything. Tasks may run.
func (w *World) Unsettled() string {
	if w.log.leader == nil {
		return "nobody leads"
	}
	for _, f := range w.frameworks {
		if !f.ended && (f.conn == nil || f.fid == "") {
			return f.id + " is not subscribed"
		}
	}
	for _, s := range w.slaves {
		if s.core == nil || !s.core.Registered() {
			return s.id + " is not registered"
		}
	}
	for _, r := range w.history.order {
		f := w.history.owners[r.framework]
		if r.launched && !r.dead && f != nil && !f.ended && r.delivered < len(r.log) && !r.buried {
			return fmt.Sprintf("%s: %d of its %d updates are delivered", r.key, r.delivered, len(r.log))
		}
	}
	return ""
}

// renew begins another life of a task id. A program from outside may launch one again that has ended, as long as it bears the consequences;
// the world itself must not.
func (h *history) renew(r *record, container string) *record {
	f := h.owners[r.framework]
	if f == nil || !r.launched || !r.terminal || r.running || r.container == container {
		return r
	}
	if !f.outside() {
		return r
	}
	again := &record{key: r.key, framework: r.framework, state: offer.Staging, past: r}
	h.tasks[r.key] = again
	h.order = append(h.order, again)
	return again
}

// holder is the life of a task that has an update; the last one if none has.
func (h *history) holder(f offer.FrameworkID, t offer.TaskID, update offer.UUID) *record {
	last := h.find(f, t)
	for r := last; r != nil; r = r.past {
		if r.index(update) >= 0 {
			return r
		}
	}
	return last
}
