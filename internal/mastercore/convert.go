package mastercore

import (
	"fmt"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
	"github.com/meros-project/meros/offer/resource"
)

// operation is one that was sent to a slave and whose outcome the framework has not acknowledged.
type operation struct {
	framework uint32
	id        offer.OperationID
	uuid      offer.UUID
	state     offer.OperationState
}

// conversion works out what an operation turns into what, without looking at what is there.
func conversion(op *offer.Operation) (from, to resource.Resources, bad *offer.Refusal) {
	refuse := func(err error) (resource.Resources, resource.Resources, *offer.Refusal) {
		return nil, nil, offer.Refuse(offer.ReasonInvalidField, err.Error())
	}
	if len(op.Resources) == 0 {
		return nil, nil, offer.Refuse(offer.ReasonInvalidField, "resources: must not be empty")
	}
	if err := op.Resources.Validate(resource.Limits{}); err != nil {
		return refuse(err)
	}
	var err error
	switch op.Kind {
	case offer.OperationReserve:
		to = op.Resources
		from, err = to.Unreserve()
	case offer.OperationUnreserve:
		from = op.Resources
		to, err = from.Unreserve()
	case offer.OperationCreate:
		to = op.Resources
		from, err = plain(to)
	case offer.OperationDestroy:
		from = op.Resources
		to, err = plain(from)
	}
	if err != nil {
		return refuse(err)
	}
	return from, to, nil
}

// plain takes the volumes off reserved disk.
func plain(volumes resource.Resources) (resource.Resources, error) {
	items := make([]resource.Resource, len(volumes))
	for i := range volumes {
		e := volumes[i]
		if e.Volume == nil {
			return nil, fmt.Errorf("%s: is not a persistent volume", e.Name)
		}
		e.Volume, e.Shared, e.SharedCount = nil, false, 0
		items[i] = e
	}
	return resource.New(items...)
}

// convert reserves, unreserves, creates or destroys what was offered. The master's books change at once; the slave follows.
func (c *Core) convert(r *running, op *offer.Operation) {
	from, to, bad := conversion(op)
	if bad == nil {
		bad = c.mayConvert(r, op, to)
	}
	if bad == nil && op.ID != "" {
		if err := offer.ValidateID("operation id", string(op.ID)); err != nil {
			bad = offer.Refuse(offer.ReasonInvalidField, err.Error())
		}
	}
	var left, total resource.Resources
	if bad == nil {
		var ok bool
		if left, ok = r.left.Sub(from); !ok {
			bad = offer.Refuse(offer.ReasonInsufficient, fmt.Sprintf("%v is more than is left of the offer: %v", from, r.left))
		} else if total, ok = r.s.info.Resources.Sub(from); !ok {
			bad = offer.Refuse(offer.ReasonInsufficient, fmt.Sprintf("slave %s does not have %v", r.s.info.ID, from))
		}
	}
	if bad == nil {
		total = total.Add(to)
		if err := total.Validate(resource.Limits{}); err != nil {
			bad = offer.Refuse(offer.ReasonInvalidField, err.Error())
		}
	}
	if bad != nil {
		c.refuseOperation(r, op, bad.Reason, bad.Message)
		return
	}
	r.left, r.changed = left.Add(to), true
	r.s.info.Resources = total
	c.apply(allocator.Converted{Framework: r.f.info.ID, Role: r.role, Slave: r.s.info.ID, From: from, To: to})
	uuid := c.uuid()
	if op.ID != "" {
		more := r.s.more()
		if len(more.operations) < c.cfg.MaxRemembered {
			more.operations = append(more.operations, operation{r.n, op.ID, uuid, offer.OperationPending})
		}
	}
	sent := *op
	sent.Tasks, sent.Executor = nil, nil
	c.send(r.s.conn, &message.Apply{Framework: r.f.info.ID, UUID: uuid, Operation: sent})
}

// mayConvert checks what a framework may reserve: for the role it was offered in, in its own name.
func (c *Core) mayConvert(r *running, op *offer.Operation, to resource.Resources) *offer.Refusal {
	if op.Kind == offer.OperationDestroy && c.volumeInUse(r.s, op.Resources) {
		return offer.Refuse(offer.ReasonInUse, "a task still uses the volume")
	}
	if op.Kind != offer.OperationReserve {
		return nil
	}
	for i := range to {
		res := to[i].Reservations[len(to[i].Reservations)-1]
		switch {
		case res.Role != r.role:
			return offer.Refuse(offer.ReasonForbidden, "reservation for role "+short(res.Role)+": the offer was made to role "+short(r.role))
		case res.Principal != "" && res.Principal != r.f.info.Principal:
			return offer.Refuse(offer.ReasonForbidden, "reservation by "+short(res.Principal)+": the framework's principal is "+short(r.f.info.Principal))
		}
	}
	return nil
}

