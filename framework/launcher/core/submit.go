package core

import (
	"fmt"
	"slices"
	"time"

	"github.com/meros-project/meros/offer"
)

// sorted is all units in the order of their submission.
func (c *Core) sorted() []*unit {
	list := make([]*unit, 0, len(c.units))
	for _, u := range c.units {
		list = append(list, u)
	}
	slices.SortFunc(list, func(a, b *unit) int {
		if a.seq < b.seq {
			return -1
		}
		return 1
	})
	return list
}

// free reports whether ids may be used.
func (c *Core) free(id string, tasks []Task) *offer.Refusal {
	taken := func(id string) bool {
		return c.units[id] != nil || c.tasks[offer.TaskID(id)] != nil
	}
	if taken(id) {
		return offer.Refuse(offer.ReasonDuplicateID, fmt.Sprintf("launcher: id %s: is in use", within(id)))
	}
	for i := range tasks {
		if taken(string(tasks[i].Task.ID)) {
			return offer.Refuse(offer.ReasonDuplicateID, fmt.Sprintf("launcher: id %s: is in use", within(string(tasks[i].Task.ID))))
		}
	}
	if len(c.tasks)+len(tasks) > c.cfg.MaxTasks {
		return c.cfg.full(len(tasks))
	}
	return nil
}

func (c *Core) submit(t Task) {
	if err := t.validate("Task", c.cfg, c.rules); err != nil {
		c.refuse(refusal(err))
		return
	}
	if r := c.free(string(t.Task.ID), []Task{t}); r != nil {
		c.refuse(r)
		return
	}
	u := c.unit(string(t.Task.ID), false, []Task{t}, t.Priority, t.Backoff, t.Retry)
	c.enqueue(u, c.rest(u.backoff), "those before it have failed")
}

func (c *Core) submitGroup(g Group) {
	if err := g.validate(c.cfg, c.rules); err != nil {
		c.refuse(refusal(err))
		return
	}
	if r := c.free(g.ID, g.Tasks); r != nil {
		c.refuse(r)
		return
	}
	u := c.unit(g.ID, true, slices.Clone(g.Tasks), g.Priority, g.Backoff, g.Retry)
	c.enqueue(u, c.rest(u.backoff), "those before it have failed")
}

func (c *Core) adopt(ev Adopted) {
	err := ev.Task.validate("Task", c.cfg, c.rules)
	if err == nil {
		err = ev.At.validate(&ev.Task)
	}
	if err == nil && (!ev.State.Valid() || ev.State.Terminal()) {
		err = bad("State", ev.State, "must be that of a task that has not ended")
	}
	if err != nil {
		c.refuse(refusal(err))
		return
	}
	if r := c.free(string(ev.Task.Task.ID), []Task{ev.Task}); r != nil {
		c.refuse(r)
		return
	}
	if c.attempts[ev.At.Task] != nil || c.strays[ev.At.Task] != nil {
		c.refuse(offer.Refuse(offer.ReasonDuplicateID, fmt.Sprintf("launcher: At.Task %s: is in use", within(string(ev.At.Task)))))
		return
	}
	u := c.unit(string(ev.Task.Task.ID), false, []Task{ev.Task}, ev.Task.Priority, ev.Task.Backoff, ev.Task.Retry)
	m := u.members[0]
	u.attempt, u.phase, m.at, m.state = max(ev.At.Attempt, 1), placed, ev.At, ev.State
	m.at.Attempt = u.attempt
	m.ran = ev.State != offer.Staging
	m.set.count(m, 1)
	c.slaves[m.at.Slave]++
	c.attempts[m.at.Task] = m
	u.silentAt = c.now.Add(c.cfg.Silence)
	c.ring(u)
	if c.subscribed {
		c.effect(Reconcile{[]Ref{{m.at.Task, m.at.Slave, m.task.Task.Lease}}})
	}
}

func (p *Placed) validate(t *Task) error {
	if err := offer.ValidateID("id", string(p.Task)); err != nil {
		return bad("At.Task", within(string(p.Task)), "must be the id of an attempt")
	}
	if p.Attempt < 0 || p.Attempt > 1<<30 {
		return bad("At.Attempt", p.Attempt, "must count from 1")
	}
	if err := offer.ValidateID("id", string(p.Slave)); err != nil {
		return bad("At.Slave", within(string(p.Slave)), "must be the id of a slave")
	}
	if err := offer.ValidateAttributes(p.Attributes); err != nil {
		return bad("At.Attributes", fmt.Sprintf("of %d", len(p.Attributes)), err.Error())
	}
	return nil
}

func refusal(err error) *offer.Refusal {
	if r, is := err.(*offer.Refusal); is {
		return r
	}
	return offer.Refuse(offer.ReasonInvalidField, err.Error())
}

// unit makes a unit of tasks that are valid.
func (c *Core) unit(id string, group bool, tasks []Task, priority int, key string, retry *Retry) *unit {
	c.seq++
	u := &unit{id: id, group: group, seq: c.seq, priority: priority, backoff: key, retry: c.cfg.Retry}
	if retry != nil {
		u.retry = *retry
	}
	u.retry = u.retry.withDefaults()
	if u.backoff == "" {
		u.backoff = "\x00" + id // no key of a user's: they cannot begin so
	}
	if u.role = tasks[0].Role; u.role == "" {
		u.role = c.cfg.Roles[0]
	}
	c.units[id] = u
	for i := range tasks {
		t := &tasks[i]
		m := &member{unit: u, task: *t}
		name := t.Set
		if name == "" {
			name = "\x00" + string(t.Task.ID)
		}
		m.set = c.setOf(name)
		m.set.members++
		m.set.version++
		m.class = c.classOf(m)
		u.members = append(u.members, m)
		c.tasks[t.Task.ID] = m
	}
	return u
}

// drop forgets a unit that has ended.
func (c *Core) drop(u *unit) {
	c.dequeue(u)
	if c.hold.unit == u {
		c.letGo()
	}
	if !u.alarm.IsZero() {
		c.alarms.Delete(u)
		u.alarm = time.Time{}
	}
	for _, m := range u.members {
		delete(c.tasks, m.task.Task.ID)
		c.leave(m.set)
		c.unclass(m.class)
		if m.old != nil {
			m.old.member = nil
		}
	}
	delete(c.units, u.id)
	c.roles[u.role].changed()
}
