package slavecore

import (
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
)

// A report is a status on its way, first to the disk and then to the master, with room for what takes it there: there are two or more for
// each task that runs, and each is one allocation.
type report struct {
	offer.Status
	exit   offer.Exit
	record Updated
	first  message.StatusUpdate // as it is sent for the first time
}

// report makes a status of the slave's own. What the built-in executor sees has that as its source.
func (c *Core) report(t *task, state offer.State, reason offer.Reason, text string) *report {
	st := &report{Status: offer.Status{TaskID: t.info.ID, SlaveID: c.slave.ID, State: state, Source: offer.SourceSlave, Reason: reason,
		Message: text, Time: c.now, UUID: c.uuid(), Container: t.where}}
	if t.exec != nil {
		st.ExecutorID = t.exec.info.ID
	} else if reason == offer.ReasonNone {
		st.Source = offer.SourceExecutor
	}
	if t.checks != nil {
		t.checks.attach(t, &st.Status)
	}
	return st
}

// update appends a status, which does not change any more, to the task's stream; it is sent when it is on disk. From is the executor that waits to hear so.
func (c *Core) update(t *task, st *report, from *executor) {
	was := t.state
	t.state = st.State
	t.stream.push(st, st.UUID)
	after := then{kind: thenUpdated, task: t, uuid: st.UUID, exec: from}
	if t.bare {
		c.carryOut(&after)
	} else {
		st.record = Updated{Framework: t.fw.id, Status: &st.Status, Encoded: &st.first.Encoded}
		c.persistFor(t.fw, &st.record, after)
	}
	if st.State.Terminal() && !was.Terminal() {
		c.ended(t)
	}
}

// ended does what follows from a task's end.
func (c *Core) ended(t *task) {
	c.live--
	t.phase = phaseEnded
	c.stopTaskTimers(t)
	c.dropLease(t)
	if t.own() && !t.asked {
		delete(c.containers, t.container)
	}
	if t.group != nil {
		c.memberEnded(t)
	}
	if t.exec != nil {
		t.exec.drop(t)
		c.touch(t.exec)
		c.executorLostTask(t.exec)
	}
	if t.fw.removed {
		c.lastWord(t)
	}
}

// lastWord ends the stream of a task whose framework was shut down: nobody will acknowledge it. The master is told once, so that it can
// free the resources.
func (c *Core) lastWord(t *task) {
	if t.gone || len(t.stream.entries) == 0 {
		return
	}
	e := &t.stream.entries[len(t.stream.entries)-1]
	underWay := len(t.stream.entries) == 1 && t.stream.epoch == c.registration.epoch
	var last *message.StatusUpdate
	if !underWay {
		last = &message.StatusUpdate{Framework: t.fw.id, Status: &e.value.Status, Latest: e.value.State}
	}
	c.forget(t, e.uuid, last)
}

// pump sends the first update of a stream if it is on disk and not under way.
func (c *Core) pump(t *task) {
	if c.registration.registered && !t.gone && t.stream.ready(c.registration.epoch) {
		c.sendHead(t)
	}
}

func (c *Core) sendHead(t *task) {
	st := t.stream.head().value
	m := &st.first
	if t.stream.tries > 0 {
		m = new(message.StatusUpdate) // the first one may be on its way still
	}
	*m = message.StatusUpdate{Framework: t.fw.id, Status: &st.Status, Latest: t.latest(), Encoded: st.first.Encoded}
	wait := t.stream.sent(c.registration.epoch, c.cfg.RetryMin, c.cfg.RetryMax)
	c.send(m)
	c.timers.arm(&t.retry, c.now.Add(wait))
}

// resend repeats at once what a framework has not acknowledged: it was away, and is back.
func (c *Core) resend(id offer.FrameworkID) {
	f := c.frameworks.get(id)
	if f == nil {
		return
	}
	for t := range f.tasks.all {
		if h := t.stream.head(); h != nil && h.durable && !t.gone && t.stream.epoch == c.registration.epoch {
			t.stream.wait = 0
			c.sendHead(t)
		}
	}
}

// retry repeats an update that was not acknowledged in time. While the slave is not registered streams rest: registration resends them.
func (c *Core) retry(t *task) {
	h := t.stream.head()
	if !c.registration.registered || t.gone || h == nil || !h.durable {
		return
	}
	if t.bare && t.stream.tries >= c.cfg.MaxAnswers {
		c.note("answer given up", t.fw.id, t.info.ID, h.value.Reason, "nobody acknowledges it")
		c.forget(t, h.uuid, nil)
		return
	}
	c.sendHead(t)
}

// acknowledged takes the head off a stream. Anything but the head's uuid is ignored (T4).
func (c *Core) acknowledged(m *message.StatusAck) {
	t := c.task(m.Framework, m.Task)
	if t == nil {
		return
	}
	st, ok := t.stream.ack(m.UUID)
	if !ok {
		c.note("unexpected acknowledgement", m.Framework, m.Task, offer.ReasonUnknownID, m.UUID.String())
		return
	}
	t.last = &st.Status
	c.timers.rest(&t.retry)
	if st.State.Terminal() {
		c.forget(t, m.UUID, nil)
		return
	}
	c.persistFor(t.fw, &Acked{Framework: t.fw.id, Task: t.info.ID, UUID: m.UUID}, then{})
	c.pump(t)
	c.tellChecks(t)
}
