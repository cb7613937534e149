package mastercore

import (
	"time"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
	"github.com/meros-project/meros/offer/resource"
)

type slaveState uint8

const (
	slaveAbsent      slaveState = iota // never admitted, unregistered or pruned
	slaveRecovering                    // admitted, but not back in this reign: what it runs is not known
	slaveRegistered                    // has registered in this reign
	slaveUnreachable                   // marked unreachable
	slaveGone                          // marked gone, for ever
)

// slave is one slave, at the index of the number in its id.
type slave struct {
	info      offer.Slave // Resources is the total, with dynamic reservations and volumes
	state     slaveState
	inactive  bool
	drained   bool
	silent    bool // counted in counts.silent
	busy      bool // a proposal about it is under way
	allocated bool // the allocator knows it
	over      bool // it reported more in use than it has
	asked     bool // to register again, because its total is in doubt
	misses    uint8
	conn      ConnID // zero when it is not connected
	drain     *offer.Drain
	since     time.Time // unreachable or gone since
	due       moment    // of the next ping, or of the end of its time to come back
	leased    moment    // no lease here counts from later
	lapse     moment    // when to look for leases that are over; zero: never
	renewal   uint64    // asked for and not proposed; zero: none
	tasks     list
	executors []executor // replaced as a whole, never written to
	remnants  []remnant  // as executors, but may grow in place
	offers    []uint64   // outstanding on it, not read by views
	extra     *slaveExtra
}

// executor is one executor that runs on a slave, as far as its resources go.
type executor struct {
	framework uint32
	id        offer.ExecutorID
	role      string
	resources resource.Resources
}

// slaveExtra is what few slaves need.
type slaveExtra struct {
	waiting    *reregistration        // came while a proposal was under way
	kills      []killed               // asked for while it was away
	operations []operation            // sent to it and not acknowledged
	questions  []leaseQuestion        // in the order in which they were asked
	asked      map[leaseQuestion]bool // looked up, never ranged over
}

type killed struct {
	framework uint32
	task      offer.TaskID
	policy    *offer.KillPolicy
}

func (s *slave) more() *slaveExtra {
	if s.extra == nil {
		s.extra = &slaveExtra{}
	}
	return s.extra
}

func (s *slave) connected() bool { return s.state == slaveRegistered && s.conn != 0 }

// loadSlave takes a slave over from the registry at the beginning of a reign.
func (c *Core) loadSlave(r *registry.SlaveRecord) {
	num, _ := registry.SlaveNumber(r.Slave.ID)
	n := uint32(num)
	s := c.slaves.mut(n)
	*s = slave{info: r.Slave, inactive: r.Inactive, drain: r.Drain, drained: r.Drained, since: r.Since}
	switch r.State {
	case registry.SlaveAdmitted:
		c.setState(s, slaveRecovering)
		c.slaveDue(n, s, c.in(c.cfg.ReregisterTimeout))
	case registry.SlaveUnreachable:
		s.state = slaveUnreachable
	case registry.SlaveGone:
		s.state = slaveGone
	}
}

// setState keeps the counts.
func (c *Core) setState(s *slave, to slaveState) {
	here := func(st slaveState) bool { return st == slaveRecovering || st == slaveRegistered }
	if here(s.state) && !here(to) {
		c.counts.admitted--
	} else if !here(s.state) && here(to) {
		c.counts.admitted++
	}
	if s.state == slaveRecovering {
		c.counts.recovering--
	}
	if to == slaveRecovering {
		c.counts.recovering++
	}
	s.state = to
	c.setSilent(s)
	c.checkQuotaHold()
}

// setSilent keeps the count of slaves that do not answer.
func (c *Core) setSilent(s *slave) {
	silent := s.state == slaveRecovering || s.state == slaveRegistered && (s.conn == 0 || s.misses >= 2)
	if silent != s.silent {
		s.silent = silent
		if silent {
			c.counts.silent++
		} else {
			c.counts.silent--
		}
	}
}

func (c *Core) refuseSlave(to ConnID, reason offer.Reason, text string, shutdown bool) {
	if c.conns[to] == nil {
		return
	}
	c.conns[to].rereg = nil
	c.conns[to].pending = false
	c.send(to, &message.SlaveRefused{Reason: reason, Message: text, Shutdown: shutdown})
	c.note(Note{Event: "slave refused", Reason: reason, Text: text})
}

