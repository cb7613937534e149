package slavecore

import (
	"time"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
)

// leases is what the slave knows of the renewals of its tasks' leases.
type leases struct {
	tasks ordered[string, *task] // those with a lease that have not ended, by container
	timer timer                  // of the next question
	seq   uint64
	asked []question // on this connection and not answered, oldest first
	// What the newest answered question on this connection was. Zero means none: a task that has not been covered yet is not started on the
	// strength of an earlier connection, whose master may have told its framework meanwhile that it never will be.
	by    uint64
	since time.Time
}

// question is one Renew under way.
type question struct {
	seq uint64
	at  time.Time
}

// maxQuestions bounds the questions that are remembered; the answers to older ones would be worth little.
const maxQuestions = 16

// lease is where the lease of one task stands.
type lease struct {
	until time.Time // zero: not covered by this run
	timer timer     // fires then
	held  bool      // on disk, and waits to be covered before it is started
	late  bool      // the connection that brought it is no more, and it was not covered
}

// remaining reports whether a lease that counts from a time is still good.
func (c *Core) remaining(t *task, since time.Time) bool {
	return !since.IsZero() && c.now.Before(since.Add(t.info.Lease))
}

// askRenewal asks the master for all leases, and sets when to ask again: four times in the shortest of them.
func (c *Core) askRenewal() {
	l := &c.leases
	if !c.registration.registered || l.tasks.len() == 0 {
		c.timers.stop(&l.timer)
		return
	}
	shortest := offer.MaxLease
	for t := range l.tasks.all {
		shortest = min(shortest, t.info.Lease)
	}
	l.seq++
	if len(l.asked) == maxQuestions {
		l.asked = append(l.asked[:0], l.asked[1:]...)
	}
	l.asked = append(l.asked, question{l.seq, c.now})
	c.send(&message.Renew{Seq: l.seq})
	c.timers.arm(&l.timer, c.now.Add(shortest/4))
}

// renewed takes an answer over. Leases count from when its question was asked: that the answer was long on its way makes it worth less.
func (c *Core) renewed(m *message.Renewed) {
	l := &c.leases
	for i, q := range l.asked {
		if q.seq != m.Seq {
			continue
		}
		l.by, l.since = q.seq, q.at
		l.asked = append(l.asked[:0], l.asked[i+1:]...)
		for t := range l.tasks.all {
			c.cover(t)
		}
		return
	}
}

// cover gives a task its lease anew, unless that has run out already: it is being ended then, and its framework may have been told.
func (c *Core) cover(t *task) {
	l := &c.leases
	switch {
	case t.lease.late, !t.lease.until.IsZero() && !c.now.Before(t.lease.until), !c.remaining(t, l.since):
		return
	case t.phase == phaseLaunching && !t.lease.held:
		return // when it is on disk
	}
	t.lease.until = l.since.Add(t.info.Lease)
	c.timers.arm(&t.lease.timer, t.lease.until)
	if t.lease.held {
		t.lease.held = false
		c.startContainer(t, false)
		return
	}
	c.emit(Renew{Container: t.container, Seq: l.by, Lease: t.info.Lease})
}

// holdForLease reports whether a task, which is on disk, has to wait for its lease before it may be started.
func (c *Core) holdForLease(t *task) bool {
	if t.lease == nil {
		return false
	}
	t.lease.held = true
	c.cover(t)
	return true
}

// leaseOver ends a task whose lease was not renewed. Its supervisor does so by itself; what is still being prepared has none.
func (c *Core) leaseOver(t *task) {
	if !t.state.Terminal() {
		c.killTask(t, 0, offer.ReasonLeaseExpired, "its lease of "+t.info.Lease.String()+" was not renewed in time")
	}
}

// leasesUnlinked forgets what was asked on a connection that is no more. Tasks that were launched on it and not covered are never started:
// nobody can tell any more what their framework was told of them. They end when there is another connection, so that who is not obeyed does
// not have anything written.
func (c *Core) leasesUnlinked() {
	l := &c.leases
	l.by, l.since, l.asked = 0, time.Time{}, nil
	c.timers.stop(&l.timer)
	for t := range l.tasks.all {
		t.lease.late = t.lease.late || t.phase == phaseLaunching
	}
}

// dropLate ends those tasks.
func (c *Core) dropLate() {
	for t := range c.leases.tasks.all {
		if t.lease.late {
			c.update(t, c.report(t, offer.Dropped, offer.ReasonLeaseExpired, "the connection to the master broke before its lease began"), nil)
		}
	}
}

// addLease enters a task that has a lease; dropLease takes it out when it has ended.
func (c *Core) addLease(t *task) {
	if t.info.Lease > 0 && t.own() {
		t.lease = &lease{timer: timer{kind: timerLease, task: t}}
		c.leases.tasks.put(t.container, t)
	}
}

func (c *Core) dropLease(t *task) {
	if t.lease != nil {
		c.timers.stop(&t.lease.timer)
		c.leases.tasks.remove(t.container)
	}
}
