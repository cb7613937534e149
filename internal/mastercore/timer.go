package mastercore

import "container/heap"

// moment is a time of the core: nanoseconds since it was made, by the monotonic part of the times it is given where they have one, so that
// a jump of the wall clock expires nothing. Zero means never.
type moment int64

type timerKind uint8

const (
	timerSlave timerKind = iota
	timerFramework
	timerCountDown
	timerRetry
	timerPrune
	timerBrake
	timerLease
	timerConfirm
)

// timer is one entry of the queue. It counts only if its owner still has the same due moment when it comes up.
type timer struct {
	at   moment
	seq  uint64
	kind timerKind
	of   uint64
}

type timers struct {
	queue []timer
	seq   uint64
}

func (t *timers) Len() int { return len(t.queue) }
func (t *timers) Less(i, j int) bool {
	a, b := &t.queue[i], &t.queue[j]
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}
func (t *timers) Swap(i, j int) { t.queue[i], t.queue[j] = t.queue[j], t.queue[i] }
func (t *timers) Push(x any)    { t.queue = append(t.queue, x.(timer)) }
func (t *timers) Pop() any {
	n := len(t.queue) - 1
	x := t.queue[n]
	t.queue = t.queue[:n]
	return x
}

func (t *timers) set(kind timerKind, of uint64, at moment) {
	t.seq++
	heap.Push(t, timer{at: at, seq: t.seq, kind: kind, of: of})
}

// due takes out the next timer that has come up.
func (t *timers) due(now moment) (timer, bool) {
	if len(t.queue) == 0 || t.queue[0].at > now {
		return timer{}, false
	}
	return heap.Pop(t).(timer), true
}

func (c *Core) slaveDue(n uint32, s *slave, at moment) {
	s.due = at
	if at != 0 {
		c.timers.set(timerSlave, uint64(n), at)
	}
}

func (c *Core) frameworkDue(n uint32, f *framework, at moment) {
	f.due = at
	if at != 0 {
		c.timers.set(timerFramework, uint64(n), at)
	}
}

// maxTimers bounds the timers that one Step works off; the rest waits for the next, which is due at once.
const maxTimers = 4096

func (c *Core) runTimers() {
	for range maxTimers {
		t, ok := c.timers.due(c.tick)
		if !ok {
			return
		}
		switch t.kind {
		case timerSlave:
			if s := c.slaves.mut(uint32(t.of)); s.due == t.at {
				c.slaveTimer(uint32(t.of), s)
			}
		case timerFramework:
			if f := c.frameworks.mut(uint32(t.of)); f.due == t.at {
				c.frameworkTimer(uint32(t.of), f)
			}
		case timerCountDown:
			c.countDown(t.at)
		case timerRetry:
			c.retry(t.of)
		case timerPrune:
			c.prune()
		case timerBrake:
			c.releaseBrake()
		case timerLease:
			if s := c.slaves.mut(uint32(t.of)); s.lapse == t.at {
				c.leaseDue(uint32(t.of), s)
			}
		case timerConfirm:
			if c.confirm.timer == t.at {
				c.confirm.timer = 0
				c.proposeConfirmation()
			}
		}
	}
}
