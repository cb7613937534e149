package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// program is the user's side: it wants so many tasks to end well, and starts another when one does not. What it uses of the kernel is drawn
// when it is made: roles, groups, executors, volumes, constraints, suppression.
type program struct {
	info       offer.Framework
	plain      bool // launches command tasks and nothing else
	goal       int  // tasks that must have ended well, or by our own kill, by now
	well       int  // tasks that have
	busy       int  // tasks under way, as far as is known
	started    int
	volumes    int
	tasks      []*job // in the order of their launches
	byID       map[offer.TaskID]*job
	past       map[offer.TaskID]bool // that were pruned; looked up
	suppressed bool
	silent     int64           // until when it acknowledges nothing
	impatient  int64           // until when it declines without a filter
	accepted   *message.Accept // the last
}

// A job is one task as the program knows it.
type job struct {
	id       offer.TaskID
	slave    offer.SlaveID
	executor offer.ExecutorID
	state    offer.State
	ended    bool
	killed   bool // by us
	lease    time.Duration
	lapsed   bool // ended because its lease was over, as a leader has said
	heard    int  // the life of the session that launched it, or last heard of it
}

var (
	need         = resource.Must("cpus:1;mem:256")
	executorNeed = resource.Must("cpus:0.1;mem:32")
	volumeNeed   = resource.Must("disk:64")
)

var roleSets = [][]string{{"*"}, {"a"}, {"a/x", "b"}, {"b", "c"}, {"*", "a", "c/y"}}

// newProgram draws a program. Plain ones are what small runs have.
func newProgram(w *World, n int) *program {
	p := &program{byID: map[offer.TaskID]*job{}, plain: !w.cfg.Rich}
	p.info = offer.Framework{Name: "program", Roles: []string{"*"}, FailoverTimeout: 24 * time.Hour, Principal: fmt.Sprintf("p%d", n),
		Capabilities: offer.PartitionAware | offer.KillingState}
	p.info.NoCheckpoint = w.transient()
	if p.plain {
		return p
	}
	p.info.Roles = roleSets[w.random.IntN(len(roleSets))]
	if w.chance(0.2) {
		p.info.Capabilities = 0
	}
	if w.chance(0.3) {
		p.info.FailoverTimeout = w.between(2*time.Minute, 10*time.Minute)
	}
	if w.chance(0.2) {
		p.info.Constraints = map[string][]offer.ConstraintGroup{}
		for _, role := range p.info.Roles {
			p.info.Constraints[role] = []offer.ConstraintGroup{{{Attribute: "rack", Op: offer.NotEquals, Value: "r1"}}}
		}
	}
	return p
}

func (p *program) describe() offer.Framework { return p.info }

func (p *program) died() { p.suppressed = false }

// arrive brings in work, one task at a time, while there is trouble.
func (p *program) arrive(f *framework, end time.Time) {
	w := f.w
	gap := w.cfg.Trouble / time.Duration(max(w.cfg.Tasks, 1))
	w.after(w.between(gap/10, 2*gap-gap/10), func() {
		if w.calm || w.now.After(end) {
			return
		}
		p.goal++
		p.wake(f)
		if !p.plain && w.chance(0.03) {
			p.change(f)
		}
		p.arrive(f, end)
	})
}

// passing is a role that programs take on and put off again while they run.
const passing = "d"

// change takes on the passing role, or puts it off, without a new subscription.
func (p *program) change(f *framework) {
	if !f.alive || f.fid == "" {
		return
	}
	roles := without(p.info.Roles, passing)
	if len(roles) == len(p.info.Roles) {
		roles = append(roles, passing)
	}
	p.info.Roles, p.suppressed = roles, false
	info := p.info
	info.ID = f.fid
	f.w.states.reach(StateRolesChanged)
	f.call(&message.UpdateFramework{Framework: info})
}

func without(list []string, s string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(x string) bool { return x == s })
}

// wake asks for offers again.
func (p *program) wake(f *framework) {
	if p.suppressed && f.alive && p.open() > 0 {
		p.suppressed = false
		f.call(&message.Revive{})
	}
}