func (c *Core) fromSlave(id ConnID, cn *conn, m message.Message) {
	if cn.kind == connFramework || cn.pending && cn.wants == connFramework {
		c.refuseConn(id, offer.ReasonMalformed, "a slave's message on a framework's connection")
		return
	}
	switch m := m.(type) {
	case *message.SlaveRegister:
		c.slaveRegister(id, cn, m)
		return
	case *message.SlaveReregister:
		c.slaveReregister(id, cn, m)
		return
	}
	var s *slave
	if cn.kind == connSlave {
		s = c.slaves.mut(cn.of)
	}
	if s == nil || s.conn != id || s.state != slaveRegistered {
		if !cn.pending {
			c.send(id, &message.Ping{Connected: false}) // it must register again
		}
		return
	}
	s.misses = 0
	c.setSilent(s)
	switch m := m.(type) {
	case *message.Pong:
	case *message.Renew:
		c.renew(cn.of, s, m.Seq)
	case *message.SlaveUnregister:
		c.slaveUnregister(cn.of, s)
	case *message.StatusUpdate:
		c.statusUpdate(cn.of, s, m)
	case *message.OperationUpdate:
		c.operationUpdate(s, m)
	case *message.ExecutorExited:
		c.executorExited(cn.of, s, m)
	case *message.FromExecutor:
		if _, f, ok := c.frameworkOf(m.Framework); ok && f.conn != 0 {
			c.toFramework(f, &message.FromExecutor{Framework: m.Framework, Slave: s.info.ID, Executor: m.Executor, Data: m.Data})
		}
	default:
		c.refuseConn(id, offer.ReasonMalformed, "message of kind "+utoa(uint64(m.Kind()))+" does not fit its type")
	}
}

// admission is a new slave that waits for its id.
type admission struct {
	key  registry.Key
	conn ConnID // of the latest attempt
	info offer.Slave
}

func (c *Core) slaveRegister(id ConnID, cn *conn, m *message.SlaveRegister) {
	switch {
	case cn.kind == connSlave && c.slaves.mut(cn.of).conn == id:
		c.send(id, &message.SlaveRegistered{ID: c.slaves.mut(cn.of).info.ID}) // asked twice
		return
	case m.Slave.ID != "":
		c.refuseSlave(id, offer.ReasonInvalidField, "slave id "+short(string(m.Slave.ID))+": must be empty in a first registration", false)
		return
	case m.Nonce.IsZero():
		c.refuseSlave(id, offer.ReasonInvalidField, "nonce: must not be zero", false)
		return
	case len(c.proposals) >= c.cfg.MaxProposals:
		c.refuseSlave(id, offer.ReasonLimitReached, "too many registry writes are under way", false)
		return
	}
	if bad := registry.ValidateSlave(&m.Slave); bad != nil {
		c.refuseSlave(id, bad.Reason, bad.Message, false)
		return
	}
	cn.pending, cn.wants = true, connSlave
	key := nonceKey('s', cn.principal, m.Nonce)
	if a := c.admitting[key]; a != nil {
		a.conn = id
		return
	}
	a := &admission{key: key, conn: id, info: m.Slave}
	c.admitting[key] = a
	c.proposeKeyed(key, a, &registry.AdmitSlave{Slave: m.Slave})
}

func (a *admission) committed(c *Core, results []registry.Result) {
	delete(c.admitting, a.key)
	r := results[0]
	if r.Err != nil {
		c.refuseSlave(a.conn, r.Err.Reason, r.Err.Message, false)
		return
	}
	num, ok := registry.SlaveNumber(r.Slave)
	if !ok {
		c.resign(offer.Refuse(offer.ReasonInternal, "the registry admitted a slave without an id"))
		return
	}
	n := uint32(num)
	c.maxSlave = max(c.maxSlave, n)
	a.info.ID = r.Slave
	data := &reregistration{conn: a.conn, info: a.info}
	s := c.slaves.mut(n)
	if s.state != slaveAbsent {
		c.reregister(data) // admitted by an earlier attempt whose answer was lost
		return
	}
	c.note(Note{Event: "slave admitted", Slave: r.Slave, Text: a.info.Hostname})
	*s = slave{info: a.info}
	if c.conns[a.conn] == nil {
		c.awaitSlave(n, s)
		return
	}
	c.register(n, s, data)
}

