package frameworkcore

import (
	"slices"
	"time"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
)

// again holds ends that are told once and that the handler did not take over. Nobody repeats them, so the session does.
type again struct {
	at   time.Time // of the next attempt; zero: none
	list []*message.Update
}

// keepForLater sees to it that a status which no slave repeats comes back: an end as it is, anything else as the answer to a
// reconciliation, because it may be old by then.
func (c *Core) keepForLater(st *offer.Status) {
	if c.ending.asked {
		return
	}
	later := c.now.Add(c.cfg.ReconcileBackoff)
	if !st.State.Terminal() {
		if t := c.tasks[st.TaskID]; t != nil {
			t.asked = true
		}
		if r := &c.reconcile; c.subscribed && r.waiting == nil && (r.at.IsZero() || r.at.After(later)) {
			r.at = later
		}
		return
	}
	if len(c.again.list) >= c.cfg.MaxQueued {
		return
	}
	c.again.list = append(c.again.list, &message.Update{Status: st})
	if c.again.at.IsZero() {
		c.again.at = later
	}
}

// forget drops what was to be told of a task whose end the handler has taken over by now (T2).
func (a *again) forget(id offer.TaskID) {
	a.list = slices.DeleteFunc(a.list, func(m *message.Update) bool { return m.Status.TaskID == id })
	if len(a.list) == 0 {
		*a = again{}
	}
}

func (c *Core) tellAgain() {
	list := c.again.list
	c.again = again{}
	for _, m := range list {
		c.pushUpdate(c.tasks[m.Status.TaskID], m)
	}
}
