package mastercore

import (
	"fmt"
	"slices"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
	"github.com/meros-project/meros/offer/resource"
)

// reregistration is what a slave with an id has said of itself, all parts together.
type reregistration struct {
	conn      ConnID
	info      offer.Slave
	next      uint32 // part
	bytes     int    // about
	tasks     []message.SlaveTask
	executors []message.SlaveExecutor
	draining  *offer.Drain
}

func (c *Core) slaveReregister(id ConnID, cn *conn, m *message.SlaveReregister) {
	data := cn.rereg
	if m.Part == 0 {
		data = &reregistration{conn: id, info: m.Slave, draining: m.Draining}
		cn.rereg = data
	}
	if data == nil || m.Part != data.next || int(m.Part) >= c.cfg.MaxParts {
		c.refuseSlave(id, offer.ReasonMalformed, fmt.Sprintf("part %d of a registration is out of order", m.Part), false)
		return
	}
	data.next++
	if len(data.tasks)+len(m.Tasks) > c.cfg.MaxSlaveTasks || len(data.executors)+len(m.Executors) > c.cfg.MaxSlaveTasks {
		c.refuseSlave(id, offer.ReasonTooLarge, fmt.Sprintf("more than %d tasks or executors", c.cfg.MaxSlaveTasks), false)
		return
	}
	for i := range m.Tasks {
		t := &m.Tasks[i]
		data.bytes += taskBytes(&t.Task) + len(t.Status.Message) + len(t.Status.Data)
	}
	for i := range m.Executors {
		data.bytes += executorBytes(&m.Executors[i].Executor)
	}
	if data.bytes > c.cfg.MaxPartBytes {
		c.refuseSlave(id, offer.ReasonTooLarge, fmt.Sprintf("a registration of more than %d bytes", c.cfg.MaxPartBytes), false)
		return
	}
	if m.Part == 0 && m.Last {
		data.tasks, data.executors = m.Tasks, m.Executors
	} else {
		data.tasks = append(data.tasks, m.Tasks...)
		data.executors = append(data.executors, m.Executors...)
	}
	if !m.Last {
		return
	}
	cn.rereg = nil
	if bad := validateReregistration(data); bad != nil {
		c.refuseSlave(id, bad.Reason, bad.Message, false)
		return
	}
	cn.pending, cn.wants = true, connSlave
	c.reregister(data)
}

func validateReregistration(d *reregistration) *offer.Refusal {
	if bad := registry.ValidateSlave(&d.info); bad != nil {
		return bad
	}
	invalid := func(err error) *offer.Refusal { return offer.Refuse(offer.ReasonInvalidField, err.Error()) }
	for i := range d.tasks {
		t := &d.tasks[i]
		if err := offer.ValidateID("task", string(t.Task.ID)); err != nil {
			return invalid(err)
		}
		if err := t.Task.Resources.Validate(resource.Limits{}); err != nil {
			return invalid(fmt.Errorf("task %s: %w", t.Task.ID, err))
		}
		if err := resource.ValidateRole(t.Role); err != nil {
			return invalid(fmt.Errorf("task %s: %w", t.Task.ID, err))
		}
		if !slaveMaySay(t.Latest) || !slaveMaySay(t.Status.State) {
			return invalid(fmt.Errorf("task %s: state %v or %v is not one that a slave reports", t.Task.ID, t.Latest, t.Status.State))
		}
		if len(t.Task.Labels) > 1<<16 || len(t.Task.Name) > 1<<16 {
			return invalid(fmt.Errorf("task %s: name or labels are too long", t.Task.ID))
		}
	}
	for i := range d.executors {
		e := &d.executors[i]
		if err := offer.ValidateID("executor", string(e.Executor.ID)); err != nil {
			return invalid(err)
		}
		if err := e.Executor.Resources.Validate(resource.Limits{}); err != nil {
			return invalid(fmt.Errorf("executor %s: %w", e.Executor.ID, err))
		}
		if err := resource.ValidateRole(e.Role); err != nil {
			return invalid(fmt.Errorf("executor %s: %w", e.Executor.ID, err))
		}
	}
	return nil
}

