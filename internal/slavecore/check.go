package slavecore

import (
	"fmt"

	"github.com/meros-project/meros/offer"
)

// Check verifies what must hold after every Step. Tests call it each time; it looks at everything, so a shell does not.
func (c *Core) Check() error {
	if c.stopped {
		return nil
	}
	if err := c.verifyTimers(); err != nil {
		return err
	}
	if err := c.verifyProbes(); err != nil {
		return err
	}
	tasks, live, containers, awaited, leased := 0, 0, 0, 0, 0
	for f := range c.frameworks.all {
		if f.tasks.len() == 0 && f.executors.len() == 0 {
			return fmt.Errorf("framework %q has nothing here", f.id)
		}
		for e := range f.executors.all {
			if !e.builtin {
				containers++
			}
			if e.phase == execRecovering {
				awaited++
			}
			if err := c.verifyExecutor(e); err != nil {
				return fmt.Errorf("executor %q of %q: %w", e.info.ID, f.id, err)
			}
		}
		for t := range f.tasks.all {
			tasks++
			if !t.state.Terminal() {
				live++
				if t.own() {
					containers++
					if t.info.Lease > 0 {
						leased++
					}
				}
			}
			if err := c.verifyTask(t); err != nil {
				return fmt.Errorf("task %q of %q: %w", t.info.ID, f.id, err)
			}
		}
	}
	switch {
	case tasks != c.tasks || live != c.live:
		return fmt.Errorf("%d tasks, %d of them live, but %d and %d are counted", tasks, live, c.tasks, c.live)
	case containers != len(c.containers):
		return fmt.Errorf("T6: %d containers are needed, but %d are known", containers, len(c.containers))
	case awaited != c.awaited:
		return fmt.Errorf("%d executors are awaited, but %d are counted", awaited, c.awaited)
	case c.registration.registered && (!c.registration.linked || c.slave.ID == "" || c.cluster == ""):
		return fmt.Errorf("registered without connection, id or cluster")
	case leased != c.leases.tasks.len():
		return fmt.Errorf("%d tasks have a lease, but %d are known", leased, c.leases.tasks.len())
	case c.registration.registered && leased > 0 && !c.leases.timer.armed():
		return fmt.Errorf("%d tasks have a lease that nobody will ask for", leased)
	case len(c.writes.records) > 0:
		return fmt.Errorf("%d records were not handed to the disk", len(c.writes.records))
	case c.reignWrites == 0 && len(c.held) > 0:
		return fmt.Errorf("L1: %d messages are held although their reign is on disk", len(c.held))
	}
	return nil
}

func (c *Core) verifyTimers() error {
	for i, s := range c.timers.heap {
		t := s.t
		if t.pos != i+1 {
			return fmt.Errorf("timer %d says it is at %d", i+1, t.pos)
		}
		if i > 0 && s.before(&c.timers.heap[(i-1)/2]) {
			return fmt.Errorf("timer %d comes before its parent", i+1)
		}
		if t.at < s.at {
			return fmt.Errorf("timer %d fires before its place comes up", i+1)
		}
		if t.task != nil && t.task.gone {
			return fmt.Errorf("timer of task %q, which is forgotten", t.task.info.ID)
		}
	}
	return nil
}

func (c *Core) verifyExecutor(e *executor) error {
	switch {
	case e.phase == execEnded:
		return fmt.Errorf("has ended")
	case e.conn != 0 && c.executors[e.conn] != e:
		return fmt.Errorf("connection %d is not its own", e.conn)
	case e.builtin && e.tasks.len() == 0:
		return fmt.Errorf("built in, and without a task")
	case e.phase == execSubscribed && e.conn != 0 && len(e.queue) > 0:
		return fmt.Errorf("its queue of %d tasks waits although it is connected", len(e.queue))
	}
	for t := range e.tasks.all {
		if t.exec != e || t.state.Terminal() {
			return fmt.Errorf("task %q is not its own, or has ended", t.info.ID)
		}
	}
	return nil
}

func (c *Core) verifyTask(t *task) error {
	s := &t.stream
	for i := range s.entries {
		e := &s.entries[i]
		if e.uuid.IsZero() || s.find(e.uuid) != e {
			return fmt.Errorf("T3: update %d has no uuid of its own", i)
		}
		if e.value.State.Terminal() && i != len(s.entries)-1 {
			return fmt.Errorf("T2: an update follows %v", e.value.State)
		}
		if i > 0 && e.durable && !s.entries[i-1].durable {
			return fmt.Errorf("T3: update %d is on disk before the one that precedes it", i)
		}
		if i > 0 && !offer.CanFollow(s.entries[i-1].value.State, e.value.State) {
			return fmt.Errorf("T2: %v follows %v", e.value.State, s.entries[i-1].value.State)
		}
	}
	switch {
	case t.gone:
		return fmt.Errorf("is forgotten, and still here")
	case t.starts > 1:
		return fmt.Errorf("T5: was started %d times", t.starts)
	case t.state.Terminal() != (t.phase == phaseEnded):
		return fmt.Errorf("phase %s in state %v", phaseNames[t.phase], t.state)
	case t.state.Terminal() && len(s.entries) == 0:
		return fmt.Errorf("T1: has ended, but nobody is told")
	case t.state.Terminal() && t.kill != nil && t.kill.timer.armed():
		return fmt.Errorf("has ended, and is still to be killed")
	case len(s.entries) > 0 && s.tries > 0 && !s.entries[0].durable:
		return fmt.Errorf("T4: an update was sent before it was on disk")
	case c.registration.registered && s.ready(c.registration.epoch):
		return fmt.Errorf("T1: an update is ready, but was not sent")
	case c.registration.registered && len(s.entries) > 0 && s.entries[0].durable && !t.retry.armed():
		return fmt.Errorf("T1: an update is in flight, but will not be repeated")
	case t.phase == phaseRunning && t.kill != nil && !t.kill.timer.armed():
		return fmt.Errorf("T7: the kill has no end")
	case t.own() && !t.state.Terminal() && (c.containers[t.container] == nil || c.containers[t.container].task != t):
		return fmt.Errorf("T6: its container %q is not known", t.container)
	case t.lease != nil && !t.state.Terminal() && c.leases.tasks.get(t.container) != t:
		return fmt.Errorf("its lease is not known")
	case t.lease != nil && !t.lease.until.IsZero() && !t.state.Terminal() && !t.lease.timer.armed() && t.kill == nil:
		return fmt.Errorf("its lease has no end")
	case t.group != nil && !t.state.Terminal() && t.group.tasks.get(t.info.ID) != t:
		return fmt.Errorf("its group does not know it")
	}
	return t.checks.verify(c, t)
}
