package slavecore

import (
	"fmt"
	"time"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
)

// sureAgain is the time after which a sure kill that has shown no effect is repeated.
const sureAgain = 10 * time.Second

// killing is a kill under way: polite until at, then sure.
type killing struct {
	at     time.Time
	grace  time.Duration // as recorded
	reason offer.Reason
	text   string
	polite bool // SIGTERM was asked
	sure   bool // SIGKILL was asked
	timer  timer
}

// grace is the time between the polite and the sure kill: the policy's or the task's own, within the cap of a drain.
func (c *Core) grace(t *task, policy *offer.KillPolicy) time.Duration {
	if policy == nil {
		policy = &t.info.Kill
	}
	d := policy.Duration()
	if c.draining != nil && c.draining.MaxGrace >= 0 {
		d = min(d, c.draining.MaxGrace)
	}
	return d
}

func (c *Core) kill(m *message.Kill) {
	t := c.task(m.Framework, m.Task)
	if t == nil {
		c.answer(offer.Framework{ID: m.Framework}, "", m.Task, offer.Dropped, offer.ReasonTaskUnknown, "asked to kill a task that is not here")
		return
	}
	c.killTask(t, c.grace(t, m.Policy), offer.ReasonNone, "")
}

// killTask begins a kill, or shortens one that is under way: a later kill never gives more time. It is recorded, so that a slave that
// restarts goes on with it, but not waited for.
func (c *Core) killTask(t *task, grace time.Duration, reason offer.Reason, text string) {
	if t.state.Terminal() {
		return
	}
	at := c.now.Add(grace)
	if t.kill != nil {
		if !at.Before(t.kill.at) {
			return
		}
		t.kill.at = at
	} else {
		t.kill = &killing{at: at, reason: reason, text: text}
		t.kill.timer.kind, t.kill.timer.task = timerKill, t
		c.endChecks(t)
	}
	t.kill.grace = grace
	if t.phase != phaseLaunching && t.phase != phaseQueued {
		c.persistFor(t.fw, &Killed{Framework: t.fw.id, Task: t.info.ID, Policy: exactPolicy(grace), Reason: t.kill.reason}, then{})
	}
	c.carryKill(t, grace)
}

// exactPolicy is the policy with this grace; none at all is a negative one.
func exactPolicy(grace time.Duration) *offer.KillPolicy {
	if grace <= 0 {
		grace = -1
	}
	return &offer.KillPolicy{Grace: grace}
}

func (c *Core) carryKill(t *task, grace time.Duration) {
	switch t.phase {
	case phaseLaunching, phaseQueued:
		reason, text := t.kill.reason, t.kill.text
		if reason == offer.ReasonNone {
			reason, text = offer.ReasonTaskKilledDuringLaunch, "killed before it was started"
		}
		c.update(t, c.report(t, c.killedState(t), reason, text), nil)
	case phaseSent:
		if t.exec.conn != 0 {
			c.emit(SendExecutor{Conn: t.exec.conn, Message: &message.ExecutorKill{Task: t.info.ID, Policy: exactPolicy(grace)}})
		}
		c.armLate(t)
	case phaseStarting:
		c.emit(Kill{Container: t.container}) // ends what prepares it; if a process comes of it all the same, that gets its grace
	case phaseRunning:
		c.signal(t)
	}
}

// signal carries out a kill on a task that runs.
func (c *Core) signal(t *task) {
	k := t.kill
	if !k.at.After(c.now) {
		c.killSurely(t)
		return
	}
	c.timers.arm(&k.timer, k.at)
	if k.polite {
		return
	}
	k.polite = true
	c.emit(Kill{Container: t.container})
	c.sayKilling(t)
}

func (c *Core) sayKilling(t *task) {
	if t.state != offer.Killing && t.fw.info.Capabilities.Has(offer.KillingState) && !t.fw.removed {
		c.update(t, c.report(t, offer.Killing, t.kill.reason, t.kill.text), nil)
	}
}

func (c *Core) killSurely(t *task) {
	if t.phase != phaseRunning || t.kill == nil {
		return
	}
	t.kill.sure = true
	c.emit(Kill{Container: t.container, Sure: true})
	c.timers.arm(&t.kill.timer, c.now.Add(sureAgain))
}

// armLate gives a custom executor time to carry out a kill, where it is not trusted to.
func (c *Core) armLate(t *task) {
	if t.kill != nil && t.exec.info.EndWithLateTask {
		c.timers.arm(&t.kill.timer, t.kill.at.Add(c.shutdownGrace(t.exec)))
	}
}

// graceOver follows the end of a kill's grace: a task of its own is killed surely, and a custom executor that did not see to its task's end in
// time is ended with all that it has.
func (c *Core) graceOver(t *task) {
	if t.own() {
		c.killSurely(t)
		return
	}
	e := t.exec
	if t.phase != phaseSent || e.phase == execStopping || e.phase == execEnded {
		return
	}
	e.late = fmt.Sprintf("its executor was ended because it did not end task %q in time", t.info.ID)
	c.destroyExecutor(e, offer.ReasonExecutorTerminated)
}

// completionOver ends a task that has run for too long, without grace.
func (c *Core) completionOver(t *task) {
	if t.state.Terminal() {
		return
	}
	text := "it ran longer than " + t.info.MaxCompletion.String()
	if t.kill != nil && t.kill.reason == offer.ReasonNone && c.now.Before(t.kill.at) {
		t.kill.reason, t.kill.text = offer.ReasonMaxCompletionTimeReached, text
	}
	c.killTask(t, 0, offer.ReasonMaxCompletionTimeReached, text)
}

// killedState is how a task ends that was killed: an operator who drains a slave to mark it gone vouches for its tasks, too.
func (c *Core) killedState(t *task) offer.State {
	switch {
	case t.kill.reason == offer.ReasonMaxCompletionTimeReached:
		return offer.Failed
	case t.kill.reason == offer.ReasonLeaseExpired:
		return offer.Gone
	case t.kill.reason == offer.ReasonSlaveDraining && c.draining != nil && c.draining.MarkGone:
		return offer.GoneByOperator
	}
	return offer.Killed
}
