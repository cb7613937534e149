package slavecore

import (
	"time"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
)

type phase uint8

const (
	phaseLaunching phase = iota // its record is on the way to the disk
	phaseStarting               // Start or Adopt was asked
	phaseRunning                // its first process runs
	phaseQueued                 // waits for its executor
	phaseSent                   // its executor was told
	phaseEnded                  // its last update is in the stream
)

var phaseNames = [...]string{"launching", "starting", "running", "queued", "sent", "ended"}

// A framework is what the slave knows about one that has tasks or executors here.
type framework struct {
	id        offer.FrameworkID
	info      *offer.Framework // replaced, never changed: records and effects share it
	tasks     ordered[offer.TaskID, *task]
	executors ordered[offer.ExecutorID, *executor]
	launched  bool   // info is what a launch said
	probing   int    // probes of its tasks that are under way
	turns     []turn // checks of its tasks that wait for theirs
	removed   bool   // shut down by the master: nobody will acknowledge
}

// A task is held until its last update is acknowledged.
type task struct {
	fw        *framework
	info      *offer.Task // never changed: records and effects share it
	role      string
	container string // its own, or its executor's
	exec      *executor
	group     *group
	groupID   uint64
	at        time.Time // when it was accepted

	phase  phase
	state  offer.State
	asked  bool // the shell has heard of the container
	bare   bool // an answer about a task that is not here; not on disk
	gone   bool // forgotten
	starts int  // Start effects of this run: at most one (T5)
	where  *offer.Container
	place  offer.Container // what where points to, if this run has started it

	stream     stream[*report]
	last       *offer.Status // the last acknowledged one; nil before
	seen       seen
	retry      timer
	kill       *killing
	completion *timer
	checks     *checks // nil: there are none for the slave to make
	lease      *lease  // nil without one
}

// seen remembers the newest uuids that an executor has sent for a task, so that a repeat is not taken for news.
type seen struct {
	ring []offer.UUID
	next int
}

const maxSeen = 64

func (s *seen) has(u offer.UUID) bool {
	for i := range s.ring {
		if s.ring[i] == u {
			return true
		}
	}
	return false
}

func (s *seen) add(u offer.UUID) {
	if len(s.ring) < maxSeen {
		s.ring = append(s.ring, u)
		return
	}
	s.ring[s.next] = u
	s.next = (s.next + 1) % maxSeen
}

// A container is something that the shell runs for the core: a task's, or an executor's.
type container struct {
	task *task
	exec *executor
}

// own reports whether the task has a container of its own.
func (t *task) own() bool { return t.exec == nil || t.exec.builtin }

// latest is the newest state that is on disk.
func (t *task) latest() offer.State {
	for i := len(t.stream.entries) - 1; i >= 0; i-- {
		if t.stream.entries[i].durable {
			return t.stream.entries[i].value.State
		}
	}
	if t.last != nil {
		return t.last.State
	}
	return offer.Staging
}

func (c *Core) task(f offer.FrameworkID, id offer.TaskID) *task {
	if fw := c.frameworks.get(f); fw != nil {
		return fw.tasks.get(id)
	}
	return nil
}

// framework finds or makes the entry of a framework.
func (c *Core) framework(info *offer.Framework, launch bool) *framework {
	f := c.frameworks.get(info.ID)
	if f == nil {
		own := *info
		f = &framework{id: info.ID, info: &own}
		c.frameworks.put(f.id, f)
	} else if launch {
		next := *f.info
		next.Name, next.User, next.Principal, next.Capabilities = info.Name, info.User, info.Principal, info.Capabilities
		if !f.launched { // later, what is on disk stays there, and what is not cannot come to it
			next.NoCheckpoint = info.NoCheckpoint
		}
		f.info = &next
	}
	f.launched = f.launched || launch
	return f
}

// settle drops the entry of a framework that has nothing here any more.
func (c *Core) settle(f *framework) {
	if f.tasks.len() == 0 && f.executors.len() == 0 {
		c.frameworks.remove(f.id)
	}
}

func (c *Core) addTask(t *task) {
	t.retry.kind, t.retry.task = timerRetry, t
	t.fw.tasks.put(t.info.ID, t)
	c.tasks++
	if !t.state.Terminal() {
		c.live++
		c.addLease(t)
		if t.exec != nil {
			t.exec.add(t)
			c.touch(t.exec)
		}
		if t.group != nil {
			t.group.tasks.put(t.info.ID, t)
		}
	}
}

// forget drops a task for good, with its own container's data once the record of it is on disk (T10). A last word is said then, too.
func (c *Core) forget(t *task, uuid offer.UUID, last *message.StatusUpdate) {
	if t.gone {
		return
	}
	t.gone = true
	t.fw.tasks.remove(t.info.ID)
	c.tasks--
	c.timers.stop(&t.retry)
	c.stopTaskTimers(t)
	after := then{kind: thenForget, lastWord: last}
	if t.own() && t.asked {
		after.container = t.container
	}
	if t.bare {
		c.carryOut(&after)
	} else {
		c.persistFor(t.fw, &Acked{Framework: t.fw.id, Task: t.info.ID, UUID: uuid}, after)
	}
	c.settle(t.fw)
}

func (c *Core) stopTaskTimers(t *task) {
	c.timers.stop(t.completion)
	c.endChecks(t)
	if t.kill != nil {
		c.timers.stop(&t.kill.timer)
	}
}
