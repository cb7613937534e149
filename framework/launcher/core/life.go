package core

import (
	"fmt"
	"time"

	"github.com/meros-project/meros/offer"
)

// updated takes what the cluster says of a task.
func (c *Core) updated(st *offer.Status) {
	m := c.attempts[st.TaskID]
	if m == nil {
		c.strange(st)
		return
	}
	if m.gone || !st.UUID.IsZero() && st.UUID == m.last {
		return
	}
	u := m.unit
	m.last, m.heard = st.UUID, true
	switch {
	case st.State.Terminal():
		c.ended(m, st)
		return
	case st.State == offer.Unreachable || st.State == offer.Unknown:
		if m.unreachable.IsZero() {
			m.unreachable = c.now
		}
	default:
		m.unreachable = time.Time{}
		m.ran = m.ran || st.State == offer.Running
	}
	m.state = st.State
	if u.phase == placed && c.allHeard(u) {
		u.silentAt = time.Time{}
	}
	o := m.outcome(Changed)
	o.Status = *st
	c.tell(o)
	c.ring(u)
}

func (c *Core) allHeard(u *unit) bool {
	for _, m := range u.members {
		if !m.heard {
			return false
		}
	}
	return true
}

// strange looks at the status of a task that is not anybody's live attempt.
func (c *Core) strange(st *offer.Status) {
	s := c.strays[st.TaskID]
	quiet := st.State.Terminal() || st.State == offer.Unreachable || st.State == offer.Unknown
	o := Outcome{Kind: Stranger, Task: st.TaskID, Status: *st}
	switch {
	case s == nil:
		c.tell(o)
		if c.cfg.KillStrangers && !quiet && st.State != offer.Killing {
			c.effect(Kill{Task: st.TaskID, Slave: st.SlaveID})
		}
		return
	case st.State.Terminal():
		c.unstray(s)
	case quiet:
		return
	case s.member != nil && !s.member.unit.killed && s.member.unit.phase != placed:
		c.back(s, st)
		return
	case st.State != offer.Killing:
		c.effect(Kill{Task: st.TaskID, Slave: s.at.Slave, Policy: s.policy})
	}
	o.Placed, o.Group = s.at, s.group
	c.tell(o)
}

func (c *Core) unstray(s *stray) {
	delete(c.strays, s.at.Task)
	c.lost.Delete(s)
	if s.member != nil {
		s.member.old = nil
	}
}

// back lets an attempt go on that was given up and whose place nobody has taken yet.
func (c *Core) back(s *stray, st *offer.Status) {
	m := s.member
	u := m.unit
	c.unstray(s)
	c.dequeue(u)
	u.phase, m.at, m.gone, m.heard, m.unreachable, m.state, m.last = placed, s.at, false, true, time.Time{}, st.State, st.UUID
	c.attempts[m.at.Task] = m
	c.slaves[m.at.Slave]++
	m.set.count(m, 1)
	o := m.outcome(Returned)
	o.Status = *st
	c.tell(o)
	c.ring(u)
}

// leaveSlave takes an attempt that has ended off its slave.
func (c *Core) leaveSlave(m *member) {
	m.gone, m.unreachable = true, time.Time{}
	delete(c.attempts, m.at.Task)
	c.slaveLess(m.at.Slave)
	m.set.count(m, -1)
	c.roles[m.unit.role].changed()
}

// ended takes the end of an attempt.
func (c *Core) ended(m *member, st *offer.Status) {
	u := m.unit
	c.leaveSlave(m)
	m.status, m.state = *st, st.State
	bad := judge(st) != endedWell
	if u.cause == nil && bad && !m.ending {
		u.cause = &m.status
	}
	rest := 0
	for _, x := range u.members {
		if x.gone {
			continue
		}
		rest++
		if bad && !x.ending {
			x.ending = true
			if !u.killed { // otherwise it was said already
				u.killAt = c.now.Add(c.cfg.KillAgain)
				c.effect(Kill{Task: x.at.Task, Slave: x.at.Slave, Policy: u.policy})
			}
		}
	}
	if rest > 0 {
		o := m.outcome(Changed)
		o.Status = *st
		c.tell(o)
		c.ring(u)
		return
	}
	c.finished(u)
}

