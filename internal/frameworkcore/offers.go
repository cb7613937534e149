package frameworkcore

import (
	"maps"
	"slices"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
)

// offered puts offers on the table. A handler that is too slow for them gets none: they go back to the master.
func (c *Core) offered(m *message.Offers) {
	if c.full() {
		back := &message.Decline{}
		for i := range m.Offers {
			back.Offers = append(back.Offers, m.Offers[i].ID)
		}
		c.note("offers declined", "", offer.ReasonSlowConsumer, "the handler is too slow")
		c.send(back)
		return
	}
	for i := range m.Offers {
		c.offers[m.Offers[i].ID] = m.Offers[i].SlaveID
	}
	c.push(delivery{message: m})
}

func (c *Core) rescinded(m *message.Rescind) {
	var gone []offer.OfferID
	for _, id := range m.Offers {
		if _, ok := c.offers[id]; ok {
			delete(c.offers, id)
			gone = append(gone, id)
		}
	}
	if len(gone) > 0 {
		c.push(delivery{message: &message.Rescind{Offers: gone}})
	}
}

// rescindAll takes back the offers of a connection that is no more.
func (c *Core) rescindAll() {
	if len(c.offers) == 0 {
		return
	}
	ids := slices.Sorted(maps.Keys(c.offers))
	clear(c.offers)
	c.push(delivery{message: &message.Rescind{Offers: ids}})
}

// accept uses offers. The offers are checked here already, so that a program hears at once of those that are gone.
func (c *Core) accept(m *message.Accept) {
	slave, reason, text := c.checkOffers(m.Offers)
	var valid []offer.OfferID
	for _, id := range m.Offers {
		if _, ok := c.offers[id]; ok {
			delete(c.offers, id)
			valid = append(valid, id)
		}
	}
	if reason != offer.ReasonNone {
		c.drop(m, reason, text)
		if c.subscribed && len(valid) > 0 {
			c.send(&message.Decline{Offers: valid, Filter: m.Filter})
		}
		return
	}
	parts := c.split(m, slave)
	for _, p := range parts {
		c.send(p)
	}
}

func (c *Core) checkOffers(ids []offer.OfferID) (slave offer.SlaveID, reason offer.Reason, text string) {
	if !c.subscribed {
		return "", offer.ReasonMasterDisconnected, "there is no connection to a master"
	}
	if len(ids) == 0 {
		return "", offer.ReasonInvalidOffers, "no offer is named"
	}
	for i, id := range ids {
		s, ok := c.offers[id]
		switch {
		case !ok:
			return "", offer.ReasonInvalidOffers, "offer " + string(id) + " is not valid any more"
		case i > 0 && s != slave:
			return "", offer.ReasonInvalidOffers, "the offers are of different slaves: " + string(slave) + " and " + string(s)
		case slices.Contains(ids[:i], id):
			return "", offer.ReasonInvalidOffers, "offer " + string(id) + " is named twice"
		}
		slave = s
	}
	return slave, offer.ReasonNone, ""
}

// drop answers an accept that cannot be sent, as the master would: nothing of it has started. A task that was launched before is none of its
// tasks, which is a repeat; what became of that one is another question (T8).
func (c *Core) drop(m *message.Accept, reason offer.Reason, text string) {
	for i := range m.Operations {
		op := &m.Operations[i]
		for j := range op.Tasks {
			if c.tasks[op.Tasks[j].ID] != nil {
				c.note("launch repeated", op.Tasks[j].ID, reason, text)
				continue
			}
			c.push(delivery{message: &message.Update{Status: &offer.Status{TaskID: op.Tasks[j].ID, State: offer.Dropped.ForFramework(c.framework.Capabilities),
				Source: offer.SourceMaster, Reason: reason, Message: text, Time: c.now}}, keep: true})
		}
		if op.ID != "" {
			c.push(delivery{message: &message.OperationUpdate{Framework: c.framework.ID, Status: offer.OperationStatus{ID: op.ID,
				State: offer.OperationDropped, Reason: reason, Message: text}}, keep: true})
		}
	}
}

// split cuts an accept into parts that fit a frame. A launch of many tasks becomes several launches, which is the same; a group stays whole.
func (c *Core) split(m *message.Accept, slave offer.SlaveID) []*message.Accept {
	part := &message.Accept{Offers: slices.Clone(m.Offers), Filter: m.Filter}
	parts := []*message.Accept{part}
	size := 64 + 300*len(m.Offers)
	room := func(n int) {
		if size > 0 && size+n > c.cfg.PartBytes && len(part.Operations) > 0 {
			part = &message.Accept{Part: part.Part + 1}
			parts = append(parts, part)
			size = 0
		}
		size += n
	}
	for _, op := range m.Operations {
		tasks := c.prepare(op.Tasks, slave)
		op.Tasks = nil
		base := 64 + len(op.ID) + message.SizeOfResources(op.Resources) + message.SizeOfExecutor(op.Executor)
		if op.Kind != offer.OperationLaunch {
			n := base
			for i := range tasks {
				n += message.SizeOfTask(&tasks[i])
			}
			room(n)
			op.Tasks = tasks
			part.Operations = append(part.Operations, op)
			continue
		}
		first := 0
		for i := range tasks {
			n := message.SizeOfTask(&tasks[i])
			if size+base+n > c.cfg.PartBytes && i > first {
				cut := op
				cut.Tasks = tasks[first:i:i]
				part.Operations = append(part.Operations, cut)
				first = i
			}
			if i == first {
				n += base
			}
			room(n)
		}
		op.Tasks = tasks[first:]
		part.Operations = append(part.Operations, op)
	}
	part.Last = true
	return parts
}

// prepare copies tasks with their slave filled in, and remembers them.
func (c *Core) prepare(tasks []offer.Task, slave offer.SlaveID) []offer.Task {
	if len(tasks) == 0 {
		return nil
	}
	out := slices.Clone(tasks)
	for i := range out {
		if out[i].SlaveID == "" {
			out[i].SlaveID = slave
		}
		if c.tasks[out[i].ID] == nil {
			c.tasks[out[i].ID] = &known{slave: slave, lease: out[i].Lease, state: offer.Staging}
		}
	}
	return out
}
