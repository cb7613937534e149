package mastercore

import (
	"time"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
)

// findOn finds a framework's task on one slave, a second one of its id included.
func (c *Core) findOn(framework uint32, id offer.TaskID, slaveNumber uint32) uint32 {
	slot := c.tasks.find(framework, id)
	if slot == 0 || c.tasks.records.get(slot).slave == slaveNumber {
		return slot
	}
	for at := c.slaves.mut(slaveNumber).tasks.head; at != 0; {
		t := c.tasks.records.get(at)
		if t.has(taskShadow) && t.framework == framework && t.id() == id {
			return at
		}
		at = t.slaveNext
	}
	return 0
}

// statusUpdate takes over what a slave says of a task and passes it on. Resources are free as soon as the slave knows that the task has
// ended, whatever the framework has acknowledged.
func (c *Core) statusUpdate(n uint32, s *slave, m *message.StatusUpdate) {
	st := m.Status
	if !slaveMaySay(st.State) || !slaveMaySay(m.Latest) || st.SlaveID != "" && st.SlaveID != s.info.ID {
		c.note(Note{Event: "status ignored", Slave: s.info.ID, Task: st.TaskID, Reason: offer.ReasonInvalidField})
		return
	}
	fn, f, ok := c.frameworkOf(m.Framework)
	if !ok {
		// Its framework is no more: nobody else will ever acknowledge it.
		c.send(s.conn, &message.FrameworkShutdown{Framework: m.Framework})
		if !st.UUID.IsZero() {
			c.send(s.conn, &message.StatusAck{Framework: m.Framework, Task: st.TaskID, UUID: st.UUID})
		}
		if m.Latest.Terminal() {
			c.remnantEnded(n, s, remnantKey{framework: m.Framework, task: st.TaskID})
		}
		return
	}
	slot := c.findOn(fn, st.TaskID, n)
	if slot == 0 && c.tasks.find(fn, st.TaskID) != 0 {
		// It lives on another slave, and only that one speaks for it. A slave that runs a second one says so when it registers.
		c.note(Note{Event: "status ignored", Slave: s.info.ID, Framework: m.Framework, Task: st.TaskID, Reason: offer.ReasonSlaveConflict})
		return
	}
	if slot != 0 && c.tasks.records.get(slot).has(taskLapsed) {
		c.lapsedStatus(slot, s, m)
		c.checkDrained(n, s)
		return
	}
	if slot == 0 {
		c.note(Note{Event: "status of unknown task", Slave: s.info.ID, Framework: m.Framework, Task: st.TaskID})
	} else {
		c.takeStatus(slot, s, st, m.Latest)
		c.tasks.records.mut(slot).waits = !st.UUID.IsZero()
	}
	if slot != 0 && c.tasks.records.get(slot).has(taskShadow) {
		c.shadowStatus(slot, s, m)
	} else if f.conn != 0 {
		told := &message.Update{Status: st, Encoded: m.Encoded}
		if state := st.State.ForFramework(f.info.Capabilities); state != st.State || st.SlaveID != s.info.ID {
			other := *st
			other.SlaveID, other.State = s.info.ID, state
			told.Status, told.Encoded = &other, ""
		}
		c.toFramework(f, told)
	}
	// Not acknowledged when the framework is away: the slave sends it again, and is asked to when the framework is back.
	c.checkDrained(n, s)
}

// shadowStatus takes over itself what a slave says of a second task, which this master has it kill: told to the framework, it would be taken
// for news of the one that lives.
func (c *Core) shadowStatus(slot uint32, s *slave, m *message.StatusUpdate) {
	if !m.Status.UUID.IsZero() {
		c.send(s.conn, &message.StatusAck{Framework: m.Framework, Task: m.Status.TaskID, UUID: m.Status.UUID})
	}
	if t := c.tasks.records.mut(slot); t.has(taskLive) {
		t.waits = false
		if m.Status.State.Terminal() {
			c.finishTask(slot)
		}
	}
}

