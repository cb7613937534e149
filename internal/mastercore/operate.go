package mastercore

import (
	"fmt"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
	"github.com/meros-project/meros/offer/resource"
)

// answerTo says who waits for the outcome of an operator's call: a token of the shell, or a connection. The zero value is nobody.
type answerTo struct {
	token uint64
	conn  ConnID
	seq   uint64
}

func (c *Core) answer(to answerTo, bad *offer.Refusal) {
	switch {
	case to.token != 0:
		c.emit(Answer{to.token, bad})
	case to.conn != 0:
		m := &message.Operated{Seq: to.seq}
		if bad != nil {
			m.Reason, m.Message = bad.Reason, bad.Message
		}
		c.send(to.conn, m)
	}
}

// operate carries out an operator's call. Who may call is the shell's to decide.
func (c *Core) operate(principal string, m *message.Operate, to answerTo) {
	if len(c.proposals) >= c.cfg.MaxProposals {
		c.answer(to, offer.Refuse(offer.ReasonLimitReached, "too many registry writes are under way"))
		return
	}
	switch m.Verb {
	case message.VerbTeardown:
		n, f, ok := c.frameworkOf(m.Framework)
		if !ok {
			c.answer(to, offer.Refuse(offer.ReasonFrameworkUnknown, "framework "+short(string(m.Framework))+": is not known, or was removed"))
			return
		}
		c.retire(n, f, to)
	case message.VerbSetWeight:
		weight := m.Weight
		c.operateRole(&registry.SetRole{Role: m.Role, Weight: &weight}, to)
	case message.VerbSetQuota:
		guarantee, limit := m.Guarantee, m.Limit
		if bad := c.checkQuota(m); bad != nil {
			c.answer(to, bad)
			return
		}
		c.operateRole(&registry.SetRole{Role: m.Role, Guarantee: &guarantee, Limit: &limit}, to)
	case message.VerbDrain, message.VerbDeactivate, message.VerbReactivate, message.VerbMarkGone, message.VerbReserve, message.VerbUnreserve,
		message.VerbCreate, message.VerbDestroy:
		c.operateSlave(m, to)
	default:
		c.answer(to, offer.Refuse(offer.ReasonUnsupported, fmt.Sprintf("verb %d is not known", m.Verb)))
	}
}

func (c *Core) operateSlave(m *message.Operate, to answerTo) {
	n, s, ok := c.slaveOf(m.Slave)
	switch {
	case !ok || s.state == slaveAbsent:
		c.answer(to, offer.Refuse(offer.ReasonUnknownID, "slave "+short(string(m.Slave))+": is not known"))
		return
	case s.state == slaveGone && m.Verb == message.VerbMarkGone:
		c.answer(to, nil)
		return
	case s.state == slaveGone:
		c.answer(to, offer.Refuse(offer.ReasonSlaveGone, "slave "+string(m.Slave)+": is gone"))
		return
	}
	switch m.Verb {
	case message.VerbDrain:
		c.drainSlave(n, s, to, m.Drain)
	case message.VerbDeactivate:
		c.activateSlave(n, s, to, false)
	case message.VerbReactivate:
		c.activateSlave(n, s, to, true)
	case message.VerbMarkGone:
		c.markGone(n, s, to)
	default:
		c.answer(to, c.operateResources(s, m))
	}
}

// checkQuota asks the allocator whether a quota can be kept, unless it is forced. What is only offered does not stand against a limit: the offers
// are rescinded, once all else is found right.
func (c *Core) checkQuota(m *message.Operate) *offer.Refusal {
	whole := allocator.RoleSet{Role: m.Role, Guarantee: m.Guarantee, Limit: m.Limit, Force: m.Force}
	form, guarantee := whole, whole
	form.Force, guarantee.Limit = true, nil
	err := c.cfg.Allocator.Validate(form)
	if err == nil {
		err = c.cfg.Allocator.Validate(guarantee)
	}
	if err == nil {
		if err = c.cfg.Allocator.Validate(whole); err != nil && c.rescindRole(m.Role) {
			err = c.cfg.Allocator.Validate(whole)
		}
	}
	if err != nil {
		return offer.Refuse(offer.ReasonInvalidField, err.Error())
	}
	return nil
}

