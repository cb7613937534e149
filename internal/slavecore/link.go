package slavecore

import (
	"crypto/subtle"
	"fmt"
	"time"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
)

// fromExecutor handles what executors say. An executor that breaks a rule loses its connection, and nobody else notices.
func (c *Core) fromExecutor(ev FromExecutor) {
	if m, ok := ev.Message.(*message.ExecutorSubscribe); ok {
		c.subscribe(ev.Conn, m)
		return
	}
	e := c.executors[ev.Conn]
	if e == nil {
		c.emit(CloseExecutor{Conn: ev.Conn, Refusal: offer.Refuse(offer.ReasonUnauthenticated, "slave: the first message must be a subscription")})
		return
	}
	switch m := ev.Message.(type) {
	case *message.ExecutorUpdate:
		c.executorUpdate(e, m.Status)
	case *message.ExecutorMessage:
		if c.registration.registered {
			c.send(&message.FromExecutor{Framework: e.fw.id, Slave: c.slave.ID, Executor: e.info.ID, Data: m.Data})
		}
	default:
		c.cutExecutor(e, offer.ReasonUnsupported, "slave: not a message from an executor")
	}
}

// cutExecutor closes an executor's connection. It may come back.
func (c *Core) cutExecutor(e *executor, reason offer.Reason, text string) {
	c.note("executor cut", e.fw.id, "", reason, text)
	conn := e.conn
	c.executorDisconnected(conn)
	c.emit(CloseExecutor{Conn: conn, Refusal: offer.Refuse(reason, text)})
}

func (c *Core) executorDisconnected(conn uint64) {
	e := c.executors[conn]
	if e == nil {
		return
	}
	delete(c.executors, conn)
	e.conn = 0
	if e.phase == execSubscribed {
		c.timers.arm(&e.timer, c.now.Add(c.cfg.ExecutorRecoveryTimeout))
	}
}

// subscribe lets an executor in that knows its secret. What it reports anew is taken over, and tasks that it never got are told again.
func (c *Core) subscribe(conn uint64, m *message.ExecutorSubscribe) {
	var e *executor
	if f := c.frameworks.get(m.Framework); f != nil {
		e = f.executors.get(m.Executor)
	}
	if e == nil || e.builtin || !e.asked || subtle.ConstantTimeCompare([]byte(e.token), []byte(m.Token)) != 1 {
		c.note("executor refused", m.Framework, "", offer.ReasonUnauthenticated, string(m.Executor))
		c.emit(CloseExecutor{Conn: conn, Refusal: offer.Refuse(offer.ReasonUnauthenticated, "slave: no such executor, or not its token")})
		return
	}
	if other := c.executors[conn]; other != nil && other != e {
		c.cutExecutor(other, offer.ReasonInvalidField, "slave: one connection subscribed two executors")
		return
	}
	if e.conn != 0 && e.conn != conn {
		old := e.conn
		delete(c.executors, old)
		c.emit(CloseExecutor{Conn: old, Refusal: offer.Refuse(offer.ReasonFrameworkConflict, "slave: the executor subscribed on another connection")})
	}
	e.conn = conn
	c.executors[conn] = e
	c.emit(SendExecutor{Conn: conn, Message: &message.ExecutorSubscribed{Slave: c.slave, Framework: *e.fw.info, Executor: e.info}})
	if e.phase == execStarting {
		e.phase = execSubscribed
	}
	c.notAwaited(e)
	if e.phase == execSubscribed {
		c.timers.stop(&e.timer)
	}
	for i := range m.Updates {
		if e.conn != conn || e.phase == execEnded {
			return
		}
		c.executorUpdate(e, m.Updates[i])
	}
	if e.conn != conn {
		return
	}
	if e.phase == execStopping {
		c.emit(SendExecutor{Conn: conn, Message: &message.ExecutorStop{}})
		return
	}
	c.tellAgain(e, m)
}

