package slavecore

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// replay rebuilds the state from a journal. A record may occur again after a compaction that contains it already: a repeat changes nothing.
func (c *Core) replay(records []Record) error {
	var total resource.Resources
	known := false
	for i, r := range records {
		switch r := r.(type) {
		case *Registered:
			c.cluster, c.slave.ID = r.Cluster, r.Slave.ID
			if !known {
				total, known = r.Slave.Resources, true
			}
		case *Reign:
			c.reign = max(c.reign, r.Reign)
		case *Boot:
			c.boot = r.ID
		case *Resources:
			total, known = r.Total, true
			c.replayOperation(r)
		case *Draining:
			c.draining = r.Config
		case *Launched:
			c.replayLaunched(r)
		case *Updated:
			c.replayUpdated(r)
		case *Acked:
			c.replayAcked(r)
		case *Killed:
			c.replayKilled(r)
		case *ExecutorStarted:
			c.replayExecutor(r)
		case *ExecutorEnded:
			if f := c.frameworks.get(r.Framework); f != nil {
				if e := f.executors.get(r.Executor); e != nil {
					e.phase = execEnded
					delete(c.containers, e.container)
					f.executors.remove(r.Executor)
				}
			}
		default:
			return fmt.Errorf("slave: journal: record %d: %T is of an unknown kind", i, r)
		}
	}
	c.replayTorn(records)
	if !known {
		return nil
	}
	return c.replayTotal(total)
}

// replayTorn finds the tasks of a group whose launch was not wholly on disk when the last run ended: the journal ends with some of them. None
// of them was started.
func (c *Core) replayTorn(records []Record) {
	var last *Launched
	var torn []*task
	for i := len(records) - 1; i >= 0; i-- {
		l, ok := records[i].(*Launched)
		if !ok || l.Members == 0 || last != nil && l.Group != last.Group {
			break
		}
		last = l
		if t := c.task(l.Framework.ID, l.Task.ID); t != nil && !t.state.Terminal() {
			torn = append(torn, t)
		}
	}
	if last != nil && len(torn) < int(last.Members) {
		slices.Reverse(torn)
		c.torn = torn
	}
}

// replayTotal keeps the reservations and volumes of the recorded total. The configuration may have changed since: it may have shrunk as far as they
// and what runs still fit.
func (c *Core) replayTotal(total resource.Resources) error {
	had, has := total.Unstacked(), c.cfg.Slave.Resources.Unstacked()
	if had.Equal(has) {
		c.slave.Resources = total
		return nil
	}
	if more, ok := has.Sub(had); ok {
		c.slave.Resources = total.Add(more)
		return nil
	}
	var made, from resource.Resources // what was reserved at run time, and what of the configuration it was made of
	for _, r := range total {
		static := slices.DeleteFunc(slices.Clone(r.Reservations), func(v resource.Reservation) bool { return v.Type == resource.Dynamic })
		if r.Volume == nil && len(static) == len(r.Reservations) {
			continue
		}
		made = made.Add(resource.Resources{r})
		r.Reservations, r.Volume, r.Shared, r.SharedCount = static, nil, false, 0
		from = from.Add(resource.Resources{r})
	}
	rest, ok := c.cfg.Slave.Resources.Sub(from)
	used := c.used()
	if !ok || !rest.Add(made).Contains(used) {
		return fmt.Errorf("slave: config: resources are %.300s, but %.300s were registered, of which %.300s are reserved and %.300s in use "+
			"(allowed: at least those, or a new work folder)", c.cfg.Slave.Resources.String(), total.String(),
			cmp.Or(made.String(), "none"), cmp.Or(used.String(), "none"))
	}
	c.slave.Resources = rest.Add(made)
	return nil
}

// used is what the tasks and executors have that have not ended: none, after another boot of the machine.
func (c *Core) used() resource.Resources {
	var sum resource.Resources
	if c.boot != c.cfg.BootID {
		return nil
	}
	for f := range c.frameworks.all {
		for t := range f.tasks.all {
			if !t.state.Terminal() {
				sum = sum.Add(t.info.Resources)
			}
		}
		for e := range f.executors.all {
			sum = sum.Add(e.info.Resources)
		}
	}
	return sum
}

