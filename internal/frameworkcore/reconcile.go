package frameworkcore

import (
	"fmt"
	"time"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
)

// reconciliation asks for the state of every task that the session knows: by name until each is answered, then for all that the master
// knows, and again after an interval.
type reconciliation struct {
	at      time.Time // of the next question; zero: none
	waiting map[offer.TaskID]bool
	wait    time.Duration
}

func (c *Core) beginReconcile(isNew bool) {
	r := &c.reconcile
	r.waiting = make(map[offer.TaskID]bool, len(c.tasks))
	for id := range c.tasks {
		r.waiting[id] = true
	}
	r.wait = c.cfg.ReconcileBackoff
	switch {
	case len(r.waiting) > 0:
		c.askWaiting()
	case isNew: // it has no tasks that anybody could know
		c.rest()
	default:
		c.askAll()
	}
}

// askWaiting asks for the tasks that were not answered yet.
func (c *Core) askWaiting() {
	r := &c.reconcile
	m := &message.Reconcile{}
	for _, id := range c.sortedTasks() {
		if !r.waiting[id] {
			continue
		}
		if len(m.Tasks) == c.cfg.ReconcileBatch {
			c.send(m)
			m = &message.Reconcile{}
		}
		m.Tasks = append(m.Tasks, message.TaskRef{Framework: c.framework.ID, Task: id, Slave: c.tasks[id].slave})
	}
	if len(m.Tasks) > 0 {
		c.send(m)
	}
	r.at = c.now.Add(c.jitter(2 * r.wait))
	r.wait = min(r.wait*2, c.cfg.ReconcileBackoffMax)
}

func (c *Core) askAll() {
	c.send(&message.Reconcile{})
	c.rest()
}

func (c *Core) rest() {
	c.reconcile.waiting = nil
	c.reconcile.at = c.now.Add(c.cfg.ReconcileInterval)
}

func (c *Core) reconcileAgain() {
	r := &c.reconcile
	r.at = zeroTime
	if !c.subscribed {
		return
	}
	if r.waiting == nil {
		c.beginReconcile(false)
		return
	}
	for id := range r.waiting { // those that ended meanwhile are no question any more
		if c.tasks[id] == nil {
			delete(r.waiting, id)
		}
	}
	if len(r.waiting) == 0 {
		c.askAll()
		return
	}
	c.note("reconciliation unanswered", "", offer.ReasonReconciliation, fmt.Sprintf("%d tasks", len(r.waiting)))
	c.askWaiting()
}

// answered takes a task off the question.
func (c *Core) answered(id offer.TaskID) {
	r := &c.reconcile
	if !r.waiting[id] {
		return
	}
	delete(r.waiting, id)
	if len(r.waiting) == 0 {
		c.askAll()
	}
}
