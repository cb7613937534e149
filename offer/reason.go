package offer

import "fmt"

// Reason says why a status is what it is, or why a request was refused. It is one append-only list for the whole system: numbers up
// to 35 stand for Mesos' TaskStatus.Reason (see Number), those from 1000 are this project's own. ReasonNone is the zero value.
type Reason uint16

// The reasons that Mesos knows, in its order and shifted by one, so that the zero value means none; Number gives the number on its wire.
const (
	ReasonNone Reason = iota
	ReasonCommandExecutorFailed
	ReasonExecutorTerminated
	ReasonExecutorUnregistered
	ReasonFrameworkRemoved
	ReasonGCError
	ReasonInvalidFrameworkID
	ReasonInvalidOffers
	ReasonMasterDisconnected
	ReasonContainerLimitationMemory
	ReasonReconciliation
	ReasonSlaveDisconnected
	ReasonSlaveRemoved
	ReasonSlaveRestarted
	ReasonSlaveUnknown
	ReasonTaskInvalid
	ReasonTaskUnauthorized
	ReasonTaskUnknown
	ReasonContainerPreempted
	ReasonResourcesUnknown
	ReasonContainerLimitation
	ReasonContainerLimitationDisk
	ReasonContainerLaunchFailed
	ReasonContainerUpdateFailed
	ReasonExecutorRegistrationTimeout
	ReasonExecutorReregistrationTimeout
	ReasonTaskGroupInvalid
	ReasonTaskGroupUnauthorized
	ReasonIOSwitchboardExited
	ReasonTaskCheckStatusUpdated
	ReasonTaskHealthCheckStatusUpdated
	ReasonTaskKilledDuringLaunch
	ReasonSlaveRemovedByOperator
	ReasonSlaveReregistered
	ReasonMaxCompletionTimeReached
	ReasonSlaveDraining
	mesosReasons
)

// Reasons of this project's own.
const (
	ReasonWrongCluster        Reason = 1000 + iota // the peer belongs to another cluster
	ReasonOldReign                                 // the message is of a master that has been succeeded
	ReasonNotLeader                                // this master does not lead
	ReasonSlaveGone                                // the slave was marked gone and may not return
	ReasonSlaveConflict                            // another machine holds this slave id
	ReasonFrameworkUnknown                         // no such framework, or not subscribed on this connection
	ReasonFrameworkConflict                        // another connection has taken the framework over
	ReasonFrameworkCompleted                       // the framework was torn down or its failover time is over; its id is retired
	ReasonPrincipalChanged                         // the principal differs from the one first seen
	ReasonInvalidField                             // a field has a value that is not allowed
	ReasonMalformed                                // the bytes are not a message
	ReasonTooLarge                                 // larger than a limit
	ReasonLimitReached                             // a bound on a number of things is reached
	ReasonDuplicateID                              // the id is in use
	ReasonInsufficient                             // more than is offered or left
	ReasonInUse                                    // still used by a task
	ReasonUnknownID                                // nothing of this id is known
	ReasonRegistryUnavailable                      // the registry could not be written
	ReasonDiskFailed                               // a write to the disk failed
	ReasonUnauthenticated                          // the peer has not proved who it is
	ReasonForbidden                                // the principal may not do this
	ReasonOfferTimeout                             // the offer was not answered in time
	ReasonSlowConsumer                             // the peer does not read fast enough
	ReasonShuttingDown                             // the node is about to stop
	ReasonInternal                                 // an invariant of the program itself failed
	ReasonGroupMemberEnded                         // another task of the same group ended, so this one was killed
	ReasonFunctionUnknown                          // the slave's host program registers no function of this name
	ReasonUnsupported                              // the peer does not know this, or cannot do it on its machine
	ReasonLeaseExpired                             // the task's lease was not renewed in time
	endReasons
)

