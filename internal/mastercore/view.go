package mastercore

import (
	"iter"
	"time"

	"github.com/tidwall/btree"

	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// A View is a Core at one moment. It shares memory with the core but never changes, so that any number of goroutines may read it without a
// lock while the core goes on. What it returns must not be changed.
type View struct {
	cluster                offer.ClusterID
	reign                  uint64
	master                 string
	at                     time.Time
	tick                   moment
	maxSlave, maxFramework uint32
	slaves                 pages[slave]
	frameworks             pages[framework]
	tasks                  pages[task]
	labels                 pages[interned[struct{}]]
	roles                  pages[interned[struct{}]]
	resources              pages[interned[resource.Resources]]
	offers                 *btree.Map[uint64, *outstanding]
	records                *btree.Map[string, *registry.RoleRecord]
	counts                 counts
	quotaHeld, brake       bool
}

// View returns the core as it is. It is called where Step is called, and costs a few kilobytes; the pages that change afterwards are copied.
func (c *Core) View() *View {
	return &View{
		cluster: c.cfg.ClusterID, reign: c.cfg.Reign, master: c.cfg.MasterID, at: c.now, tick: c.tick, maxSlave: c.maxSlave, maxFramework: c.maxFramework,
		slaves: c.slaves.snapshot(), frameworks: c.frameworks.snapshot(), tasks: c.tasks.records.snapshot(),
		labels: c.tasks.labels.entries.snapshot(), roles: c.tasks.roles.entries.snapshot(), resources: c.tasks.resources.entries.snapshot(),
		offers: c.offers.Copy(), records: c.roles.Copy(), counts: c.counts, quotaHeld: c.quotaHeld, brake: len(c.brake.held) > 0,
	}
}

// SlaveState is where a slave stands, in words.
type SlaveState string

// The states of a slave in a View.
const (
	SlaveRecovering   SlaveState = "recovering"   // admitted, and not back under this leader yet
	SlaveConnected    SlaveState = "connected"    // registered
	SlaveDisconnected SlaveState = "disconnected" // registered, but its connection broke
	SlaveUnreachable  SlaveState = "unreachable"
	SlaveGone         SlaveState = "gone"
)

// A Slave is one slave in a View.
type Slave struct {
	offer.Slave            // Resources is the total, with dynamic reservations and volumes
	State       SlaveState //
	Since       time.Time  // of unreachable and gone
	Active      bool       // takes part in offers, once connected
	Drain       *offer.Drain
	Drained     bool
	Tasks       int // live ones
	Executors   []Executor
	Remnants    []Remnant
	Used        resource.Resources // by tasks, executors and remnants
	Offered     resource.Resources
}

// An Executor is one executor in a View.
type Executor struct {
	Framework offer.FrameworkID
	ID        offer.ExecutorID
	Role      string
	Resources resource.Resources
}

// A Remnant is a task or an executor in a View whose framework was removed: it is being killed, and counts until its slave has told its end.
type Remnant struct {
	Framework offer.FrameworkID
	Task      offer.TaskID     // empty for an executor
	Executor  offer.ExecutorID // empty for a task
	Role      string
	Resources resource.Resources
}

// A Framework is one framework in a View.
type Framework struct {
	offer.Framework
	Connected  bool
	Completed  bool          // retired; shown for a while
	Remaining  time.Duration // failover time left, while it is not connected
	Suppressed []string
	Tasks      int // live ones, unreachable included
	Ended      int // remembered after their end
}

// A Task is one task in a View.
type Task struct {
	ID        offer.TaskID
	Name      string
	Framework offer.FrameworkID
	Slave     offer.SlaveID
	Executor  offer.ExecutorID
	Role      string
	Resources resource.Resources
	Labels    []resource.Label
	State     offer.State // as last told to the framework
	Latest    offer.State // as the slave knows it
	Status    offer.Status
	Ended     bool // acknowledged and remembered
}

// Header of a View: identity and counts.
type Summary struct {
	Cluster    offer.ClusterID
	Reign      uint64
	Master     string
	At         time.Time
	Admitted   int // slaves that are neither unreachable nor gone
	Recovering int // of those, not back under this leader yet
	Silent     int // of those, not connected or not answering
	Away       int // frameworks that are not connected
	Offers     int
	QuotaHeld  bool // roles with a quota wait for slaves to come back
	Brake      bool // slaves are not marked unreachable because too many are silent
}

// Summary returns identity and counts.
func (v *View) Summary() Summary {
	return Summary{v.cluster, v.reign, v.master, v.at, v.counts.admitted, v.counts.recovering, v.counts.silent, v.counts.away, v.offers.Len(),
		v.quotaHeld, v.brake}
}

// Slaves returns all slaves that are on record, in the order of admission.
func (v *View) Slaves() iter.Seq[Slave] {
	return func(yield func(Slave) bool) {
		offered := map[uint32]resource.Resources{} // looked up by slave, never ranged over
		v.offers.Scan(func(_ uint64, o *outstanding) bool {
			offered[o.slave] = offered[o.slave].Add(o.resources)
			return true
		})
		for n := uint32(1); n <= v.maxSlave; n++ {
			if s := v.slaves.get(n); s != nil && s.state != slaveAbsent && s.info.ID != "" {
				out := v.slave(s)
				out.Offered = offered[n]
				if !yield(out) {
					return
				}
			}
		}
	}
}

// Slave returns one slave.
func (v *View) Slave(id offer.SlaveID) (Slave, bool) {
	num, ok := registry.SlaveNumber(id)
	if !ok || num > uint64(v.maxSlave) {
		return Slave{}, false
	}
	s := v.slaves.get(uint32(num))
	if s == nil || s.state == slaveAbsent || s.info.ID == "" {
		return Slave{}, false
	}
	out := v.slave(s)
	v.offers.Scan(func(_ uint64, o *outstanding) bool {
		if o.slave == uint32(num) {
			out.Offered = out.Offered.Add(o.resources)
		}
		return true
	})
	return out, true
}

func (v *View) slave(s *slave) Slave {
	out := Slave{Slave: s.info, Since: s.since, Active: !s.inactive, Drain: s.drain, Drained: s.drained, Tasks: s.tasks.count}
	switch s.state {
	case slaveRecovering:
		out.State = SlaveRecovering
	case slaveRegistered:
		out.State = SlaveConnected
		if s.conn == 0 {
			out.State = SlaveDisconnected
		}
	case slaveUnreachable:
		out.State = SlaveUnreachable
	case slaveGone:
		out.State = SlaveGone
	}
	for i := range s.executors {
		e := &s.executors[i]
		out.Executors = append(out.Executors, Executor{v.frameworks.get(e.framework).info.ID, e.id, e.role, e.resources})
		out.Used = out.Used.Add(e.resources)
	}
	for i := range s.remnants {
		r := &s.remnants[i]
		out.Remnants = append(out.Remnants, Remnant{r.framework, r.task, r.executor, r.role, r.resources})
		out.Used = out.Used.Add(r.resources)
	}
	for slot := s.tasks.head; slot != 0; {
		t := v.tasks.get(slot)
		if t.has(taskHolds) {
			out.Used = out.Used.Add(resourcesAt(&v.resources, t.resources))
		}
		slot = t.slaveNext
	}
	return out
}

// Frameworks returns all frameworks, retired ones that are still shown included, in the order of admission.
func (v *View) Frameworks() iter.Seq[Framework] {
	return func(yield func(Framework) bool) {
		for n := uint32(1); n <= v.maxFramework; n++ {
			if f := v.frameworks.get(n); f != nil && f.state != frameworkAbsent && !yield(v.framework(f)) {
				return
			}
		}
	}
}

// Framework returns one framework.
func (v *View) Framework(id offer.FrameworkID) (Framework, bool) {
	f := v.find(id)
	if f == nil {
		return Framework{}, false
	}
	return v.framework(f), true
}

func (v *View) find(id offer.FrameworkID) *framework {
	num, ok := registry.FrameworkNumber(id)
	if !ok || num > uint64(v.maxFramework) {
		return nil
	}
	f := v.frameworks.get(uint32(num))
	if f == nil || f.state == frameworkAbsent {
		return nil
	}
	return f
}

func (v *View) framework(f *framework) Framework {
	out := Framework{Framework: f.info, Connected: f.conn != 0, Completed: f.state == frameworkCompleted, Suppressed: f.suppressed,
		Tasks: f.tasks.count, Ended: f.ended.count}
	if f.deadline != 0 && f.state == frameworkLive && f.conn == 0 {
		out.Remaining = time.Duration(max(f.deadline-v.tick, 0))
	}
	return out
}

// Tasks returns all live tasks, framework by framework, oldest first.
func (v *View) Tasks() iter.Seq[Task] {
	return func(yield func(Task) bool) {
		for n := uint32(1); n <= v.maxFramework; n++ {
			if f := v.frameworks.get(n); f != nil && !v.walk(f.tasks.head, yield) {
				return
			}
		}
	}
}

// TasksOf returns the live tasks of a framework, oldest first, and then those that have ended and are remembered.
func (v *View) TasksOf(id offer.FrameworkID) iter.Seq[Task] {
	return func(yield func(Task) bool) {
		if f := v.find(id); f != nil && v.walk(f.tasks.head, yield) {
			v.walk(f.ended.head, yield)
		}
	}
}

func (v *View) walk(slot uint32, yield func(Task) bool) bool {
	for slot != 0 {
		t := v.tasks.get(slot)
		if !yield(v.task(t)) {
			return false
		}
		slot = t.ownerNext
	}
	return true
}

// TasksOn returns the live tasks of a slave, oldest first.
func (v *View) TasksOn(id offer.SlaveID) iter.Seq[Task] {
	return func(yield func(Task) bool) {
		num, ok := registry.SlaveNumber(id)
		if !ok || num > uint64(v.maxSlave) {
			return
		}
		s := v.slaves.get(uint32(num))
		if s == nil {
			return
		}
		for slot := s.tasks.head; slot != 0; {
			t := v.tasks.get(slot)
			if !yield(v.task(t)) {
				return
			}
			slot = t.slaveNext
		}
	}
}

func (v *View) task(t *task) Task {
	id, name, executor, labels := t.describe(&v.labels)
	out := Task{ID: id, Name: name, Executor: executor, Labels: labels, State: t.state, Latest: t.latest, Ended: t.has(taskDone),
		Resources: resourcesAt(&v.resources, t.resources)}
	if e := v.roles.get(t.role); t.role != 0 && e != nil {
		out.Role = e.key
	}
	if f := v.frameworks.get(t.framework); f != nil {
		out.Framework = f.info.ID
	}
	out.Slave = offer.SlaveID("s-" + utoa(uint64(t.slave)))
	out.Status = t.status(out.Slave)
	if t.state == offer.Unreachable {
		if s := v.slaves.get(t.slave); s != nil {
			out.Status.UnreachableTime = s.unreachableTime()
		}
	}
	return out
}

// Offers returns all outstanding offers, oldest first.
func (v *View) Offers() iter.Seq[offer.Offer] {
	return func(yield func(offer.Offer) bool) {
		v.offers.Scan(func(_ uint64, o *outstanding) bool {
			s, f := v.slaves.get(o.slave), v.frameworks.get(o.framework)
			return yield(offer.Offer{ID: o.id, FrameworkID: f.info.ID, SlaveID: s.info.ID, Hostname: s.info.Hostname, Address: s.info.Address,
				Role: o.role, Resources: o.resources, Attributes: s.info.Attributes, Domain: s.info.Domain})
		})
	}
}

// Roles returns the roles with a weight or quota of their own, by name.
func (v *View) Roles() iter.Seq[*registry.RoleRecord] {
	return func(yield func(*registry.RoleRecord) bool) {
		v.records.Scan(func(_ string, r *registry.RoleRecord) bool { return yield(r) })
	}
}
