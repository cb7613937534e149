package frameworkcore

import (
	"maps"
	"slices"
	"time"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
)

// known is a task that the session launched or has heard of, until its end was taken over by the handler.
type known struct {
	slave offer.SlaveID
	lease time.Duration // as launched by this session; zero: none, or not known
	told  bool          // the handler has taken a status over
	heard bool          // its slave has told of it
	state offer.State
	kill  *message.KillTask // asked, and repeated after each subscription
	asked bool              // the user wants to hear its state, even if it is not news
	ends  int               // told of it, and queued or in the handler's hands
}

// over reports whether the session has heard of the task's end. The handler takes it in its own time; to ask for the task, or to kill it, would
// only bring a second end, from somebody who does not know it any more (T2).
func (t *known) over() bool { return t.ends > 0 }

func (c *Core) sortedTasks() []offer.TaskID { return slices.Sorted(maps.Keys(c.tasks)) }

// updated delivers a status unless the handler has it already.
func (c *Core) updated(m *message.Update) {
	st := m.Status
	c.answered(st.TaskID)
	d := &c.deliver
	if !st.UUID.IsZero() {
		switch d.updates[st.UUID] {
		case takenOver:
			c.acknowledge(st)
			return
		case onItsWay:
			return
		}
	}
	t := c.tasks[st.TaskID]
	if t == nil {
		if st.State.Terminal() || st.State == offer.Unknown {
			c.pushUpdate(nil, m)
			return
		}
		t = &known{state: offer.Staging}
		c.tasks[st.TaskID] = t
	}
	if st.SlaveID != "" {
		t.slave = st.SlaveID
	}
	t.heard = t.heard || !st.UUID.IsZero()
	if st.UUID.IsZero() && st.Reason == offer.ReasonReconciliation && t.told && t.state == st.State && !t.asked {
		return // the session asked on its own account, and this is no news
	}
	t.asked = false
	c.pushUpdate(t, c.droppedIfUnheard(t, m))
}

// droppedIfUnheard sharpens the master's answer about a launch that did not reach its slave because a leader died on the way (T1). The next
// leader knows only that the slave does not have the task, and says gone. The session knows that no slave has ever told of it; a slave that
// had taken it would do so until it is acknowledged: so it was never started. A framework that is not partition-aware is told lost anyway.
func (c *Core) droppedIfUnheard(t *known, m *message.Update) *message.Update {
	if t.heard || !m.Status.UUID.IsZero() || m.Status.Reason != offer.ReasonReconciliation || m.Status.State != offer.Gone {
		return m
	}
	st := *m.Status
	st.State = offer.Dropped
	st.Message = "the launch did not reach the slave"
	return &message.Update{Status: &st}
}

// pushUpdate queues an update. When there is no room, one that its slave repeats is left to that, and one that is told once, such as the
// answers to a long reconciliation, is asked for again.
func (c *Core) pushUpdate(t *known, m *message.Update) {
	if m.Status.UUID.IsZero() && c.full() {
		c.note("update put off", m.Status.TaskID, offer.ReasonSlowConsumer, "the handler is too slow")
		c.keepForLater(m.Status)
		return
	}
	if c.push(delivery{message: m, uuid: m.Status.UUID, task: t}) && t != nil && m.Status.State.Terminal() {
		t.ends++
	}
}

func (c *Core) updateHandled(st *offer.Status, t *known, ok bool) {
	if t != nil && st.State.Terminal() {
		t.ends--
	}
	if !ok {
		c.note("update not taken over", st.TaskID, st.Reason, st.State.String())
		if st.UUID.IsZero() {
			c.keepForLater(st)
		}
		return
	}
	if !st.UUID.IsZero() {
		c.deliver.took(st.UUID, c.cfg.Window)
		c.acknowledge(st)
	}
	switch {
	case t == nil:
	case st.State.Terminal() || st.State == offer.Unknown:
		if c.tasks[st.TaskID] == t {
			delete(c.tasks, st.TaskID)
		}
		c.again.forget(st.TaskID)
	default:
		t.told, t.state = true, st.State
	}
}

// acknowledge tells the slave that the status was taken over. Without a connection it is not told, repeats the update, and is told then.
func (c *Core) acknowledge(st *offer.Status) {
	if c.subscribed {
		c.send(&message.Acknowledge{Slave: st.SlaveID, Task: st.TaskID, UUID: st.UUID})
	}
}

func (c *Core) operationUpdated(m *message.OperationUpdate) {
	u := m.Status.UUID
	switch c.deliver.updates[u] {
	case takenOver:
		c.acknowledgeOperation(&m.Status)
		return
	case onItsWay:
		return
	}
	c.push(delivery{message: m, uuid: u})
}

func (c *Core) acknowledgeOperation(st *offer.OperationStatus) {
	if c.subscribed {
		c.send(&message.AcknowledgeOperation{Slave: st.SlaveID, Operation: st.ID, UUID: st.UUID})
	}
}

// killAgain repeats the kills of tasks that have not ended, since a kill that is lost on its way is nobody's to repeat.
func (c *Core) killAgain() {
	for _, id := range c.sortedTasks() {
		if t := c.tasks[id]; t.kill != nil && !t.over() {
			c.send(t.kill)
		}
	}
}
