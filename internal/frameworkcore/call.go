package frameworkcore

import (
	"fmt"
	"slices"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
)

// called carries out a call of the user's program.
func (c *Core) called(call message.Message) {
	if c.ending.asked {
		return
	}
	switch m := call.(type) {
	case *message.Accept:
		c.accept(m)
	case *message.Decline:
		c.decline(m)
	case *message.Revive:
		c.revive(m)
	case *message.Suppress:
		roles := m.Roles
		if len(roles) == 0 {
			roles = c.framework.Roles
		}
		c.suppress.add(roles)
		c.owed.revived = without(c.owed.revived, roles)
		c.sendOrOwe(m)
	case *message.KillTask:
		c.killTask(m)
	case *message.Reconcile:
		c.userReconcile(m)
	case *message.ToExecutor:
		to := *m
		to.Framework = c.framework.ID
		c.sendOrNote(&to)
	case *message.AcknowledgeOperation, *message.Request:
		c.sendOrNote(m)
	case *message.ReconcileOperations, *message.ShutdownExecutor:
		c.sendOrQueue(m)
	case *message.UpdateFramework:
		c.updateFramework(m)
	case *message.Teardown:
		c.tearDown()
	default:
		c.note("unknown call", "", offer.ReasonUnsupported, fmt.Sprintf("%T is not a framework's call", call))
	}
}

// revive ends the suppression of roles, and their filters. Without a master the latter is owed: a subscription clears none.
func (c *Core) revive(m *message.Revive) {
	roles := m.Roles
	if len(roles) == 0 {
		roles = c.framework.Roles
		c.suppress.set(nil)
	}
	c.suppress.remove(roles)
	if !c.subscribed {
		c.owed.revived = append(without(c.owed.revived, roles), roles...)
	}
	c.sendOrOwe(m)
}

// debt is what was called while a subscription was under way, which says what held before.
type debt struct {
	update  bool     // description and suppressed roles
	revived []string // roles whose filters are to be cleared
}

// sendOrOwe sends what the next subscription would say anyway. One that is under way has said something else already.
func (c *Core) sendOrOwe(m message.Message) {
	if c.subscribed {
		c.send(m)
	} else if c.linked {
		c.owed.update = true
	}
}

// payOwed catches up once the subscription is there.
func (c *Core) payOwed() {
	owed := c.owed
	c.owed = debt{}
	if owed.update {
		c.send(&message.UpdateFramework{Framework: c.framework, Suppressed: c.suppress.list(c.framework.Roles)})
	}
	if roles := slices.DeleteFunc(owed.revived, func(r string) bool { return !slices.Contains(c.framework.Roles, r) }); len(roles) > 0 {
		c.send(&message.Revive{Roles: roles})
	}
}

// without returns list less what is in less.
func without(list, less []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(less, s) })
}

// sendOrDrop sends what is said again after each subscription anyway.
func (c *Core) sendOrDrop(m message.Message) {
	if c.subscribed {
		c.send(m)
	}
}

func (c *Core) sendOrNote(m message.Message) {
	if c.subscribed {
		c.send(m)
		return
	}
	c.note("call dropped", "", offer.ReasonMasterDisconnected, fmt.Sprintf("%T", m))
}

func (c *Core) sendOrQueue(m message.Message) {
	switch {
	case c.subscribed:
		c.send(m)
	case len(c.calls) >= c.cfg.MaxCalls:
		c.note("call dropped", "", offer.ReasonLimitReached, fmt.Sprintf("%d calls wait for a master", len(c.calls)))
	default:
		c.calls = append(c.calls, m)
	}
}

func (c *Core) decline(m *message.Decline) {
	var ids []offer.OfferID
	for _, id := range m.Offers {
		if _, ok := c.offers[id]; ok {
			delete(c.offers, id)
			ids = append(ids, id)
		}
	}
	if len(ids) > 0 && c.subscribed {
		c.send(&message.Decline{Offers: ids, Filter: m.Filter})
	}
}

func (c *Core) killTask(m *message.KillTask) {
	kill := *m
	t := c.tasks[m.Task]
	if t == nil {
		c.sendOrQueue(&kill)
		return
	}
	if kill.Slave == "" {
		kill.Slave = t.slave
	}
	t.kill = &kill // repeated with each subscription
	if !t.over() {
		c.sendOrDrop(&kill)
	}
}

// userReconcile asks in the user's name: the answers are delivered even if they are no news.
func (c *Core) userReconcile(m *message.Reconcile) {
	ask := &message.Reconcile{}
	for _, ref := range m.Tasks {
		ref.Framework = c.framework.ID
		if t := c.tasks[ref.Task]; t != nil {
			t.asked = true
			if ref.Slave == "" {
				ref.Slave = t.slave
			}
		}
		ask.Tasks = append(ask.Tasks, ref)
	}
	if len(m.Tasks) == 0 {
		for _, t := range c.tasks {
			t.asked = true
		}
		c.sendOrQueue(ask)
		// The master answers for the tasks that it knows. The others are asked for by name.
		c.askFor(func(offer.TaskID, *known) bool { return true })
		return
	}
	for len(ask.Tasks) > c.cfg.ReconcileBatch {
		c.sendOrQueue(&message.Reconcile{Tasks: ask.Tasks[:c.cfg.ReconcileBatch:c.cfg.ReconcileBatch]})
		ask.Tasks = ask.Tasks[c.cfg.ReconcileBatch:]
	}
	c.sendOrQueue(ask)
}

// updateFramework changes the description. Id, principal, user and NoCheckpoint stay as they are.
func (c *Core) updateFramework(m *message.UpdateFramework) {
	info := m.Framework
	info.ID, info.Principal, info.User, info.NoCheckpoint = c.framework.ID, c.framework.Principal, c.framework.User, c.framework.NoCheckpoint
	if len(info.Roles) == 0 {
		info.Roles = c.framework.Roles
	}
	info.Roles = slices.Clone(info.Roles)
	c.framework = info
	c.suppress.set(m.Suppressed)
	c.sendOrOwe(&message.UpdateFramework{Framework: info, Suppressed: c.suppress.list(info.Roles)})
}