// reregister decides about a slave that has an id: refuse it, bring the registry up to date first, or take it in.
func (c *Core) reregister(d *reregistration) {
	if c.conns[d.conn] == nil {
		return // it comes again
	}
	n, s, ok := c.slaveOf(d.info.ID)
	if !ok {
		c.refuseSlave(d.conn, offer.ReasonUnknownID, "slave "+short(string(d.info.ID))+": was never admitted to this cluster", false)
		return
	}
	if s.busy {
		s.more().waiting = d // the latest attempt counts
		return
	}
	if s.state == slaveGone {
		c.refuseSlave(d.conn, offer.ReasonSlaveGone, "slave "+string(d.info.ID)+" was marked gone", true)
		return
	}
	if s.state != slaveAbsent {
		if bad, final := conflict(s, d); bad != "" {
			c.refuseSlave(d.conn, offer.ReasonSlaveConflict, bad, final)
			return
		}
	}
	switch {
	case s.state == slaveAbsent || s.state == slaveUnreachable:
		s.busy = true
		c.propose(&readmission{n, d}, &registry.MarkReachable{Slave: d.info})
	case !sameSlave(&s.info, &d.info):
		s.busy = true
		c.propose(&readmission{n, d}, &registry.UpdateSlave{Slave: d.info})
	default:
		c.register(n, s, d)
	}
}

// conflict says why a slave cannot be the holder of its id: another machine has it. By its name that is final. By its address it is not: a
// machine that comes back under another one may be here before the end of its old connection is noticed (S5).
func conflict(s *slave, d *reregistration) (bad string, final bool) {
	if s.info.Hostname != d.info.Hostname {
		return fmt.Sprintf("slave %s belongs to host %s, not %s", s.info.ID, short(s.info.Hostname), short(d.info.Hostname)), true
	}
	if s.connected() && s.conn != d.conn && s.info.Address != d.info.Address {
		return fmt.Sprintf("slave %s is connected from %s, not %s", s.info.ID, short(s.info.Address), short(d.info.Address)), false
	}
	return "", false
}

// sameSlave reports whether the registry need not be written: reservations and volumes are the slave's to remember.
func sameSlave(a, b *offer.Slave) bool {
	return a.Hostname == b.Hostname && a.Address == b.Address && a.Version == b.Version && a.Domain == b.Domain &&
		slices.EqualFunc(a.Attributes, b.Attributes, sameAttribute) &&
		(a.Resources.Equal(b.Resources) || a.Resources.Unstacked().Equal(b.Resources.Unstacked()))
}

func sameAttribute(a, b offer.Attribute) bool {
	return a.Name == b.Name && a.Text == b.Text && a.Ranges.Equal(b.Ranges) && (a.Scalar == nil) == (b.Scalar == nil) &&
		(a.Scalar == nil || *a.Scalar == *b.Scalar)
}

type readmission struct {
	n uint32
	d *reregistration
}

func (r *readmission) committed(c *Core, results []registry.Result) {
	s := c.slaves.mut(r.n)
	s.busy = false
	d := r.d
	if s.extra != nil && s.extra.waiting != nil {
		d, s.extra.waiting = s.extra.waiting, nil
	}
	if bad := results[0].Err; bad != nil {
		c.refuseSlave(d.conn, bad.Reason, bad.Message, bad.Reason == offer.ReasonSlaveGone)
		return
	}
	if s.state == slaveAbsent {
		*s = slave{info: r.d.info, extra: s.extra}
	}
	was := s.state
	s.info.Address, s.info.Hostname, s.info.Version = r.d.info.Address, r.d.info.Hostname, r.d.info.Version
	s.info.Attributes, s.info.Domain = r.d.info.Attributes, r.d.info.Domain
	if c.conns[d.conn] == nil {
		if was == slaveAbsent || was == slaveUnreachable {
			c.awaitSlave(r.n, s) // gone again before it was told
		}
		return
	}
	if d != r.d {
		if was == slaveAbsent || was == slaveUnreachable {
			c.awaitSlave(r.n, s)
		}
		c.reregister(d)
		return
	}
	c.register(r.n, s, d)
}

