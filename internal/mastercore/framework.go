package mastercore

import (
	"slices"
	"time"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
	"github.com/meros-project/meros/offer/resource"
)

type frameworkState uint8

const (
	frameworkAbsent    frameworkState = iota // never admitted, or retired and no longer shown
	frameworkLive                            // admitted
	frameworkCompleted                       // retired and still shown
)

// framework is one framework, at the index of the number in its id.
type framework struct {
	info       offer.Framework
	state      frameworkState
	busy       bool   // a proposal about it is under way
	jobs       int8   // long answers under way
	open       int    // questions that wait for a commit
	recorded   bool   // the registry has it as connected
	conn       ConnID // zero when it is not connected
	lastSent   moment
	deadline   moment // when it is retired, while it is not connected
	due        moment // of its next heartbeat, or deadline
	tasks      list
	ended      list
	offers     []uint64 // outstanding, not read by views
	suppressed []string // roles, sorted; replaced as a whole
	held       []string // roles with a quota that wait for the slaves to come back, sorted
	waiting    *subscription
	update     uint64 // token of the proposal that changes its description, while that is under way
}

// loadFramework takes a framework over from the registry. Its time to come back starts again from what was recorded, so that no clock of
// another machine matters (F2).
func (c *Core) loadFramework(r *registry.FrameworkRecord) {
	num, _ := registry.FrameworkNumber(r.Framework.ID)
	n := uint32(num)
	f := c.frameworks.mut(n)
	*f = framework{info: r.Framework, state: frameworkLive, recorded: r.Connected}
	left := r.Remaining
	if r.Connected {
		left = max(r.Framework.FailoverTimeout, c.cfg.ResubscribeTimeout)
	}
	c.counts.away++
	c.apply(allocator.FrameworkAdded{Framework: f.info, Inactive: true})
	c.holdQuotaRoles(f)
	c.awaitFramework(n, f, left)
}

func (c *Core) awaitFramework(n uint32, f *framework, left time.Duration) {
	f.deadline = c.in(max(left, 0))
	c.frameworkDue(n, f, f.deadline)
	c.scheduleCountDown(c.in(c.cfg.CountDownInterval))
}

func (c *Core) toFramework(f *framework, m message.Message) {
	f.lastSent = c.tick
	c.send(f.conn, m)
}

// refuse tells a framework that a call was refused; the connection goes on.
func (c *Core) refuse(f *framework, reason offer.Reason, text string) {
	if f.conn != 0 {
		c.toFramework(f, &message.Error{Reason: reason, Message: text})
	}
	c.note(Note{Event: "call refused", Framework: f.info.ID, Reason: reason, Text: text})
}

// dismiss ends a connection of a framework with a last word.
func (c *Core) dismiss(id ConnID, reason offer.Reason, text string) {
	if id == 0 || c.conns[id] == nil {
		return
	}
	c.conns[id].pending = false
	c.send(id, &message.Error{Reason: reason, Message: text, Final: true})
	c.emit(Close{id, offer.Refuse(reason, text)})
}