// open is how many tasks are neither ended well nor under way, as far as is known.
func (p *program) open() int { return p.goal - p.well - p.busy }

// underWay is 1 for a job that counts as such.
func (j *job) underWay() int {
	if j.ended || j.state == offer.Unreachable {
		return 0
	}
	return 1
}

func (p *program) unfinished(w *World) string {
	if n := p.open(); n > 0 {
		return fmt.Sprintf("wants %d more tasks", n)
	}
	for _, j := range p.tasks {
		if s := w.history.machines[j.slave]; !j.ended && (s == nil || !s.away || j.state != offer.Unreachable) {
			return "task " + string(j.id) + " is " + j.state.String()
		}
	}
	return ""
}

// prune forgets jobs that have ended.
func (p *program) prune() {
	p.tasks = slices.DeleteFunc(p.tasks, func(j *job) bool {
		if j.ended {
			delete(p.byID, j.id)
			if p.past == nil {
				p.past = map[offer.TaskID]bool{}
			}
			p.past[j.id] = true // a slave may repeat its last word to a program that was away when all else was settled
		}
		return j.ended
	})
}

// again begins anew after the end of the framework: its id is retired and its tasks are no more.
func (p *program) again(f *framework) {
	if !f.ended {
		return
	}
	p.tasks, p.byID, p.busy, p.suppressed = nil, map[offer.TaskID]*job{}, 0, false
	f.ended, f.why, f.fid, f.under = false, nil, "", 0
	if !f.away {
		f.begin()
	}
}

func (p *program) handle(f *framework, m message.Message) bool {
	w := f.w
	switch m := m.(type) {
	case *message.Subscribed:
		p.reconcile(f)
	case *message.Offers:
		w.history.offered(f, m.Offers)
		p.offers(f, m.Offers)
	case *message.Update:
		if !w.calm && (w.ns < p.silent || w.chance(0.03)) {
			return false
		}
		p.status(f, *m.Status)
	case *message.Error:
		w.note(f.id, "told error %s %s", m.Reason, m.Message)
	}
	return true
}

// reconcile asks for what this life of the session has heard nothing of, again and again: it may never have reached the master, and the
// master is silent as long as it cannot know. What is unreachable is the session's to ask for.
func (p *program) reconcile(f *framework) {
	life, conn := f.life, f.connNo
	var refs []message.TaskRef
	for _, j := range p.tasks {
		if !j.ended && (j.heard != life || j.state == offer.Unknown) {
			refs = append(refs, message.TaskRef{Task: j.id, Slave: j.slave, Lease: j.lease})
		}
	}
	if len(refs) > 0 {
		f.call(&message.Reconcile{Tasks: refs})
	}
	f.w.after(30*time.Second, func() {
		if f.life == life && f.connNo == conn {
			p.reconcile(f)
		}
	})
}

func (p *program) offers(f *framework, offers []offer.Offer) {
	w := f.w
	for i := range offers {
		o := offers[i]
		switch {
		case !w.calm && w.swarm.slowUser > 0 && w.chance(0.05): // keep it for a while, then try
			life := f.life
			w.after(w.between(time.Second, 3*time.Minute), func() {
				if f.life == life {
					p.use(f, &o)
				}
			})
		default:
			p.use(f, &o)
		}
	}
	if !p.plain && p.open() == 0 && w.chance(0.3) && f.alive {
		p.suppressed = true
		f.call(&message.Suppress{})
	}
}

