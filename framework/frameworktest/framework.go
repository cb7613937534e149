package frameworktest

import (
	"time"

	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/sim"
	"github.com/meros-project/meros/offer"
)

// A Framework is one that was started on a Cluster.
type Framework struct {
	c         *Cluster
	cfg       framework.Config
	guest     *sim.Guest
	scheduler framework.Scheduler
	session   *framework.Session

	tasks map[key]*task // looked up
	order []*task       // of their launches
	diary *diary        // nil unless two runs are compared
}

// A key names a task for ever: an id means another task after a Teardown, when the session goes on as another framework.
type key struct {
	framework offer.FrameworkID
	task      offer.TaskID
}

// A task is what was said about one, by the scheduler and to it.
type task struct {
	key
	launched time.Time   // by the true clock, the last time
	told     offer.State // last; Staging at first
}

// Session is the framework's present session, for calls from outside of handlers.
func (f *Framework) Session() *framework.Session { return f.session }

// Scheduler is the one that was started last.
func (f *Framework) Scheduler() framework.Scheduler { return f.scheduler }

// Restart kills the scheduler's process and starts another one under the same id: it knows what it brings along, and nothing else.
func (f *Framework) Restart(scheduler framework.Scheduler) {
	f.c.t.Helper()
	f.cfg.ID = f.session.ID()
	o := f.observe(scheduler)
	f.guest.Replace(o)
	o.bindClock()
}

// Ended reports whether the session is over, and with what; nil after a teardown.
func (f *Framework) Ended() (err error, ended bool) { return f.guest.Ended() }

// Started is how often a process of one of the framework's tasks was started, on any machine: the cluster promises once at most for each
// launch.
func (f *Framework) Started(task offer.TaskID) int {
	return f.c.world.Life(f.session.ID(), task).Starts
}

// life is what the machines know of a task.
func (f *Framework) life(t *task) sim.Life { return f.c.world.Life(t.framework, t.task) }

// said notes a call.
func (f *Framework) said(m message.Message) {
	f.diary.note(f.c, m)
	accept, is := m.(*message.Accept)
	if !is {
		return
	}
	for i := range accept.Operations {
		for j := range accept.Operations[i].Tasks {
			k := key{f.session.ID(), accept.Operations[i].Tasks[j].ID}
			t := f.tasks[k]
			if t == nil {
				t = &task{key: k}
				f.tasks[k] = t
				f.order = append(f.order, t)
			}
			t.launched, t.told = f.c.Now(), offer.Staging
		}
	}
}

// heard notes what a handler has taken over.
func (f *Framework) heard(m message.Message) {
	if m, is := m.(*message.Update); is {
		if t := f.tasks[key{f.session.ID(), m.Status.TaskID}]; t != nil && !t.told.Terminal() {
			t.told = m.Status.State
		}
	}
}