func (c *Core) fromFramework(id ConnID, cn *conn, m message.Message) {
	if m, ok := m.(*message.Subscribe); ok {
		c.subscribe(id, cn, m)
		return
	}
	var f *framework
	if cn.kind == connFramework {
		f = c.frameworks.mut(cn.of)
	}
	if f == nil || f.conn != id || f.state != frameworkLive {
		if !cn.pending {
			c.refuseConn(id, offer.ReasonFrameworkUnknown, "not subscribed on this connection")
		}
		return
	}
	n := cn.of
	switch m := m.(type) {
	case *message.Accept:
		c.accept(n, f, cn, m)
	case *message.Decline:
		c.decline(n, f, m)
	case *message.Revive:
		c.revive(f, m.Roles)
	case *message.Suppress:
		c.suppress(f, m.Roles)
	case *message.KillTask:
		c.killTask(n, f, m)
	case *message.Acknowledge:
		c.acknowledge(n, f, m)
	case *message.AcknowledgeOperation:
		c.acknowledgeOperation(n, f, m)
	case *message.Reconcile:
		c.reconcile(n, f, m)
	case *message.ReconcileOperations:
		c.reconcileOperations(n, f, m)
	case *message.Teardown:
		c.retire(n, f, answerTo{})
	case *message.ShutdownExecutor:
		if _, s, ok := c.slaveOf(m.Slave); ok && s.connected() {
			c.send(s.conn, &message.ExecutorShutdown{Framework: f.info.ID, Executor: m.Executor})
		} else {
			c.refuse(f, offer.ReasonSlaveDisconnected, "executor "+short(string(m.Executor))+": slave "+short(string(m.Slave))+" is not connected")
		}
	case *message.Request:
		if !slices.Contains(f.info.Roles, m.Role) {
			c.refuse(f, offer.ReasonInvalidField, "request: role "+short(m.Role)+" is not among the framework's")
			return
		}
		ev := allocator.Requested{Framework: f.info.ID, Role: m.Role, Needs: m.Needs}
		if err := c.cfg.Allocator.Validate(ev); err != nil {
			c.refuse(f, offer.ReasonInvalidField, err.Error())
			return
		}
		c.apply(ev)
	case *message.UpdateFramework:
		c.updateFramework(n, f, m)
	case *message.ToExecutor:
		if _, s, ok := c.slaveOf(m.Slave); ok && s.connected() {
			c.send(s.conn, &message.ToExecutor{Framework: f.info.ID, Slave: m.Slave, Executor: m.Executor, Data: m.Data})
		}
	default:
		c.refuseConn(id, offer.ReasonMalformed, "message of kind "+utoa(uint64(m.Kind()))+" does not fit its type")
	}
}

// subscription is a framework that waits for the registry before it is told that it is subscribed.
type subscription struct {
	n    uint32 // zero for a new one
	conn ConnID
	described
}

// described is what a framework says of itself, until that is committed.
type described struct {
	info       offer.Framework
	suppressed []string
}

func (c *Core) subscribe(id ConnID, cn *conn, m *message.Subscribe) {
	if cn.kind == connSlave || cn.pending {
		c.refuseConn(id, offer.ReasonMalformed, "a subscription must be the first message of its connection")
		return
	}
	info := m.Framework
	key := registry.Key{}
	if !m.Nonce.IsZero() {
		key = nonceKey('f', cn.principal, m.Nonce)
	}
	if cn.kind == connFramework {
		// Asked again on the same connection: the answer may have been lost, but it cannot become another framework's.
		own := c.frameworks.mut(cn.of)
		if info.ID == "" && key == cn.key && key != (registry.Key{}) {
			info.ID = own.info.ID
		}
		if own.conn != id || info.ID != own.info.ID {
			c.refuseConn(id, offer.ReasonMalformed, "the connection is another framework's")
			return
		}
	}
	cn.key = key
	if bad := c.checkSubscribe(cn, &info, m.Suppressed); bad != nil {
		c.dismiss(id, bad.Reason, bad.Message)
		return
	}
	sub := &subscription{conn: id, described: described{info, sorted(m.Suppressed)}}
	if info.ID != "" {
		c.resubscribe(sub)
		return
	}
	if len(c.proposals) >= c.cfg.MaxProposals {
		c.dismiss(id, offer.ReasonLimitReached, "too many registry writes are under way")
		return
	}
	cn.pending, cn.wants = true, connFramework
	c.proposeKeyed(key, sub, &registry.AdmitFramework{Framework: info})
}

func (c *Core) checkSubscribe(cn *conn, info *offer.Framework, suppressed []string) *offer.Refusal {
	if cn.principal != "" && info.Principal != "" && info.Principal != cn.principal {
		return offer.Refuse(offer.ReasonForbidden, "principal "+short(info.Principal)+": the connection is authenticated as "+short(cn.principal))
	}
	if info.Principal == "" {
		info.Principal = cn.principal
	}
	if len(info.Roles) == 0 {
		info.Roles = []string{resource.AnyRole}
	}
	if bad := registry.ValidateFramework(info); bad != nil {
		return bad
	}
	if bad := registry.ValidateRoles(suppressed); bad != nil {
		return bad
	}
	return nil
}