var mesosReasonNames = [mesosReasons]string{"", "REASON_COMMAND_EXECUTOR_FAILED", "REASON_EXECUTOR_TERMINATED", "REASON_EXECUTOR_UNREGISTERED",
	"REASON_FRAMEWORK_REMOVED", "REASON_GC_ERROR", "REASON_INVALID_FRAMEWORKID", "REASON_INVALID_OFFERS", "REASON_MASTER_DISCONNECTED",
	"REASON_CONTAINER_LIMITATION_MEMORY", "REASON_RECONCILIATION", "REASON_SLAVE_DISCONNECTED", "REASON_SLAVE_REMOVED",
	"REASON_SLAVE_RESTARTED", "REASON_SLAVE_UNKNOWN", "REASON_TASK_INVALID", "REASON_TASK_UNAUTHORIZED", "REASON_TASK_UNKNOWN",
	"REASON_CONTAINER_PREEMPTED", "REASON_RESOURCES_UNKNOWN", "REASON_CONTAINER_LIMITATION", "REASON_CONTAINER_LIMITATION_DISK",
	"REASON_CONTAINER_LAUNCH_FAILED", "REASON_CONTAINER_UPDATE_FAILED", "REASON_EXECUTOR_REGISTRATION_TIMEOUT",
	"REASON_EXECUTOR_REREGISTRATION_TIMEOUT", "REASON_TASK_GROUP_INVALID", "REASON_TASK_GROUP_UNAUTHORIZED", "REASON_IO_SWITCHBOARD_EXITED",
	"REASON_TASK_CHECK_STATUS_UPDATED", "REASON_TASK_HEALTH_CHECK_STATUS_UPDATED", "REASON_TASK_KILLED_DURING_LAUNCH",
	"REASON_SLAVE_REMOVED_BY_OPERATOR", "REASON_SLAVE_REREGISTERED", "REASON_MAX_COMPLETION_TIME_REACHED", "REASON_SLAVE_DRAINING"}

var ownReasonNames = [endReasons - ReasonWrongCluster]string{"WRONG_CLUSTER", "OLD_REIGN", "NOT_LEADER", "SLAVE_GONE", "SLAVE_CONFLICT",
	"FRAMEWORK_UNKNOWN", "FRAMEWORK_CONFLICT", "FRAMEWORK_COMPLETED", "PRINCIPAL_CHANGED", "INVALID_FIELD", "MALFORMED", "TOO_LARGE",
	"LIMIT_REACHED", "DUPLICATE_ID", "INSUFFICIENT", "IN_USE", "UNKNOWN_ID", "REGISTRY_UNAVAILABLE", "DISK_FAILED", "UNAUTHENTICATED",
	"FORBIDDEN", "OFFER_TIMEOUT", "SLOW_CONSUMER", "SHUTTING_DOWN", "INTERNAL", "GROUP_MEMBER_ENDED", "FUNCTION_UNKNOWN", "UNSUPPORTED", "LEASE_EXPIRED"}

// String returns the reason's name; empty for ReasonNone.
func (r Reason) String() string {
	switch {
	case r < mesosReasons:
		return mesosReasonNames[r]
	case r >= ReasonWrongCluster && r < endReasons:
		return "REASON_" + ownReasonNames[r-ReasonWrongCluster]
	}
	return "REASON(" + itoa(int(r)) + ")"
}

// Number returns the number that Mesos gives the reason, and whether Mesos knows it.
func (r Reason) Number() (int, bool) {
	if r == ReasonNone || r >= mesosReasons {
		return 0, false
	}
	return int(r) - 1, true
}

// MarshalText writes the name.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads the name.
func (r *Reason) UnmarshalText(b []byte) error {
	s := string(b)
	for i, n := range mesosReasonNames {
		if n == s {
			*r = Reason(i)
			return nil
		}
	}
	for i, n := range ownReasonNames {
		if "REASON_"+n == s {
			*r = ReasonWrongCluster + Reason(i)
			return nil
		}
	}
	return fmt.Errorf("reason %.60q: not a reason", b)
}
