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
	case c.subscribed && c.reconcile.at.IsZero():
		return fmt.Errorf("subscribed, but no reconciliation is planned")
	case c.linked && !c.subscribed && c.subscribeAt.IsZero():
		return fmt.Errorf("connected, but no subscription is planned")
	case len(d.outstanding) > c.cfg.MaxOutstanding:
		return fmt.Errorf("%d deliveries are outstanding (allowed: %d)", len(d.outstanding), c.cfg.MaxOutstanding)
	case len(d.queue) > 0 && len(d.outstanding) < c.cfg.MaxOutstanding:
		return fmt.Errorf("%d deliveries wait although the handler is free", len(d.queue))
	case len(d.ring) != len(d.window) || len(d.ring) > c.cfg.Window:
		return fmt.Errorf("the window holds %d updates in a ring of %d (allowed: %d)", len(d.window), len(d.ring), c.cfg.Window)
	case len(c.calls) > c.cfg.MaxCalls+1:
		return fmt.Errorf("%d calls wait (allowed: %d)", len(c.calls), c.cfg.MaxCalls)
	}
	uuids := 0
	for _, x := range d.outstanding {
		if !x.uuid.IsZero() {
			uuids++
		}
	}
	for _, x := range d.queue {
		if !x.uuid.IsZero() {
			uuids++
		}
	}
	if uuids != len(d.pending) {
		return fmt.Errorf("T3: %d updates are on their way to the handler, but %d are noted", uuids, len(d.pending))
	}
	for u := range d.pending {
		if d.window[u] {
			return fmt.Errorf("update %v was taken over and is delivered again", u)
		}
	}
	for id := range c.reconcile.waiting {
		if !c.subscribed && c.reconcile.at.IsZero() {
			break
		}
		if c.tasks[id] == nil && c.reconcile.at.IsZero() {
			return fmt.Errorf("T8: task %q is asked for without end", id)
		}
	}
	return nil
}
