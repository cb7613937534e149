package slavecore

import (
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
)

// stopping is a stop that waits for the tasks to end.
type stopping struct {
	leave   bool
	refusal *offer.Refusal
	timer   timer
}

// halt stops at once: nothing is done after it.
func (c *Core) halt(refusal *offer.Refusal) {
	c.emit(Stop{Refusal: refusal})
	c.stopped = true
}

func (c *Core) stopAsked(leave bool) {
	if leave {
		c.beginStop(true, nil)
		return
	}
	// Tasks that are not on disk end with the slave, since the next run would not know them.
	for f := range c.frameworks.all {
		if !f.info.NoCheckpoint {
			continue
		}
		for t := range f.tasks.all {
			if t.own() && t.asked && !t.state.Terminal() {
				c.emit(Kill{Container: t.container, Sure: true})
			}
		}
		for e := range f.executors.all {
			if e.asked {
				c.emit(Kill{Container: e.container, Sure: true})
			}
		}
	}
	c.flush()
	c.halt(nil)
}

// beginStop kills everything and stops when the last container has ended.
func (c *Core) beginStop(leave bool, refusal *offer.Refusal) {
	if c.stop != nil {
		return
	}
	c.stop = &stopping{leave: leave, refusal: refusal, timer: timer{kind: timerStop}}
	c.timers.arm(&c.stop.timer, c.now.Add(c.cfg.StopTimeout))
	reason := offer.ReasonShuttingDown
	if refusal != nil {
		reason = refusal.Reason
	}
	for f := range c.frameworks.all {
		for t := range f.tasks.all {
			if !t.own() {
				continue
			}
			grace := c.grace(t, nil)
			if !leave {
				grace = 0
			}
			c.killTask(t, grace, reason, "the slave is about to stop")
		}
		for e := range f.executors.all {
			c.stopExecutor(e, reason)
		}
	}
}

// stopIfDone ends every Step.
func (c *Core) stopIfDone() {
	if c.stop != nil && len(c.containers) == 0 && c.live == 0 && !c.stopped {
		c.endStop()
	}
}

func (c *Core) stopLate() {
	if c.stop != nil {
		c.note("tasks remain", "", "", offer.ReasonShuttingDown, "they did not end in time")
		c.endStop()
	}
}

func (c *Core) endStop() {
	c.flush()
	if c.stop.leave && c.registration.registered {
		c.send(&message.SlaveUnregister{})
	}
	c.halt(c.stop.refusal)
}

// shutdownFramework ends everything of a framework that is no more. Its updates have no reader.
func (c *Core) shutdownFramework(id offer.FrameworkID) {
	f := c.frameworks.get(id)
	if f == nil {
		return
	}
	f.removed = true
	for t := range f.tasks.all {
		switch {
		case t.state.Terminal():
			c.lastWord(t)
		case t.own():
			c.killTask(t, c.grace(t, nil), offer.ReasonFrameworkRemoved, "the framework was shut down")
		}
	}
	for e := range f.executors.all {
		c.stopExecutor(e, offer.ReasonFrameworkRemoved)
	}
	c.settle(f)
}