// slaveMaySay reports whether a state is one that a slave knows of. The others are what a master says of tasks that it cannot see.
func slaveMaySay(st offer.State) bool {
	return st.Valid() && st != offer.Unreachable && st != offer.Unknown
}

// takeStatus enters a status into the books. Nothing follows a terminal state (T2), whatever a slave says.
func (c *Core) takeStatus(slot uint32, s *slave, st *offer.Status, latest offer.State) {
	t := c.tasks.records.mut(slot)
	if t.latest.Terminal() {
		latest = t.latest
	}
	t.setStatus(st, latest)
	switch {
	case !latest.Terminal() && !t.has(taskHolds):
		// It was unreachable and not named when its slave came back, and runs after all.
		used := c.tasks.resources.of(t.resources)
		if !c.freeOn(s).Contains(used) {
			c.rescindSlave(s)
			s.over = s.over || !c.freeOn(s).Contains(used)
		}
		t.flags |= taskHolds
		c.apply(allocator.Used{Allotment: allocator.Allotment{Framework: c.frameworks.get(t.framework).info.ID, Role: c.roleOf(t),
			Slave: s.info.ID, Resources: used}})
	case latest.Terminal():
		c.releaseTask(t, s)
		if st.UUID.IsZero() && st.State.Terminal() {
			c.finishTask(slot) // there is nothing to acknowledge
		}
	}
}

// releaseTask returns the resources of a task to the allocator.
func (c *Core) releaseTask(t *task, s *slave) {
	if !t.has(taskHolds) {
		return
	}
	t.flags &^= taskHolds
	c.ended(s, t.framework, c.roleOf(t), c.tasks.resources.of(t.resources))
}

// resendMissed has the slaves send again what a framework has not acknowledged, because it may have gone to a connection that was lost.
func (c *Core) resendMissed(f *framework) {
	asked := map[uint32]bool{}
	for slot := f.tasks.head; slot != 0; {
		t := c.tasks.records.get(slot)
		if s := c.slaves.get(t.slave); t.waits && !asked[t.slave] && s.connected() {
			asked[t.slave] = true
			c.send(s.conn, &message.Resend{Framework: f.info.ID})
		}
		slot = t.ownerNext
	}
}

// finishTask takes a task out of the live ones and remembers it for a while.
func (c *Core) finishTask(slot uint32) {
	t := c.tasks.records.mut(slot)
	s, f := c.slaves.mut(t.slave), c.frameworks.mut(t.framework)
	c.releaseTask(t, s)
	c.tasks.cutSlave(&s.tasks, slot)
	c.tasks.cutOwner(&f.tasks, slot)
	if !t.has(taskShadow) {
		c.tasks.leave(slot)
	}
	t.flags = t.flags&^taskLive | taskDone
	c.tasks.pushOwner(&f.ended, slot)
	for f.ended.count > c.cfg.MaxCompletedTasks {
		old := f.ended.head
		c.tasks.cutOwner(&f.ended, old)
		c.tasks.drop(old)
	}
}

// setByMaster gives a task a state that no slave has reported.
func (c *Core) setByMaster(t *task, state offer.State, reason offer.Reason, text string) {
	t.setStatus(&offer.Status{State: state, Source: offer.SourceMaster, Reason: reason, Message: text, Time: c.now}, state)
}

// tellTask sends a framework the status of a task as the master has it: without a UUID, told once.
func (c *Core) tellTask(slot uint32, s *slave) {
	t := c.tasks.records.get(slot)
	f := c.frameworks.mut(t.framework)
	if f.conn == 0 || f.state != frameworkLive || t.has(taskShadow) {
		return
	}
	st := t.status(s.info.ID)
	st.UUID = offer.UUID{}
	st.Source = offer.SourceMaster
	if st.State == offer.Unreachable {
		st.UnreachableTime = s.since
	}
	st.State = st.State.ForFramework(f.info.Capabilities)
	c.toFramework(f, &message.Update{Status: &st})
}

