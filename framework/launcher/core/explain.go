package core

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// A trouble is what kept a class from its place.
type trouble uint8

const (
	noOffers trouble = iota
	tooLarge         // no offer has enough of one resource
	notAtOnce
	noSuch      // no offer has exactly what is asked for
	constrained // the constraints exclude what is large enough

)

// A note is why a class found no place the last time it was tried.
type note struct {
	trouble trouble
	offers  int
	want    vector
	dim     int
	had     int64
	slave   offer.SlaveID
	asked   resource.Resources
	fits    int
	rule    Constraint
	reject  int
	value   value
}

// fail notes a trouble that can be seen without a search.
func (k *class) fail(c *Core, f *forest, why trouble) {
	k.failed, k.failedVersion = c.run.id, k.set.version
	most := f.all.most()
	n := note{trouble: why, offers: len(f.all.slots), want: k.vector}
	for d := range dims {
		if most[d] < k.vector[d] {
			n.dim, n.had, n.slave = d, max(most[d], 0), f.all.largest(d).slave
			break
		}
	}
	k.note = n
}

// failAfter notes why a search found nothing.
func (k *class) failAfter(x *hunt) {
	k.failed, k.failedVersion = x.c.run.id, k.set.version
	n := note{trouble: notAtOnce, offers: len(x.f.all.slots), want: k.vector, asked: k.want, fits: x.looked}
	worst := 0
	for i := range k.rules {
		if x.rejected[i] > x.rejected[worst] {
			worst = i
		}
	}
	switch {
	case x.looked == 0:
	case x.unfit > 0 && (len(k.rules) == 0 || x.unfit >= x.rejected[worst]):
		n.trouble = noSuch
	case len(k.rules) > 0 && x.rejected[worst] > 0:
		n.trouble, n.rule, n.reject = constrained, k.rules[worst].Constraint, x.rejected[worst]
		if s := x.example[worst]; s != nil {
			n.slave, n.value = s.slave, s.values[k.fields[worst]]
		}
	}
	k.note = n
}

func amount(d int, n int64) string {
	if d == dimPorts {
		return strconv.FormatInt(n, 10)
	}
	return resource.Scalar(n).String()
}

func (v *vector) text() string {
	var parts []string
	for d, n := range v {
		if n > 0 {
			parts = append(parts, amount(d, n)+" "+dimNames[d])
		}
	}
	return strings.Join(parts, ", ")
}

func offers(n int) string {
	if n == 1 {
		return "the only offer"
	}
	return fmt.Sprintf("%d offers", n)
}

// text says the note in a sentence without its subject.
func (n *note) text() string {
	switch n.trouble {
	case noOffers:
		return "has not been compared with an offer yet"
	case tooLarge:
		if n.offers == 1 {
			return fmt.Sprintf("needs %s %s; the only offer had %s (%s)", amount(n.dim, n.want[n.dim]), dimNames[n.dim], amount(n.dim, n.had), n.slave)
		}
		return fmt.Sprintf("needs %s %s; the largest of %d offers had %s (%s)", amount(n.dim, n.want[n.dim]), dimNames[n.dim], n.offers, amount(n.dim, n.had), n.slave)
	case noSuch:
		return fmt.Sprintf("needs %s; none of %s that are large enough had exactly that", clip(n.asked.String()), offers(n.fits))
	case constrained:
		had := "has none"
		if n.value.known {
			had = "has " + within(n.value.text)
		}
		return fmt.Sprintf("needs %s; %s excludes %d of the %d that are large enough among %s (%s %s)", n.want.text(), clip(n.rule.String()), n.reject, n.fits,
			offers(n.offers), n.slave, had)
	}
	return fmt.Sprintf("needs %s; none of %s had all of it at once", n.want.text(), offers(n.offers))
}

func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "..."
	}
	return s
}

// describeStatus says how an attempt has ended.
func describeStatus(st *offer.Status) string {
	s := st.State.String()
	if st.Exit != nil {
		s += ", " + st.Exit.String()
	} else if st.Reason != offer.ReasonNone {
		s += ", " + st.Reason.String()
	}
	return s
}

// Waiting is a task that waits, and why.
type Waiting struct {
	Task     offer.TaskID
	Group    string
	Priority int
	Since    time.Time
	// Until is when its delay is over; zero if it waits for offers.
	Until time.Time
	// Why is one sentence without its subject, such as "needs 4 cpus; the largest of 12 offers had 2 (s-7)".
	Why string
}

// Waiting returns the first limit of the tasks that wait, the most urgent first, and those that rest after a failure behind them.
func (c *Core) Waiting(limit int) []Waiting {
	var out []Waiting
	add := func(u *unit) bool {
		for _, m := range u.members {
			if len(out) >= limit {
				return false
			}
			out = append(out, c.waitingOf(m))
		}
		return true
	}
	c.queue.Scan(add)
	c.alarms.Scan(func(u *unit) bool { return u.phase != resting || add(u) })
	return out
}

// Explain says of one task whether it waits, and why.
func (c *Core) Explain(task offer.TaskID) (w Waiting, waits bool) {
	m := c.tasks[task]
	if m == nil || m.unit.phase == placed {
		return Waiting{}, false
	}
	return c.waitingOf(m), true
}

func (c *Core) waitingOf(m *member) Waiting {
	u := m.unit
	w := Waiting{Task: m.task.Task.ID, Priority: u.priority, Since: u.since}
	if u.group {
		w.Group = u.id
	}
	switch {
	case u.phase == resting:
		w.Until = u.until
		w.Why = fmt.Sprintf("rests until %s, because %s", u.until.UTC().Format("15:04:05.000"), u.after)
	case !c.subscribed:
		w.Why = "waits for a master: the session is not subscribed"
	case c.hold.unit == u:
		w.Why = fmt.Sprintf("%s; its offers are held until %s", u.held, c.hold.until.UTC().Format("15:04:05.000"))
	case u.held != "":
		w.Why = u.held
	default:
		w.Why = m.class.note.text()
		if m.class.note.trouble == noOffers {
			w.Why = fmt.Sprintf("waits for an offer in role %s", u.role)
		}
	}
	return w
}
