package frameworktest

import (
	"strings"

	"github.com/meros-project/meros/internal/sim"
)

// Faults is a set of kinds of trouble; join them with |. The zero value stands for all of them, of which each seed draws about half. How
// often and how hard each strikes is drawn from the seed as well.
type Faults uint64

// The kinds of trouble. None of them needs an operator's help: when trouble is over, everything comes back by itself.
const (
	SlowMessages       Faults = 1 << iota // messages take up to 20 s
	DoubledRequests                       // a request arrives twice
	LateMessages                          // what an old connection carried arrives after the new one is up
	BrokenConnections                     // connections break, with what was under way in them
	Partitions                            // one node is cut off, halves, a ring, a bridge
	OneWayPartitions                      // a node can send and not hear, or hear and not send
	FlappingLinks                         // a node's connections go on and off
	CloggedNodes                          // nodes are cut off one by one and come back in another order
	LeaderDies                            // the leading master is killed, and starts again
	MastersDie                            // any master is killed, or all of them, and starts again
	LeaderDeposed                         // another master takes over, and the first is the last to know
	CommitsUnknown                        // a leader is not told whether what it wrote was kept
	MastersLag                            // a master is behind the log when it takes over
	SlavesDie                             // a slave's process is killed and starts again; its tasks go on
	SlavesLoop                            // a slave's process dies again and again
	DeathsMidway                          // a process of the cluster dies between any two things that it does
	Pauses                                // a process stands still for up to two minutes, the scheduler's too
	Reboots                               // a machine reboots: its tasks are over
	SlowDisks                             // writes take long
	FailingDisks                          // a write fails, and the slave with it
	FullDisks                             // a slave's disk is full for a while
	HangingDisks                          // writes do not return for a while
	DatesJump                             // the date of a machine jumps by seconds or years
	ClocksDrift                           // a machine's clock runs at another speed
	AddressesSwapped                      // two slaves swap addresses
	TasksFailToStart                      // a task does not start, or is killed by its machine
	SlowScheduler                         // the scheduler's process is slow: handlers are called late
	DamagedFrames                         // bytes are flipped on the way: the connection is given up
	NarrowLinks                           // a node's connections carry little
	LeaderHandsOver                       // the leader hands the lead over in good order, again and again
	MastersLoop                           // a master's process dies again and again
	SnapshotsInstalled                    // a master that has lost everything gets it from the leader, which dies meanwhile
	MasterDisks                           // a master's disk is full, fails or is slow
	SlavesStop                            // a slave stops in good order and comes back, also when it has just begun
	AddressesChange                       // a slave comes back under another address
	ConnectionsRunOut                     // a node can open nothing for a while
	Starved                               // a node gets so little of its processor that it does everything late
	MachinesSuspended                     // a machine is suspended, and goes on as if no time had passed
	ProcessesRunOut                       // a machine can start no process for a while
	SupervisorsDie                        // what watches a task is killed, and nobody knows how the task ended
	TasksFallIll                          // a task answers its checks badly, and is killed if it has a health check
	endFaults
	calm
)

// Sets of kinds.
const (
	// Calm is no trouble at all.
	Calm = calm
	// AllFaults is every kind, all at once in each seed.
	AllFaults = endFaults - 1
	// NetworkFaults strike what connects the machines.
	NetworkFaults = SlowMessages | DoubledRequests | LateMessages | BrokenConnections | Partitions | OneWayPartitions | FlappingLinks | CloggedNodes |
		DamagedFrames | NarrowLinks | ConnectionsRunOut
	// MasterFaults strike the masters and their log.
	MasterFaults = LeaderDies | MastersDie | LeaderDeposed | CommitsUnknown | MastersLag | LeaderHandsOver | MastersLoop | SnapshotsInstalled |
		MasterDisks
	// SlaveFaults strike the slaves' processes and not the tasks.
	SlaveFaults = SlavesDie | SlavesLoop | SlavesStop | AddressesChange | AddressesSwapped
	// TaskFaults end tasks before their time, or keep them from starting: a scheduler must try again.
	TaskFaults = Reboots | TasksFailToStart | FailingDisks | FullDisks | ProcessesRunOut | SupervisorsDie | TasksFallIll
	// ClockFaults strike what machines take for the time.
	ClockFaults = DatesJump | ClocksDrift | MachinesSuspended
)

var faults = []struct {
	name string
	sim  sim.Fault
}{
	{"SlowMessages", sim.FaultDelay}, {"DoubledRequests", sim.FaultDuplicate}, {"LateMessages", sim.FaultReorder}, {"BrokenConnections", sim.FaultCut},
	{"Partitions", sim.FaultPartition}, {"OneWayPartitions", sim.FaultOneWay}, {"FlappingLinks", sim.FaultFlap}, {"CloggedNodes", sim.FaultClog},
	{"LeaderDies", sim.FaultLeader}, {"MastersDie", sim.FaultMaster}, {"LeaderDeposed", sim.FaultDepose}, {"CommitsUnknown", sim.FaultUnknown},
	{"MastersLag", sim.FaultLag}, {"SlavesDie", sim.FaultSlave}, {"SlavesLoop", sim.FaultLoop}, {"DeathsMidway", sim.FaultPoint}, {"Pauses", sim.FaultPause},
	{"Reboots", sim.FaultReboot}, {"SlowDisks", sim.FaultSlowDisk}, {"FailingDisks", sim.FaultDiskFails}, {"FullDisks", sim.FaultDiskFull},
	{"HangingDisks", sim.FaultDiskHangs}, {"DatesJump", sim.FaultJump}, {"ClocksDrift", sim.FaultDrift}, {"AddressesSwapped", sim.FaultSwap},
	{"TasksFailToStart", sim.FaultRuntime}, {"SlowScheduler", sim.FaultUser},
	{"DamagedFrames", sim.FaultCorrupt}, {"NarrowLinks", sim.FaultNarrow}, {"LeaderHandsOver", sim.FaultTransfer}, {"MastersLoop", sim.FaultSpin},
	{"SnapshotsInstalled", sim.FaultInstall}, {"MasterDisks", sim.FaultMasterDisk}, {"SlavesStop", sim.FaultStop}, {"AddressesChange", sim.FaultAddress},
	{"ConnectionsRunOut", sim.FaultDescriptors}, {"Starved", sim.FaultStarve}, {"MachinesSuspended", sim.FaultSuspend},
	{"ProcessesRunOut", sim.FaultFork}, {"SupervisorsDie", sim.FaultSupervisor}, {"TasksFallIll", sim.FaultSick},
}

// String lists the kinds.
func (f Faults) String() string {
	switch {
	case f == 0:
		return "about half of all kinds"
	case f&AllFaults == 0:
		return "Calm"
	}
	var names []string
	for i, x := range faults {
		if f&(1<<i) != 0 {
			names = append(names, x.name)
		}
	}
	return strings.Join(names, "|")
}

// classes is what the world calls them, and whether a seed draws among them.
func (f Faults) classes() (out sim.Fault, draw bool) {
	if f == 0 {
		f, draw = AllFaults, true
	}
	for i, x := range faults {
		if f&(1<<i) != 0 {
			out |= x.sim
		}
	}
	if out == 0 {
		out = sim.NoFaults
	}
	return out, draw
}
