package sim

import (
	"slices"

	"github.com/meros-project/meros/internal/slavecore"
	"github.com/meros-project/meros/offer"
)

// Bugs of what a slave writes and reads again.
var diskPlants = []func() *Plant{LyingDisk, unwritten, launchEarly, updateEarly, ackUnwritten, tornTaken, taskForgotten, anotherBoot,
	endUnwritten}

// LyingDisk loses a fifth of what was flushed at each crash of a slave.
func LyingDisk() *Plant {
	return &Plant{Name: "lying-disk", Rules: "T1 T5 T10 S4 S7 L1", Journal: func(_ string, disk []slavecore.Record) []slavecore.Record {
		n := len(disk) * 4 / 5
		return disk[:n:n]
	}}
}

// unwritten starts what is not on disk.
func unwritten() *Plant {
	return slaveWrites("unwritten", "T5", func(r slavecore.Record) bool { return r.RecordKind() != slavecore.RecordLaunched })
}

// ackUnwritten does not write acknowledgements.
func ackUnwritten() *Plant {
	return slaveWrites("ack-unwritten", "T10", func(r slavecore.Record) bool { return r.RecordKind() != slavecore.RecordAcked })
}

// endUnwritten sends the ends of tasks and does not write them.
func endUnwritten() *Plant {
	return slaveWrites("end-unwritten", "T1", func(r slavecore.Record) bool {
		u, ok := r.(*slavecore.Updated)
		return !ok || !u.Status.State.Terminal()
	})
}

// early does not wait for the disk before it goes on with records of some kinds.
func early(name, rules string, kinds ...slavecore.RecordKind) *Plant {
	return &Plant{Name: name, Rules: rules, Early: func(records []slavecore.Record) bool {
		return slices.ContainsFunc(records, func(r slavecore.Record) bool { return slices.Contains(kinds, r.RecordKind()) })
	}}
}

// launchEarly starts a task while the record of its launch is on its way to the disk.
func launchEarly() *Plant {
	return early("launch-early", "T5", slavecore.RecordLaunched, slavecore.RecordExecutorStarted)
}

// updateEarly sends an update while it is on its way to the disk.
func updateEarly() *Plant { return early("update-early", "T1", slavecore.RecordUpdated) }

// tornTaken takes an update whose record a crash has torn for a whole one.
func tornTaken() *Plant {
	return &Plant{Name: "torn-taken", Rules: "T2 T9 T11", Torn: func(r slavecore.Record) slavecore.Record {
		u, ok := r.(*slavecore.Updated)
		if !ok {
			return nil
		}
		status := *u.Status
		status.State = offer.Starting // the bytes that are missing read as zeros
		return &slavecore.Updated{Framework: u.Framework, Status: &status}
	}}
}

// taskForgotten does not find the last of its running tasks in its journal.
func taskForgotten() *Plant {
	return &Plant{Name: "task-forgotten", Rules: "S7", Journal: func(_ string, disk []slavecore.Record) []slavecore.Record {
		ended := map[string]bool{}
		for _, r := range disk {
			if u, ok := r.(*slavecore.Updated); ok && u.Status.State.Terminal() {
				ended[keyOf(u.Framework, u.Status.TaskID)] = true
			}
		}
		for i := len(disk) - 1; i >= 0; i-- {
			if l, ok := disk[i].(*slavecore.Launched); ok && !ended[keyOf(l.Framework.ID, l.Task.ID)] {
				return slices.Delete(slices.Clone(disk), i, i+1)
			}
		}
		return disk
	}}
}

// anotherBoot takes each start of the slave's process for one of the machine.
func anotherBoot() *Plant {
	boots := 0
	return &Plant{Name: "another-boot", Rules: "T11", Slave: func(c *slavecore.Config) {
		boots++
		c.BootID += string(rune('a' + boots%26))
	}}
}
