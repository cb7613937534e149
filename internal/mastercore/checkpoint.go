package mastercore

import (
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/offer/allocator"
)

// StateTypes returns a value of each concrete type that an interface within a Core may hold: what goes on after a commit, work that is carried
// over, commands under way, the allocator. Together with the type Core itself they are all that is needed to keep a Core at one moment, as
// internal/image does, and to go on from there with the same decisions. The values are not to be used but for their types.
func StateTypes() []any {
	return []any{
		&allocator.Hierarchical{},

		&admission{}, &counted{}, &drainedGone{}, &frameworkUpdate{}, &pruned{}, &readmission{}, &resubscription{}, &retirement{}, &roleChange{},
		&slaveChange{}, &slaveLeaves{}, &subscription{}, &unreachable{},

		&activates{}, &drains{}, &goes{}, &hasDrained{},

		&explicitJob{}, &implicitJob{},

		&registry.Open{}, &registry.AdmitSlave{}, &registry.UpdateSlave{}, &registry.MarkUnreachable{}, &registry.MarkReachable{}, &registry.MarkGone{},
		&registry.RemoveSlave{}, &registry.DrainSlave{}, &registry.SlaveDrained{}, &registry.ActivateSlave{}, &registry.AdmitFramework{},
		&registry.UpdateFramework{}, &registry.CountDown{}, &registry.RemoveFramework{}, &registry.SetRole{}, &registry.PruneSlaves{},
	}
}
