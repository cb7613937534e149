package sim

import (
	"container/heap"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"time"
)

// A World is one run. Everything in it happens on the goroutine that calls Run, one event after the other.
type World struct {
	cfg    Config
	random *rand.Rand
	now    time.Time
	queue  events
	seq    uint64
	steps  int

	trace  trace
	failed *Violation

	log        *replicated
	masters    []*master
	slaves     []*slave
	frameworks []*framework
	links      []*link
	lastLink   int
	calm       bool // faults are over
	history    history
	counts     Counts
}

// epoch is when every run begins.
var epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// An event is a function that is due.
type event struct {
	at  time.Time
	seq uint64
	do  func()
}

type events []event

func (q events) Len() int { return len(q) }
func (q events) Less(i, j int) bool {
	if !q[i].at.Equal(q[j].at) {
		return q[i].at.Before(q[j].at)
	}
	return q[i].seq < q[j].seq
}
func (q events) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *events) Push(x any)   { *q = append(*q, x.(event)) }
func (q *events) Pop() any {
	old := *q
	e := old[len(old)-1]
	old[len(old)-1] = event{}
	*q = old[:len(old)-1]
	return e
}

// at runs do at a time; after, a while from now.
func (w *World) at(t time.Time, do func()) {
	if t.Before(w.now) {
		t = w.now
	}
	w.seq++
	heap.Push(&w.queue, event{at: t, seq: w.seq, do: do})
}

func (w *World) after(d time.Duration, do func()) { w.at(w.now.Add(d), do) }

// until runs events up to a time, or to the first violation.
func (w *World) until(end time.Time) {
	for len(w.queue) > 0 && w.failed == nil && !w.queue[0].at.After(end) {
		e := heap.Pop(&w.queue).(event)
		w.now = e.at
		w.steps++
		if w.steps > w.cfg.MaxSteps {
			w.violate("steps", "more than %d events: something repeats without end", w.cfg.MaxSteps)
			return
		}
		e.do()
	}
	if w.failed == nil {
		w.now = end
	}
}

// chance is true with probability p.
func (w *World) chance(p float64) bool { return w.random.Float64() < p }

// between draws a duration in [lo, hi).
func (w *World) between(lo, hi time.Duration) time.Duration {
	return lo + time.Duration(w.random.Int64N(int64(hi-lo)))
}

// A Violation is a rule that was broken.
type Violation struct {
	Rule string // number of the invariant, or a word
	Text string
	At   time.Duration // since the start of the run
	Step int
}

func (v *Violation) Error() string {
	return fmt.Sprintf("%s at %v (step %d): %s", v.Rule, v.At, v.Step, v.Text)
}

// violate notes the first broken rule; the run ends.
func (w *World) violate(rule, format string, args ...any) {
	if w.failed == nil {
		w.failed = &Violation{Rule: rule, Text: fmt.Sprintf(format, args...), At: w.now.Sub(epoch), Step: w.steps}
		w.note("VIOLATION", "%s: %s", rule, w.failed.Text)
	}
}

// A trace hashes everything that happens and keeps the last lines for people.
type trace struct {
	sum  uint64
	keep int
	last []string
}

// mix hashes bytes into the trace.
func (t *trace) mix(b []byte) {
	h := fnv.New64a()
	var was [8]byte
	binary.LittleEndian.PutUint64(was[:], t.sum)
	_, _ = h.Write(was[:])
	_, _ = h.Write(b)
	t.sum = h.Sum64()
}

func (t *trace) add(line string) {
	t.mix([]byte(line))
	if t.keep > 0 {
		if len(t.last) >= 2*t.keep {
			t.last = append([]string(nil), t.last[len(t.last)-t.keep:]...)
		}
		t.last = append(t.last, line)
	}
}

// note writes a line of the trace.
func (w *World) note(who, format string, args ...any) {
	var b strings.Builder
	fmt.Fprintf(&b, "%12.6f %-4s ", w.now.Sub(epoch).Seconds(), who)
	fmt.Fprintf(&b, format, args...)
	w.trace.add(b.String())
}