func (sub *subscription) committed(c *Core, results []registry.Result) {
	r := results[0]
	if r.Err != nil {
		c.dismiss(sub.conn, r.Err.Reason, r.Err.Message)
		return
	}
	num, ok := registry.FrameworkNumber(r.Framework)
	if !ok {
		c.resign(offer.Refuse(offer.ReasonInternal, "the registry admitted a framework without an id"))
		return
	}
	n := uint32(num)
	sub.info.ID = r.Framework
	known := n <= c.maxFramework
	c.maxFramework = max(c.maxFramework, n)
	if known {
		// An earlier attempt of the same session was admitted and its answer lost.
		if cn := c.conns[sub.conn]; cn != nil {
			cn.pending = false
			c.resubscribe(sub)
		}
		return
	}
	f := c.frameworks.mut(n)
	*f = framework{info: sub.info, state: frameworkLive, recorded: true, suppressed: sub.suppressed}
	c.counts.away++
	c.apply(allocator.FrameworkAdded{Framework: f.info, Suppressed: f.suppressed, Inactive: true})
	c.holdQuotaRoles(f)
	c.note(Note{Event: "framework admitted", Framework: f.info.ID, Text: f.info.Name})
	sub.n = n
	if c.conns[sub.conn] == nil {
		c.awaitFramework(n, f, f.info.FailoverTimeout)
		return
	}
	c.subscribed(sub, f)
}

// resubscribe lets a framework with an id in again, after the registry if anything changes there.
func (c *Core) resubscribe(sub *subscription) {
	n, f, ok := c.frameworkOf(sub.info.ID)
	if !ok {
		if num, valid := registry.FrameworkNumber(sub.info.ID); valid && num <= uint64(c.maxFramework) {
			c.dismiss(sub.conn, offer.ReasonFrameworkCompleted, "framework "+string(sub.info.ID)+" was removed; its id is retired")
		} else {
			c.dismiss(sub.conn, offer.ReasonFrameworkUnknown, "framework "+short(string(sub.info.ID))+" was never admitted to this cluster")
		}
		return
	}
	if sub.info.Principal != f.info.Principal {
		c.dismiss(sub.conn, offer.ReasonPrincipalChanged, "framework "+string(f.info.ID)+": principal is "+short(f.info.Principal)+
			" and cannot become "+short(sub.info.Principal))
		return
	}
	cn := c.conns[sub.conn]
	if f.conn > sub.conn || f.waiting != nil && f.waiting.conn > sub.conn {
		// What was said on a connection that is no more may arrive late, and must not end who has come since.
		c.dismiss(sub.conn, offer.ReasonFrameworkConflict, "framework "+string(f.info.ID)+" has a newer connection")
		return
	}
	if f.busy {
		if f.waiting != nil && f.waiting.conn != sub.conn {
			c.dismiss(f.waiting.conn, offer.ReasonFrameworkConflict, "framework "+string(f.info.ID)+" has a newer connection")
		}
		cn.pending, cn.wants = true, connFramework
		f.waiting = sub
		return
	}
	sub.n = n
	sub.info.User, sub.info.NoCheckpoint = f.info.User, f.info.NoCheckpoint // fixed for life
	var ops []registry.Op
	if !sameFramework(&f.info, &sub.info) {
		ops = append(ops, &registry.UpdateFramework{Framework: sub.info})
	}
	if !f.recorded {
		ops = append(ops, &registry.CountDown{Frameworks: []registry.Remaining{{ID: f.info.ID, Remaining: -1}}})
	}
	if len(ops) == 0 {
		c.subscribed(sub, f)
		return
	}
	cn.pending, cn.wants = true, connFramework
	f.busy = true
	c.propose(&resubscription{sub}, ops...)
	f.update = c.nextToken
}

type resubscription struct{ sub *subscription }

func (r *resubscription) committed(c *Core, results []registry.Result) {
	sub := r.sub
	f := c.frameworks.mut(sub.n)
	f.busy, f.update = false, 0
	for i := range results {
		if bad := results[i].Err; bad != nil {
			c.dismiss(sub.conn, bad.Reason, bad.Message)
			c.nextSubscription(f)
			return
		}
	}
	f.recorded = true
	live := c.conns[sub.conn] != nil
	if !live && f.conn != 0 {
		// The attempt is over: what it wanted to be offered is nothing to the connection that is there.
		sub.suppressed = union(f.suppressed, without(sorted(sub.info.Roles), sorted(f.info.Roles)))
	}
	c.replaceInfo(f, sub.info, sub.suppressed)
	if live {
		c.subscribed(sub, f)
	} else if f.conn == 0 {
		c.scheduleCountDown(c.in(c.cfg.CountDownInterval))
	}
	c.nextSubscription(f)
}

