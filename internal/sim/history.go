package sim

import (
	"slices"
	"strings"
	"time"

	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/internal/slavecore"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// history is what an all-seeing observer wrote down. Its methods are told of what happens, and each compares it with the rules whose numbers
// it names; so that a check costs what the event touches, and not what there is.
type history struct {
	w         *World
	tasks     map[string]*record // by framework/task; looked up
	order     []*record          // ranged over
	done      map[string]bool    // tasks of earlier rounds that are over; looked up
	machines  map[offer.SlaveID]*slave
	gone      map[offer.SlaveID]bool     // marked gone in the log
	retired   map[offer.FrameworkID]bool // removed in the log
	retiredAt map[offer.FrameworkID]int64
	owners    map[offer.FrameworkID]*framework
	torn      map[offer.FrameworkID]bool // a teardown was asked
	offers    map[offer.OfferID]offer.SlaveID

	containers map[string]bool                     // all that ever were; looked up
	uuids      map[offer.UUID]string               // of updates, with their task; looked up
	keys       map[registry.Key]bool               // of committed commands; looked up
	remaining  map[offer.FrameworkID]time.Duration // of frameworks that are away, as last recorded; below zero for others
	replicas   map[int]uint64                      // what a replica's state hashes to after so many entries
	registers  registers
	snapshots  int // that a master was made of
}

func newHistory(w *World) history {
	return history{w: w, tasks: map[string]*record{}, done: map[string]bool{}, machines: map[offer.SlaveID]*slave{}, gone: map[offer.SlaveID]bool{},
		retired: map[offer.FrameworkID]bool{}, retiredAt: map[offer.FrameworkID]int64{}, owners: map[offer.FrameworkID]*framework{}, torn: map[offer.FrameworkID]bool{},
		offers: map[offer.OfferID]offer.SlaveID{}, containers: map[string]bool{}, uuids: map[offer.UUID]string{}, remaining: map[offer.FrameworkID]time.Duration{}, keys: map[registry.Key]bool{},
		replicas: map[int]uint64{}, registers: newRegisters()}
}

// record is the life of one task on one slave.
type record struct {
	key       string
	framework offer.FrameworkID
	slave     *slave
	resources resource.Resources
	launched  bool     // its slave has it on disk
	starts    int      // processes forked
	log       []logged // its updates, in the order of the slave's log
	state     offer.State
	delivered int  // how many of log the program has seen, at least once
	acked     int  // how many acknowledgements the slave has got
	durable   int  // how many of them are on its disk
	sent      int  // how often the first that is not acknowledged was sent
	terminal  bool // the log ends with a terminal state
	running   bool // a process of it lives
	exited    bool
	exit      offer.Exit
	transient bool // nothing of it is on disk
	alone     bool // it has a container of its own, and no group
	unstarted bool // its container could not be started
	dead      bool // its machine is gone, and its disk with it

	container string // that its last launch is for
	began     int64  // when its first process was started
	boot      int    // of the machine at that time
	over      int64  // when its end was on disk
	doomed    bool   // somebody has asked for its end
	grouped   bool
	buried    bool    // its framework was told, or is to be, that its lease is over
	past      *record // the life before, of an id that a program from outside used again; see renew
}

type logged struct {
	uuid  offer.UUID
	state offer.State
}

func (r *record) index(u offer.UUID) int {
	return slices.IndexFunc(r.log, func(l logged) bool { return l.uuid == u })
}

func (h *history) of(key string) *record {
	r := h.tasks[key]
	if r == nil {
		id, _, _ := strings.Cut(key, "/")
		r = &record{key: key, framework: offer.FrameworkID(id), state: offer.Staging}
		h.tasks[key] = r
		h.order = append(h.order, r)
	}
	return r
}

func (h *history) find(f offer.FrameworkID, t offer.TaskID) *record {
	return h.tasks[string(f)+"/"+string(t)]
}

// flushed sees each record that reaches a slave's disk in its life.
func (h *history) flushed(s *slave, rec slavecore.Record) {
	w := h.w
	switch rec := rec.(type) {
	case *slavecore.Registered:
		id := rec.Slave.ID
		if m := h.machines[id]; m != nil && (m != s || slices.Contains(s.past, id)) { // S4: ids are never given out twice
			w.violate("S4", "%s gets the id %s, which was given to %s", s.id, id, m.id)
		}
		h.machines[id], s.sid = s, id
	case *slavecore.Launched:
		r := h.renew(h.of(string(rec.Framework.ID)+"/"+string(rec.Task.ID)), rec.Container)
		if h.done[r.key] || r.launched && r.slave != s { // T5: one slave, once
			w.violate("T5", "%s is launched a second time, on %s", r.key, s.id)
		}
		r.launched, r.slave, r.resources, r.container = true, s, rec.Task.Resources, rec.Container
		if r.grouped = rec.Group != 0; r.grouped {
			w.states.reach(StateGroup)
		}
	case *slavecore.Updated:
		h.updated(s, rec)
	case *slavecore.Resources:
		h.converted(s, rec.Total)
	case *slavecore.Acked:
		if r := h.holder(rec.Framework, rec.Task, rec.UUID); r != nil {
			if i := r.index(rec.UUID); i == r.durable {
				r.durable++
			}
		}
	case *slavecore.Reign:
		if rec.Reign < s.reign { // L1: the highest reign is kept
			w.violate("L1", "%s accepts reign %d after %d", s.id, rec.Reign, s.reign)
		}
		s.reign = rec.Reign
	}
}

func (h *history) updated(s *slave, rec *slavecore.Updated) {
	r := h.holder(rec.Framework, rec.Status.TaskID, rec.Status.UUID)
	if r == nil {
		r = h.of(string(rec.Framework) + "/" + string(rec.Status.TaskID))
	}
	if r.index(rec.Status.UUID) >= 0 {
		return
	}
	next := rec.Status.State
	if len(r.log) > 0 && !offer.CanFollow(r.state, next) { // T2: legal transitions
		h.w.violate("T2", "%s on %s: %s after %s", r.key, s.id, next, r.state)
	}
	if next == offer.Finished && (!r.exited || !r.exit.Success()) { // T9: finished means exit status 0
		h.w.violate("T9", "%s is said to have finished, but exited=%v with %v", r.key, r.exited, r.exit)
	}
	if rec.Status.Reason == offer.ReasonContainerLaunchFailed && r.alone && !r.unstarted { // T9: who could start does not fail for another
		h.w.violate("T9", "%s on %s is %s because it could not be started, and nothing has kept it from that", r.key, s.id, next)
	}
	if next.Terminal() && r.running { // T11: what has ended does not run
		h.w.violate("T11", "%s is %s and a process of it runs on %s", r.key, next, s.id)
	}
	if next.Terminal() && h.unreachable(s.sid) {
		h.w.states.reach(StateEndedUnreachable)
	}
	if other, seen := h.uuids[rec.Status.UUID]; seen { // S4
		h.w.violate("S4", "an update of %s has the uuid %s, as one of %s has", r.key, rec.Status.UUID, other)
	}
	h.uuids[rec.Status.UUID] = r.key
	if next.Terminal() {
		r.over = h.w.ns
	}
	r.slave, r.state, r.terminal = s, next, next.Terminal()
	r.log = append(r.log, logged{rec.Status.UUID, next})
}

// unreachable reports what the registry says of a slave.
func (h *history) unreachable(id offer.SlaveID) bool {
	g := h.w.log
	if g.leader == nil || id == "" {
		return false
	}
	r, ok := g.leader.m.state.View().Slave(id)
	return ok && r.State == registry.SlaveUnreachable
}

// started sees the start of a task's process.
func (h *history) started(s *slave, c *container, key string) {
	w := h.w
	r := h.of(key)
	r.starts++
	r.running, r.exited = true, false
	if r.starts == 1 {
		r.began, r.boot = w.ns, s.boots
	}
	if r.buried {
		w.violate("T13", "%s starts %s, whose framework was told that it is gone", s.id, key)
	}
	if r.starts > 1 || h.done[key] { // T5: once, ever
		w.violate("T5", "%s was started %d times", key, r.starts)
	}
	onDisk := slices.ContainsFunc(s.disk.records, func(rec slavecore.Record) bool {
		l, is := rec.(*slavecore.Launched)
		return is && l.Container == c.id && string(l.Framework.ID)+"/"+string(l.Task.ID) == key
	})
	if !onDisk && !c.transient { // T5: checkpoint before fork
		w.violate("T5", "%s was started before its launch was on the disk of %s", key, s.id)
	}
	left, fits := s.resources, true
	for _, x := range append(slices.Clone(s.runtime.running), r) { // R1, R6: what runs on the machine fits it, ports included
		if left, fits = left.Sub(x.resources.Unstacked()); !fits {
			rule := "R1"
			if claimed(s.runtime.running, r.resources.Ports()) {
				rule = "R6"
			}
			w.violate(rule, "%s starts %s and then runs more than it has (%d tasks)", s.id, key, len(s.runtime.running)+1)
			break
		}
	}
	for _, v := range volumes(r.resources) { // R11: a volume exists, and has one user
		w.states.reach(StateVolume)
		if !s.runtime.volumes[v] {
			w.violate("R11", "%s starts %s on volume %s, which does not exist there", s.id, key, v)
		}
		for _, x := range s.runtime.running {
			if slices.Contains(volumes(x.resources), v) {
				w.violate("R11", "%s and %s use volume %s of %s", x.key, key, v, s.id)
			}
		}
	}
	s.runtime.running = append(s.runtime.running, r)
}

// unstarted sees that a container could not be started.
func (h *history) unstarted(e slavecore.Start) {
	if e.Task != nil {
		h.of(string(e.Framework.ID) + "/" + string(e.Task.ID)).unstarted = true
	}
}

func (h *history) exited(s *slave, key string, exit offer.Exit) {
	r := h.of(key)
	r.running, r.exited, r.exit = false, true, exit
	if i := slices.Index(s.runtime.running, r); i >= 0 {
		s.runtime.running = slices.Delete(s.runtime.running, i, i+1)
	}
}

// claimed reports whether one of these uses one of the ports.
func claimed(running []*record, ports []resource.Range) bool {
	for _, x := range running {
		for _, a := range x.resources.Ports() {
			for _, b := range ports {
				if a.Begin <= b.End && b.Begin <= a.End {
					return true
				}
			}
		}
	}
	return false
}

// executor sees the start of a custom executor: its record is on disk (T5).
func (h *history) executor(s *slave, c *container) {
	if !c.transient && !slices.ContainsFunc(s.disk.records, func(rec slavecore.Record) bool {
		e, is := rec.(*slavecore.ExecutorStarted)
		return is && e.Container == c.id
	}) {
		h.w.violate("T5", "executor %s was started before its record was on the disk of %s", c.exec.info.ID, s.id)
	}
}

// acked sees an acknowledgement arrive at a slave.
func (h *history) acked(m *message.StatusAck) {
	if r := h.holder(m.Framework, m.Task, m.UUID); r != nil {
		i := r.index(m.UUID)
		if i >= r.delivered && !h.retired[r.framework] && !r.buried { // T1: who acknowledges has taken it over
			h.w.violate("T1", "update %d of %s is acknowledged, and its framework has taken over %d", i, r.key, r.delivered)
		}
		if i == r.acked {
			r.acked++
			r.sent = 0
		}
	}
}

// reported sees what a slave sends to its master.
func (h *history) reported(s *slave, m message.Message) {
	w := h.w
	switch m := m.(type) {
	case *message.StatusUpdate:
		r := h.holder(m.Framework, m.Status.TaskID, m.Status.UUID)
		if r == nil {
			return
		}
		if r.transient {
			h.reportedUnwritten(s, r, m.Status)
			return
		}
		h.afterReboot(s, m.Framework, m.Status.TaskID, m.Latest)
		i := r.index(m.Status.UUID) // of a framework that is over, the slave acknowledges all by itself
		switch {
		case i < 0:
			if r.launched && r.slave == s && !r.terminal && !r.dead && m.Status.State.Terminal() && !m.Status.UUID.IsZero() { // T1: no end but on disk
				w.violate("T1", "%s says that %s is %s, which is not on its disk", s.id, r.key, m.Status.State)
			}
		case i > r.acked && !h.retired[r.framework]: // T4: one in flight
			w.violate("T4", "%s sends update %d of %s, and %d are acknowledged", s.id, i, r.key, r.acked)
		case i < r.durable && !h.retired[r.framework]: // T10: an acknowledgement on disk is for ever
			w.violate("T10", "%s sends update %d of %s again, and the acknowledgements of %d are on its disk", s.id, i, r.key, r.durable)
		default:
			if r.sent++; r.sent >= 3 {
				w.states.reach(StateResent3)
			}
		}
	case *message.OperationUpdate:
		if m.Status.Reason == offer.ReasonInUse { // R11: no leader asks for that
			w.violate("R11", "%s is asked to destroy a volume: %s", s.id, m.Status.Message)
		}
	case *message.SlaveReregister:
		h.named(s, m)
		for i := range m.Tasks {
			if m.Tasks[i].Latest.Terminal() {
				w.states.reach(StateTerminalReregister)
			}
			h.afterReboot(s, m.Tasks[i].Framework, m.Tasks[i].Task.ID, m.Tasks[i].Latest)
		}
	}
}

// obeyed sees what a slave does after an event: nothing at all on behalf of a reign that has been succeeded (L1).
func (h *history) obeyed(s *slave, ev slavecore.Event, reign uint64, out []slavecore.Effect) {
	m, is := ev.(slavecore.FromMaster)
	if !is || m.Envelope.Reign == 0 || m.Envelope.Reign >= reign {
		return
	}
	h.w.states.reach(StateOldReign)
	for _, e := range out {
		switch e.(type) {
		case slavecore.Start, slavecore.Kill, slavecore.Checkpoint:
			h.w.violate("L1", "%s, which has seen reign %d, obeys reign %d: %T after %T", s.id, reign, m.Envelope.Reign, e, m.Envelope.Message)
		}
	}
}

// told sees what a leader sends: it speaks of what is committed only (L2), and never welcomes who is gone (S5).
func (h *history) told(r *reign, l *link, m message.Message) {
	w := h.w
	h.strange(r, l, m)
	r.watch.told(l, m)
	switch m := m.(type) {
	case *message.SlaveRegistered:
		delete(r.office.quotas.missed, m.ID)
		rec, ok := r.m.state.View().Slave(m.ID)
		if !ok || rec.State == registry.SlaveUnreachable {
			w.violate("L2", "%s welcomes slave %s, which is not admitted in its registry", r.m.id, m.ID)
		} else if rec.State == registry.SlaveGone {
			w.violate("S5", "%s welcomes slave %s, which is gone", r.m.id, m.ID)
		}
	case *message.Subscribed:
		h.welcomed(r, l, m)
	case *message.FrameworkShutdown:
		if !r.m.state.View().Removed(m.Framework) { // F1: nothing is killed before the framework is over
			w.violate("F1", "%s ends the tasks of %s, which is not retired", r.m.id, m.Framework)
		}
		h.commanded(r, m)
	case *message.Offers:
		h.offersTold(r, l, m)
	case *message.Rescind:
		h.rescinded(r, l, m)
	case *message.Launch:
		h.launches(r, m)
	case *message.Kill, *message.StatusAck, *message.Apply, *message.ExecutorShutdown, *message.OperationAck:
		h.commanded(r, m)
	case *message.Drain:
		if rec, ok := r.m.state.View().Slave(h.slaveOn(l)); m.Config != nil && w.log.leader == r && ok && rec.Drain == nil {
			w.violate("L2", "%s drains %s, which is not to be drained in its registry", r.m.id, rec.Slave.ID)
		}
	case *message.Update:
		h.updates(r, l, m)
	case *message.Error:
		l.told = l.told || m.Final
		if _, is := l.client.(*hostile); is {
			w.states.reach(StateHostileRefused)
		}
	}
}

// slaveOn is who a connection is a slave's; nobody if it is not.
func (h *history) slaveOn(l *link) offer.SlaveID {
	if s, is := l.client.(*slave); is {
		return s.sid
	}
	return ""
}

// committed sees each entry that becomes part of the log.
func (h *history) committed(e registry.Entry) {
	if e.Reign != h.w.log.opened {
		return // applying ignores it
	}
	for i := range e.Commands {
		if key := e.Commands[i].Key; h.keys[key] { // applying ignores a repeat
			continue
		} else if key != (registry.Key{}) {
			h.keys[key] = true
		}
		switch op := e.Commands[i].Op.(type) {
		case *registry.MarkGone:
			h.gone[op.ID] = true
		case *registry.RemoveFramework:
			h.removed(op.ID)
		case *registry.CountDown:
			for _, left := range op.Frameworks {
				h.counted(left)
			}
		case *registry.MarkReachable:
			h.w.states.reach(StateUnreachableBack)
		case *registry.MarkUnreachable:
			if r := h.w.log.leader; r != nil {
				r.watch.mustMourn(op.ID)
			}
		}
	}
}

// removed sees the end of a framework: asked for, or its failover time is over (F2).
func (h *history) removed(id offer.FrameworkID) {
	if h.retired[id] {
		return
	}
	h.retired[id], h.retiredAt[id] = true, h.w.ns
	if r := h.w.log.leader; r != nil {
		r.watch.mustEnd(id)
	}
	f := h.owners[id]
	if f == nil || h.torn[id] {
		h.w.states.reach(StateTornDown)
		return
	}
	timeout := f.user.describe().FailoverTimeout
	away := time.Duration(h.w.ns - f.heard)
	if away < timeout-timeout/10-5*time.Second {
		h.w.violate("F2", "%s (%s) is torn down %v after it was last heard of, and has %v", id, f.id, away, timeout)
	}
	h.w.states.reach(StateTimedOut)
}

// led sees a new leader: nothing that was acknowledged is lost (L4).
func (h *history) led(r *reign) {
	v := r.m.state.View()
	h.registers.readAll(r)
	h.read(r.m.id, &r.m.seen, v)
	r.office.quotas.begin(r)
	for rec := range v.Frameworks() {
		left := rec.Remaining
		if rec.Connected {
			left = max(rec.Framework.FailoverTimeout, resubscribeTime)
		}
		h.awaits(r, rec.Framework.ID, left)
	}
	for _, s := range h.w.slaves {
		for _, id := range append(slices.Clone(s.past), s.sid) {
			if h.gone[id] && !v.Gone(id) {
				h.w.violate("L4", "%s leads and does not know that slave %s is gone", r.m.id, id)
			}
		}
	}
	for _, f := range h.w.frameworks {
		if f.fid != "" && h.retired[f.fid] && !v.Removed(f.fid) {
			h.w.violate("L4", "%s leads and does not know that framework %s is retired", r.m.id, f.fid)
		}
	}
}

func (h *history) noted(e mastercore.Note) {
	if e.Event == "lease over" {
		h.buried(e)
	}
	if e.Event == "slave drained" {
		h.w.states.reach(StateDrained)
	}
}

// subscribed sees a framework's welcome.
func (h *history) subscribed(f *framework) {
	if o := h.owners[f.fid]; o != nil && o != f { // S4
		h.w.violate("S4", "%s gets the id %s, which was given to %s", f.id, f.fid, o.id)
	}
	if g := h.w.log; g.leader != nil && f.under != 0 && f.under != g.leader.number {
		h.w.states.reach(StateDoubleFailover)
	}
	if g := h.w.log; g.leader != nil {
		f.under = g.leader.number
	}
	h.owners[f.fid] = f
}

// offered sees offers that a program gets.
func (h *history) offered(f *framework, offers []offer.Offer) {
	f.fed = h.w.ns
	roles := f.user.describe().Roles
	for i := range offers {
		o := &offers[i]
		if !slices.Contains(roles, o.Role) && o.Role != passing { // R9; a role that was just put off may be on its way
			h.w.violate("R9", "%s with roles %v is offered %s in role %s", f.id, roles, o.ID, o.Role)
		}
		for j := range o.Resources {
			if rs := o.Resources[j].Reservations; len(rs) > 0 { // R7
				if role := rs[len(rs)-1].Role; role != o.Role && !resource.IsDescendant(o.Role, role) {
					h.w.violate("R7", "offer %s in role %s has resources that are reserved for %s", o.ID, o.Role, role)
				}
			}
		}
	}
}

// hearsay sees an answer that comes from a master and not from a slave: it does not bury what lives (T8).
func (h *history) hearsay(f *framework, st offer.Status) {
	switch st.State {
	case offer.Dropped, offer.Gone, offer.Finished, offer.Failed, offer.Killed:
	default:
		return
	}
	if !st.UUID.IsZero() || st.Reason == offer.ReasonLeaseExpired {
		return
	}
	if r := h.find(f.fid, st.TaskID); r != nil && r.running {
		h.w.violate("T8", "%s is told that %s is %s (%s), and it runs on %s", f.id, r.key, st.State, st.Reason, r.slave.id)
	}
}

// delivered sees each status that a program has taken over: those of one task come in the order of the slave's log, without gaps (T3).
func (h *history) delivered(f *framework, st offer.Status) {
	if st.UUID.IsZero() {
		return
	}
	r := h.holder(f.fid, st.TaskID, st.UUID)
	if r == nil {
		r = h.of(string(f.fid) + "/" + string(st.TaskID))
	}
	i := r.index(st.UUID)
	switch {
	case i < 0, r.buried: // an answer that the slave does not keep on disk, such as Dropped; or what a leader may have kept to itself
		return
	case i > r.delivered:
		h.w.violate("T3", "%s: update %d was delivered before update %d", r.key, i, r.delivered)
	case i == r.delivered:
		r.delivered++
	default:
		h.w.states.reach(StateAckLost)
	}
}

// prune forgets the tasks that are over, but for their ids.
func (h *history) prune() {
	keep := h.order[:0]
	for _, r := range h.order {
		over := r.terminal && (r.durable == len(r.log) || h.retired[r.framework]) || !r.launched || r.dead || r.transient && r.exited
		if r.running || !over {
			keep = append(keep, r)
			continue
		}
		if r.launched {
			h.done[r.key] = true
		}
		delete(h.tasks, r.key)
	}
	clear(h.order[len(keep):])
	h.order = keep
	if len(h.offers) > manyIDs {
		clear(h.offers)
	}
	if len(h.uuids) > manyIDs {
		clear(h.uuids)
	}
	if len(h.keys) > manyIDs {
		clear(h.keys)
	}
	if r := h.w.log.leader; r != nil { // the next history has a beginning
		h.registers.readAll(r)
	}
}

// manyIDs is how many ids are kept to see that none comes twice; beyond, those of earlier rounds are forgotten.
const manyIDs = 200_000
