package slavecore

import "time"

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
)

// A timer is one entry of the core's ordered timers. It belongs to its owner, which arms and stops it.
type timer struct {
	at   time.Time
	seq  uint64 // breaks ties in the order of arming
	pos  int    // in the heap, from 1; zero: not armed
	kind timerKind
	task *task
	exec *executor
	op   *operation
}

// timers is a binary heap of timers by time and order of arming.
type timers struct {
	heap []*timer
	seq  uint64
}

func (h *timers) less(i, j int) bool {
	a, b := h.heap[i], h.heap[j]
	if a.at.Equal(b.at) {
		return a.seq < b.seq
	}
	return a.at.Before(b.at)
}

func (h *timers) swap(i, j int) {
	h.heap[i], h.heap[j] = h.heap[j], h.heap[i]
	h.heap[i].pos, h.heap[j].pos = i+1, j+1
}

func (h *timers) up(i int) {
	for i > 0 {
		p := (i - 1) / 2
		if !h.less(i, p) {
			return
		}
		h.swap(i, p)
		i = p
	}
}

func (h *timers) down(i int) {
	for {
		l := 2*i + 1
		if l >= len(h.heap) {
			return
		}
		if r := l + 1; r < len(h.heap) && h.less(r, l) {
			l = r
		}
		if !h.less(l, i) {
			return
		}
		h.swap(i, l)
		i = l
	}
}

// arm sets t to fire at the given time, whether or not it was armed.
func (h *timers) arm(t *timer, at time.Time) {
	h.seq++
	t.at, t.seq = at, h.seq
	if t.pos == 0 {
		h.heap = append(h.heap, t)
		t.pos = len(h.heap)
	}
	h.up(t.pos - 1)
	h.down(t.pos - 1)
}

func (h *timers) stop(t *timer) {
	if t == nil || t.pos == 0 {
		return
	}
	i, last := t.pos-1, len(h.heap)-1
	if i != last {
		h.swap(i, last)
	}
	h.heap[last] = nil
	h.heap = h.heap[:last]
	t.pos = 0
	if i != last {
		h.up(i)
		h.down(i)
	}
}

// due removes and returns the first timer that has come, or nil.
func (h *timers) due(now time.Time) *timer {
	if len(h.heap) == 0 || h.heap[0].at.After(now) {
		return nil
	}
	t := h.heap[0]
	h.stop(t)
	return t
}
