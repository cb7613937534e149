package allocator

import "time"

// Apply takes in what has happened; see Allocator.
func (a *Hierarchical) Apply(now time.Time, ev Event) error {
	if err := a.Validate(ev); err != nil {
		return err
	}
	at := a.clock.read(now)
	a.sweep()
	switch ev := ev.(type) {
	case SlaveAdded:
		a.addSlave(ev)
	case SlaveUpdated:
		a.updateSlave(ev)
	case SlaveActive:
		a.activateSlave(ev)
	case SlaveRemoved:
		a.removeSlave(a.slaveIndex[ev.Slave])
	case FrameworkAdded:
		a.addFramework(ev)
	case FrameworkUpdated:
		a.updateFramework(ev)
	case FrameworkActive:
		a.activateFramework(ev)
	case FrameworkRemoved:
		a.removeFramework(ev)
	case Used:
		a.used(ev.Allotment)
	case Recovered:
		a.recovered(at, ev)
	case Converted:
		a.converted(ev)
	case SlaveUnavailable:
		a.setUnavailable(ev)
	case InverseAnswered:
		a.inverseAnswered(at, ev)
	case Answered:
		a.answered(ev)
	case Whitelist:
		a.setWhitelist(ev)
	case Suppressed:
		a.suppress(ev)
	case Revived:
		a.revive(ev)
	case Requested:
		a.requested(ev)
	case RoleSet:
		a.setRole(ev)
	}
	return nil
}

// Deadline reports when to run next; see Allocator.
func (a *Hierarchical) Deadline() time.Time {
	a.wakeShort()
	if a.pending() || len(a.maintained.slaves) > 0 && (a.maintained.all || a.maintained.stale) {
		return a.clock.time(a.clock.last)
	}
	expiry, ok := a.filters.next()
	if next := a.maintained.next; len(a.maintained.slaves) > 0 && next != never && (!ok || next < expiry) {
		expiry, ok = next, true
	}
	if ok {
		return a.clock.time(expiry)
	}
	return time.Time{}
}

// pending reports whether a run would look at anything.
func (a *Hierarchical) pending() bool {
	return a.dirtyCount > 0 || len(a.again) > 0 || a.wokenCount > 0 && a.freeCount > 0
}

// clock turns times into nanoseconds since the first time it has read, so that comparing them is cheap.
type clock struct {
	base    time.Time
	started bool
	last    int64
}

func (c *clock) read(now time.Time) int64 {
	if !c.started {
		c.base, c.started = now, true
	}
	at := int64(now.Sub(c.base))
	c.last = at
	return at
}

func (c *clock) time(at int64) time.Time {
	t := c.base.Add(time.Duration(at))
	if t.IsZero() {
		return t.Add(1) // zero means never
	}
	return t
}
