package slavecore

import (
	"fmt"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// An operation is a change of the slave's total whose outcome is not acknowledged yet.
type operation struct {
	framework       offer.FrameworkID
	uuid            offer.UUID
	stream          stream[offer.OperationStatus]
	retry           timer
	create, destroy resource.Resources
}

// apply changes the total. The change is on disk before the volumes are made and before anybody is told.
func (c *Core) apply(m *message.Apply) {
	if o := c.operations.get(m.UUID); o != nil || m.UUID.IsZero() {
		return // a repeat; the stream answers it
	}
	if c.operations.len() >= c.cfg.MaxOperations {
		c.note("operation refused", m.Framework, "", offer.ReasonLimitReached, fmt.Sprintf("%d operations wait to be acknowledged", c.operations.len()))
		c.send(&message.OperationUpdate{Framework: m.Framework, Status: offer.OperationStatus{ID: m.Operation.ID, SlaveID: c.slave.ID,
			State: offer.OperationDropped, Reason: offer.ReasonLimitReached}})
		return
	}
	o := c.addOperation(m.Framework, m.UUID)
	st := offer.OperationStatus{ID: m.Operation.ID, SlaveID: c.slave.ID, State: offer.OperationFinished, UUID: m.UUID}
	total, err := transform(c.slave.Resources, &m.Operation)
	user := c.userOf(&m.Operation)
	switch {
	case err != nil:
		st.State, st.Reason, st.Message = offer.OperationFailed, offer.ReasonInsufficient, err.Error()
	case user != nil: // the master knows better, as a rule; what is destroyed does not come back, so the slave has the last word
		st.State, st.Reason, st.Message = offer.OperationFailed, offer.ReasonInUse, fmt.Sprintf("task %q of %s uses the volume", user.info.ID, user.fw.id)
	}
	if st.State == offer.OperationFailed {
		c.note("operation failed", m.Framework, "", st.Reason, st.Message)
	} else {
		c.slave.Resources = total
		switch m.Operation.Kind {
		case offer.OperationCreate:
			o.create = m.Operation.Resources
		case offer.OperationDestroy:
			o.destroy = m.Operation.Resources
		}
	}
	o.stream.push(st, st.UUID)
	c.persist(&Resources{Total: c.slave.Resources, Framework: m.Framework, Status: st}, then{kind: thenOperated, op: o})
}

// userOf returns a living task that uses a volume which the operation destroys (R11).
func (c *Core) userOf(op *offer.Operation) *task {
	if op.Kind != offer.OperationDestroy {
		return nil
	}
	for f := range c.frameworks.all {
		for t := range f.tasks.all {
			if !t.state.Terminal() && t.info.Resources.ContainsAny(op.Resources) {
				return t
			}
		}
	}
	return nil
}

func (c *Core) addOperation(f offer.FrameworkID, uuid offer.UUID) *operation {
	o := &operation{framework: f, uuid: uuid}
	o.retry.kind, o.retry.op = timerOperation, o
	c.operations.put(uuid, o)
	return o
}

func (c *Core) operated(o *operation) {
	if !o.create.Empty() || !o.destroy.Empty() {
		c.emit(MakeVolumes{Create: o.create, Destroy: o.destroy})
	}
	o.create, o.destroy = nil, nil
	o.stream.durable(o.uuid)
	c.pumpOperation(o)
}

func (c *Core) pumpOperation(o *operation) {
	if c.registration.registered && o.stream.ready(c.registration.epoch) {
		c.sendOperation(o)
	}
}

func (c *Core) sendOperation(o *operation) {
	wait := o.stream.sent(c.registration.epoch, c.cfg.RetryMin, c.cfg.RetryMax)
	c.send(&message.OperationUpdate{Framework: o.framework, Status: o.stream.head().value})
	c.timers.arm(&o.retry, c.now.Add(wait))
}

func (c *Core) retryOperation(o *operation) {
	if h := o.stream.head(); c.registration.registered && h != nil && h.durable {
		c.sendOperation(o)
	}
}

func (c *Core) operationAcknowledged(m *message.OperationAck) {
	o := c.operations.get(m.UUID)
	if o == nil {
		return
	}
	st, ok := o.stream.ack(m.UUID)
	if !ok {
		c.note("unexpected acknowledgement", m.Framework, "", offer.ReasonUnknownID, m.UUID.String())
		return
	}
	c.timers.stop(&o.retry)
	c.operations.remove(o.uuid)
	c.persist(&Resources{Total: c.slave.Resources, Framework: o.framework, Status: st, Acked: true}, then{})
}

// transform returns total as the operation makes it.
func transform(total resource.Resources, op *offer.Operation) (resource.Resources, error) {
	if err := op.Resources.Validate(resource.Limits{}); err != nil {
		return nil, err
	}
	from, to := op.Resources, op.Resources
	var err error
	switch op.Kind {
	case offer.OperationReserve:
		from, err = op.Resources.Unreserve()
	case offer.OperationUnreserve:
		to, err = op.Resources.Unreserve()
	case offer.OperationCreate:
		from, err = withoutVolumes(op.Resources)
	case offer.OperationDestroy:
		to, err = withoutVolumes(op.Resources)
	default:
		err = fmt.Errorf("operation %v: a slave applies RESERVE, UNRESERVE, CREATE and DESTROY only", op.Kind)
	}
	if err != nil {
		return nil, err
	}
	rest, ok := total.Sub(from)
	if !ok || from.Empty() {
		return nil, fmt.Errorf("operation %v: %.200s is not in the slave's total", op.Kind, from.String())
	}
	return rest.Add(to), nil
}

// withoutVolumes returns the reserved disk that volumes are made of.
func withoutVolumes(rs resource.Resources) (resource.Resources, error) {
	plain := make([]resource.Resource, len(rs))
	for i, r := range rs {
		if r.Volume == nil {
			return nil, fmt.Errorf("%.200s is not a volume", r.String())
		}
		r.Volume, r.Shared, r.SharedCount = nil, false, 0
		plain[i] = r
	}
	return resource.New(plain...)
}
