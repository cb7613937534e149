package mastercore

import (
	"fmt"
	"slices"
	"strings"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// acceptParts is an accept of which parts are missing.
type acceptParts struct {
	offers     []offer.OfferID
	operations []offer.Operation
	filter     offer.Filter
	next       uint32
	tasks      int // and operations
	bytes      int // about
}

func (c *Core) accept(n uint32, f *framework, cn *conn, m *message.Accept) {
	if m.Part == 0 {
		if cn.accept != nil {
			c.refuse(f, offer.ReasonMalformed, "accept: a new one began before the last part of the other")
			c.invalidAccept(n, f, cn.accept, "an accept was cut short")
		}
		cn.accept = &acceptParts{offers: m.Offers, filter: m.Filter}
	}
	a := cn.accept
	if a == nil || m.Part != a.next {
		c.refuse(f, offer.ReasonMalformed, fmt.Sprintf("accept: part %d is out of order", m.Part))
		cn.accept = nil
		if a == nil {
			a = &acceptParts{}
		}
		a.operations = append(a.operations, m.Operations...)
		c.invalidAccept(n, f, a, "an accept was cut short")
		return
	}
	a.next++
	for i := range m.Operations {
		a.tasks += len(m.Operations[i].Tasks) + 1
		a.bytes += operationBytes(&m.Operations[i])
	}
	if a.tasks > c.cfg.MaxAcceptTasks || int(a.next) > c.cfg.MaxParts || a.bytes > c.cfg.MaxPartBytes {
		// The parts so far are answered, those to come as they come: nothing of them is kept.
		a.operations = append(a.operations, m.Operations...)
		c.invalidAccept(n, f, a, fmt.Sprintf("an accept has more than %d tasks and operations, %d parts or %d bytes",
			c.cfg.MaxAcceptTasks, c.cfg.MaxParts, c.cfg.MaxPartBytes))
		a.offers, a.operations, a.tasks = nil, nil, c.cfg.MaxAcceptTasks+1
		if m.Last {
			cn.accept = nil
		}
		return
	}
	if m.Part == 0 {
		a.operations = m.Operations
	} else {
		a.operations = append(a.operations, m.Operations...)
	}
	if !m.Last {
		return
	}
	cn.accept = nil
	c.carryOut(n, f, a)
}

// checkOffers finds the offers that an accept names: all must be outstanding, the framework's own, named once, of one slave and one role.
func (c *Core) checkOffers(n uint32, a *acceptParts) (list []*outstanding, bad string) {
	if len(a.offers) == 0 {
		return nil, "no offer is named"
	}
	seen := make(map[uint64]bool, len(a.offers))
	for _, id := range a.offers {
		o := c.offerOf(id)
		switch {
		case o == nil:
			return nil, "offer " + short(string(id)) + " is not outstanding"
		case o.framework != n:
			return nil, "offer " + short(string(id)) + " is another framework's"
		case seen[o.number]:
			return nil, "offer " + short(string(id)) + " is named twice"
		case len(list) > 0 && o.slave != list[0].slave:
			return nil, "the offers are of more than one slave"
		case len(list) > 0 && o.role != list[0].role:
			return nil, "the offers are of more than one role"
		}
		seen[o.number] = true
		list = append(list, o)
	}
	if s := c.slaves.mut(list[0].slave); !s.connected() {
		return nil, "slave " + string(s.info.ID) + " is not connected"
	}
	return list, ""
}

// invalidAccept answers an accept with offers that cannot be used (R3): all that it names go back, every task is dropped, nothing
// reaches a slave. A task that is here already is none of those: the accept is a repeat of the one that launched it (T8). Nor is one
// that an earlier reign may have launched.
func (c *Core) invalidAccept(n uint32, f *framework, a *acceptParts, why string) {
	for _, id := range a.offers {
		if o := c.offerOf(id); o != nil && o.framework == n {
			c.giveBack(o, 0)
		}
	}
	for i := range a.operations {
		op := &a.operations[i]
		for j := range op.Tasks {
			if c.tasks.find(n, op.Tasks[j].ID) == 0 && !c.mayRun(a, op.Tasks[j].SlaveID) {
				c.tellRefused(f, &op.Tasks[j], offer.Dropped, offer.ReasonInvalidOffers, why)
			}
		}
		if op.Kind != offer.OperationLaunch && op.Kind != offer.OperationLaunchGroup && op.ID != "" {
			c.tellOperation(f, op.ID, "", offer.OperationDropped, offer.ReasonInvalidOffers, why)
		}
	}
	if len(a.operations) == 0 && len(a.offers) > 0 {
		c.refuse(f, offer.ReasonInvalidOffers, "accept: "+why)
	}
	c.note(Note{Event: "accept refused", Framework: f.info.ID, Reason: offer.ReasonInvalidOffers, Text: why})
}

// mayRun reports whether the tasks of an accept may be on a slave that this reign has not seen: the accept is of an earlier one's offers, and
// nobody knows whether that one had carried it out. Whoever asks about the tasks later is told.
func (c *Core) mayRun(a *acceptParts, on offer.SlaveID) bool {
	own := "o-" + utoa(c.cfg.Reign) + "-"
	if len(a.offers) == 0 || slices.ContainsFunc(a.offers, func(id offer.OfferID) bool { return strings.HasPrefix(string(id), own) }) {
		return false
	}
	if on == "" {
		return c.counts.recovering > 0
	}
	_, s, known := c.slaveOf(on)
	return known && (s.state == slaveRecovering || s.state == slaveUnreachable || s.busy && !s.connected())
}

// running is an accept while it is carried out: what is left of the offered resources after each operation.
type running struct {
	n       uint32
	f       *framework
	sn      uint32
	s       *slave
	role    string
	offered resource.Resources
	left    resource.Resources
	changed bool               // something was reserved, created or undone
	checked resource.Resources // of a task, and valid

	launch *message.Launch // under construction
	bytes  int
}

func (c *Core) carryOut(n uint32, f *framework, a *acceptParts) {
	list, bad := c.checkOffers(n, a)
	if bad != "" {
		c.invalidAccept(n, f, a, bad)
		return
	}
	r := &running{n: n, f: f, sn: list[0].slave, s: c.slaves.mut(list[0].slave), role: list[0].role}
	for _, o := range list {
		r.left = r.left.Add(o.resources)
		c.takeOffer(o)
	}
	r.offered = r.left
	for i := range a.operations {
		op := &a.operations[i]
		switch op.Kind {
		case offer.OperationLaunch:
			c.launch(r, op)
		case offer.OperationLaunchGroup:
			c.launchGroup(r, op)
		case offer.OperationReserve, offer.OperationUnreserve, offer.OperationCreate, offer.OperationDestroy:
			c.convert(r, op)
		default:
			c.refuseOperation(r, op, offer.ReasonUnsupported, "operation of kind "+op.Kind.String()+" is not known")
		}
	}
	if len(r.left) == 0 {
		return
	}
	if !r.changed {
		refuse := a.filter.Duration()
		if r.left.Equal(r.offered) {
			refuse = max(refuse, c.cfg.MinRefuse) // it used nothing, which is to decline
		}
		c.recover(r.s, n, r.role, r.left, refuse)
		return
	}
	// What an operation has made is new to the framework and comes back at once; the rest is declined as asked.
	same := r.left.Filter(func(e resource.Resource) bool {
		for i := range r.offered {
			if r.offered[i].SameKind(e) {
				return true
			}
		}
		return false
	})
	made, _ := r.left.Sub(same)
	c.recover(r.s, n, r.role, made, 0)
	c.recover(r.s, n, r.role, same, a.filter.Duration())
}

// launch starts tasks one by one, in as few messages as fit.
func (c *Core) launch(r *running, op *offer.Operation) {
	for i := range op.Tasks {
		t := &op.Tasks[i]
		size := taskBytes(t)
		if bad := c.validateTask(r, t, size, nil); bad != nil {
			c.tellRefused(r.f, t, offer.Error, bad.Reason, bad.Message)
			continue
		}
		need := t.Resources
		fresh := false
		if t.Executor != nil {
			if have := r.s.executor(r.n, t.Executor.ID); have == nil {
				fresh = true
				need = need.Add(t.Executor.Resources)
			}
		}
		left, ok := r.left.Sub(need)
		if !ok {
			c.tellRefused(r.f, t, offer.Error, offer.ReasonInsufficient, fmt.Sprintf("%v is more than is left of the offer: %v", need, r.left))
			continue
		}
		r.left = left
		if fresh {
			r.s.addExecutor(executor{framework: r.n, id: t.Executor.ID, role: r.role, resources: t.Executor.Resources})
		}
		c.addTask(r, t)
		if r.launch != nil && r.bytes+size > c.cfg.MaxLaunchBytes {
			c.flushLaunch(r)
		}
		if r.launch == nil {
			r.launch = &message.Launch{Framework: brief(&r.f.info), Role: r.role, Tasks: make([]offer.Task, 0, len(op.Tasks)-i)}
		}
		r.launch.Tasks = append(r.launch.Tasks, *t)
		r.launch.Tasks[len(r.launch.Tasks)-1].SlaveID = r.s.info.ID
		r.bytes += size
	}
	c.flushLaunch(r)
}

func (c *Core) flushLaunch(r *running) {
	if r.launch != nil {
		c.send(r.s.conn, r.launch)
		r.launch, r.bytes = nil, 0
	}
}

// brief is what a slave needs to know of a framework.
func brief(f *offer.Framework) offer.Framework {
	return offer.Framework{ID: f.ID, Name: f.Name, User: f.User, Principal: f.Principal, NoCheckpoint: f.NoCheckpoint, Capabilities: f.Capabilities}
}

// addTask enters a launched task into the books.
func (c *Core) addTask(r *running, t *offer.Task) {
	var exec offer.ExecutorID
	if t.Executor != nil {
		exec = t.Executor.ID
	}
	slot := c.tasks.pack(r.n, r.sn, r.role, t, exec)
	c.tasks.pushSlave(&r.s.tasks, slot)
	c.tasks.pushOwner(&r.f.tasks, slot)
	c.tasks.enter(slot)
	c.tasks.records.mut(slot).flags |= taskLive | taskHolds
	if t.Lease > 0 {
		c.leaseGiven(r.sn, r.s)
		if at := r.s.lapses(t.Lease); at < r.s.lapse {
			c.watchLeases(r.sn, r.s)
		}
	}
}

// launchGroup starts all tasks or none.
func (c *Core) launchGroup(r *running, op *offer.Operation) {
	size, bad := 0, (*offer.Refusal)(nil)
	if len(op.Tasks) == 0 {
		c.refuseOperation(r, op, offer.ReasonTaskGroupInvalid, "the group has no task")
		return
	}
	need := resource.Resources(nil)
	seen := make(map[offer.TaskID]bool, len(op.Tasks))
	for i := range op.Tasks {
		t := &op.Tasks[i]
		n := taskBytes(t)
		size += n
		if bad = c.validateTask(r, t, n, op); bad != nil {
			break
		}
		if seen[t.ID] {
			bad = offer.Refuse(offer.ReasonDuplicateID, "task "+short(string(t.ID))+" is in the group twice")
			break
		}
		seen[t.ID] = true
		rest, ok := r.left.Sub(need)
		if ok {
			_, ok = rest.Sub(t.Resources)
		}
		if !ok {
			bad = offer.Refuse(offer.ReasonInsufficient, fmt.Sprintf("the group needs more than is left of the offer: %v", r.left))
			break
		}
		need = need.Add(t.Resources)
	}
	fresh := false
	if bad == nil && op.Executor != nil {
		bad = c.validateExecutor(r, op.Executor)
		if bad == nil && r.s.executor(r.n, op.Executor.ID) == nil {
			fresh = true
			need = need.Add(op.Executor.Resources)
		}
	}
	if bad == nil && size > c.cfg.MaxLaunchBytes {
		bad = offer.Refuse(offer.ReasonTooLarge, fmt.Sprintf("the group has %d bytes (allowed: at most %d)", size, c.cfg.MaxLaunchBytes))
	}
	left, ok := r.left, false
	if bad == nil {
		if left, ok = r.left.Sub(need); !ok {
			bad = offer.Refuse(offer.ReasonInsufficient, fmt.Sprintf("%v is more than is left of the offer: %v", need, r.left))
		}
	}
	if bad != nil {
		for i := range op.Tasks {
			reason := offer.ReasonTaskGroupInvalid
			if c.tasks.find(r.n, op.Tasks[i].ID) != 0 {
				reason = offer.ReasonDuplicateID // the status is not of the task that lives
			}
			c.tellRefused(r.f, &op.Tasks[i], offer.Error, reason, bad.Message)
		}
		return
	}
	r.left = left
	if fresh {
		r.s.addExecutor(executor{framework: r.n, id: op.Executor.ID, role: r.role, resources: op.Executor.Resources})
	}
	m := &message.Launch{Framework: brief(&r.f.info), Role: r.role, Group: true, Executor: op.Executor, Tasks: make([]offer.Task, len(op.Tasks))}
	for i := range op.Tasks {
		c.addTask(r, &op.Tasks[i])
		m.Tasks[i] = op.Tasks[i]
		m.Tasks[i].SlaveID = r.s.info.ID
	}
	c.send(r.s.conn, m)
}

func (c *Core) refuseOperation(r *running, op *offer.Operation, reason offer.Reason, text string) {
	if op.ID != "" {
		c.tellOperation(r.f, op.ID, r.s.info.ID, offer.OperationError, reason, text)
	} else {
		c.refuse(r.f, reason, op.Kind.String()+": "+text)
	}
}
