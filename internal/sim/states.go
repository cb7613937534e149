package sim

// A State is something interesting that a world can get into. A campaign that never reaches one of them tests less than it says, and fails.
type State uint8

// The states. What reliability calls its "sometimes" list is here, and what else would make a fault or a feature a dead letter.
const (
	StateDeposedInFlight    State = iota // a leader was deposed with entries that were not committed
	StateSnapshotInstalled               // a follower got a snapshot
	StateRescindCrossed                  // an offer was rescinded while its accept was under way
	StateResent3                         // an update was sent three times or more
	StateTerminalReregister              // a slave came back with a terminal task that was not acknowledged
	StateDoubleFailover                  // a framework came back to another leader than the one it had left
	StateQuotaLowered                    // a limit was set below what was in use
	StateSwapped                         // two slaves swapped addresses
	StateAckLost                         // an update came again after it was acknowledged
	StateEndedUnreachable                // a task ended while its slave was unreachable
	StateUnreachableBack                 // a slave that was unreachable came back
	StateDiskFull                        // a flush found the disk full
	StateDiskFailed                      // a slave stopped because a write had failed
	StateTorn                            // a crash lost records that were written but not flushed
	StateCompacted                       // a journal was replaced by a shorter one
	StateReordered                       // a message of an old connection came after a new one was up
	StateDuplicated                      // a request came twice
	StateOldReign                        // somebody who knew a later reign was asked by an earlier one, or the other way round
	StatePausedLeader                    // a leader stood still past its lease
	StateReboot                          // a machine rebooted
	StateRetired                         // a slave stopped for good and came back as another
	StateDrained                         // a slave was drained
	StateExecutor                        // a custom executor ran a task
	StateExecutorBack                    // an executor came back to a slave that had restarted
	StateGroup                           // a group of tasks was launched
	StateVolume                          // a task ran on a persistent volume
	StateUnreserved                      // a reservation was undone
	StateTimedOut                        // a framework's failover time ran out
	StateTornDown                        // a framework was torn down
	StateHostileRefused                  // a stranger's message was refused
	StateCrashPoint                      // a process died between two effects
	StateClockJumped                     // a node's date jumped
	StateInvalidOffers                   // an accept of an offer that was gone dropped its tasks
	StateRolesChanged                    // a framework changed its roles without a new subscription
	StateCorruptRefused                  // a frame was damaged, and its reader saw it
	StateCorruptUnseen                   // a frame was damaged, and only TLS would have seen it
	StateSqueezed                        // a message took long because the connection was narrow
	StateMoved                           // a slave came back under another address
	StateExhausted                       // a connection was not made for want of descriptors
	StateStarved                         // a node was starved for a while
	StateForkFailed                      // a container was not started for want of processes or descriptors
	StateSuspended                       // machines were suspended together
	StateSpun                            // a master or a scheduler crashed again and again
	StateStopped                         // a slave stopped in good order and came back
	StateUnwatched                       // a container ended while nobody watched
	StateBlunder                         // an operator did what is regretted
	StateTransferred                     // a leader handed the lead over
	StateLeaderRemoved                   // the leader was taken out of the cluster
	StateInstallCut                      // a leader ended while a master got its log
	StateCaughtUp                        // a master that had lost its log has it again
	StateRolledBack                      // a master was set back to old data
	StateWriteFailed                     // a write failed on a master
	StateCoreFailed                      // a leader's core failed at a message
	StateRotRefused                      // a process did not start on damaged data
	StateGrown                           // a slave came back with more resources
	StateShrinkRefused                   // a slave did not start because it had less
	StateForged                          // a stranger repeated what somebody else had said
	StateTwin                            // a scheduler was superseded by a twin
	StateBadManners                      // a scheduler did what none should
	StateTransientLost                   // a task ended with its slave's process, as asked
	StateForeign                         // a master of another cluster spoke to a slave
	StateUnhealthy                       // a task was killed for its health
	StateLeaseOver                       // a supervisor ended a task whose lease was over
	StateBuried                          // a leader said that a task is gone because its lease was over
	states
)

var stateNames = [states]string{"deposed-in-flight", "snapshot-installed", "rescind-crossed", "resent-3", "terminal-reregister", "double-failover",
	"quota-lowered", "swapped", "ack-lost", "ended-unreachable", "unreachable-back", "disk-full", "disk-failed", "torn", "compacted", "reordered",
	"duplicated", "old-reign", "paused-leader", "reboot", "retired", "drained", "executor", "executor-back", "group", "volume", "unreserved",
	"timed-out", "torn-down", "hostile-refused", "crash-point", "clock-jumped", "invalid-offers",
	"roles-changed", "corrupt-refused", "corrupt-unseen", "squeezed", "moved", "exhausted", "starved", "fork-failed", "suspended", "spun", "stopped",
	"unwatched", "blunder", "transferred", "leader-removed", "install-cut", "caught-up", "rolled-back", "write-failed", "core-failed", "rot-refused",
	"grown", "shrink-refused", "forged", "twin", "bad-manners", "transient-lost", "foreign", "unhealthy", "lease-over", "buried"}

// String is the state's name in a campaign's output.
func (s State) String() string { return stateNames[s] }

// States counts how often each was reached.
type States [states]int

func (s *States) reach(x State) { s[x]++ }

// Add sums up the runs of a campaign.
func (s *States) Add(o *States) {
	for i := range s {
		s[i] += o[i]
	}
}

// Missing are those that were never reached.
func (s *States) Missing() (out []State) {
	for i, n := range s {
		if n == 0 {
			out = append(out, State(i))
		}
	}
	return out
}