// finished decides what follows the end of an attempt.
func (c *Core) finished(u *unit) {
	again, until, why := c.again(u)
	cause := u.cause
	u.cause, u.killAt, u.silentAt = nil, time.Time{}, time.Time{}
	kind := Ended
	if again {
		kind = Retrying
	}
	for _, m := range u.members {
		o := m.outcome(kind)
		o.Status, o.Why = m.status, why
		if again {
			o.Again = until
			if until.IsZero() {
				o.Again = c.now
			}
		}
		c.tell(o)
	}
	if !again {
		c.drop(u)
		return
	}
	after := "it finished"
	if cause != nil {
		after = describeStatus(cause)
	}
	c.enqueue(u, until, after)
}

// again decides whether and when a unit is tried again.
func (c *Core) again(u *unit) (again bool, until time.Time, why string) {
	r := &u.retry
	ran := true
	for _, m := range u.members {
		ran = ran && m.ran
	}
	verdict := endedWell
	if u.cause != nil {
		verdict = judge(u.cause)
	}
	switch {
	case u.killed:
		return false, until, "it was killed on request"
	case verdict == endedInvalid:
		return false, until, "what is invalid is not tried again"
	case verdict == endedWell && !r.Finished:
		return false, until, ""
	case verdict == endedLost:
		if u.losses++; r.Losses == Never || r.Losses > 0 && u.losses > r.Losses {
			return false, until, fmt.Sprintf("it was lost for the %s time", ordinal(u.losses))
		}
		if ran || notItsFault(u.cause) {
			return true, c.rest(u.backoff), ""
		}
		return true, c.fail(u.backoff, *r), ""
	}
	u.failures++
	until = c.fail(u.backoff, *r)
	if r.Failures != Forever && u.failures > r.Failures {
		return false, time.Time{}, fmt.Sprintf("it ended for the %s time", ordinal(u.failures))
	}
	return true, until, ""
}

// notItsFault reports a loss that says nothing about task and slave: the offer was gone.
func notItsFault(st *offer.Status) bool {
	switch st.Reason {
	case offer.ReasonInvalidOffers, offer.ReasonOfferTimeout, offer.ReasonMasterDisconnected:
		return st.State == offer.Dropped || st.State == offer.Lost
	}
	return false
}

func ordinal(n int) string {
	suffix := "th"
	if n%100 < 11 || n%100 > 13 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return fmt.Sprint(n, suffix)
}

// kill ends a unit.
func (c *Core) kill(ev Killed) {
	u := c.units[ev.ID]
	if u == nil {
		if m := c.tasks[offer.TaskID(ev.ID)]; m != nil {
			u = m.unit // its group ends with it
		}
	}
	if u == nil {
		c.refuse(offer.Refuse(offer.ReasonUnknownID, fmt.Sprintf("launcher: id %s: is not that of a task or a group", within(ev.ID))))
		return
	}
	u.killed = true
	if ev.Policy != nil {
		policy := *ev.Policy
		u.policy = &policy
	}
	if u.phase == placed && u.members[0].at.Task == "" {
		c.takeBack(u)
	}
	if u.phase == placed {
		c.killAgain(u)
		c.ring(u)
		return
	}
	for _, m := range u.members {
		o := m.outcome(Ended)
		o.Status = offer.Status{TaskID: m.task.Task.ID, State: offer.Killed, Time: c.now}
		o.Placed = Placed{}
		o.Why = "it was killed while it waited"
		c.tell(o)
		if m.old != nil {
			m.old.policy = u.policy
		}
	}
	c.drop(u)
}

