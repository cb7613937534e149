package slavecore

import (
	"github.com/meros-project/meros/offer"
)

func (c *Core) started(ev Started) {
	ct := c.containers[ev.Container]
	if ct == nil {
		return
	}
	where := offer.Container{ID: ev.Container, PID: ev.PID, Sandbox: ev.Sandbox}
	if ct.exec != nil {
		c.executorStarted(ct.exec, where)
		return
	}
	t := ct.task
	if t.phase != phaseStarting {
		return
	}
	t.phase, t.place = phaseRunning, where
	t.where = &t.place
	if t.state == offer.Staging || t.state == offer.Starting {
		c.update(t, c.report(t, offer.Running, offer.ReasonNone, ""), nil)
	}
	if t.kill != nil && !t.state.Terminal() {
		c.signal(t)
	}
	c.beginChecks(t)
}

func (c *Core) startFailed(ev StartFailed) {
	ct := c.containers[ev.Container]
	if ct == nil {
		return
	}
	reason := ev.Reason
	if reason == offer.ReasonNone {
		reason = offer.ReasonContainerLaunchFailed
	}
	if ct.exec != nil {
		c.executorExited(ct.exec, Exited{Container: ev.Container, Reason: reason, Message: ev.Error})
		return
	}
	t := ct.task
	if t.phase != phaseStarting && t.phase != phaseRunning {
		return
	}
	delete(c.containers, ev.Container)
	state, text := offer.Failed, ev.Error
	if reason == offer.ReasonLeaseExpired {
		state = offer.Gone
	}
	if t.kill != nil {
		state = c.killedState(t)
		if reason = t.kill.reason; reason == offer.ReasonNone {
			reason = offer.ReasonTaskKilledDuringLaunch
		}
	}
	c.update(t, c.report(t, state, reason, text), nil)
}

// exited turns a container's end into its task's last status. FINISHED is said only of a process that was seen to exit with status 0 (T9).
func (c *Core) exited(ev Exited) {
	ct := c.containers[ev.Container]
	if ct == nil {
		return
	}
	if ct.exec != nil {
		c.executorExited(ct.exec, ev)
		return
	}
	t := ct.task
	if t.phase != phaseStarting && t.phase != phaseRunning {
		return
	}
	delete(c.containers, ev.Container)
	var st *report
	switch {
	case ev.Known && ev.Exit.Success() && ev.Reason == offer.ReasonNone:
		st = c.report(t, offer.Finished, offer.ReasonNone, ev.Message)
	case ev.Reason == offer.ReasonLeaseExpired:
		st = c.report(t, offer.Gone, ev.Reason, ev.Message)
	case ev.Reason != offer.ReasonNone:
		st = c.report(t, offer.Failed, ev.Reason, ev.Message)
		st.Limitation = ev.Limitation
	case t.kill != nil:
		st = c.report(t, c.killedState(t), t.kill.reason, or2(t.kill.text, ev.Message))
	case ev.Known:
		st = c.report(t, offer.Failed, offer.ReasonNone, or2(ev.Message, ev.Exit.String()))
	default:
		st = c.report(t, offer.Failed, offer.ReasonExecutorTerminated, or2(ev.Message, "it ended while nobody watched; its exit status is not known"))
	}
	if ev.Known {
		st.exit = ev.Exit
		st.Exit = &st.exit
	}
	c.update(t, st, nil)
}

func or2(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
