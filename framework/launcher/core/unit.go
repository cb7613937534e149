package core

import (
	"strconv"
	"time"

	"github.com/meros-project/meros/offer"
)

// A phase is where a unit stands.
type phase uint8

const (
	waiting phase = iota // in the queue
	resting              // until its delay is over
	placed               // launched
)

var phases = [...]string{waiting: "waiting", resting: "resting", placed: "placed"}

// A unit is what is placed as a whole: a task or a group.
type unit struct {
	id       string
	group    bool
	seq      uint64
	priority int
	backoff  string
	retry    Retry
	role     string
	members  []*member

	phase    phase
	attempt  int
	failures int
	losses   int
	since    time.Time // it waits or rests
	until    time.Time // it rests
	after    string    // what it rests after
	cause    *offer.Status
	killed   bool
	policy   *offer.KillPolicy
	held     string // why it has not all its offers
	alarm    time.Time
	killAt   time.Time // the kill is repeated
	silentAt time.Time // its state is asked for
}

// A member is one task of a unit.
type member struct {
	unit  *unit
	task  Task
	set   *set
	class *class

	at          Placed
	state       offer.State
	last        offer.UUID
	heard       bool
	ran         bool
	gone        bool         // the attempt has ended
	status      offer.Status // how
	unreachable time.Time    // since when
	ending      bool         // it was asked to end because another member has
	old         *stray       // the attempt that this one replaces, while it may still come back
}

// A stray is an attempt that was replaced and may still run.
type stray struct {
	at     Placed
	task   offer.TaskID
	group  string
	member *member // that it may go on as; nil once another attempt was launched
	lease  time.Duration
	seq    uint64
	policy *offer.KillPolicy
}

// lessUnit is the order of the queue.
func lessUnit(a, b *unit) bool {
	if a.priority != b.priority {
		return a.priority > b.priority
	}
	return a.seq < b.seq
}

// lessAlarm orders by when something is due.
func lessAlarm(a, b *unit) bool {
	if !a.alarm.Equal(b.alarm) {
		return a.alarm.Before(b.alarm)
	}
	return a.seq < b.seq
}

func lessStray(a, b *stray) bool { return a.seq < b.seq }

// attemptID is the id of a task's nth attempt.
func attemptID(id offer.TaskID, n int) offer.TaskID {
	if n <= 1 {
		return id
	}
	return id + "." + offer.TaskID(strconv.Itoa(n))
}

// ring sets when a unit is looked at again: the earliest of what is due.
func (c *Core) ring(u *unit) {
	var at time.Time
	sooner := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	if u.phase == resting {
		sooner(u.until)
	}
	if u.phase == placed {
		sooner(u.killAt)
		sooner(u.silentAt)
		for _, m := range u.members {
			if replace := m.patience(c); !m.unreachable.IsZero() && !m.gone && replace != Wait {
				sooner(m.unreachable.Add(replace))
			}
		}
	}
	if at.Equal(u.alarm) {
		return
	}
	if !u.alarm.IsZero() {
		c.alarms.Delete(u)
	}
	if u.alarm = at; !at.IsZero() {
		c.alarms.Set(u)
	}
}

func (m *member) patience(c *Core) time.Duration {
	if m.task.Unreachable != nil {
		return m.task.Unreachable.withDefaults().Replace
	}
	return c.cfg.Unreachable.Replace
}

// enqueue has a unit wait for offers, or rest before.
func (c *Core) enqueue(u *unit, until time.Time, after string) {
	u.since, u.until, u.after, u.held = c.now, until, after, ""
	if until.After(c.now) {
		u.phase = resting
	} else {
		u.phase = waiting
		c.queue.Set(u)
		c.roles[u.role].ready(1)
	}
	c.ring(u)
}

// dequeue takes a unit that waits or rests out of the queue.
func (c *Core) dequeue(u *unit) {
	if u.phase == waiting {
		c.queue.Delete(u)
		c.roles[u.role].waiting--
	}
}

// outcome begins what is told of a member.
func (m *member) outcome(k Kind) Outcome {
	o := Outcome{Kind: k, Task: m.task.Task.ID, Placed: m.at}
	if m.unit.group {
		o.Group = m.unit.id
	}
	return o
}