// nextSubscription goes on with an attempt that came while the registry was being written.
func (c *Core) nextSubscription(f *framework) {
	next := f.waiting
	f.waiting = nil
	if next == nil {
		return
	}
	if cn := c.conns[next.conn]; cn != nil {
		cn.pending = false
		c.resubscribe(next)
	}
}

// subscribed makes a connection the framework's one connection: the newest that has subscribed (F1).
func (c *Core) subscribed(sub *subscription, f *framework) {
	cn := c.conns[sub.conn]
	if f.conn != 0 && f.conn != sub.conn {
		c.dismiss(f.conn, offer.ReasonFrameworkConflict, "framework "+string(f.info.ID)+" has a newer connection")
	}
	if f.conn == 0 {
		c.counts.away--
	}
	if f.conn != sub.conn {
		c.returnOffers(f)
	}
	cn.kind, cn.of, cn.pending, cn.accept = connFramework, sub.n, false, nil
	f.conn, f.deadline = sub.conn, 0
	c.replaceInfo(f, sub.info, sub.suppressed)
	c.toFramework(f, &message.Subscribed{ID: f.info.ID, Heartbeat: c.cfg.Heartbeat})
	c.frameworkDue(sub.n, f, c.in(c.cfg.Heartbeat))
	c.apply(allocator.FrameworkActive{Framework: f.info.ID, Active: true})
	c.resendMissed(f)
	c.note(Note{Event: "framework subscribed", Framework: f.info.ID})
}

func (c *Core) replaceInfo(f *framework, info offer.Framework, suppressed []string) {
	if sameFramework(&f.info, &info) && slices.Equal(f.suppressed, suppressed) {
		return
	}
	f.info, f.suppressed = info, suppressed
	c.rescindRoles(f)
	c.holdQuotaRoles(f)
	c.apply(allocator.FrameworkUpdated{Framework: f.info, Suppressed: union(f.suppressed, f.held)})
}

// frameworkLost notes that a framework's connection has ended: its offers return, its tasks go on, its time runs.
func (c *Core) frameworkLost(n uint32, f *framework) {
	f.conn = 0
	if f.state != frameworkLive {
		return
	}
	c.counts.away++
	c.returnOffers(f)
	c.apply(allocator.FrameworkActive{Framework: f.info.ID, Active: false})
	c.note(Note{Event: "framework disconnected", Framework: f.info.ID})
	c.awaitFramework(n, f, f.info.FailoverTimeout)
}

// frameworkTimer sends a heartbeat on a quiet connection, or retires a framework whose time is over.
func (c *Core) frameworkTimer(n uint32, f *framework) {
	f.due = 0
	switch {
	case f.state != frameworkLive:
	case f.conn == 0:
		c.retire(n, f, answerTo{})
	default:
		next := f.lastSent + moment(c.cfg.Heartbeat)
		if next <= c.tick {
			c.toFramework(f, &message.Heartbeat{})
			next = c.in(c.cfg.Heartbeat)
		}
		c.frameworkDue(n, f, next)
	}
}

func (c *Core) revive(f *framework, roles []string) {
	all := len(roles) == 0
	roles, bad := c.rolesOf(f, roles)
	if bad != "" {
		c.refuse(f, offer.ReasonInvalidField, "revive: "+bad)
		return
	}
	f.suppressed = without(f.suppressed, roles)
	for _, d := range c.describing(f) {
		d.suppressed = without(d.suppressed, d.named(roles, all))
	}
	if open := without(roles, f.held); len(open) > 0 {
		c.apply(allocator.Revived{Framework: f.info.ID, Roles: open})
	}
}

func (c *Core) suppress(f *framework, roles []string) {
	all := len(roles) == 0
	roles, bad := c.rolesOf(f, roles)
	if bad != "" {
		c.refuse(f, offer.ReasonInvalidField, "suppress: "+bad)
		return
	}
	f.suppressed = union(f.suppressed, roles)
	for _, d := range c.describing(f) {
		d.suppressed = union(d.suppressed, d.named(roles, all))
	}
	c.apply(allocator.Suppressed{Framework: f.info.ID, Roles: roles})
}