func (c *Core) replayFramework(info *offer.Framework) *framework { return c.framework(info, true) }

func (c *Core) replayLaunched(r *Launched) {
	f := c.replayFramework(r.Framework)
	c.lastGroup = max(c.lastGroup, r.Group)
	if f.tasks.get(r.Task.ID) != nil {
		return
	}
	t := &task{fw: f, info: r.Task, role: r.Role, container: r.Container, groupID: r.Group, at: r.At, state: offer.Staging}
	if r.Executor != "" {
		t.exec = f.executors.get(r.Executor)
		if t.exec != nil && !t.exec.builtin && t.exec.container != r.Container {
			t.exec = nil // the same id again, but another run
		}
		if t.exec == nil { // it has ended, and this task with it: recovery says so
			t.exec = &executor{fw: f, info: offer.Executor{ID: r.Executor, Default: r.Task.Executor == nil}, phase: execEnded}
			t.exec.builtin = t.exec.info.Default
		}
	}
	t.checks = newChecks(t)
	if t.own() {
		c.containers[t.container] = &container{task: t}
		if t.groupID != 0 {
			t.group = c.ensureGroup(t.groupID)
		}
	}
	c.addTask(t)
}

func (c *Core) replayUpdated(r *Updated) {
	t := c.task(r.Framework, r.Status.TaskID)
	if t == nil || t.stream.find(r.Status.UUID) != nil || t.last != nil && t.last.UUID == r.Status.UUID {
		return
	}
	was := t.state
	t.state = r.Status.State
	t.stream.push(&report{Status: *r.Status}, r.Status.UUID)
	t.stream.durable(r.Status.UUID)
	t.checks.replay(r.Status)
	if r.Status.Container != nil {
		t.where = r.Status.Container
	}
	if t.exec != nil && r.Status.Source == offer.SourceExecutor {
		t.seen.add(r.Status.UUID)
		t.exec.told = true
	}
	if r.Status.State.Terminal() && !was.Terminal() {
		c.live--
		c.dropLease(t)
		t.phase = phaseEnded
		t.asked = true // whether the container ever was is not known; forgetting it does no harm
		if t.own() {
			delete(c.containers, t.container)
		}
		if t.exec != nil {
			t.exec.drop(t)
		}
		if t.group != nil {
			t.group.tasks.remove(t.info.ID)
			if t.group.tasks.len() == 0 {
				delete(c.groups, t.group.id)
			}
		}
	}
}

func (c *Core) replayAcked(r *Acked) {
	t := c.task(r.Framework, r.Task)
	if t == nil || t.stream.find(r.UUID) == nil {
		return
	}
	for {
		uuid := t.stream.head().uuid
		st, _ := t.stream.ack(uuid)
		t.last = &st.Status
		if st.State.Terminal() {
			t.gone = true
			t.fw.tasks.remove(t.info.ID)
			c.tasks--
			c.settle(t.fw)
		}
		if uuid == r.UUID {
			return
		}
	}
}

func (c *Core) replayKilled(r *Killed) {
	t := c.task(r.Framework, r.Task)
	if t == nil || t.state.Terminal() {
		return
	}
	grace := t.info.Kill.Duration()
	if r.Policy != nil {
		grace = r.Policy.Duration()
	}
	k := &killing{at: c.now.Add(grace), grace: grace, reason: r.Reason}
	k.timer.kind, k.timer.task = timerKill, t
	t.kill = k
}

func (c *Core) replayExecutor(r *ExecutorStarted) {
	f := c.replayFramework(&r.Framework)
	if f.executors.get(r.Executor.ID) != nil {
		return
	}
	c.addExecutor(&executor{fw: f, info: r.Executor, role: r.Role, container: r.Container, token: r.Token, builtin: r.Executor.Default,
		phase: execLaunching})
}