// awaitSlave gives an admitted slave that is not here its time to come.
func (c *Core) awaitSlave(n uint32, s *slave) {
	c.setState(s, slaveRecovering)
	c.slaveDue(n, s, c.in(c.cfg.ReregisterTimeout))
}

// slaveLost notes that the connection of a registered slave broke: its offers are rescinded, its tasks stay.
func (c *Core) slaveLost(n uint32, s *slave) {
	s.conn, s.renewal = 0, 0
	if s.state != slaveRegistered {
		return
	}
	c.note(Note{Event: "slave disconnected", Slave: s.info.ID})
	c.setSilent(s)
	c.rescindSlave(s)
	if s.allocated {
		c.apply(allocator.SlaveActive{Slave: s.info.ID, Active: false})
	}
	c.slaveDue(n, s, c.in(c.cfg.ReregisterTimeout))
}

// slaveTimer pings a connected slave, and marks one unreachable that did not answer or did not come back.
func (c *Core) slaveTimer(n uint32, s *slave) {
	s.due = 0
	switch {
	case s.state == slaveRegistered && s.conn != 0:
		if int(s.misses) < c.cfg.PingMisses {
			s.misses++
			c.setSilent(s)
			c.send(s.conn, &message.Ping{Connected: true})
			c.slaveDue(n, s, c.in(c.cfg.PingInterval))
			return
		}
		c.markUnreachable(n, s)
	case s.state == slaveRegistered || s.state == slaveRecovering:
		c.markUnreachable(n, s)
	}
}

// slaveUnregister removes a slave that stops for good.
func (c *Core) slaveUnregister(n uint32, s *slave) {
	if s.busy {
		return // its connection ends; it is then marked unreachable in time
	}
	s.busy = true
	c.propose(&slaveLeaves{n}, &registry.RemoveSlave{ID: s.info.ID})
}

type slaveLeaves struct{ n uint32 }

func (l *slaveLeaves) committed(c *Core, results []registry.Result) {
	s := c.slaves.mut(l.n)
	s.busy = false
	if results[0].Err != nil {
		c.note(Note{Event: "slave removal refused", Slave: s.info.ID, Reason: results[0].Err.Reason})
		return
	}
	c.note(Note{Event: "slave removed", Slave: s.info.ID})
	c.removeSlave(l.n, s, offer.Gone, offer.ReasonSlaveRemoved)
	if s.conn != 0 {
		c.emit(Close{Conn: s.conn})
	}
	extra := s.extra
	*s = slave{}
	if extra != nil && extra.waiting != nil && c.conns[extra.waiting.conn] != nil {
		c.reregister(extra.waiting)
	}
}

// removeSlave takes a slave out: offers are rescinded, every task ends in state, frameworks are told.
func (c *Core) removeSlave(n uint32, s *slave, state offer.State, reason offer.Reason) {
	c.rescindSlave(s)
	c.forgetAllocation(s)
	for s.tasks.head != 0 {
		slot := s.tasks.head
		t := c.tasks.records.mut(slot)
		if !t.state.Terminal() {
			end := state
			if t.latest.Terminal() { // its slave has said so, but has no time left to have the framework hear it
				end = t.latest
			}
			c.setByMaster(t, end, reason, "")
			c.tellTask(slot, s)
		}
		c.finishTask(slot)
	}
	s.executors, s.remnants = nil, nil
	c.setStateOut(n, s)
	c.failure(s)
}

// setStateOut takes a slave that is about to be removed out of the counts.
func (c *Core) setStateOut(n uint32, s *slave) {
	c.setState(s, slaveAbsent)
	c.slaveDue(n, s, 0)
}

// forgetAllocation takes a slave and all that is allocated there out of the allocator.
func (c *Core) forgetAllocation(s *slave) {
	for slot := s.tasks.head; slot != 0; {
		t := c.tasks.records.mut(slot)
		t.flags &^= taskHolds
		slot = t.slaveNext
	}
	if s.allocated {
		s.allocated = false
		c.apply(allocator.SlaveRemoved{Slave: s.info.ID})
	}
}

