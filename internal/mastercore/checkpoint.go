package mastercore

import (
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
)

// StateTypes returns a value of each concrete type that an interface within a Core may hold: what goes on after a commit, work that is carried
// over, commands under way, the allocator. Together with the type Core itself they are all that is needed to keep a Core at one moment, as
// internal/image does, and to go on from there with the same decisions. The values are not to be used but for their types.
func StateTypes() []any {
	return []any{
		&allocator.Hierarchical{},

		&admission{}, &counted{}, &drainedGone{}, &frameworkUpdate{}, &pruned{}, &readmission{}, &resubscription{}, &retirement{}, &roleChange{},
		&slaveChange{}, &slaveLeaves{}, &subscription{}, &unreachable{}, &confirmed{},

		&activates{}, &drains{}, &goes{}, &hasDrained{},

		&explicitJob{}, &implicitJob{}, &answers{},

		&registry.Open{}, &registry.AdmitSlave{}, &registry.UpdateSlave{}, &registry.MarkUnreachable{}, &registry.MarkReachable{}, &registry.MarkGone{},
		&registry.RemoveSlave{}, &registry.DrainSlave{}, &registry.SlaveDrained{}, &registry.ActivateSlave{}, &registry.AdmitFramework{},
		&registry.UpdateFramework{}, &registry.CountDown{}, &registry.RemoveFramework{}, &registry.SetRole{}, &registry.PruneSlaves{},
		&registry.Confirm{},
	}
}

// SlaveConn returns the connection of a slave, and FrameworkConn that of a framework, or zero: for whoever plays their parts against a core that
// was restored.
func (c *Core) SlaveConn(id offer.SlaveID) ConnID {
	n, ok := registry.SlaveNumber(id)
	if !ok || n > uint64(c.maxSlave) {
		return 0
	}
	if s := c.slaves.get(uint32(n)); s != nil {
		return s.conn
	}
	return 0
}

// FrameworkConn is SlaveConn for a framework.
func (c *Core) FrameworkConn(id offer.FrameworkID) ConnID {
	n, ok := registry.FrameworkNumber(id)
	if !ok || n > uint64(c.maxFramework) {
		return 0
	}
	if f := c.frameworks.get(uint32(n)); f != nil {
		return f.conn
	}
	return 0
}

// LastNumbers returns the highest numbers that slaves and frameworks have been given.
func (c *Core) LastNumbers() (slave, framework uint64) {
	return uint64(c.maxSlave), uint64(c.maxFramework)
}

// Pending returns the proposals that wait to be answered, oldest first.
func (c *Core) Pending() []Propose {
	var out []Propose
	for token := uint64(1); token <= c.nextToken && len(out) < len(c.proposals); token++ {
		if p := c.proposals[token]; p != nil {
			out = append(out, Propose{token, p.commands})
		}
	}
	return out
}

// Knows reports whether a task is in the books and not over: for whoever watches a core.
func (c *Core) Knows(framework offer.FrameworkID, task offer.TaskID) bool {
	n, _, ok := c.frameworkOf(framework)
	return ok && c.tasks.find(n, task) != 0
}