// register takes a slave in, with all that it says it runs, and settles the differences to what the master believed.
func (c *Core) register(n uint32, s *slave, d *reregistration) {
	cn := c.conns[d.conn]
	if cn.kind == connFramework || cn.kind == connSlave && cn.of != n && c.slaves.mut(cn.of).conn == d.conn {
		c.refuseSlave(d.conn, offer.ReasonMalformed, "the connection is another slave's", false)
		if s.state == slaveAbsent || s.state == slaveUnreachable {
			c.awaitSlave(n, s)
		}
		return
	}
	if s.conn != 0 && s.conn != d.conn {
		c.emit(Close{s.conn, offer.Refuse(offer.ReasonSlaveConflict, "the slave has a newer connection")})
	}
	fresh := s.state == slaveAbsent
	// A repeated attempt may be older than what was launched on the same connection since the first.
	again := s.state == slaveRegistered && s.conn == d.conn
	c.rescindSlave(s)
	c.forgetAllocation(s)
	if again && !s.asked {
		d.info.Resources = s.info.Resources // so it may be older than an operation, too
	}
	if sameSlave(&s.info, &d.info) { // what the registry holds already is kept once, and none of the message with it
		if s.info.Resources.Equal(d.info.Resources) {
			d.info.Resources = s.info.Resources
		}
		s.info.Resources = d.info.Resources
	} else {
		s.info = d.info
	}
	s.conn, s.misses, s.asked, s.renewal = d.conn, 0, false, 0
	c.setState(s, slaveRegistered)
	cn.kind, cn.of, cn.pending = connSlave, n, false
	c.slaveDue(n, s, c.in(c.cfg.PingInterval))
	s.forgetLeaseQuestions()

	b := &homecoming{n: n}
	former := s.remnants
	s.remnants = nil
	for slot := s.tasks.head; slot != 0; slot = c.tasks.records.get(slot).slaveNext {
		c.tasks.records.mut(slot).flags &^= taskNamed
	}
	for i := range d.tasks {
		c.takeTask(s, &d.tasks[i], b)
	}
	if !again {
		s.executors = nil
		if s.extra != nil {
			s.extra.operations = nil // the slave tells the outcome of those that it knows; the others it never got
		}
	}
	c.takeExecutors(s, d.executors, b)
	missing := c.missingTasks(s)
	if again {
		missing = append(missing, b.missingRemnants(s, former)...)
	}
	used := c.usedOn(s)
	c.joinAllocator(s, used)
	if !fresh {
		c.note(Note{Event: "slave registered", Slave: s.info.ID})
	}
	c.send(s.conn, &message.SlaveRegistered{ID: s.info.ID, Reconcile: missing})
	for _, id := range b.shutdown {
		c.send(s.conn, &message.FrameworkShutdown{Framework: id})
	}
	c.resendKills(s, b.kill)
	if !sameDrain(s.drain, d.draining) {
		c.send(s.conn, &message.Drain{Config: s.drain})
	}
	for _, slot := range b.returned {
		c.tellBack(slot, s)
	}
	c.leaseGiven(n, s) // it has its time to renew
	c.checkDrained(n, s)
}

// homecoming collects what a registration calls for.
type homecoming struct {
	n        uint32
	shutdown []offer.FrameworkID // retired, but the slave runs something of theirs
	kill     []killed            // second tasks of an id that lives elsewhere
	returned []uint32            // tasks that were unreachable
	remnants map[remnantKey]bool // of s.remnants; looked up, never ranged over
}

func (c *Core) takeTask(s *slave, st *message.SlaveTask, b *homecoming) {
	fn, f, ok := c.frameworkOf(st.Framework)
	if !ok {
		if !slices.Contains(b.shutdown, st.Framework) {
			b.shutdown = append(b.shutdown, st.Framework)
		}
		if !st.Latest.Terminal() {
			b.takeRemnant(s, remnantKey{framework: st.Framework, task: st.Task.ID}, st.Role, st.Task.Resources)
		}
		return
	}
	slot := c.findOn(fn, st.Task.ID, b.n)
	if slot == 0 {
		var exec offer.ExecutorID
		if st.Task.Executor != nil {
			exec = st.Task.Executor.ID
		} else {
			exec = st.Status.ExecutorID
		}
		second := c.tasks.find(fn, st.Task.ID) != 0
		slot = c.tasks.pack(fn, b.n, st.Role, &st.Task, exec)
		c.tasks.pushSlave(&s.tasks, slot)
		c.tasks.pushOwner(&f.tasks, slot)
		t := c.tasks.records.mut(slot)
		t.flags |= taskLive
		if second {
			t.flags |= taskShadow
			b.kill = append(b.kill, killed{framework: fn, task: st.Task.ID})
		} else {
			c.tasks.enter(slot)
		}
	}
	t := c.tasks.records.mut(slot)
	if t.state == offer.Unreachable {
		b.returned = append(b.returned, slot)
	}
	t.flags |= taskNamed
	if t.has(taskLapsed) {
		if t.latest = st.Latest; !t.latest.Terminal() { // it ends by itself; all the same
			b.kill = append(b.kill, killed{framework: fn, task: st.Task.ID, policy: &offer.KillPolicy{Grace: -1}})
		}
	} else if st.Status.TaskID != "" {
		t.setStatus(&st.Status, st.Latest)
	} else {
		t.state, t.latest = offer.Staging, st.Latest
	}
	if !t.latest.Terminal() {
		t.flags |= taskHolds
	}
}

