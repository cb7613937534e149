package sim

import (
	"iter"
	"time"

	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/offer/resource"
)

// Bugs of the log, of the registry that it makes, and of who waits for it.
var logPlants = []func() *Plant{hastyAdmission, hastyUnreachable, hastyGone, hastyEnd, hastyQuota, skipsEntries, forgetsKeys, ownClock, keepsRetired, sameReign,
	losesEntries, snapshotWithout[*registry.RoleRecord]("roles"), snapshotWithout[*registry.KeyRecord]("keys"), snapshotForgetsTime, countsAnew,
	writtenWhole}

// hasty acts on commands of a kind before they are committed.
func hasty[Op registry.Op](name, rules string) *Plant {
	return &Plant{Name: name, Rules: rules, Hasty: func(op registry.Op) bool {
		_, ok := op.(Op)
		return ok
	}}
}

// hastyAdmission welcomes slaves and frameworks before their admission is committed.
func hastyAdmission() *Plant {
	return &Plant{Name: "hasty-admission", Rules: "L2", Hasty: func(op registry.Op) bool {
		switch op.(type) {
		case *registry.AdmitSlave, *registry.AdmitFramework, *registry.MarkReachable:
			return true
		}
		return false
	}}
}

// hastyUnreachable says that a slave is out of reach before that is committed.
func hastyUnreachable() *Plant { return hasty[*registry.MarkUnreachable]("hasty-unreachable", "L2") }

// hastyGone says that a slave is gone before that is committed.
func hastyGone() *Plant { return hasty[*registry.MarkGone]("hasty-gone", "L4") }

// hastyEnd ends a framework's tasks before its end is committed.
func hastyEnd() *Plant { return hasty[*registry.RemoveFramework]("hasty-end", "F1 L4") }

// hastyQuota answers that a quota is set before it is committed.
func hastyQuota() *Plant { return hasty[*registry.SetRole]("hasty-quota", "L4") }

// skipsEntries leaves every fiftieth command out on one master.
func skipsEntries() *Plant {
	n := 0
	return applies("skips-entries", "L5 L2 L4", func(node string, _ *registry.Command) bool {
		if node == "m1" {
			n++
		}
		return node != "m1" || n%50 != 0
	})
}

// forgetsKeys carries out a command again that was proposed a second time.
func forgetsKeys() *Plant {
	fresh := map[string]uint64{}
	return applies("forgets-keys", "L5", func(node string, c *registry.Command) bool {
		fresh[node]++
		for i := range 8 {
			c.Key[i] ^= byte(fresh[node] >> (8 * i))
		}
		return true
	})
}

// ownClock notes the time of the master that applies a command, and not of the one that proposed it.
func ownClock() *Plant {
	ticks := map[string]time.Duration{"m2": time.Second}
	return applies("own-clock", "L5", func(node string, c *registry.Command) bool {
		if m, ok := c.Op.(*registry.MarkUnreachable); ok {
			c.Op = &registry.MarkUnreachable{ID: m.ID, At: m.At.Add(ticks[node])}
		}
		return true
	})
}

// keepsRetired keeps the ids of frameworks that are over.
func keepsRetired() *Plant {
	return applies("keeps-retired", "L4 F1 L5", func(_ string, c *registry.Command) bool {
		_, over := c.Op.(*registry.RemoveFramework)
		return !over
	})
}

// countsAnew does not keep how much of a framework's failover time is left.
func countsAnew() *Plant {
	return applies("counts-anew", "F2", func(_ string, c *registry.Command) bool {
		_, is := c.Op.(*registry.CountDown)
		return !is
	})
}

// sameReign goes on under the number of the reign before.
func sameReign() *Plant {
	return applies("same-reign", "L1 S4 L4", func(_ string, c *registry.Command) bool {
		_, opens := c.Op.(*registry.Open)
		return !opens || c.Key[3] <= 1 && c.Key[2] == 0
	})
}

// losesEntries elects a leader that does not have the last entry.
func losesEntries() *Plant {
	return &Plant{Name: "loses-entries", Rules: "L4 L5 S4", Forgets: func(n int) int { return min(n, 1) }}
}

// snapshots changes what is kept of a snapshot.
func snapshots(name, rules string, change func(r registry.Record) registry.Record) *Plant {
	return &Plant{Name: name, Rules: rules, Snapshot: func(records iter.Seq[registry.Record]) iter.Seq[registry.Record] {
		return func(yield func(registry.Record) bool) {
			var trailer registry.Trailer
			for r := range records {
				if r = change(r); r == nil {
					continue
				}
				switch r.(type) {
				case *registry.SlaveRecord:
					trailer.Slaves++
				case *registry.GoneRecord:
					trailer.Gone++
				case *registry.FrameworkRecord:
					trailer.Frameworks++
				case *registry.RoleRecord:
					trailer.Roles++
				case *registry.KeyRecord:
					trailer.Keys++
				case *registry.Trailer:
					r = &trailer
				}
				if !yield(r) {
					return
				}
			}
		}
	}}
}

// snapshotWithout leaves a table out of snapshots.
func snapshotWithout[R registry.Record](table string) func() *Plant {
	return func() *Plant {
		return snapshots("snapshot-without-"+table, "L6", func(r registry.Record) registry.Record {
			if _, of := r.(R); of {
				return nil
			}
			return r
		})
	}
}

// snapshotForgetsTime leaves out of snapshots how much of a framework's failover time is left.
func snapshotForgetsTime() *Plant {
	return snapshots("snapshot-forgets-time", "L6", func(r registry.Record) registry.Record {
		if f, ok := r.(*registry.FrameworkRecord); ok && !f.Connected {
			whole := *f
			whole.Remaining = f.Framework.FailoverTimeout
			return &whole
		}
		return r
	})
}

// writtenWhole writes the record of a role anew when its weight or its quota is set, and so without the other.
func writtenWhole() *Plant {
	return applies("written-whole", "L3", func(_ string, c *registry.Command) bool {
		if m, ok := c.Op.(*registry.SetRole); ok {
			whole := registry.SetRole{Role: m.Role, Weight: new(registry.DefaultWeight), Guarantee: &resource.Quantities{}, Limit: &resource.Quantities{}}
			if m.Weight != nil {
				whole.Weight = m.Weight
			}
			if m.Guarantee != nil {
				whole.Guarantee = m.Guarantee
			}
			if m.Limit != nil {
				whole.Limit = m.Limit
			}
			c.Op = &whole
		}
		return true
	})
}
