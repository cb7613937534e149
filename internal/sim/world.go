package sim

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/meros-project/meros/offer"
)

// A World is one run. Everything in it happens on the goroutine that calls Run, one event after the other.
type World struct {
	cfg    Config
	random *rand.Rand
	own    [64]*dice // of the classes of faults that draw from streams of their own
	ns     int64     // virtual time since epoch
	now    time.Time
	queue  events
	seq    uint64
	steps  int

	trace  trace
	failed *Violation
	buf    []byte // scratch of the wire
	sent   []byte // the last message that was carried, as it is on the wire; until the next

	log        *replicated
	masters    []*master
	slaves     []*slave
	frameworks []*framework
	twins      []*framework // second processes of some of them
	overheard  [][]byte     // what strangers may repeat
	links      []*link
	lastLink   int
	calm       bool  // faults are over
	healed     int64 // since when
	round      int   // counts from 1; 0 before the first trouble
	swarm      swarm
	partitions []*partition
	history    history
	operator   operator
	Faults     int // injected so far
	counts     Counts
	states     States
}

// epoch is when every run begins.
var epoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// An event is a function that is due.
type event struct {
	at  int64
	seq uint64
	do  func()
}

// events is a heap of four children a node, by time and then by age.
type events []event

func (e *event) before(o *event) bool { return e.at < o.at || e.at == o.at && e.seq < o.seq }

func (q *events) push(e event) {
	*q = append(*q, e)
	h := *q
	i := len(h) - 1
	for i > 0 {
		parent := (i - 1) / 4
		if !e.before(&h[parent]) {
			break
		}
		h[i] = h[parent]
		i = parent
	}
	h[i] = e
}

func (q *events) pop() event {
	h := *q
	top, last := h[0], h[len(h)-1]
	h[len(h)-1] = event{}
	h = h[:len(h)-1]
	*q = h
	if len(h) == 0 {
		return top
	}
	i := 0
	for {
		first := 4*i + 1
		if first >= len(h) {
			break
		}
		least := first
		for c := first + 1; c < min(first+4, len(h)); c++ {
			if h[c].before(&h[least]) {
				least = c
			}
		}
		if !h[least].before(&last) {
			break
		}
		h[i] = h[least]
		i = least
	}
	h[i] = last
	return top
}

// atNS runs do at a virtual time; at, at a time; after, a while from now.
func (w *World) atNS(ns int64, do func()) {
	w.seq++
	w.queue.push(event{at: max(ns, w.ns), seq: w.seq, do: do})
}

func (w *World) at(t time.Time, do func()) { w.atNS(int64(t.Sub(epoch)), do) }

func (w *World) after(d time.Duration, do func()) { w.atNS(w.ns+int64(d), do) }

// until runs events up to a time, or to the first violation.
func (w *World) until(end time.Time) {
	last := int64(end.Sub(epoch))
	for len(w.queue) > 0 && w.failed == nil && w.queue[0].at <= last {
		e := w.queue.pop()
		if e.at != w.ns {
			w.ns, w.now = e.at, epoch.Add(time.Duration(e.at))
		}
		w.steps++
		if w.steps > w.cfg.MaxSteps {
			w.violate("steps", "more than %d events: something repeats without end", w.cfg.MaxSteps)
			return
		}
		e.do()
	}
	if w.failed == nil {
		w.ns, w.now = last, end
	}
}

// chance is true with probability p. What cannot happen draws nothing: a class of faults that is not on leaves a seed as it was without it.
func (w *World) chance(p float64) bool { return p > 0 && w.random.Float64() < p }

// between draws a duration in [lo, hi).
func (w *World) between(lo, hi time.Duration) time.Duration {
	return lo + time.Duration(w.random.Int64N(int64(hi-lo)))
}

// mostly draws a duration that is seldom near hi: of two decades below it, each is as likely as the other.
func (w *World) mostly(lo, hi time.Duration) time.Duration {
	for range 3 {
		if mid := hi / 4; mid > lo && w.chance(0.6) {
			hi = mid
		}
	}
	return w.between(lo, hi)
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

const (
	mixA = 0xa0761d6478bd642f
	mixB = 0xe7037ed1a0b428db
)

func (t *trace) word(x uint64) {
	hi, lo := bits.Mul64(t.sum^x^mixA, mixB)
	t.sum = (hi ^ lo) + mixA
}

// mix hashes bytes into the trace, eight at a time: a hash for comparing runs, not for strangers.
func (t *trace) mix(b []byte) {
	t.word(uint64(len(b)))
	for len(b) >= 8 {
		t.word(binary.LittleEndian.Uint64(b))
		b = b[8:]
	}
	var rest uint64
	for i, c := range b {
		rest |= uint64(c) << (8 * i)
	}
	t.word(rest)
}

func (t *trace) text(s string) {
	t.word(uint64(len(s)))
	for len(s) >= 8 {
		t.word(uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 | uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 |
			uint64(s[7])<<56)
		s = s[8:]
	}
	var rest uint64
	for i := range len(s) {
		rest |= uint64(s[i]) << (8 * i)
	}
	t.word(rest)
}

// value hashes one argument of a note without formatting it, where that is possible.
func (t *trace) value(v any) {
	switch v := v.(type) {
	case string:
		t.text(v)
	case offer.SlaveID:
		t.text(string(v))
	case offer.FrameworkID:
		t.text(string(v))
	case offer.TaskID:
		t.text(string(v))
	case offer.State:
		t.word(uint64(v))
	case offer.Reason:
		t.word(uint64(v))
	case int:
		t.word(uint64(v))
	case uint64:
		t.word(v)
	case time.Duration:
		t.word(uint64(v))
	default:
		t.text(fmt.Sprint(v))
	}
}

// note writes a line of the trace. It is formatted only where somebody is going to read it.
func (w *World) note(who, format string, args ...any) {
	t := &w.trace
	t.word(uint64(w.ns))
	t.text(who)
	t.text(format)
	for _, v := range args {
		t.value(v)
	}
	if t.keep > 0 {
		w.show(who, format, args...)
	}
}

// show writes a line for people, which is not part of the hash.
func (w *World) show(who, format string, args ...any) {
	t := &w.trace
	if t.keep == 0 {
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%12.6f %-4s ", w.now.Sub(epoch).Seconds(), who)
	fmt.Fprintf(&b, format, args...)
	if len(t.last) >= 2*t.keep {
		t.last = append([]string(nil), t.last[len(t.last)-t.keep:]...)
	}
	t.last = append(t.last, b.String())
}

func (t *trace) tail() []string {
	if len(t.last) > t.keep {
		return t.last[len(t.last)-t.keep:]
	}
	return t.last
}