func (c *Core) takeExecutors(s *slave, list []message.SlaveExecutor, b *homecoming) {
	for i := range list {
		e := &list[i]
		fn, _, ok := c.frameworkOf(e.Framework)
		if !ok {
			if !slices.Contains(b.shutdown, e.Framework) {
				b.shutdown = append(b.shutdown, e.Framework)
			}
			b.takeRemnant(s, remnantKey{framework: e.Framework, executor: e.Executor.ID}, e.Role, e.Executor.Resources)
			continue
		}
		if s.executor(fn, e.Executor.ID) == nil {
			s.addExecutor(executor{framework: fn, id: e.Executor.ID, role: e.Role, resources: e.Executor.Resources})
		}
	}
}

// missingTasks lists what the master believes to be there and the slave did not name. The slave answers for each; those that had ended
// were acknowledged and are forgotten.
func (c *Core) missingTasks(s *slave) (missing []message.TaskRef) {
	for slot := s.tasks.head; slot != 0; {
		t := c.tasks.records.mut(slot)
		next := t.slaveNext
		switch {
		case t.has(taskNamed):
		case t.latest.Terminal():
			c.finishTask(slot)
		default:
			if t.state != offer.Unreachable {
				t.flags |= taskHolds
			}
			missing = append(missing, message.TaskRef{Framework: c.frameworks.mut(t.framework).info.ID, Task: t.id(), Slave: s.info.ID})
		}
		slot = next
	}
	return missing
}

// usedOn sums up what tasks, executors and remnants of a slave hold, by framework and role in order of first appearance.
func (c *Core) usedOn(s *slave) (used []allocator.Allotment) {
	add := func(id offer.FrameworkID, role string, r resource.Resources) {
		for i := range used {
			if u := &used[i]; u.Framework == id && u.Role == role {
				u.Resources = u.Resources.Add(r)
				return
			}
		}
		used = append(used, allocator.Allotment{Framework: id, Role: role, Slave: s.info.ID, Resources: r})
	}
	for slot := s.tasks.head; slot != 0; {
		t := c.tasks.records.get(slot)
		if t.has(taskHolds) && t.resources != 0 {
			add(c.frameworks.get(t.framework).info.ID, c.roleOf(t), c.tasks.resources.of(t.resources))
		}
		slot = t.slaveNext
	}
	for i := range s.executors {
		e := &s.executors[i]
		if len(e.resources) > 0 {
			add(c.frameworks.get(e.framework).info.ID, e.role, e.resources)
		}
	}
	for i := range s.remnants {
		if r := &s.remnants[i]; len(r.resources) > 0 {
			add(r.framework, r.role, r.resources)
		}
	}
	return used
}

func (c *Core) roleOf(t *task) string { return c.tasks.roles.entries.get(t.role).key }

// joinAllocator makes a registered slave known to the allocator. One that claims to use more than it has gets no offers until it fits.
func (c *Core) joinAllocator(s *slave, used []allocator.Allotment) {
	var sum resource.Resources
	for i := range used {
		sum = sum.Add(used[i].Resources)
	}
	s.over = !s.info.Resources.Contains(sum)
	if s.over {
		c.note(Note{Event: "slave overcommitted", Slave: s.info.ID, Reason: offer.ReasonInsufficient, Text: sum.String()})
	}
	s.allocated = true
	c.apply(allocator.SlaveAdded{Slave: s.info, Used: used, Inactive: s.inactive})
}

func (c *Core) resendKills(s *slave, more []killed) {
	if s.extra != nil {
		more = append(s.extra.kills, more...)
		s.extra.kills = nil
	}
	for i := range more {
		if f := c.frameworks.get(more[i].framework); f.state == frameworkLive {
			c.send(s.conn, &message.Kill{Framework: f.info.ID, Task: more[i].task, Policy: more[i].policy})
		}
	}
}

func sameDrain(a, b *offer.Drain) bool {
	return (a == nil) == (b == nil) && (a == nil || *a == *b)
}