// rolesOf checks roles that a framework names; none means all of its own. The result is sorted.
func (c *Core) rolesOf(f *framework, roles []string) ([]string, string) {
	if len(roles) == 0 {
		return sorted(f.info.Roles), ""
	}
	for _, r := range roles {
		if !slices.Contains(f.info.Roles, r) {
			return nil, "role " + short(r) + " is not among the framework's"
		}
	}
	return sorted(roles), ""
}

func (c *Core) updateFramework(n uint32, f *framework, m *message.UpdateFramework) {
	info := m.Framework
	if info.ID == "" {
		info.ID = f.info.ID
	}
	if info.Principal == "" {
		info.Principal = f.info.Principal
	}
	if len(info.Roles) == 0 {
		info.Roles = f.info.Roles
	}
	bad := registry.ValidateFramework(&info)
	switch {
	case bad != nil:
	case info.ID != f.info.ID:
		bad = offer.Refuse(offer.ReasonInvalidField, "framework id: cannot change")
	case info.Principal != f.info.Principal:
		bad = offer.Refuse(offer.ReasonPrincipalChanged, "principal: cannot change")
	case info.User != f.info.User:
		bad = offer.Refuse(offer.ReasonInvalidField, "user: cannot change")
	case info.NoCheckpoint != f.info.NoCheckpoint:
		bad = offer.Refuse(offer.ReasonInvalidField, "checkpoint: cannot change")
	case f.busy:
		bad = offer.Refuse(offer.ReasonLimitReached, "another change of this framework is under way")
	default:
		bad = registry.ValidateRoles(m.Suppressed)
	}
	if bad != nil {
		c.refuse(f, bad.Reason, "update framework: "+bad.Message)
		return
	}
	f.busy = true
	c.propose(&frameworkUpdate{n, described{info, sorted(m.Suppressed)}}, &registry.UpdateFramework{Framework: info})
	f.update = c.nextToken
}

type frameworkUpdate struct {
	n uint32
	described
}

// describing returns what the framework has said of itself on the connection that it has, as an update or as a subscription that it asked for
// once more, and that is not committed yet: what it says of suppression is older than what the framework says meanwhile.
func (c *Core) describing(f *framework) (out []*described) {
	if p := c.proposals[f.update]; p != nil {
		switch then := p.then.(type) {
		case *frameworkUpdate:
			out = append(out, &then.described)
		case *resubscription:
			if then.sub.conn == f.conn {
				out = append(out, &then.sub.described)
			}
		}
	}
	if f.waiting != nil && f.waiting.conn == f.conn {
		out = append(out, &f.waiting.described)
	}
	return out
}

// named is what a list of roles means for the new description, given whether it was all of them.
func (d *described) named(roles []string, all bool) []string {
	if all {
		return sorted(d.info.Roles)
	}
	return roles
}

func (u *frameworkUpdate) committed(c *Core, results []registry.Result) {
	f := c.frameworks.mut(u.n)
	f.busy, f.update = false, 0
	if bad := results[0].Err; bad != nil {
		c.refuse(f, bad.Reason, bad.Message)
	} else {
		c.replaceInfo(f, u.info, u.suppressed)
	}
	c.nextSubscription(f)
}

func sameFramework(a, b *offer.Framework) bool {
	if len(a.MinAllocatable) != len(b.MinAllocatable) || len(a.Constraints) != len(b.Constraints) {
		return false
	}
	for _, role := range a.Roles {
		if !slices.EqualFunc(a.MinAllocatable[role], b.MinAllocatable[role], resource.Quantities.Equal) {
			return false
		}
		if !slices.EqualFunc(a.Constraints[role], b.Constraints[role], slices.Equal) {
			return false
		}
	}
	return a.Name == b.Name && a.User == b.User && slices.Equal(a.Roles, b.Roles) && a.Principal == b.Principal && a.Hostname == b.Hostname &&
		a.WebURL == b.WebURL && slices.Equal(a.Labels, b.Labels) && a.FailoverTimeout == b.FailoverTimeout && a.NoCheckpoint == b.NoCheckpoint &&
		a.Capabilities == b.Capabilities
}
