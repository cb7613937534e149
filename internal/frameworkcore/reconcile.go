package frameworkcore

import (
	"fmt"
	"time"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
)

// reconciliation asks for the state of every task that the session knows: by name until each is answered, then for all that the master
// knows, and again after an interval. Between, it asks for single tasks when there is a reason to.
type reconciliation struct {
	at      time.Time             // of the next question; zero: none
	waiting map[offer.TaskID]bool // asked for and not answered; nil: at rest
	wait    time.Duration
	all     bool      // once they are answered, all that the master knows is asked for
	next    time.Time // of the next round for all; zero while all is set
}

func (c *Core) beginReconcile(isNew bool) {
	r := &c.reconcile
	r.waiting = make(map[offer.TaskID]bool, len(c.tasks))
	for id, t := range c.tasks {
		if !t.over() {
			r.waiting[id] = true
		}
	}
	r.wait, r.all, r.next = c.cfg.ReconcileBackoff, true, zeroTime
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
		m.Tasks = append(m.Tasks, message.TaskRef{Framework: c.framework.ID, Task: id, Slave: c.tasks[id].slave, Lease: c.tasks[id].lease})
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
	r := &c.reconcile
	r.waiting, r.all, r.next = nil, false, c.now.Add(c.cfg.ReconcileInterval)
	r.at = r.next
}

// askFor asks for single tasks soon: what is on its way may answer before.
func (c *Core) askFor(which func(id offer.TaskID, t *known) bool) {
	r := &c.reconcile
	if !c.subscribed {
		return
	}
	found := false
	for id, t := range c.tasks { // in any order: what comes of it is a set
		if t.over() || !which(id, t) {
			continue
		}
		if found = true; r.waiting == nil {
			r.waiting = map[offer.TaskID]bool{}
		}
		r.waiting[id] = true
	}
	if !found {
		return
	}
	r.wait = c.cfg.ReconcileBackoff
	if later := c.now.Add(r.wait); r.at.IsZero() || r.at.After(later) {
		r.at = later
	}
}

// slaveLost asks for the tasks of a slave of which a leader that has never seen them there does not tell: those that were unreachable, and
// those for which there was no answer as long as the slave could come back.
func (c *Core) slaveLost(id offer.SlaveID) {
	c.askFor(func(task offer.TaskID, t *known) bool {
		return t.slave == id && (t.state == offer.Unreachable || c.reconcile.waiting[task])
	})
}

func (c *Core) reconcileAgain() {
	r := &c.reconcile
	r.at = zeroTime
	if !c.subscribed {
		return
	}
	if r.waiting == nil || due(r.next, c.now) {
		c.beginReconcile(false)
		return
	}
	for id := range r.waiting { // those that ended meanwhile are no question any more
		if t := c.tasks[id]; t == nil || t.over() {
			delete(r.waiting, id)
		}
	}
	if len(r.waiting) == 0 {
		c.allAnswered()
		return
	}
	if r.wait > c.cfg.ReconcileBackoff { // not the first time
		c.note("reconciliation unanswered", "", offer.ReasonReconciliation, fmt.Sprintf("%d tasks", len(r.waiting)))
	}
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
		c.allAnswered()
	}
}

func (c *Core) allAnswered() {
	r := &c.reconcile
	if r.all {
		c.askAll()
		return
	}
	r.waiting, r.at = nil, r.next
}