// volumeInUse reports whether a task holds one of the volumes; a shared one can be in an offer at the same time.
func (c *Core) volumeInUse(s *slave, volumes resource.Resources) bool {
	if len(volumes.Shared()) == 0 {
		return false
	}
	for slot := s.tasks.head; slot != 0; {
		t := c.tasks.records.get(slot)
		if t.has(taskHolds) && c.tasks.resources.of(t.resources).ContainsAny(volumes) {
			return true
		}
		slot = t.slaveNext
	}
	for i := range s.remnants {
		if s.remnants[i].resources.ContainsAny(volumes) {
			return true
		}
	}
	return false
}

func (c *Core) tellOperation(f *framework, id offer.OperationID, on offer.SlaveID, state offer.OperationState, reason offer.Reason, text string) {
	if f.conn != 0 {
		c.toFramework(f, &message.OperationUpdate{Framework: f.info.ID,
			Status: offer.OperationStatus{ID: id, SlaveID: on, State: state, Reason: reason, Message: text}})
	}
}

// operationUpdate forwards an outcome. When one failed at the slave, the books are ahead of what is there: the slave is asked to register
// again, which says how things stand.
func (c *Core) operationUpdate(s *slave, m *message.OperationUpdate) {
	n, f, ok := c.frameworkOf(m.Framework)
	failed := m.Status.State.Terminal() && m.Status.State != offer.OperationFinished
	if !ok || m.Status.ID == "" {
		if !m.Status.UUID.IsZero() {
			c.send(s.conn, &message.OperationAck{Framework: m.Framework, UUID: m.Status.UUID})
		}
		if failed { // behind the acknowledgement, which a slave that registers again would not take, and come with the same outcome
			c.doubt(s)
		}
		return
	}
	if s.extra != nil {
		for i := range s.extra.operations {
			if op := &s.extra.operations[i]; op.framework == n && op.id == m.Status.ID {
				if failed && op.state != m.Status.State {
					c.doubt(s)
				}
				op.state = m.Status.State
			}
		}
	}
	if f.conn == 0 {
		return // not acknowledged: the slave sends it again
	}
	st := m.Status
	st.SlaveID = s.info.ID
	c.toFramework(f, &message.OperationUpdate{Framework: m.Framework, Status: st})
}

func (c *Core) acknowledgeOperation(n uint32, f *framework, m *message.AcknowledgeOperation) {
	_, s, ok := c.slaveOf(m.Slave)
	if !ok || !s.connected() {
		return // the slave sends the outcome again
	}
	if s.extra != nil {
		ops := s.extra.operations
		for i := range ops {
			if ops[i].framework == n && ops[i].id == m.Operation && ops[i].state.Terminal() {
				s.extra.operations = append(ops[:i], ops[i+1:]...)
				break
			}
		}
	}
	c.send(s.conn, &message.OperationAck{Framework: f.info.ID, UUID: m.UUID})
}

// reconcileOperations answers for each named operation: of those that it does not know when it is confirmed that this master leads.
func (c *Core) reconcileOperations(n uint32, f *framework, m *message.ReconcileOperations) {
	for _, ref := range m.Operations {
		state, known := c.operationState(n, ref)
		if !known && offer.ValidateID("operation id", string(ref.Operation)) == nil {
			c.ask(f, question{framework: n, conn: f.conn, operation: true, id: string(ref.Operation), slave: ref.Slave})
			continue
		}
		c.tellOperation(f, ref.Operation, ref.Slave, state, offer.ReasonReconciliation, "")
	}
	c.asked(f)
}

// operationState is what reconciliation says of an operation, and whether that follows from what this master knows of it, or of its slave
// that has not come back yet.
func (c *Core) operationState(n uint32, ref message.OperationRef) (state offer.OperationState, known bool) {
	_, s, ok := c.slaveOf(ref.Slave)
	if !ok {
		return offer.OperationUnknown, false
	}
	switch s.state {
	case slaveRecovering:
		return offer.OperationRecovering, true
	case slaveUnreachable:
		return offer.OperationUnreachable, false
	case slaveGone:
		return offer.OperationGoneByOperator, false
	case slaveRegistered:
		if s.extra != nil {
			for _, op := range s.extra.operations {
				if op.framework == n && op.id == ref.Operation {
					state, known = op.state, true
				}
			}
		}
		if known {
			return state, true
		}
	}
	return offer.OperationUnknown, false
}