// tellAgain queues the tasks whose launch was lost on the way to the executor, and repeats the kills.
func (c *Core) tellAgain(e *executor, m *message.ExecutorSubscribe) {
	has := make(map[offer.TaskID]bool, len(m.Tasks))
	for i := range m.Tasks {
		has[m.Tasks[i].ID] = true
	}
	for t := range e.tasks.all {
		if t.phase != phaseSent {
			continue
		}
		lost := t.state == offer.Staging && !has[t.info.ID]
		switch {
		case lost && t.kill != nil:
			t.phase = phaseQueued
			c.carryKill(t, 0)
		case lost:
			t.phase = phaseQueued
			e.queue = append(e.queue, t)
		case t.kill != nil:
			c.carryKill(t, max(t.kill.at.Sub(c.now), 0))
		}
	}
	c.touch(e)
}

// executorUpdate takes over an update. It is acknowledged to the executor once it is on disk.
func (c *Core) executorUpdate(e *executor, st offer.Status) {
	t := e.fw.tasks.get(st.TaskID)
	switch {
	case !st.State.Valid() || st.State == offer.Staging || st.State == offer.Unreachable || st.State == offer.Unknown || st.State == offer.GoneByOperator:
		c.cutExecutor(e, offer.ReasonInvalidField, fmt.Sprintf("slave: update of task %.60q: state %v is not an executor's to report", st.TaskID, st.State))
		return
	case st.UUID.IsZero():
		c.cutExecutor(e, offer.ReasonInvalidField, fmt.Sprintf("slave: update of task %.60q: has no uuid", st.TaskID))
		return
	case len(st.Message)+len(st.Data) > c.cfg.MaxUpdateBytes:
		c.cutExecutor(e, offer.ReasonTooLarge, fmt.Sprintf("slave: update of task %.60q: message and data have %d bytes (allowed: %d)", st.TaskID,
			len(st.Message)+len(st.Data), c.cfg.MaxUpdateBytes))
		return
	case t != nil && t.exec != e:
		c.cutExecutor(e, offer.ReasonInvalidField, fmt.Sprintf("slave: update of task %.60q, which is not this executor's", st.TaskID))
		return
	case t == nil || t.gone:
		c.ackExecutor(e, &st) // it is over and acknowledged, so the executor need not keep the update
		return
	case t.stream.find(st.UUID) != nil:
		if t.stream.find(st.UUID).durable {
			c.ackExecutor(e, &st)
		}
		return
	case t.seen.has(st.UUID):
		c.ackExecutor(e, &st)
		return
	case !offer.CanFollow(t.state, st.State):
		c.note("illegal transition", e.fw.id, st.TaskID, offer.ReasonInvalidField, fmt.Sprintf("%v after %v", st.State, t.state))
		c.ackExecutor(e, &st)
		return
	case len(t.stream.entries) >= c.cfg.MaxUpdates && !st.State.Terminal():
		c.cutExecutor(e, offer.ReasonLimitReached, fmt.Sprintf("slave: task %.60q has %d updates that wait to be acknowledged", st.TaskID,
			len(t.stream.entries)))
		return
	}
	if t.phase == phaseQueued {
		t.phase = phaseSent // it knows the task already
	}
	t.seen.add(st.UUID)
	st.SlaveID, st.ExecutorID, st.Source, st.UnreachableTime = c.slave.ID, e.info.ID, offer.SourceExecutor, time.Time{}
	if st.Time.IsZero() {
		st.Time = c.now
	}
	if st.Container == nil {
		st.Container = e.where
	}
	if st.State == offer.Killed && t.kill != nil && st.Reason == offer.ReasonNone {
		st.State, st.Reason = c.killedState(t), t.kill.reason
	}
	c.update(t, &report{Status: st}, e)
}

func (c *Core) ackExecutor(e *executor, st *offer.Status) {
	if e.conn != 0 {
		c.emit(SendExecutor{Conn: e.conn, Message: &message.ExecutorAck{Task: st.TaskID, UUID: st.UUID}})
	}
}
