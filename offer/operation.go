package offer

import "github.com/meros-project/meros/offer/resource"

// OperationKind tells operations apart.
type OperationKind uint8

// The operations. The numbers travel on the wire and are append-only.
const (
	OperationLaunch OperationKind = 1 + iota
	OperationLaunchGroup
	OperationReserve
	OperationUnreserve
	OperationCreate
	OperationDestroy
)

// String returns the operation's name in Mesos' spelling, such as LAUNCH_GROUP.
func (k OperationKind) String() string {
	if int(k) < len(operationNames) && operationNames[k] != "" {
		return operationNames[k]
	}
	return "OPERATION(" + itoa(int(k)) + ")"
}

var operationNames = [...]string{OperationLaunch: "LAUNCH", OperationLaunchGroup: "LAUNCH_GROUP", OperationReserve: "RESERVE",
	OperationUnreserve: "UNRESERVE", OperationCreate: "CREATE", OperationDestroy: "DESTROY"}

// An Operation is one step of an accept. Steps apply in order to a running copy of the offered resources, so that what one reserves
// the next may use. A bad step is refused with a Reason and the others go on.
type Operation struct {
	ID   OperationID // set it to be told the outcome of Reserve, Unreserve, Create and Destroy
	Kind OperationKind
	// Tasks are what Launch starts one by one and LaunchGroup starts all or none.
	Tasks []Task
	// Executor is what LaunchGroup runs its tasks under; nil means the built-in one.
	Executor *Executor
	// Resources: for Reserve the resources as they are to be, with the new reservation on top; for Unreserve as they are; for Create
	// with the Volume to be; for Destroy the volume as it is.
	Resources resource.Resources
}

// Launch starts tasks one by one.
func Launch(tasks ...Task) Operation { return Operation{Kind: OperationLaunch, Tasks: tasks} }

// LaunchGroup starts all of tasks or none, under the built-in executor. When one fails, the others are killed, each under its own kill
// policy; when one finishes well, they go on. Each has a container of its own, with its own limits, sandbox and output, so that none
// can use up what another has asked for; those that set Task.ShareCgroups share their limits, which Mesos has all do unless told otherwise. A
// slave that is started again knows the group as one.
func LaunchGroup(tasks ...Task) Operation {
	return Operation{Kind: OperationLaunchGroup, Tasks: tasks}
}

// Reserve turns offered resources into reserved ones; rs carry the reservation.
func Reserve(rs resource.Resources) Operation {
	return Operation{Kind: OperationReserve, Resources: rs}
}

// Unreserve takes the last reservation off rs.
func Unreserve(rs resource.Resources) Operation {
	return Operation{Kind: OperationUnreserve, Resources: rs}
}

// Create makes persistent volumes of reserved disk; rs carry the volumes.
func Create(rs resource.Resources) Operation {
	return Operation{Kind: OperationCreate, Resources: rs}
}

// Destroy deletes persistent volumes and what is in them.
func Destroy(rs resource.Resources) Operation {
	return Operation{Kind: OperationDestroy, Resources: rs}
}

// An OperationStatus tells the outcome of an operation that had an id.
type OperationStatus struct {
	ID      OperationID
	SlaveID SlaveID
	State   OperationState
	Reason  Reason
	Message string
	UUID    UUID // acknowledge it unless zero
}

// OperationState is where an operation stands. The numbers are Mesos'.
type OperationState uint8

// The states of an operation.
const (
	OperationPending        OperationState = 1
	OperationFinished       OperationState = 2
	OperationFailed         OperationState = 3
	OperationError          OperationState = 4
	OperationDropped        OperationState = 5
	OperationUnreachable    OperationState = 6
	OperationGoneByOperator OperationState = 7
	OperationRecovering     OperationState = 8
	OperationUnknown        OperationState = 9
)

// Terminal reports whether the state is final.
func (s OperationState) Terminal() bool {
	switch s {
	case OperationFinished, OperationFailed, OperationError, OperationDropped, OperationGoneByOperator:
		return true
	}
	return false
}

// String returns Mesos' name of the state.
func (s OperationState) String() string {
	if int(s) < len(operationStates) {
		return operationStates[s]
	}
	return "OPERATION_STATE(" + itoa(int(s)) + ")"
}

var operationStates = [...]string{"OPERATION_UNSUPPORTED", "OPERATION_PENDING", "OPERATION_FINISHED", "OPERATION_FAILED", "OPERATION_ERROR",
	"OPERATION_DROPPED", "OPERATION_UNREACHABLE", "OPERATION_GONE_BY_OPERATOR", "OPERATION_RECOVERING", "OPERATION_UNKNOWN"}
