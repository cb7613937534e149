package sim

import (
	"time"

	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/offer"
)

// This file is F2: a framework that does not come back is torn down at its deadline, whichever master leads. A leader counts time by the
// monotonic part of its own clock, and what outlives it is what it has recorded: the time that is left. So the bound has three parts, each of
// which a reign keeps or not:
//
//   - it gives a framework that it does not hear the time that the registry says is left, or all of its failover time (a minute at least at
//     the beginning of a reign) if the registry has it as connected, and proposes its end then: not earlier, and at most 5 s later;
//   - while it waits, it proposes to record what is left every 2 s, or at a 256th of what is left but no later than after a minute, so that
//     a change of leaders gives away no more than that, and the time in which nobody leads;
//   - what is recorded of a framework that is away does not grow, but by a write that was repeated.
//
// Clocks may drift by a twentieth here, and while there is trouble a write may have to be repeated five times, a second apart.

// wait is the time of a framework that its leader does not hear.
type wait struct {
	from     int64 // when it began under this leader
	left     time.Duration
	deadline int64
	recorded int64 // when it was last proposed to record what is left
}

const (
	resubscribeTime = time.Minute     // the least that a new leader gives
	lateness        = 5 * time.Second // of a deadline
	repeats         = 15 * time.Second
	watched         = time.Hour // longer waits are not looked at
)

// slack is how much later than its time a leader may do something that takes d by its clock.
func (w *World) slack(d time.Duration) time.Duration {
	s := lateness + d/16
	if !w.calm {
		s += repeats
	}
	return s
}

// awaits begins the time of a framework.
func (h *history) awaits(r *reign, id offer.FrameworkID, left time.Duration) {
	w := h.w
	x := &wait{from: w.ns, left: left, deadline: w.ns + int64(left), recorded: w.ns}
	r.office.waits[id] = x
	if left > watched {
		return
	}
	var look func()
	look = func() {
		o := &r.office
		switch slack := w.slack(left); {
		case r.ended || w.log.leader != r || o.waits[id] != x || o.retired[id]:
		case r.m.paused || r.m.cost > 0 || w.ns-r.m.stood < int64(left+slack) || !w.able(r.m) || len(r.flight) > 0: // one that stood still may begin to count only then, and a write waits
			w.after(slack, look)
		default:
			w.violate("F2", "%s has not heard of %s for %v, had %v left, and does not remove it", r.m.id, id, time.Duration(w.ns-x.from), left)
		}
	}
	w.atNS(x.deadline+int64(w.slack(left)), look)
}

// lost sees a leader notice the end of a connection.
func (h *history) lost(r *reign, l *link) {
	if !r.office.live(l) {
		return
	}
	delete(r.office.streams, l.stream)
	if rec, ok := r.m.state.View().Framework(l.stream); ok {
		h.awaits(r, l.stream, rec.Framework.FailoverTimeout)
	}
}

// proposed sees what a leader is about to write.
func (h *history) proposed(r *reign, commands []registry.Command) {
	h.registers.proposed(r, commands)
	w, o := h.w, &r.office
	for i := range commands {
		switch op := commands[i].Op.(type) {
		case *registry.RemoveFramework:
			x, again := o.waits[op.ID], o.retired[op.ID]
			o.retired[op.ID] = true
			if again || h.torn[op.ID] || x == nil && o.streams[op.ID] == nil { // one that was gone when it was admitted
				break
			}
			if x == nil {
				w.violate("F2", "%s removes %s, which is connected", r.m.id, op.ID)
			} else if early := time.Duration(x.deadline - w.ns); early > lateness+x.left/16 {
				w.violate("F2", "%s removes %s %v before its deadline", r.m.id, op.ID, early)
			}
		case *registry.CountDown:
			for _, left := range op.Frameworks {
				if x := o.waits[left.ID]; x != nil && left.Remaining >= 0 {
					x.recorded = w.ns
				}
			}
		case *registry.SetRole:
			delete(o.quotas.held, op.Role)
		}
	}
	for _, f := range w.frameworks {
		x := o.waits[f.fid]
		if f.fid == "" || x == nil || o.retired[f.fid] || r.m.paused || r.m.cost > 0 || h.torn[f.fid] {
			continue
		}
		left := max(time.Duration(x.deadline-w.ns), 0)
		most := min(time.Minute, max(left/128, 2*time.Second))
		if since := max(x.recorded, r.m.stood); w.ns-since > int64(most+w.slack(most)) {
			w.violate("F2", "%s writes, and has not recorded for %v that %s has %v left", r.m.id, time.Duration(w.ns-since), f.fid, left)
		}
	}
}

// knocked sees a framework ask to be subscribed. Until that is committed it is not recorded what it has left, and then the registry has it as
// connected, even if its connection is no more by then. One that does so again and again gets its time again with the next leader, not with this one.
func (h *history) knocked(r *reign, id offer.FrameworkID) {
	if x := r.office.waits[id]; x != nil {
		x.recorded = h.w.ns
	}
}

// counted sees what becomes of the time of a framework that is away: it does not grow.
func (h *history) counted(left registry.Remaining) {
	was, is := h.remaining[left.ID]
	h.remaining[left.ID] = left.Remaining
	if is && was >= 0 && left.Remaining > was+repeats {
		h.w.violate("F2", "%s had %v left and has %v, without having been there", left.ID, was, left.Remaining)
	}
}
