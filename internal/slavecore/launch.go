package slavecore

import (
	"fmt"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// launch accepts tasks: their records travel in one checkpoint, and each is started when it is on disk (T5).
func (c *Core) launch(m *message.Launch) {
	if err := offer.ValidateID("framework id", string(m.Framework.ID)); err != nil {
		c.note("launch refused", "", "", offer.ReasonInvalidField, err.Error())
		return
	}
	if err := resource.ValidateRole(m.Role); err != nil { // it would keep the slave from ever registering again
		c.note("launch refused", m.Framework.ID, "", offer.ReasonInvalidField, err.Error())
		return
	}
	if reason, text := c.refusesLaunches(m.Framework.ID); reason != offer.ReasonNone {
		for i := range m.Tasks {
			c.answer(m.Framework, m.Role, m.Tasks[i].ID, offer.Dropped, reason, text)
		}
		return
	}
	f := c.framework(&m.Framework, true)
	leased := c.leases.tasks.len()
	if m.Group {
		c.launchGroup(f, m)
	} else {
		var valid resource.Resources
		for i := range m.Tasks {
			t := &m.Tasks[i]
			if state, reason, text := c.checkTask(f, t, t.Executor, false, t.Resources.Same(valid)); reason != offer.ReasonNone {
				c.refuseTask(m, t.ID, state, reason, text)
				continue
			}
			valid = t.Resources
			c.accept(f, m.Role, t, t.Executor, 0, 0)
		}
	}
	if c.leases.tasks.len() > leased {
		c.askRenewal()
	}
	c.settle(f)
}

func (c *Core) refusesLaunches(id offer.FrameworkID) (offer.Reason, string) {
	switch f := c.frameworks.get(id); {
	case c.stop != nil:
		return offer.ReasonShuttingDown, "the slave is about to stop"
	case c.draining != nil:
		return offer.ReasonSlaveDraining, "the slave is draining"
	case f != nil && f.removed:
		return offer.ReasonFrameworkRemoved, "the framework was shut down"
	}
	return offer.ReasonNone, ""
}

// launchGroup accepts all tasks of the message or none.
func (c *Core) launchGroup(f *framework, m *message.Launch) {
	ids := make(map[offer.TaskID]bool, len(m.Tasks))
	for i := range m.Tasks {
		bad := &m.Tasks[i]
		state, reason, text := c.checkTask(f, bad, m.Executor, true, false)
		if reason == offer.ReasonNone && ids[bad.ID] {
			state, reason, text = offer.Error, offer.ReasonDuplicateID, "the id is in the group twice"
		}
		ids[bad.ID] = true
		if reason == offer.ReasonNone {
			continue
		}
		for j := range m.Tasks {
			if j == i {
				c.refuseTask(m, bad.ID, state, reason, text)
			} else {
				c.refuseTask(m, m.Tasks[j].ID, offer.Dropped, offer.ReasonTaskGroupInvalid, fmt.Sprintf("task %q of the group: %s", bad.ID, text))
			}
		}
		return
	}
	c.lastGroup++
	for i := range m.Tasks {
		c.accept(f, m.Role, &m.Tasks[i], m.Executor, c.lastGroup, len(m.Tasks))
	}
}

// refuseTask answers that a task was not taken; nothing is said about one that is here already, because it would be taken for its end.
func (c *Core) refuseTask(m *message.Launch, id offer.TaskID, state offer.State, reason offer.Reason, text string) {
	if c.task(m.Framework.ID, id) != nil {
		c.note("launch refused", m.Framework.ID, id, reason, text)
		return
	}
	c.answer(m.Framework, m.Role, id, state, reason, text)
}

// checkFetched checks what is to be fetched for a command, which may be nil, and what it is to run in.
func checkFetched(cmd *offer.Command, image *offer.Image, n offer.Network, volumes []offer.Volume) error {
	if cmd != nil && len(cmd.URIs) > 0 {
		if err := offer.ValidateURIs(cmd.URIs); err != nil {
			return fmt.Errorf("command.%w", err)
		}
	}
	return offer.ValidateContainer(image, n, volumes)
}

// checkTask says what is wrong with a task. Checked says that its resources were looked at already.
func (c *Core) checkTask(f *framework, t *offer.Task, ex *offer.Executor, group, checked bool) (offer.State, offer.Reason, string) {
	if f.tasks.get(t.ID) != nil {
		return offer.Error, offer.ReasonDuplicateID, "the id is in use"
	}
	if err := offer.ValidateID("task id", string(t.ID)); err != nil {
		return offer.Error, offer.ReasonTaskInvalid, err.Error()
	}
	if !checked {
		if err := t.Resources.Validate(resource.Limits{}); err != nil {
			return offer.Error, offer.ReasonTaskInvalid, err.Error()
		}
	}
	kinds := 0
	for _, has := range [...]bool{t.Command != nil, t.Function != "", !group && ex != nil} {
		if has {
			kinds++
		}
	}
	custom := ex != nil && !ex.Default
	if !(group && custom) && kinds != 1 {
		return offer.Error, offer.ReasonTaskInvalid, "exactly one of Command, Function and Executor must be set"
	}
	if err := checkFetched(t.Command, t.Image, t.Network, t.Volumes); err != nil {
		return offer.Error, offer.ReasonTaskInvalid, err.Error()
	}
	if err := offer.ValidateChecks(t); err != nil {
		return offer.Error, offer.ReasonTaskInvalid, err.Error()
	}
	if err := offer.ValidateLease(t.Lease); err != nil {
		return offer.Error, offer.ReasonTaskInvalid, err.Error()
	}
	if err := offer.ValidateStreams(t.Streams); err != nil {
		return offer.Error, offer.ReasonTaskInvalid, err.Error()
	}
	if err := offer.ValidateHostname(t.Hostname); err != nil {
		return offer.Error, offer.ReasonTaskInvalid, err.Error()
	}
	if t.ShareCgroups && (!group || custom) {
		return offer.Error, offer.ReasonTaskInvalid, "share cgroups: only members of a group under the built-in executor can"
	}
	if custom && t.Streams != nil {
		return offer.Error, offer.ReasonTaskInvalid, "streams: a task of a custom executor has the executor's"
	}
	if custom && t.Lease > 0 {
		return offer.Error, offer.ReasonTaskInvalid, fmt.Sprintf("lease %v: a task of a custom executor cannot have one", t.Lease)
	}
	if c.live >= c.cfg.MaxTasks {
		return offer.Dropped, offer.ReasonLimitReached, fmt.Sprintf("the slave holds %d tasks (allowed: %d)", c.live, c.cfg.MaxTasks)
	}
	if ex != nil && (custom || ex.ID != "") {
		if err := offer.ValidateID("executor id", string(ex.ID)); err != nil {
			return offer.Error, offer.ReasonTaskInvalid, err.Error()
		}
		if err := ex.Resources.Validate(resource.Limits{}); err != nil {
			return offer.Error, offer.ReasonTaskInvalid, err.Error()
		}
		if err := checkFetched(ex.Command, ex.Image, ex.Network, ex.Volumes); err != nil {
			return offer.Error, offer.ReasonTaskInvalid, "executor: " + err.Error()
		}
		if err := offer.ValidateHostname(ex.Hostname); err != nil {
			return offer.Error, offer.ReasonTaskInvalid, "executor: " + err.Error()
		}
		if e := f.executors.get(ex.ID); e != nil {
			if !sameExecutor(&e.info, ex) {
				return offer.Error, offer.ReasonTaskInvalid, fmt.Sprintf("executor %q runs here with another description", ex.ID)
			}
			if e.phase == execStopping {
				return offer.Dropped, offer.ReasonExecutorTerminated, fmt.Sprintf("executor %q is about to end", ex.ID)
			}
		}
	}
	return 0, offer.ReasonNone, ""
}

// accept takes a task that was checked, one of so many members of a group, if it is of one.
func (c *Core) accept(f *framework, role string, info *offer.Task, ex *offer.Executor, groupID uint64, members int) {
	made := &struct { // in one allocation
		task
		info offer.Task
		ct   container
	}{info: *info} // not kept in the message, which holds all that came with it
	t := &made.task
	t.fw, t.info, t.role, t.state, t.groupID, t.at = f, &made.info, role, offer.Staging, groupID, c.now
	if ex != nil && ex.ID != "" {
		t.exec = c.ensureExecutor(f, role, ex)
	}
	record := &Launched{Framework: f.info, Role: role, Task: t.info, Group: groupID, At: t.at, Members: uint32(members)}
	t.checks = newChecks(t)
	if t.own() {
		t.container = c.uuid().String()
		if groupID != 0 {
			t.group = c.ensureGroup(groupID)
		}
		made.ct.task = t
		c.containers[t.container] = &made.ct
	} else {
		t.container = t.exec.container
	}
	if t.exec != nil {
		record.Executor = t.exec.info.ID
	}
	record.Container = t.container
	c.addTask(t)
	c.persistFor(f, record, then{kind: thenStart, task: t})
}

// start is called once the launch is on disk.
func (c *Core) start(t *task) {
	if t.phase != phaseLaunching || t.gone {
		return
	}
	if !t.own() {
		t.phase = phaseQueued
		t.exec.queue = append(t.exec.queue, t)
		c.touch(t.exec)
		return
	}
	if !c.holdForLease(t) {
		c.startContainer(t, false)
	}
}

func (c *Core) startContainer(t *task, recovered bool) {
	t.phase, t.asked = phaseStarting, true
	t.starts++
	c.armCompletion(t)
	start := Start{Container: t.container, Framework: t.fw.info, Role: t.role, Task: t.info, Resources: t.info.Resources, Recovered: recovered}
	if t.lease != nil {
		start.Renewal = c.leases.by
	}
	start.Group, start.Beside = t.pod()
	c.emit(start)
	if t.kill != nil {
		c.emit(Kill{Container: t.container})
	}
}

func (c *Core) armCompletion(t *task) {
	if t.info.MaxCompletion > 0 {
		if t.completion == nil {
			t.completion = &timer{kind: timerCompletion, task: t}
		}
		c.timers.arm(t.completion, t.at.Add(t.info.MaxCompletion))
	}
}

// answer says what became of a task that is not here. The answer is repeated like any update, but not written to the disk: if it is lost,
// the master asks again.
func (c *Core) answer(info offer.Framework, role string, id offer.TaskID, state offer.State, reason offer.Reason, text string) {
	if c.task(info.ID, id) != nil {
		return
	}
	if c.tasks >= 2*c.cfg.MaxTasks {
		c.note("answer dropped", info.ID, id, offer.ReasonLimitReached, text)
		return
	}
	f := c.framework(&info, false)
	t := &task{fw: f, info: &offer.Task{ID: id, SlaveID: c.slave.ID}, role: role, state: state, phase: phaseEnded, bare: true}
	c.addTask(t)
	st := c.report(t, state, reason, text)
	t.stream.push(st, st.UUID)
	t.stream.durable(st.UUID)
	c.note("task refused", info.ID, id, reason, text)
	c.pump(t)
}