// use launches what fits and is wanted; the rest of the offer goes back.
func (p *program) use(f *framework, o *offer.Offer) {
	w := f.w
	ops, left := p.release(f, o)
	for n := p.open(); n > 0 && left.Contains(need); n = p.open() {
		kind := 9
		if !p.plain {
			kind = w.random.IntN(10)
		}
		var more []offer.Operation
		switch {
		case kind == 0 && n > 1:
			more, left = p.group(f, o, left)
		case kind == 1:
			more, left = p.withExecutor(f, o, left)
		case kind == 2 && o.Role != "*":
			more, left = p.withVolume(f, o, left)
		case kind == 3:
			more, left = p.withPort(f, o, left)
		}
		if more == nil {
			left, _ = left.Sub(need)
			more = []offer.Operation{offer.Launch(p.task(f, o, need))}
		}
		ops = append(ops, more...)
	}
	if len(ops) == 0 {
		refuse := w.between(time.Second, 20*time.Second)
		if !w.calm && w.ns < p.impatient {
			refuse = offer.NoFilter
		}
		f.call(&message.Decline{Offers: []offer.OfferID{o.ID}, Filter: offer.Filter{Refuse: refuse}})
		return
	}
	p.accepted = &message.Accept{Last: true, Offers: []offer.OfferID{o.ID}, Operations: ops}
	f.call(p.accepted)
}

// task makes a task and remembers it.
func (p *program) task(f *framework, o *offer.Offer, rs resource.Resources) offer.Task {
	p.started++
	t := offer.Task{ID: offer.TaskID(fmt.Sprintf("%s-t%d", f.id, p.started)), SlaveID: o.SlaveID, Resources: rs,
		Command: &offer.Command{Value: "work", Shell: true}}
	j := &job{id: t.ID, slave: o.SlaveID, state: offer.Staging, heard: f.life}
	p.tasks = append(p.tasks, j)
	p.busy++
	p.byID[t.ID] = j
	f.w.unwell(&t)
	f.w.lent(&t)
	j.lease = t.Lease
	if f.w.chance(0.05) {
		p.killLater(f, j)
	}
	return t
}

func (p *program) group(f *framework, o *offer.Offer, left resource.Resources) ([]offer.Operation, resource.Resources) {
	rest, ok := left.Sub(need.Add(need))
	if !ok {
		return nil, left
	}
	return []offer.Operation{offer.LaunchGroup(p.task(f, o, need), p.task(f, o, need))}, rest
}

func (p *program) withExecutor(f *framework, o *offer.Offer, left resource.Resources) ([]offer.Operation, resource.Resources) {
	rest, ok := left.Sub(need.Add(executorNeed))
	if !ok {
		return nil, left
	}
	t := p.task(f, o, need)
	t.Command = nil
	t.Lease, p.byID[t.ID].lease = 0, 0 // it would share its executor's container
	t.Executor = &offer.Executor{ID: offer.ExecutorID(fmt.Sprintf("x-%s", o.Role[len(o.Role)-1:])), Resources: executorNeed,
		Command: &offer.Command{Value: "run", Shell: true}}
	if o.Role == "*" {
		t.Executor.ID = "x"
	}
	p.byID[t.ID].executor = t.Executor.ID
	return []offer.Operation{offer.Launch(t)}, rest
}

func (p *program) withPort(f *framework, o *offer.Offer, left resource.Resources) ([]offer.Operation, resource.Resources) {
	ports := left.Unreserved().Ports()
	if len(ports) == 0 {
		return nil, left
	}
	port := ports[f.w.random.IntN(len(ports))].Begin
	want := need.Add(resource.Must(fmt.Sprintf("ports:[%d-%d]", port, port)))
	rest, ok := left.Sub(want)
	if !ok {
		return nil, left
	}
	return []offer.Operation{offer.Launch(p.task(f, o, want))}, rest
}

// withVolume reserves disk, makes a volume of it and runs a task on that, in one accept.
func (p *program) withVolume(f *framework, o *offer.Offer, left resource.Resources) ([]offer.Operation, resource.Resources) {
	rest, ok := left.Sub(need.Add(volumeNeed))
	if !ok {
		return nil, left
	}
	reserved, err := volumeNeed.Reserve(resource.Reservation{Type: resource.Dynamic, Role: o.Role, Principal: p.info.Principal})
	if err != nil {
		f.w.violate("sim", "reserve: %v", err)
		return nil, left
	}
	p.volumes++
	volume, err := reserved.WithVolume(resource.Volume{ID: fmt.Sprintf("v-%s-%d", f.id, p.volumes), ContainerPath: "data", Principal: p.info.Principal})
	if err != nil {
		f.w.violate("sim", "volume: %v", err)
		return nil, left
	}
	reserve, create := offer.Reserve(reserved), offer.Create(volume)
	reserve.ID = offer.OperationID(fmt.Sprintf("reserve-%s-%d", f.id, p.volumes))
	return []offer.Operation{reserve, create, offer.Launch(p.task(f, o, need.Add(volume)))}, rest
}