// failure tells all frameworks that a slave is lost. Best effort.
func (c *Core) failure(s *slave) {
	for n := uint32(1); n <= c.maxFramework; n++ {
		if f := c.frameworks.get(n); f != nil && f.state == frameworkLive && f.conn != 0 {
			c.toFramework(c.frameworks.mut(n), &message.Failure{Slave: s.info.ID})
		}
	}
}

func (c *Core) executorExited(n uint32, s *slave, m *message.ExecutorExited) {
	fn, f, ok := c.frameworkOf(m.Framework)
	if !ok {
		c.remnantEnded(n, s, remnantKey{framework: m.Framework, executor: m.Executor})
		return
	}
	if !c.onTheWay(s, fn, m) {
		c.removeExecutor(s, fn, m.Executor)
	}
	if f.conn != 0 {
		exit := m.Exit
		c.toFramework(f, &message.Failure{Slave: s.info.ID, Executor: m.Executor, Exit: &exit})
	}
	c.checkDrained(n, s)
}

// onTheWay reports whether a task that the slave had not seen when the executor ended is on its way there: the slave will start the executor
// anew, so that it stays on the books.
func (c *Core) onTheWay(s *slave, framework uint32, m *message.ExecutorExited) bool {
	var seen map[offer.TaskID]bool // looked up
	for slot := s.tasks.head; slot != 0; {
		t := c.tasks.records.get(slot)
		if t.framework == framework && t.state == offer.Staging && t.latest == offer.Staging && t.executor() == m.Executor {
			if seen == nil {
				seen = make(map[offer.TaskID]bool, len(m.Tasks))
				for _, id := range m.Tasks {
					seen[id] = true
				}
			}
			if !seen[t.id()] {
				return true
			}
		}
		slot = t.slaveNext
	}
	return false
}

func (s *slave) executor(framework uint32, id offer.ExecutorID) *executor {
	for i := range s.executors {
		if e := &s.executors[i]; e.framework == framework && e.id == id {
			return e
		}
	}
	return nil
}

func (s *slave) addExecutor(e executor) {
	s.executors = append(s.executors[:len(s.executors):len(s.executors)], e)
}

// doubt has a slave register again, which says how things stand there.
func (c *Core) doubt(s *slave) {
	s.asked = true
	c.send(s.conn, &message.Ping{Connected: false})
}

func (c *Core) removeExecutor(s *slave, framework uint32, id offer.ExecutorID) {
	e := s.executor(framework, id)
	if e == nil {
		return
	}
	gone := *e
	var rest []executor
	for i := range s.executors {
		if &s.executors[i] != e {
			rest = append(rest, s.executors[i])
		}
	}
	s.executors = rest
	c.recover(s, framework, gone.role, gone.resources, 0)
}

// returned is what ended tasks have held, and the allocator has not been told yet: many that end at the same time are mostly alike, and of
// one framework on one slave. It is told at the next Tick, or before anything else is.
type returned struct {
	slave     offer.SlaveID
	framework offer.FrameworkID
	role      string
	resources resource.Resources // of each
	times     int64
}

// ended is recover for what a task has held until now, without a filter.
func (c *Core) ended(s *slave, framework uint32, role string, r resource.Resources) {
	if len(r) == 0 || !s.allocated {
		return
	}
	id := c.frameworks.get(framework).info.ID
	if p := &c.returned; p.times > 0 && p.resources.Same(r) && p.slave == s.info.ID && p.framework == id && p.role == role {
		p.times++
		return
	}
	c.tellReturned()
	c.returned = returned{slave: s.info.ID, framework: id, role: role, resources: r, times: 1}
}

func (c *Core) tellReturned() {
	p := c.returned
	c.returned = returned{}
	ev := allocator.Recovered{Allotment: allocator.Allotment{Framework: p.framework, Role: p.role, Slave: p.slave, Resources: p.resources}}
	if all, ok := p.resources.Times(p.times); ok {
		ev.Resources, p.times = all, 1
	}
	for range p.times {
		c.tellAllocator(ev)
	}
}

// recover gives resources of a slave back to the allocator.
func (c *Core) recover(s *slave, framework uint32, role string, r resource.Resources, refuse time.Duration) {
	if len(r) == 0 || !s.allocated {
		return
	}
	c.apply(allocator.Recovered{Allotment: allocator.Allotment{Framework: c.frameworks.mut(framework).info.ID, Role: role,
		Slave: s.info.ID, Resources: r}, Refuse: refuse})
}
