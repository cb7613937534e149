package sim

import (
	"time"

	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/slavecore"
	"github.com/meros-project/meros/offer"
)

// boot is the clock that supervisors go by: it cannot be set, and goes on while its machine is suspended.
func (n *node) boot() time.Duration { return time.Duration(n.clock.reading(n.w.ns) + n.slept) }

// lent gives some tasks of modelled programs leases.
func (w *World) lent(t *offer.Task) {
	if w.strength(FaultLease) == 0 || !w.dice(FaultLease).chance(0.4) {
		return
	}
	d := w.dice(FaultLease)
	t.Lease = d.between(offer.MinLease, 20*time.Second)
	if d.chance(0.3) {
		t.Lease = d.between(20*time.Second, time.Minute)
	}
}

// asks notes when a slave asks for leases: they count from then.
func (s *slave) asks(m message.Message) {
	if q, is := m.(*message.Renew); is {
		if len(s.asked) > 1000 {
			clear(s.asked)
		}
		s.asked[q.Seq] = s.boot()
	}
}

// renew hands a supervisor a later deadline; it takes none after it has gone by the one before.
func (r *runtime) renew(s *slave, e slavecore.Renew) {
	c := r.containers[e.Container]
	if c == nil || !c.running || s.boot() >= c.until && c.until > 0 {
		return
	}
	c.until = max(c.until, s.asked[e.Seq]+e.Lease)
}

// mayFork reports whether a container may be started; not if its lease is over, or was given to an earlier life of the slave.
func (s *slave) mayFork(e slavecore.Start) bool {
	return e.Task == nil || e.Task.Lease == 0 || !e.Recovered && s.boot() < s.asked[e.Renewal]+e.Task.Lease
}

// keepLease ends a container at its deadline, whatever its slave does. Clocks change their rate, so that it looks again and again.
func (r *runtime) keepLease(s *slave, c *container) {
	if !c.running || c.until == 0 {
		return
	}
	if left := c.until - s.boot(); left > 0 {
		s.w.after(min(left, time.Second), func() { r.keepLease(s, c) })
		return
	}
	s.w.states.reach(StateLeaseOver)
	c.expired = true
	r.exit(s, c, offer.Exit{Signal: 9})
}

// expires sees a slave end a task because its lease is over; that is reason enough (S1).
func (h *history) expires(rec *slavecore.Killed) {
	if r := h.find(rec.Framework, rec.Task); r != nil && rec.Reason == offer.ReasonLeaseExpired {
		r.doomed = true
	}
}

// buried sees a leader decide that a task is gone because its lease is over: from now on it does not run, for ever (T13). What its slave still
// says of it is for the leader, so that its framework need not hear it (T1, T3).
func (h *history) buried(e mastercore.Note) {
	r := h.of(string(e.Framework) + "/" + string(e.Task)) // its launch may be on its way to a disk
	h.w.states.reach(StateBuried)
	r.buried = true
	h.stillRuns(r, "the leader says")
}

// toldGone sees that a framework is told so.
func (h *history) toldGone(f *framework, st offer.Status) {
	if r := h.find(f.fid, st.TaskID); r != nil && st.UUID.IsZero() && st.Reason == offer.ReasonLeaseExpired && st.Source == offer.SourceMaster {
		r.buried = true
		h.stillRuns(r, f.id+" is told")
	}
}

func (h *history) stillRuns(r *record, who string) {
	if r.running {
		h.w.violate("T13", "%s that %s is gone because its lease is over, and it runs on %s", who, r.key, r.slave.id)
	}
}