// release gives back what is reserved and idle, most of the time, and otherwise runs a task on it.
func (p *program) release(f *framework, o *offer.Offer) (ops []offer.Operation, left resource.Resources) {
	reserved := o.Resources.Reserved()
	left = o.Resources.Unreserved()
	if reserved.Empty() {
		return nil, left
	}
	if p.open() > 0 && left.Contains(need) && f.w.chance(0.3) {
		left, _ = left.Sub(need)
		return []offer.Operation{offer.Launch(p.task(f, o, need.Add(reserved)))}, left
	}
	vols, plain := reserved.Volumes(), reserved.Filter(func(r resource.Resource) bool { return r.Volume == nil })
	if !vols.Empty() {
		ops = append(ops, offer.Destroy(vols))
		for _, r := range vols {
			r.Volume = nil
			plain = plain.Add(resource.Resources{r})
		}
	}
	f.w.states.reach(StateUnreserved)
	return append(ops, offer.Unreserve(plain)), left
}

func (p *program) killLater(f *framework, j *job) {
	f.w.after(f.w.between(10*time.Millisecond, time.Minute), func() {
		if f.alive && !j.ended && p.byID[j.id] == j {
			j.killed = true
			f.call(&message.KillTask{Task: j.id, Slave: j.slave})
		}
	})
}

func (p *program) status(f *framework, st offer.Status) {
	w := f.w
	j := p.byID[st.TaskID]
	switch {
	case j == nil && w.history.done[string(f.fid)+"/"+string(st.TaskID)]:
		return
	case j == nil && (madeUp(st.TaskID) || p.past[st.TaskID]):
		return
	case j == nil && w.history.find(f.fid, st.TaskID) == nil && st.State != offer.Unknown && st.State != offer.Lost &&
		st.Reason != offer.ReasonInvalidOffers: // the answer to an accept that was repeated long after it was answered
		w.violate("T6", "%s was told of task %s, which it never launched", f.id, st.TaskID)
		return
	case j == nil:
		return
	case j.lapsed: // a later leader passes on what the slave had to say
	case !st.UUID.IsZero() && j.ended && st.State.Terminal() && st.State != j.state && !(absent(st.State) && absent(j.state)) && j.state != offer.Lost &&
		j.state != offer.Unknown && !(absent(st.State) && w.history.forgets(f.fid, j.id)):
		w.violate("T2", "%s: task %s ended as %s and as %s", f.id, j.id, j.state, st.State)
	case !st.UUID.IsZero() && j.ended && absent(j.state) && !st.State.Terminal():
		w.violate("T11", "%s: task %s is %s after %s", f.id, j.id, st.State, j.state)
	}
	j.heard = f.life
	if j.ended {
		return
	}
	p.busy -= j.underWay()
	j.state = st.State
	j.ended = st.State.Terminal()
	j.lapsed = j.ended && st.UUID.IsZero() && st.Reason == offer.ReasonLeaseExpired
	if m := w.history.machines[j.slave]; st.State == offer.Unknown && (m == nil || m.sid != j.slave) { // its slave has left for good
		j.ended = true
	}
	p.busy += j.underWay()
	w.note(f.id, "task %s is %s (%s)", j.id, st.State, st.Reason)
	if !j.ended {
		p.wake(f)
		return
	}
	if j.state == offer.Finished || j.killed {
		p.well++
	}
	if j.executor != "" && w.chance(0.5) {
		f.call(&message.ShutdownExecutor{Slave: j.slave, Executor: j.executor})
	}
	p.wake(f)
}

// absent reports the two words for "it is not there": the master's answer to a reconciliation may cross the slave's own.
func absent(s offer.State) bool { return s == offer.Dropped || s == offer.Gone }