// roleChange is an operator's change of a role that waits for the registry.
type roleChange struct {
	op *registry.SetRole
	to answerTo
}

func (c *Core) operateRole(op *registry.SetRole, to answerTo) {
	old, _ := c.roles.Get(op.Role)
	if _, bad := registry.ValidateRole(op, old); bad != nil {
		c.answer(to, bad)
		return
	}
	if c.roleBusy(op.Role) {
		c.answer(to, offer.Refuse(offer.ReasonLimitReached, "another change of role "+short(op.Role)+" is under way"))
		return
	}
	c.propose(&roleChange{op, to}, op)
}

// roleBusy reports whether a change of a role is under way. There is one at a time: of two, of which the first has to be proposed again because
// its outcome is not known, the leader cannot tell which the registry has taken last.
func (c *Core) roleBusy(role string) bool {
	for _, p := range c.proposals {
		if r, is := p.then.(*roleChange); is && r.op.Role == role {
			return true
		}
	}
	return false
}

func (r *roleChange) committed(c *Core, results []registry.Result) {
	if bad := results[0].Err; bad != nil {
		c.answer(r.to, bad)
		return
	}
	old, _ := c.roles.Get(r.op.Role)
	if next, bad := registry.ValidateRole(r.op, old); bad == nil {
		c.setRole(next, r.op.Guarantee != nil || r.op.Limit != nil)
	}
	c.answer(r.to, nil)
}

var verbKinds = map[message.Verb]offer.OperationKind{message.VerbReserve: offer.OperationReserve, message.VerbUnreserve: offer.OperationUnreserve,
	message.VerbCreate: offer.OperationCreate, message.VerbDestroy: offer.OperationDestroy}

// operateResources reserves, unreserves, creates or destroys for an operator, from what no task uses. Offers are rescinded if need be.
func (c *Core) operateResources(s *slave, m *message.Operate) *offer.Refusal {
	if !s.connected() || !s.allocated {
		return offer.Refuse(offer.ReasonSlaveDisconnected, "slave "+string(s.info.ID)+": is not connected")
	}
	op := offer.Operation{Kind: verbKinds[m.Verb], Resources: m.Resources}
	from, to, bad := conversion(&op)
	if bad != nil {
		return bad
	}
	if op.Kind == offer.OperationDestroy && c.volumeInUse(s, op.Resources) {
		return offer.Refuse(offer.ReasonInUse, "a task still uses the volume")
	}
	if !c.freeOn(s).Contains(from) {
		c.rescindSlave(s)
		if free := c.freeOn(s); !free.Contains(from) {
			return offer.Refuse(offer.ReasonInsufficient, fmt.Sprintf("%v is more than is free on slave %s: %v", from, s.info.ID, free))
		}
	}
	total, ok := s.info.Resources.Sub(from)
	if !ok {
		return offer.Refuse(offer.ReasonInsufficient, fmt.Sprintf("slave %s does not have %v", s.info.ID, from))
	}
	total = total.Add(to)
	if err := total.Validate(resource.Limits{}); err != nil {
		return offer.Refuse(offer.ReasonInvalidField, err.Error())
	}
	s.info.Resources = total
	c.apply(allocator.Converted{Slave: s.info.ID, From: from, To: to})
	c.send(s.conn, &message.Apply{UUID: c.uuid(), Operation: op})
	return nil
}

// freeOn returns what is neither used nor offered on a slave.
func (c *Core) freeOn(s *slave) resource.Resources {
	free := s.info.Resources
	for _, u := range c.usedOn(s) {
		free = less(free, u.Resources)
	}
	for _, n := range s.offers {
		o, _ := c.offers.Get(n)
		free = less(free, o.resources)
	}
	return free
}

// less subtracts what is there; shared volumes stay, because holding one takes nothing away.
func less(from, r resource.Resources) resource.Resources {
	rest, ok := from.Sub(r.NonShared())
	if !ok {
		return nil
	}
	return rest
}