// tellBack says that a task that was unreachable is there again. One that has ended meanwhile is told by its slave.
func (c *Core) tellBack(slot uint32, s *slave) {
	t := c.tasks.records.get(slot)
	f := c.frameworks.mut(t.framework)
	if t.latest.Terminal() || f.conn == 0 || t.has(taskShadow) {
		return
	}
	c.toFramework(f, &message.Update{Status: &offer.Status{TaskID: t.id(), SlaveID: s.info.ID, State: t.state.ForFramework(f.info.Capabilities),
		Source: offer.SourceMaster, Reason: offer.ReasonSlaveReregistered, Time: c.now}})
}

// tellRefused answers a task that was not launched.
func (c *Core) tellRefused(f *framework, t *offer.Task, state offer.State, reason offer.Reason, text string) {
	if f.conn == 0 {
		return
	}
	c.toFramework(f, &message.Update{Status: &offer.Status{TaskID: t.ID, SlaveID: t.SlaveID, State: state.ForFramework(f.info.Capabilities),
		Source: offer.SourceMaster, Reason: reason, Message: text, Time: c.now}})
}

// acknowledge passes an acknowledgement on to the slave, and forgets a task whose end is acknowledged.
func (c *Core) acknowledge(n uint32, f *framework, m *message.Acknowledge) {
	sn, s, ok := c.slaveOf(m.Slave)
	if !ok || !s.connected() {
		return // the slave sends the update again when it is back
	}
	if m.UUID.IsZero() {
		c.refuse(f, offer.ReasonInvalidField, "acknowledge "+short(string(m.Task))+": the uuid is zero")
		return
	}
	c.send(s.conn, &message.StatusAck{Framework: f.info.ID, Task: m.Task, UUID: m.UUID})
	slot := c.findOn(n, m.Task, sn)
	if slot == 0 {
		return
	}
	t := c.tasks.records.mut(slot)
	if t.uuid != m.UUID {
		return
	}
	t.waits = false
	if t.state.Terminal() {
		c.finishTask(slot)
		c.checkDrained(sn, s)
	}
}

// killTask passes a kill on, and remembers it while the slave is away, so that a task whose kill was asked for never goes on.
func (c *Core) killTask(n uint32, f *framework, m *message.KillTask) {
	slot := c.tasks.find(n, m.Task)
	var s *slave
	if slot != 0 {
		s = c.slaves.mut(c.tasks.records.get(slot).slave)
	} else if _, named, ok := c.slaveOf(m.Slave); ok && named.state == slaveRecovering {
		s = named // what it runs is not known yet
	}
	switch {
	case s == nil || slot != 0 && c.tasks.records.get(slot).has(taskLapsed):
		c.answerReconcile(n, f, message.TaskRef{Task: m.Task, Slave: m.Slave}, false)
		c.asked(f)
	case s.connected():
		c.send(s.conn, &message.Kill{Framework: f.info.ID, Task: m.Task, Policy: m.Policy})
	case slot != 0 && c.tasks.records.get(slot).latest.Terminal(): // its slave might come back without it, and take it for one that never was
		c.tellReconciled(f, c.tasks.records.get(slot))
	default:
		more := s.more()
		for i := range more.kills {
			if k := &more.kills[i]; k.framework == n && k.task == m.Task {
				k.policy = m.Policy
				return
			}
		}
		if len(more.kills) >= c.cfg.MaxRemembered {
			c.refuse(f, offer.ReasonLimitReached, "kill "+short(string(m.Task))+": too many kills wait for slave "+string(s.info.ID))
			return
		}
		if offer.ValidateID("task id", string(m.Task)) == nil {
			more.kills = append(more.kills, killed{n, m.Task, m.Policy})
		}
	}
}

// unreachableTime is what a status of a task on an unreachable slave carries.
func (s *slave) unreachableTime() time.Time {
	if s.state == slaveUnreachable {
		return s.since
	}
	return time.Time{}
}
