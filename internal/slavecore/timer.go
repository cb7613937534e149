package slavecore

import (
	"math"
	"time"
)

type timerKind uint8

const (
	timerRegister   timerKind = iota + 1 // attempt to register again
	timerPing                            // the master is silent
	timerRetry                           // of a task's stream
	timerKill                            // the grace of a kill is over
	timerCompletion                      // MaxCompletion is over
	timerExecutor                        // an executor did not subscribe, or did not end, in time
	timerOperation                       // of an operation's stream
	timerStop                            // StopTimeout is over
	timerHealth                          // a task's health is to be looked at
	timerCheck                           // a task's check is to be made
	timerRenew                           // ask for leases again
	timerLease                           // a lease has run out
)

// A timer is one entry of the core's ordered timers. It belongs to its owner, which arms and stops it.
type timer struct {
	at   int64  // when to fire, or never
	seq  uint64 // breaks ties in the order of arming
	pos  int    // in the heap, from 1; zero: not there
	kind timerKind
	task *task
	exec *executor
	op   *operation
}

const never = math.MaxInt64

func (t *timer) armed() bool { return t.pos != 0 && t.at != never }

// timers is a binary heap of timers by time and order of arming. A timer that is put off or put to rest stays where it is until its place
// comes up: most updates are acknowledged long before they would be repeated, and most messages from the master put its silence off.
type timers struct {
	base time.Time // times are nanoseconds since then
	heap []slot
	seq  uint64
}

// A slot is a timer's place in the heap: by its own time, or by an earlier one that it had.
type slot struct {
	at  int64
	seq uint64
	t   *timer
}

func (s *slot) before(o *slot) bool { return s.at < o.at || s.at == o.at && s.seq < o.seq }

func (h *timers) put(i int, s slot) {
	h.heap[i] = s
	s.t.pos = i + 1
}

// up places s at i or above.
func (h *timers) up(i int, s slot) {
	for i > 0 {
		p := (i - 1) / 2
		if !s.before(&h.heap[p]) {
			break
		}
		h.put(i, h.heap[p])
		i = p
	}
	h.put(i, s)
}

// down places s at i or below.
func (h *timers) down(i int, s slot) {
	for {
		l := 2*i + 1
		if l >= len(h.heap) {
			break
		}
		if r := l + 1; r < len(h.heap) && h.heap[r].before(&h.heap[l]) {
			l = r
		}
		if !h.heap[l].before(&s) {
			break
		}
		h.put(i, h.heap[l])
		i = l
	}
	h.put(i, s)
}

// arm sets t to fire at the given time, whether or not it was armed.
func (h *timers) arm(t *timer, at time.Time) {
	h.seq++
	t.at, t.seq = int64(at.Sub(h.base)), h.seq
	s := slot{t.at, t.seq, t}
	switch {
	case t.pos == 0:
		h.heap = append(h.heap, s)
		h.up(len(h.heap)-1, s)
	case s.before(&h.heap[t.pos-1]):
		h.up(t.pos-1, s)
	}
}

// rest disarms t, which is likely to be armed again.
func (h *timers) rest(t *timer) { t.at = never }

// stop disarms t and lets go of it.
func (h *timers) stop(t *timer) {
	if t == nil || t.pos == 0 {
		return
	}
	i, last := t.pos-1, len(h.heap)-1
	s := h.heap[last]
	h.heap[last] = slot{}
	h.heap = h.heap[:last]
	t.pos = 0
	switch {
	case i == last:
	case i > 0 && s.before(&h.heap[(i-1)/2]):
		h.up(i, s)
	default:
		h.down(i, s)
	}
}

// first returns the timer that fires first, or nil. It gives those before it that were put off or to rest their place.
func (h *timers) first() *timer {
	for len(h.heap) > 0 {
		s := h.heap[0]
		switch {
		case s.seq == s.t.seq && s.t.at != never:
			return s.t
		case s.t.at == never:
			h.stop(s.t)
		default:
			h.down(0, slot{s.t.at, s.t.seq, s.t})
		}
	}
	return nil
}

// due removes and returns the first timer that has come, or nil.
func (h *timers) due(now time.Time) *timer {
	t := h.first()
	if t == nil || t.at > int64(now.Sub(h.base)) {
		return nil
	}
	h.stop(t)
	return t
}

// next is when the first timer fires; zero means never. It is right after due has returned nil.
func (h *timers) next() time.Time {
	if len(h.heap) == 0 {
		return time.Time{}
	}
	return h.base.Add(time.Duration(h.heap[0].at))
}