func (c *Core) replayOperation(r *Resources) {
	uuid := r.Status.UUID
	if uuid.IsZero() {
		return
	}
	o := c.operations.get(uuid)
	switch {
	case r.Acked:
		c.operations.remove(uuid)
	case o == nil:
		o = c.addOperation(r.Framework, uuid)
		o.stream.push(r.Status, uuid)
		o.stream.durable(uuid)
	}
}

// recover goes on where the last run ended: it takes over what runs, starts what was promised, and says what is lost.
func (c *Core) recover() {
	rebooted := c.boot != c.cfg.BootID
	if !rebooted {
		c.dropTorn() // before anything else is written behind them
	}
	c.torn = nil
	if v := c.slave.Resources.Volumes(); !v.Empty() {
		c.emit(MakeVolumes{Create: v}) // the last run may have ended before it made them
	}
	for f := range c.frameworks.all {
		if rebooted {
			c.recoverRebooted(f)
			continue
		}
		for e := range f.executors.all {
			c.recoverExecutor(e)
		}
		for t := range f.tasks.all {
			c.recoverTask(t)
		}
	}
	if rebooted { // only now: a journal that ends before this is one of before the boot, and all is said again
		c.boot = c.cfg.BootID
		c.persist(&Boot{ID: c.boot}, then{})
	}
	for f := range c.frameworks.all {
		c.settle(f)
	}
	c.drainTasks()
}

// dropTorn says of the tasks of a group that is not whole that they were never started.
func (c *Core) dropTorn() {
	for _, t := range c.torn {
		if t.group != nil {
			delete(c.groups, t.groupID)
			t.group = nil
		}
	}
	for _, t := range c.torn {
		c.update(t, c.report(t, offer.Dropped, offer.ReasonTaskGroupInvalid, "the launch of its group never reached the slave's disk as a whole"), nil)
	}
}

// recoverRebooted says of everything that ran before the machine went down that it is gone (S2).
func (c *Core) recoverRebooted(f *framework) {
	for t := range f.tasks.all {
		if !t.state.Terminal() {
			t.group = nil
			t.asked = true
			delete(c.containers, t.container)
			c.update(t, c.report(t, offer.Gone, offer.ReasonSlaveRestarted, "the machine was restarted"), nil)
		}
	}
	for e := range f.executors.all {
		delete(c.containers, e.container)
		e.asked = !e.builtin
		c.removeExecutor(e, offer.Exit{})
	}
	clear(c.groups)
}

func (c *Core) recoverExecutor(e *executor) {
	switch {
	case e.builtin && e.tasks.len() == 0:
		c.removeExecutor(e, offer.Exit{})
	case e.builtin:
		e.phase = execSubscribed
	case e.told: // it has subscribed before, so it runs, or has ended since
		e.phase, e.asked, e.granted, e.bounded = execRecovering, true, e.total, e.limits()
		c.awaited++
		c.timers.arm(&e.timer, c.now.Add(c.cfg.ExecutorReregistrationTimeout))
		c.emit(Adopt{Container: e.container, Framework: e.fw.id, Executor: e.info.ID})
	default:
		c.startExecutorContainer(e, true)
	}
}

func (c *Core) recoverTask(t *task) {
	switch {
	case t.state.Terminal():
	case t.exec != nil && t.exec.phase == execEnded:
		t.asked = true
		delete(c.containers, t.container)
		c.update(t, c.report(t, offer.Gone, offer.ReasonExecutorTerminated, "its executor ended before the slave was restarted"), nil)
	case !t.own():
		t.phase = phaseSent // perhaps; the executor says when it subscribes
		c.armCompletion(t)
		c.armLate(t)
	case t.state == offer.Staging && t.kill == nil:
		c.startContainer(t, true)
	default: // it was started, or must not be started any more
		t.phase, t.asked = phaseStarting, true
		c.armCompletion(t)
		c.emit(Adopt{Container: t.container, Framework: t.fw.id, Task: t.info.ID})
	}
}
