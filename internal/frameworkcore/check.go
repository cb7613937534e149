package frameworkcore

import "fmt"

// Check verifies what must hold after every Step. Tests call it each time; it looks at everything, so a shell does not.
func (c *Core) Check() error {
	d := &c.deliver
	switch {
	case c.ended:
		return nil
	case c.subscribed && !c.linked:
		return fmt.Errorf("subscribed without a connection")
	case c.subscribed && c.framework.ID == "":
		return fmt.Errorf("subscribed without an id")
	case c.subscribed && c.silentAt.IsZero():
		return fmt.Errorf("subscribed, but nobody listens for heartbeats")
	case c.subscribed && c.reconcile.at.IsZero() && !c.ending.asked:
		return fmt.Errorf("subscribed, but no reconciliation is planned")
	case c.subscribed && !c.ending.asked && c.reconcile.all != c.reconcile.next.IsZero():
		return fmt.Errorf("subscribed, but no reconciliation of all tasks is planned")
	case c.linked && !c.subscribed && c.subscribeAt.IsZero():
		return fmt.Errorf("connected, but no subscription is planned")
	case d.open > c.cfg.MaxOutstanding:
		return fmt.Errorf("%d deliveries are outstanding (allowed: %d)", d.open, c.cfg.MaxOutstanding)
	case c.ending.asked != !c.ending.until.IsZero() || !c.ending.again.IsZero() != (c.subscribed && c.ending.asked):
		return fmt.Errorf("a teardown is asked (%t), but not said again", c.ending.asked)
	case d.queue.len() > 0 && d.open < c.cfg.MaxOutstanding && !c.ending.asked:
		return fmt.Errorf("%d deliveries wait although the handler is free", d.queue.len())
	case len(d.ring) > c.cfg.Window:
		return fmt.Errorf("%d updates are remembered as taken over (allowed: %d)", len(d.ring), c.cfg.Window)
	case len(c.calls) > c.cfg.MaxCalls+1:
		return fmt.Errorf("%d calls wait (allowed: %d)", len(c.calls), c.cfg.MaxCalls)
	}
	uuids, open := 0, 0
	for i := range d.outstanding.len() {
		x := d.outstanding.at(i)
		if x.message != nil {
			open++
		}
		if !x.uuid.IsZero() {
			uuids++
		}
	}
	if open != d.open {
		return fmt.Errorf("%d deliveries are outstanding, but %d are counted", open, d.open)
	}
	for i := range d.queue.len() {
		if !d.queue.at(i).uuid.IsZero() {
			uuids++
		}
	}
	for _, u := range d.ring {
		if d.updates[u] != takenOver {
			return fmt.Errorf("update %v was taken over, and is not remembered or delivered again", u)
		}
	}
	if uuids+len(d.ring) != len(d.updates) {
		return fmt.Errorf("T3: %d updates are on their way to the handler and %d taken over, but %d are noted", uuids, len(d.ring), len(d.updates))
	}
	for id := range c.reconcile.waiting {
		if (!c.subscribed || c.ending.asked) && c.reconcile.at.IsZero() {
			break
		}
		if c.tasks[id] == nil && c.reconcile.at.IsZero() {
			return fmt.Errorf("T8: task %q is asked for without end", id)
		}
	}
	return nil
}