// killAgain says to every live member of a unit that is to end that it is.
func (c *Core) killAgain(u *unit) {
	again := false
	for _, m := range u.members {
		if m.gone || !u.killed && !m.ending {
			continue
		}
		again = true
		c.effect(Kill{Task: m.at.Task, Slave: m.at.Slave, Policy: u.policy})
	}
	if again {
		u.killAt = c.now.Add(c.cfg.KillAgain)
	}
}

// wake does what is due for a unit.
func (c *Core) wake(u *unit) {
	if u.phase == resting {
		if later := c.rest(u.backoff); later.After(c.now) { // another one has failed meanwhile
			u.until = later
		} else if !u.until.After(c.now) {
			c.enqueue(u, time.Time{}, "")
			return
		}
		c.ring(u)
		return
	}
	if !u.killAt.IsZero() && !u.killAt.After(c.now) {
		c.killAgain(u)
	}
	if !u.silentAt.IsZero() && !u.silentAt.After(c.now) {
		u.silentAt = time.Time{}
		c.askAfter(u)
	}
	for _, m := range u.members {
		if replace := m.patience(c); !m.unreachable.IsZero() && !m.gone && replace != Wait && !m.unreachable.Add(replace).After(c.now) {
			c.replace(m)
			return // the unit may be gone
		}
	}
	c.ring(u)
}

// askAfter asks for the state of what nothing was heard of since it was launched.
func (c *Core) askAfter(u *unit) {
	var refs []Ref
	for _, m := range u.members {
		if !m.gone && !m.heard && m.at.Task != "" {
			refs = append(refs, Ref{m.at.Task, m.at.Slave, m.task.Task.Lease})
		}
	}
	for len(refs) > 0 && c.subscribed {
		n := min(len(refs), reconcileBatch)
		c.effect(Reconcile{refs[:n:n]})
		refs = refs[n:]
	}
	if u.phase == placed && !c.allHeard(u) {
		u.silentAt = c.now.Add(c.cfg.Silence)
	}
}

// maxStrays bounds the attempts that are remembered because they may come back; the oldest are strangers then.
const maxStrays = 100_000

// replace gives up an attempt that was unreachable for too long.
func (c *Core) replace(m *member) {
	u := m.unit
	c.seq++
	s := &stray{at: m.at, lease: m.task.Task.Lease, seq: c.seq, policy: u.policy, task: m.task.Task.ID}
	if u.group {
		s.group = u.id
	} else if !u.killed {
		s.member, m.old = m, s
	}
	c.strays[s.at.Task] = s
	c.lost.Set(s)
	for len(c.strays) > maxStrays {
		oldest, _ := c.lost.Min()
		c.unstray(oldest)
	}
	st := offer.Status{TaskID: m.at.Task, SlaveID: m.at.Slave, State: m.state, UnreachableTime: m.unreachable, Time: c.now}
	if u.killed || u.group {
		c.ended(m, &st)
		return
	}
	c.leaveSlave(m)
	m.status = st
	o := m.outcome(Replacing)
	o.Status = st
	c.tell(o)
	u.silentAt, u.killAt = time.Time{}, time.Time{}
	c.enqueue(u, c.rest(u.backoff), "its slave did not answer for too long")
}

// forgive ends the delay of those that fail together.
func (c *Core) forgive(key string) {
	if b := c.backoffs[key]; b != nil {
		c.fading.Delete(b)
		delete(c.backoffs, key)
	}
	for _, u := range c.sorted() {
		if u.phase == resting && u.backoff == key {
			c.enqueue(u, time.Time{}, "")
		}
	}
}

// takeBack undoes what a run has placed and not launched yet.
func (c *Core) takeBack(u *unit) {
	for _, m := range u.members {
		c.unplaceMember(m)
	}
	u.phase = waiting
	c.queue.Set(u)
	c.roles[u.role].ready(1)
}
