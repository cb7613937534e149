package slavecore

import (
	"slices"
	"time"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

type execPhase uint8

const (
	execLaunching  execPhase = iota // its record is on the way to the disk
	execStarting                    // Start was asked; it has not subscribed
	execSubscribed                  // it has subscribed in this run of the slave
	execRecovering                  // it runs since an earlier run and is expected back
	execStopping                    // it was told to end
	execEnded
)

var execPhaseNames = [...]string{"launching", "starting", "subscribed", "recovering", "stopping", "ended"}

// An executor runs tasks of one framework. The built-in one has no container of its own: it exists so that the master can account for
// its resources, and ends with its last task.
type executor struct {
	fw        *framework
	info      offer.Executor
	role      string
	container string
	token     string
	builtin   bool
	phase     execPhase
	asked     bool   // the shell has heard of the container
	conn      uint64 // zero: not connected
	where     *offer.Container
	tasks     ordered[offer.TaskID, *task] // those that have not ended
	queue     []*task                      // to be told, as far as they are still in phaseQueued
	told      bool                         // it was ever told of a task
	touched   bool
	total     resource.Resources // its own and those of its tasks
	headroom  [len(limited)]headroom
	granted   resource.Resources // what its container was last given
	bounded   []offer.Limit      // and up to what
	reason    offer.Reason       // why it was told to end
	surely    bool
	late      string // which task it did not end in time, for people
	timer     timer
}

// ensureExecutor finds a task's executor, or accepts a new one.
func (c *Core) ensureExecutor(f *framework, role string, info *offer.Executor) *executor {
	if e := f.executors.get(info.ID); e != nil {
		return e
	}
	e := &executor{fw: f, info: *info, role: role, builtin: info.Default, token: c.uuid().String()}
	if !e.builtin {
		e.container = c.uuid().String()
	}
	c.addExecutor(e)
	after := then{}
	if e.builtin {
		e.phase = execSubscribed
	} else {
		after = then{kind: thenStartExec, exec: e}
	}
	record := &ExecutorStarted{Framework: *f.info, Role: role, Executor: e.info, Container: e.container, Token: e.token}
	c.persistFor(f, record, after)
	return e
}

func (c *Core) addExecutor(e *executor) {
	e.timer.kind, e.timer.exec = timerExecutor, e
	e.total = e.info.Resources
	e.fw.executors.put(e.info.ID, e)
	if !e.builtin {
		c.containers[e.container] = &container{exec: e}
	}
}

func (e *executor) add(t *task) {
	e.tasks.put(t.info.ID, t)
	e.total = e.total.Add(t.info.Resources)
	e.raise(t.info, 1)
}

func (e *executor) drop(t *task) {
	if e.tasks.get(t.info.ID) == t {
		e.tasks.remove(t.info.ID)
		e.total, _ = e.total.Sub(t.info.Resources)
		e.raise(t.info, -1)
	}
}

func (c *Core) startExecutor(e *executor) {
	if e.phase != execLaunching {
		return
	}
	c.startExecutorContainer(e, false)
}

func (c *Core) startExecutorContainer(e *executor, recovered bool) {
	e.phase, e.asked = execStarting, true
	c.timers.arm(&e.timer, c.now.Add(c.cfg.ExecutorRegistrationTimeout))
	e.granted, e.bounded = e.total, e.limits()
	c.emit(Start{Container: e.container, Framework: e.fw.info, Role: e.role, Executor: &e.info, Token: e.token, Resources: e.total,
		Limits: e.bounded, Recovered: recovered})
}

func (c *Core) executorStarted(e *executor, where offer.Container) {
	e.where = &where
	if e.phase == execStopping && e.surely {
		c.emit(Kill{Container: e.container, Sure: true}) // asked before there was something to kill
	}
}

// touch notes that an executor has other tasks than before. They are told at the end of the Step, so that many travel in one message.
func (c *Core) touch(e *executor) {
	if !e.touched {
		e.touched = true
		c.touched = append(c.touched, e)
	}
}

func (c *Core) deliverTouched() {
	for _, e := range c.touched {
		e.touched = false
		c.resize(e)
		c.deliver(e)
	}
	c.touched = c.touched[:0]
}

// resize gives the executor's container what its tasks may use, before it is told of them.
func (c *Core) resize(e *executor) {
	idle := e.total.Empty() // without any resources it would not even idle
	if e.builtin || !e.asked || e.phase == execEnded || e.phase == execStopping || idle {
		return
	}
	limits := e.limits()
	if e.granted.Equal(e.total) && slices.Equal(e.bounded, limits) {
		return
	}
	e.granted, e.bounded = e.total, limits
	c.emit(Resize{Container: e.container, Resources: e.total, Limits: limits})
}

// deliver tells a subscribed executor about the tasks in its queue: tasks of a group in one message of their own, others together.
func (c *Core) deliver(e *executor) {
	if e.phase != execSubscribed || e.conn == 0 || len(e.queue) == 0 {
		return
	}
	var m *message.ExecutorLaunch
	var group uint64
	size := 0
	for _, t := range e.queue {
		if t.phase != phaseQueued { // it has ended, or the executor knows it
			continue
		}
		n := message.SizeOfTask(t.info)
		if m != nil && (t.groupID != group || group == 0 && size+n > c.cfg.PartBytes) {
			c.emit(SendExecutor{Conn: e.conn, Message: m})
			m = nil
		}
		if m == nil {
			m, group, size = &message.ExecutorLaunch{Group: t.groupID != 0}, t.groupID, 0
		}
		size += n
		m.Tasks = append(m.Tasks, *t.info)
		t.phase = phaseSent
		c.armCompletion(t)
	}
	e.queue = nil
	if m != nil {
		c.emit(SendExecutor{Conn: e.conn, Message: m})
		e.told = true
	}
}

// executorLostTask follows a task's end: the built-in executor ends with its last one, one that was told of none and will not be is not
// needed, and one on a draining slave goes when it is idle.
func (c *Core) executorLostTask(e *executor) {
	if e.tasks.len() > 0 || e.phase == execEnded || e.phase == execStopping {
		return
	}
	switch {
	case e.builtin:
		c.removeExecutor(e, offer.Exit{})
	case !e.told && (e.phase == execLaunching || e.phase == execStarting || e.phase == execSubscribed):
		c.stopExecutor(e, offer.ReasonTaskKilledDuringLaunch)
	default:
		c.stopIdle(e)
	}
}

// stopExecutor asks an executor to end, and makes sure of it when its grace is over.
func (c *Core) stopExecutor(e *executor, reason offer.Reason) {
	if e.phase == execStopping || e.phase == execEnded || e.builtin {
		return
	}
	e.reason = reason
	if e.phase == execLaunching { // nothing of it runs, and nothing will
		delete(c.containers, e.container)
		c.endExecutor(e, Exited{Known: true})
		return
	}
	c.notAwaited(e)
	e.phase = execStopping
	for t := range e.tasks.all {
		if t.phase == phaseQueued || t.phase == phaseLaunching {
			c.endWithExecutor(t, Exited{})
		}
	}
	if e.conn != 0 {
		c.emit(SendExecutor{Conn: e.conn, Message: &message.ExecutorStop{}})
	} else {
		c.emit(Kill{Container: e.container})
	}
	c.timers.arm(&e.timer, c.now.Add(c.shutdownGrace(e)))
}

func (c *Core) shutdownGrace(e *executor) time.Duration {
	if e.info.ShutdownGrace > 0 {
		return e.info.ShutdownGrace
	}
	return c.cfg.ExecutorShutdownGrace
}

// executorLate is the end of whatever an executor was given time for.
func (c *Core) executorLate(e *executor) {
	switch e.phase {
	case execStarting:
		c.destroyExecutor(e, offer.ReasonExecutorRegistrationTimeout)
	case execRecovering:
		c.destroyExecutor(e, offer.ReasonExecutorReregistrationTimeout)
	case execSubscribed:
		if e.conn == 0 {
			c.destroyExecutor(e, offer.ReasonExecutorReregistrationTimeout)
		}
	case execStopping:
		e.surely = true
		c.emit(Kill{Container: e.container, Sure: true})
		c.timers.arm(&e.timer, c.now.Add(sureAgain))
	}
}

// destroyExecutor ends an executor without asking it. Its tasks are told of when it is gone (T11).
func (c *Core) destroyExecutor(e *executor, reason offer.Reason) {
	c.notAwaited(e)
	c.note("executor late", e.fw.id, "", reason, string(e.info.ID))
	e.phase, e.reason, e.surely = execStopping, reason, true
	c.emit(Kill{Container: e.container, Sure: true})
	c.timers.arm(&e.timer, c.now.Add(sureAgain))
}

// notAwaited counts an executor as back, or as never coming back. The slave registers when none is awaited any more.
func (c *Core) notAwaited(e *executor) {
	if e.phase != execRecovering {
		return
	}
	e.phase = execSubscribed
	c.awaitLess()
}

func (c *Core) awaitLess() {
	c.awaited--
	if c.awaited == 0 && c.registration.linked && c.registration.attempts == 0 {
		c.register()
	}
}

func (c *Core) executorExited(e *executor, ev Exited) {
	if e.phase == execEnded {
		return
	}
	awaited := e.phase == execRecovering
	delete(c.containers, ev.Container)
	c.endExecutor(e, ev)
	if awaited {
		c.awaitLess()
	}
}

// endExecutor ends the tasks of an executor that is gone, and forgets it.
func (c *Core) endExecutor(e *executor, ev Exited) {
	e.phase = execEnded
	e.queue = nil
	for t := range e.tasks.all {
		c.endWithExecutor(t, ev)
	}
	c.removeExecutor(e, ev.Exit)
}

func (c *Core) removeExecutor(e *executor, exit offer.Exit) {
	e.phase = execEnded
	c.timers.stop(&e.timer)
	if e.conn != 0 {
		delete(c.executors, e.conn)
		c.emit(CloseExecutor{Conn: e.conn})
		e.conn = 0
	}
	e.fw.executors.remove(e.info.ID)
	after := then{}
	if e.asked {
		after = then{kind: thenForget, container: e.container}
	}
	c.persistFor(e.fw, &ExecutorEnded{Framework: e.fw.id, Executor: e.info.ID}, after)
	ended := &message.ExecutorExited{Framework: e.fw.id, Slave: c.slave.ID, Executor: e.info.ID, Exit: exit}
	for t := range e.fw.tasks.all {
		if t.exec == e {
			ended.Tasks = append(ended.Tasks, t.info.ID)
		}
	}
	c.sayEnded(ended)
	c.settle(e.fw)
}

// endWithExecutor says how a task ended whose executor did, or will not get it.
func (c *Core) endWithExecutor(t *task, ev Exited) {
	e := t.exec
	undelivered := t.phase == phaseQueued || t.phase == phaseLaunching
	var st *report
	switch {
	case t.kill != nil && ev.Reason == offer.ReasonNone:
		st = c.report(t, c.killedState(t), t.kill.reason, or2(t.kill.text, "its executor ended"))
	case e.reason == offer.ReasonExecutorRegistrationTimeout:
		st = c.report(t, offer.Failed, e.reason, "its executor did not subscribe in time")
	case e.reason == offer.ReasonExecutorReregistrationTimeout:
		st = c.report(t, offer.Gone, e.reason, "its executor did not come back in time")
	case e.late != "" && ev.Reason == offer.ReasonNone:
		state := offer.Failed
		if undelivered {
			state = offer.Dropped
		}
		st = c.report(t, state, e.reason, e.late)
	case e.reason != offer.ReasonNone:
		st = c.report(t, offer.Killed, e.reason, "its executor was shut down")
	case ev.Reason != offer.ReasonNone:
		st = c.report(t, offer.Failed, ev.Reason, ev.Message)
		st.Limitation = ev.Limitation
	case undelivered:
		st = c.report(t, offer.Dropped, offer.ReasonExecutorTerminated, or2(ev.Message, "its executor ended before it got the task"))
	default:
		st = c.report(t, offer.Failed, offer.ReasonExecutorTerminated, or2(ev.Message, "its executor ended: "+ev.Exit.String()))
	}
	if ev.Known && !undelivered {
		st.exit = ev.Exit
		st.Exit = &st.exit
	}
	c.update(t, st, nil)
}

func (c *Core) shutdownExecutor(m *message.ExecutorShutdown) {
	f := c.frameworks.get(m.Framework)
	if f == nil {
		return
	}
	e := f.executors.get(m.Executor)
	switch {
	case e == nil:
		c.note("unknown executor", m.Framework, "", offer.ReasonUnknownID, string(m.Executor))
	case e.builtin:
		for t := range e.tasks.all {
			c.killTask(t, c.grace(t, nil), offer.ReasonNone, "its executor was shut down")
		}
	default:
		c.stopExecutor(e, offer.ReasonExecutorUnregistered)
	}
}

func (c *Core) toExecutor(m *message.ToExecutor) {
	f := c.frameworks.get(m.Framework)
	if f == nil {
		return
	}
	if e := f.executors.get(m.Executor); e != nil && e.conn != 0 {
		c.emit(SendExecutor{Conn: e.conn, Message: &message.ExecutorMessage{Data: m.Data}})
		return
	}
	c.note("message dropped", m.Framework, "", offer.ReasonUnknownID, "its executor is not connected")
}

// sameExecutor reports whether two descriptions of one id agree, so that the executor can be shared.
func sameExecutor(a, b *offer.Executor) bool {
	return a.Name == b.Name && a.Default == b.Default && a.ShutdownGrace == b.ShutdownGrace && string(a.Data) == string(b.Data) &&
		slices.Equal(a.Labels, b.Labels) && a.Resources.Equal(b.Resources) && sameCommand(a.Command, b.Command) &&
		sameImage(a.Image, b.Image) && a.Network == b.Network && a.Hostname == b.Hostname &&
		a.EndWithLateTask == b.EndWithLateTask && slices.EqualFunc(a.Volumes, b.Volumes, sameVolume)
}

func sameCommand(a, b *offer.Command) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Value == b.Value && a.Shell == b.Shell && a.User == b.User && slices.Equal(a.Arguments, b.Arguments) &&
		slices.Equal(a.Environment, b.Environment) && slices.Equal(a.URIs, b.URIs)
}

func sameVolume(a, b offer.Volume) bool {
	return a.ContainerPath == b.ContainerPath && a.ReadOnly == b.ReadOnly && a.HostPath == b.HostPath && a.SandboxPath == b.SandboxPath &&
		string(a.Secret) == string(b.Secret)
}

func sameImage(a, b *offer.Image) bool { return a == b || a != nil && b != nil && *a == *b }
