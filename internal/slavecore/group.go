package slavecore

import (
	"fmt"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// A group is the tasks of one LaunchGroup under the built-in executor, as far as they have not ended.
type group struct {
	id    uint64
	tasks ordered[offer.TaskID, *task]
}

// pod names those that a member of a group belongs with, and what the executor that they have has for itself. A group whose executor has no
// name is alone. Neither an executor's id nor a framework's has a slash.
func (t *task) pod() (name string, own resource.Resources) {
	switch {
	case t.groupID == 0:
		return "", nil
	case t.exec == nil:
		return fmt.Sprintf("%s//%d", t.fw.id, t.groupID), nil
	}
	return string(t.fw.id) + "/" + string(t.exec.info.ID), t.exec.info.Resources
}

func (c *Core) ensureGroup(id uint64) *group {
	g := c.groups[id]
	if g == nil {
		g = &group{id: id}
		c.groups[id] = g
	}
	return g
}

// memberEnded ends the rest of the group unless the member has finished well.
func (c *Core) memberEnded(t *task) {
	g := t.group
	g.tasks.remove(t.info.ID)
	if g.tasks.len() == 0 {
		delete(c.groups, g.id)
		return
	}
	if t.state == offer.Finished {
		return
	}
	for other := range g.tasks.all {
		if other.kill == nil {
			c.killTask(other, c.grace(other, nil), offer.ReasonGroupMemberEnded, fmt.Sprintf("task %q of the same group ended: %v", t.info.ID, t.state))
		}
	}
}
