package sim

import (
	"time"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/slavecore"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// What the observer sees of one machine: its containers, its kills, its boots and its journal.

// contained sees a new container: its id is its own, on all machines and for ever (S4).
func (h *history) contained(s *slave, c *container) {
	if h.containers[c.id] {
		h.w.violate("S4", "%s starts container %s, which was there before", s.id, c.id)
	}
	h.containers[c.id] = true
	c.born = s.life
}

// sound reports whether a slave has had no troubles of its own since a moment.
func (s *slave) sound(life int, from int64) bool {
	return s.life == life && !s.paused && s.stood < from && s.cost == 0 && !s.disk.hung && s.disk.healed < from && !s.disk.broken
}

// graceful is more than any polite end takes here: in calm, the longest grace, the ten seconds that a sure kill has, and the process' own time;
// in trouble, a minute.
func (w *World) graceful() time.Duration {
	if w.calm {
		return 5*time.Second + 11*time.Second
	}
	return time.Minute
}

// killed sees a kill arrive at a slave: after the grace nothing of the task runs, unless the slave had troubles of its own (T7).
func (h *history) killed(s *slave, m *message.Kill) {
	r := h.find(m.Framework, m.Task)
	if r == nil || r.slave != s {
		return
	}
	r.doomed = true
	if !r.running {
		return
	}
	w, life, from, grace := h.w, s.life, h.w.ns, h.w.graceful()
	w.after(grace, func() {
		if s.sound(life, from) && r.running {
			w.violate("T7", "%s was told %v ago to kill %s, and it runs", s.id, grace, r.key)
		}
	})
}

// shutDown sees the end of a framework arrive at a slave: after the grace nothing of it runs (F5).
func (h *history) shutDown(s *slave, m *message.FrameworkShutdown) {
	w, life, from, grace := h.w, s.life, h.w.ns, h.w.graceful()
	var running []*record
	for _, r := range s.runtime.running {
		if r.framework == m.Framework {
			running = append(running, r)
		}
	}
	var executors []*container
	for _, c := range s.runtime.all {
		if c.exec != nil && c.running && c.exec.framework == m.Framework {
			executors = append(executors, c)
		}
	}
	if len(running)+len(executors) == 0 {
		return
	}
	w.after(grace, func() {
		if !s.sound(life, from) {
			return
		}
		for _, r := range running {
			if r.running {
				w.violate("F5", "%s was told %v ago that %s is over, and %s runs", s.id, grace, m.Framework, r.key)
			}
		}
		for _, c := range executors {
			if c.running {
				w.violate("F5", "%s was told %v ago that %s is over, and its executor %s runs", s.id, grace, m.Framework, c.id)
			}
		}
	})
}

// ordered sees what a master says to a slave, once it is there.
func (h *history) ordered(s *slave, e *message.Envelope) {
	switch m := e.Message.(type) {
	case *message.StatusAck:
		h.acked(m)
	case *message.Kill:
		if e.Reign >= s.reign {
			h.killed(s, m)
		}
	case *message.FrameworkShutdown:
		if e.Reign >= s.reign && s.core.Registered() {
			h.shutDown(s, m)
		}
	case *message.Drain:
		s.emptied = s.emptied || m.Config != nil
	case *message.SlaveRefused:
		s.emptied = s.emptied || m.Shutdown
	}
}

// signalled sees a slave kill a container: one that it has found running when it began is not killed for no reason (S1). The reasons are that
// a master has said so, that the slave is to be emptied, that the framework is over, that another of its group has ended,
// and that the task is unhealthy.
func (h *history) signalled(s *slave, c *container) {
	if c == nil || c.task == "" || c.born == s.life || s.emptied {
		return
	}
	if r := h.tasks[c.task]; r != nil && r.running && !r.doomed && !r.grouped && !h.retired[r.framework] && !h.torn[r.framework] {
		h.w.violate("S1", "%s kills %s, which an earlier run of it has started, and nobody has asked for that", s.id, r.key)
	}
}

// afterReboot sees what a slave says of a task that was started before the machine's last boot: once its end is on disk, and it soon is, and the
// process has heard of that, nobody hears that it runs (S2). Until then what it knows to be on disk is all that a slave may tell.
func (h *history) afterReboot(s *slave, f offer.FrameworkID, t offer.TaskID, latest offer.State) {
	r := h.find(f, t)
	if r == nil || r.slave != s || r.starts == 0 || r.boot == s.boots || r.dead || latest.Terminal() {
		return
	}
	if late := h.w.ns-s.begun > int64(20*time.Second) && s.sound(s.life, s.begun); late || r.terminal && s.disk.heard >= s.disk.kept {
		h.w.violate("S2", "%s has rebooted since it started %s, and says that it is %s", s.id, r.key, latest)
	}
}

// converted sees a slave record another total: what tasks use is still in it (R7), but for those of frameworks that are over, whose resources
// are not theirs any more.
func (h *history) converted(s *slave, total resource.Resources) {
	left, fits := total, true
	for _, r := range s.runtime.running {
		if h.retired[r.framework] {
			continue
		}
		if left, fits = left.Sub(r.resources.NonShared()); !fits {
			h.w.violate("R7", "%s has %v from now on, of which %s uses %v and others more", s.id, total, r.key, r.resources)
			return
		}
	}
}

// journalTail is how many prefixes of a journal are looked at.
const journalTail = 40

// prefixes starts a slave on each of the last prefixes of a journal: a slave that crashed just then knows each task of which the launch is on
// disk and the end not acknowledged, and no other (S7).
func (h *history) prefixes(s *slave) {
	records := s.disk.records
	open := map[taskKey]offer.UUID{} // those not forgotten, with their end; counted and looked up
	for n := 0; n <= len(records); n++ {
		if n > 0 {
			follow(open, records[n-1])
		}
		if len(records)-n > journalTail || h.w.failed != nil {
			continue
		}
		cfg := s.config()
		cfg.Seed, cfg.Nonce = 1, offer.UUID{1}
		core, err := slavecore.New(s.time(), cfg, h.w.carryJournal(records[:n]))
		if err != nil {
			h.w.violate("S7", "%s does not start on the first %d of %d records: %v", s.id, n, len(records), err)
			return
		}
		h.journalOf(s, core, open, n)
	}
}

// journalOf compares what a slave knows after n records with what they say.
func (h *history) journalOf(s *slave, core *slavecore.Core, open map[taskKey]offer.UUID, n int) {
	known := 0
	for _, rec := range core.Compact() {
		l, is := rec.(*slavecore.Launched)
		if !is {
			continue
		}
		known++
		if _, ok := open[taskKey{l.Framework.ID, l.Task.ID}]; !ok {
			h.w.violate("S7", "%s knows task %s of %s after %d records, which is over", s.id, l.Task.ID, l.Framework.ID, n)
			return
		}
	}
	if known != len(open) {
		h.w.violate("S7", "%s knows %d of %d tasks after %d records", s.id, known, len(open), n)
	}
}

// follow keeps account of the tasks that a journal speaks of.
func follow(open map[taskKey]offer.UUID, rec slavecore.Record) {
	switch rec := rec.(type) {
	case *slavecore.Launched:
		if key := (taskKey{rec.Framework.ID, rec.Task.ID}); !rec.Framework.NoCheckpoint {
			if _, again := open[key]; !again {
				open[key] = offer.UUID{}
			}
		}
	case *slavecore.Updated:
		key := taskKey{rec.Framework, rec.Status.TaskID}
		if _, is := open[key]; is && rec.Status.State.Terminal() {
			open[key] = rec.Status.UUID
		}
	case *slavecore.Acked:
		key := taskKey{rec.Framework, rec.Task}
		if end, is := open[key]; is && !end.IsZero() && end == rec.UUID {
			delete(open, key)
		}
	}
}
