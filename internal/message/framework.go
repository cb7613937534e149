package message

import (
	"time"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// Subscribe registers a framework (empty id) or resumes one. It must be the first message of its connection.
type Subscribe struct {
	Nonce      offer.UUID // the same in every attempt of one session, so that a lost answer does not admit it twice
	Framework  offer.Framework
	Suppressed []string // roles that want no offers yet
}

// Accept uses offers of one slave and role for operations; what is left is declined with Filter. A large one travels in parts: each but
// the last has Last false; Offers and Filter are read from the first, Operations are the concatenation of all.
type Accept struct {
	Part       uint32
	Last       bool
	Offers     []offer.OfferID
	Operations []offer.Operation
	Filter     offer.Filter
}

// Decline gives offers back.
type Decline struct {
	Offers []offer.OfferID
	Filter offer.Filter
}

// Revive clears the filters of roles (none: all of the framework's) and ends their suppression.
type Revive struct{ Roles []string }

// Suppress stops offers for roles (none: all of the framework's) until Revive.
type Suppress struct{ Roles []string }

// KillTask stops a task. Slave may be empty. A nil Policy means the task's own.
type KillTask struct {
	Task   offer.TaskID
	Slave  offer.SlaveID
	Policy *offer.KillPolicy
}

// Acknowledge takes over a status update.
type Acknowledge struct {
	Slave offer.SlaveID
	Task  offer.TaskID
	UUID  offer.UUID
}

// AcknowledgeOperation takes over an operation's outcome.
type AcknowledgeOperation struct {
	Slave     offer.SlaveID
	Operation offer.OperationID
	UUID      offer.UUID
}

// Reconcile asks for the state of the named tasks, or of all of the framework's if none is named.
type Reconcile struct{ Tasks []TaskRef }

// ReconcileOperations asks for the outcome of the named operations.
type ReconcileOperations struct {
	Operations []OperationRef
}

// OperationRef names an operation. Slave may be empty.
type OperationRef struct {
	Operation offer.OperationID
	Slave     offer.SlaveID
}

// Teardown ends the framework and everything it runs; its id is retired.
type Teardown struct{}

// ShutdownExecutor ends an executor and its tasks.
type ShutdownExecutor struct {
	Slave    offer.SlaveID
	Executor offer.ExecutorID
}

// Request says what the framework needs, as a hint to the allocator.
type Request struct {
	Role  string
	Needs []resource.Quantities
}

// UpdateFramework changes a framework's description without a new subscription. Principal, user and NoCheckpoint cannot change.
type UpdateFramework struct {
	Framework  offer.Framework
	Suppressed []string
}

// Subscribed welcomes a framework. It is the first message it gets.
type Subscribed struct {
	ID        offer.FrameworkID
	Heartbeat time.Duration // between Heartbeats; after five without any message the connection counts as dead
}

// Offers are new offers, each of one slave and one role.
type Offers struct{ Offers []offer.Offer }

// Rescind takes offers back.
type Rescind struct{ Offers []offer.OfferID }

// Update carries a status to a framework; acknowledge it if it has a UUID.
type Update struct {
	Status  *offer.Status
	Encoded string // as in StatusUpdate
}

// Failure says that a slave was lost (Executor empty) or that an executor has ended. Best effort.
type Failure struct {
	Slave    offer.SlaveID
	Executor offer.ExecutorID
	Exit     *offer.Exit
}

// Error refuses a call. With Final the connection closes and the session must not come back with this id.
type Error struct {
	Reason  offer.Reason
	Message string
	Final   bool
}

// Heartbeat is sent on a quiet connection.
type Heartbeat struct{}

func (*Subscribe) Kind() Kind            { return KindSubscribe }
func (*Accept) Kind() Kind               { return KindAccept }
func (*Decline) Kind() Kind              { return KindDecline }
func (*Revive) Kind() Kind               { return KindRevive }
func (*Suppress) Kind() Kind             { return KindSuppress }
func (*KillTask) Kind() Kind             { return KindKillTask }
func (*Acknowledge) Kind() Kind          { return KindAcknowledge }
func (*AcknowledgeOperation) Kind() Kind { return KindAcknowledgeOperation }
func (*Reconcile) Kind() Kind            { return KindReconcile }
func (*ReconcileOperations) Kind() Kind  { return KindReconcileOperations }
func (*Teardown) Kind() Kind             { return KindTeardown }
func (*ShutdownExecutor) Kind() Kind     { return KindShutdownExecutor }
func (*Request) Kind() Kind              { return KindRequest }
func (*UpdateFramework) Kind() Kind      { return KindUpdateFramework }
func (*Subscribed) Kind() Kind           { return KindSubscribed }
func (*Offers) Kind() Kind               { return KindOffers }
func (*Rescind) Kind() Kind              { return KindRescind }
func (*Update) Kind() Kind               { return KindUpdate }
func (*Failure) Kind() Kind              { return KindFailure }
func (*Error) Kind() Kind                { return KindError }
func (*Heartbeat) Kind() Kind            { return KindHeartbeat }
