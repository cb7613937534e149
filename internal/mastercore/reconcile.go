package mastercore

import (
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
)

// reconcile answers explicitly for the named tasks, or implicitly for all that the master knows of the framework.
func (c *Core) reconcile(n uint32, f *framework, m *message.Reconcile) {
	if len(m.Tasks) > 0 {
		if len(m.Tasks) <= c.cfg.MaxReconcile {
			for _, ref := range m.Tasks {
				c.answerReconcile(n, f, ref, false)
			}
			c.asked(f)
			return
		}
		c.addJob(f, &explicitJob{n, f.conn, m.Tasks})
		return
	}
	slots := make([]uint32, 0, f.tasks.count)
	for slot := f.tasks.head; slot != 0; {
		t := c.tasks.records.get(slot)
		if t.state != offer.Unreachable && !t.has(taskShadow) {
			slots = append(slots, slot)
		}
		slot = t.ownerNext
	}
	j := &implicitJob{n, f.conn, slots}
	if len(slots) <= c.cfg.MaxReconcile {
		j.run(c)
	} else {
		c.addJob(f, j)
	}
}

// addJob queues a long answer. A framework has few of them at a time.
func (c *Core) addJob(f *framework, j job) {
	const most = 4
	if f.jobs >= most {
		c.refuse(f, offer.ReasonLimitReached, "reconcile: the answers to "+utoa(most)+" others are under way")
		return
	}
	f.jobs++
	c.jobs = append(c.jobs, j)
}

// explicitJob answers a long list of tasks a part at a time.
type explicitJob struct {
	n     uint32
	conn  ConnID
	tasks []message.TaskRef
}

func (j *explicitJob) run(c *Core) bool {
	f := c.frameworks.mut(j.n)
	if f.conn != j.conn || f.state != frameworkLive {
		return false
	}
	k := min(len(j.tasks), c.cfg.MaxReconcile)
	for _, ref := range j.tasks[:k] {
		c.answerReconcile(j.n, f, ref, false)
	}
	c.asked(f)
	j.tasks = j.tasks[k:]
	return len(j.tasks) > 0
}

func (j *explicitJob) owner() uint32 { return j.n }

// implicitJob tells all tasks of a framework a part at a time. One that has ended since needs no telling.
type implicitJob struct {
	n     uint32
	conn  ConnID
	slots []uint32
}

func (j *implicitJob) run(c *Core) bool {
	f := c.frameworks.mut(j.n)
	if f.conn != j.conn || f.state != frameworkLive {
		return false
	}
	k := min(len(j.slots), c.cfg.MaxReconcile)
	for _, slot := range j.slots[:k] {
		if t := c.tasks.records.get(slot); t.framework == j.n && t.has(taskLive) {
			c.tellReconciled(f, t)
		}
	}
	j.slots = j.slots[k:]
	return len(j.slots) > 0
}

func (j *implicitJob) owner() uint32 { return j.n }

func (c *Core) tellReconciled(f *framework, t *task) {
	s := c.slaves.get(t.slave)
	if t.state == offer.Unreachable && s.state == slaveRegistered {
		return // the slave is back without it (L2), and was asked: it answers
	}
	st := t.status(s.info.ID)
	st.UUID, st.Source, st.Time = offer.UUID{}, offer.SourceMaster, c.now
	if !t.has(taskLapsed) {
		st.Reason = offer.ReasonReconciliation
	}
	st.State = t.state.ForFramework(f.info.Capabilities)
	if t.state == offer.Unreachable {
		st.UnreachableTime = s.unreachableTime()
	}
	c.toFramework(f, &message.Update{Status: &st})
}

// answerReconcile follows the table of Mesos' explicit reconciliation, but that it is silent only about a slave that has not come back to this
// leader and may: one whose fate a write is about to decide is asked about again behind that write (T8). What it does not know it only says so
// of if it is confirmed that this master leads; until then that is a question.
func (c *Core) answerReconcile(n uint32, f *framework, ref message.TaskRef, confirmed bool) {
	if slot := c.tasks.find(n, ref.Task); slot != 0 {
		c.tellReconciled(f, c.tasks.records.get(slot))
		return
	}
	st := offer.Status{TaskID: ref.Task, SlaveID: ref.Slave, State: offer.Unknown, Source: offer.SourceMaster, Reason: offer.ReasonReconciliation,
		Time: c.now}
	sn, s, known := c.slaveOf(ref.Slave)
	switch {
	case ref.Slave == "":
		if c.counts.recovering > 0 {
			return
		}
	case !known || s.state == slaveAbsent:
	case s.busy && !s.connected(): // the write that decides about it is ahead of the one that a question waits for
		if ref.Lease > 0 {
			c.askLease(n, sn, c.slaves.mut(sn), ref)
		}
		if offer.ValidateID("task id", string(ref.Task)) == nil {
			c.ask(f, taskQuestion(n, f, ref))
		}
		return
	case s.state == slaveRecovering:
		if ref.Lease > 0 {
			c.askLease(n, sn, c.slaves.mut(sn), ref)
		}
		return
	case s.state == slaveRegistered:
		st.State = offer.Gone
	case s.state == slaveUnreachable:
		st.State, st.UnreachableTime = offer.Unreachable, s.since
		if ref.Lease > 0 {
			c.askLease(n, sn, c.slaves.mut(sn), ref)
		}
	case s.state == slaveGone:
		st.State = offer.GoneByOperator
	}
	if !confirmed && offer.ValidateID("task id", string(ref.Task)) == nil { // no task has any other id
		c.ask(f, taskQuestion(n, f, ref))
		return
	}
	st.State = st.State.ForFramework(f.info.Capabilities)
	c.toFramework(f, &message.Update{Status: &st})
}
