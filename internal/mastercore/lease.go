package mastercore

import (
	"time"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
)

// leaseQuestion is a leased task of a slave that is away, which this master does not know and a framework has asked for.
type leaseQuestion struct {
	framework uint32
	task      offer.TaskID
	lease     time.Duration
}

func leaseSeconds(d time.Duration) uint16 {
	return uint16((min(max(d, 0), offer.MaxLease) + time.Second - 1) / time.Second)
}

func (t *task) leaseTime() time.Duration { return time.Duration(t.lease) * time.Second }

// renew takes a slave's question. It is answered once a commit has shown that this master leads.
func (c *Core) renew(n uint32, s *slave, seq uint64) {
	if s.renewal == 0 {
		c.confirm.renewals = append(c.confirm.renewals, n)
	}
	s.renewal = max(seq, 1)
	c.proposeConfirmation()
}

// leaseGiven notes that no lease of a slave's tasks may be taken for over that counts from now or before.
func (c *Core) leaseGiven(n uint32, s *slave) {
	s.leased = c.tick
	if s.lapse == 0 {
		c.watchLeases(n, s)
	}
}

// lapses is when a lease is over on its slave for sure: in this reign nothing was given later than s.leased, and nothing before it after its
// beginning, which is moment 0.
func (s *slave) lapses(lease time.Duration) moment {
	return s.leased + moment(lease+offer.LeaseMargin(lease))
}

// firstLapse is when the first lease of a slave's tasks is over, if it is not renewed; zero if there is none.
func (c *Core) firstLapse(s *slave) (first moment) {
	earlier := func(lease time.Duration) {
		if at := s.lapses(lease); first == 0 || at < first {
			first = at
		}
	}
	for slot := s.tasks.head; slot != 0; {
		t := c.tasks.records.get(slot)
		if t.lease > 0 && !t.state.Terminal() {
			earlier(t.leaseTime())
		}
		slot = t.slaveNext
	}
	if s.extra != nil {
		for i := range s.extra.questions {
			earlier(s.extra.questions[i].lease)
		}
	}
	return first
}

// watchLeases has that looked at in time.
func (c *Core) watchLeases(n uint32, s *slave) {
	if s.lapse = c.firstLapse(s); s.lapse != 0 {
		c.timers.set(timerLease, uint64(n), s.lapse)
	}
}

// leaseDue looks whether the lease that the timer was set for has been renewed since.
func (c *Core) leaseDue(n uint32, s *slave) {
	s.lapse = 0
	if first := c.firstLapse(s); first == 0 || first > c.tick {
		c.watchLeases(n, s)
		return
	}
	c.confirm.over = append(c.confirm.over, n)
	c.proposeConfirmation()
}

// leasesOver tells frameworks which of their tasks are gone, since this master led at the given time and had renewed nothing for too long
// until then. The slave's connection ends: its tasks are not given another lease before it has named them on a new one.
func (c *Core) leasesOver(n uint32, s *slave, at moment) {
	found := false
	for slot := s.tasks.head; slot != 0; {
		t := c.tasks.records.mut(slot)
		if t.lease > 0 && !t.state.Terminal() && s.lapses(t.leaseTime()) <= at {
			found = true
			c.lapse(slot, s)
		}
		slot = t.slaveNext
	}
	if s.extra != nil {
		c.answerLeaseQuestions(n, s, at)
	}
	if found && s.conn != 0 {
		c.emit(Close{s.conn, offer.Refuse(offer.ReasonLeaseExpired, "the slave did not renew the leases of its tasks")})
		c.slaveLost(n, s)
	}
	c.watchLeases(n, s)
}

// lapse ends a task whose lease is over. Its record is kept until its slave is back, which may not know yet.
func (c *Core) lapse(slot uint32, s *slave) {
	t := c.tasks.records.mut(slot)
	end := offer.Gone
	if t.latest.Terminal() { // its slave has said so, and the framework has not heard it
		end = t.latest
	}
	c.setByMaster(t, end, offer.ReasonLeaseExpired, "its lease of "+t.leaseTime().String()+" was not renewed")
	t.flags |= taskLapsed
	t.waits = false
	c.releaseTask(t, s)
	c.note(Note{Event: "lease over", Slave: s.info.ID, Framework: c.frameworks.get(t.framework).info.ID, Task: t.id(), Reason: offer.ReasonLeaseExpired})
	c.tellTask(slot, s)
}

// askLease notes a question for a task that this master does not know, on a slave that is away: the framework says that it has a lease.
func (c *Core) askLease(f uint32, n uint32, s *slave, ref message.TaskRef) {
	q := leaseQuestion{f, ref.Task, time.Duration(leaseSeconds(ref.Lease)) * time.Second}
	more := s.more()
	if more.asked[q] || len(more.questions) >= c.cfg.MaxRemembered || offer.ValidateLease(ref.Lease) != nil ||
		offer.ValidateID("task id", string(ref.Task)) != nil {
		return
	}
	if more.asked == nil {
		more.asked = map[leaseQuestion]bool{}
	}
	more.asked[q] = true
	more.questions = append(more.questions, q)
	if at := s.lapses(q.lease); s.lapse == 0 || at < s.lapse {
		s.lapse = at
		c.timers.set(timerLease, uint64(n), at)
	}
}

// answerLeaseQuestions enters tasks that nobody has named in this reign, and whose leases are over, as gone, so that they stay so.
func (c *Core) answerLeaseQuestions(n uint32, s *slave, at moment) {
	more := s.extra
	var rest []leaseQuestion
	for _, q := range more.questions {
		if s.lapses(q.lease) > at {
			rest = append(rest, q)
			continue
		}
		delete(more.asked, q)
		f := c.frameworks.mut(q.framework)
		if f.state != frameworkLive || c.tasks.find(q.framework, q.task) != 0 || f.tasks.count >= c.cfg.MaxTasks ||
			s.state != slaveRecovering && s.state != slaveUnreachable {
			continue
		}
		slot := c.tasks.pack(q.framework, n, "*", &offer.Task{ID: q.task, Name: string(q.task), Lease: q.lease}, "")
		c.tasks.pushSlave(&s.tasks, slot)
		c.tasks.pushOwner(&f.tasks, slot)
		c.tasks.enter(slot)
		c.tasks.records.mut(slot).flags |= taskLive
		c.lapse(slot, s)
	}
	more.questions = rest
}

// forgetLeaseQuestions is called when a slave is back, which says itself what it runs, or is no more.
func (s *slave) forgetLeaseQuestions() {
	if s.extra != nil {
		s.extra.questions, s.extra.asked = nil, nil
	}
}

// lapsedStatus takes over itself what a slave says of a task that its framework was told is gone.
func (c *Core) lapsedStatus(slot uint32, s *slave, m *message.StatusUpdate) {
	if !m.Status.UUID.IsZero() {
		c.send(s.conn, &message.StatusAck{Framework: m.Framework, Task: m.Status.TaskID, UUID: m.Status.UUID})
	}
	t := c.tasks.records.mut(slot)
	if !t.latest.Terminal() {
		t.latest = m.Latest
	}
	if t.latest.Terminal() {
		c.releaseTask(t, s)
	}
	if m.Status.State.Terminal() {
		c.finishTask(slot)
	}
}
