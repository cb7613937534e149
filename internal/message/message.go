package message

import (
	"time"

	"github.com/meros-project/meros/offer"
)

// A Message is one of the plain structs of this package. Kind is its number on the wire, which never changes meaning.
type Message interface{ Kind() Kind }

// Kind numbers the messages. Numbers are append-only; the blocks of 32 keep senders apart.
type Kind uint8

// The kinds.
const (
	KindWatch Kind = 1 + iota
	KindLeader
	KindOperate
	KindOperated
)

// From a slave to the master.
const (
	KindSlaveRegister Kind = 32 + iota
	KindSlaveReregister
	KindSlaveUnregister
	KindPong
	KindStatusUpdate
	KindOperationUpdate
	KindExecutorExited
	KindFromExecutor
	KindRenew
)

// From the master to a slave.
const (
	KindSlaveRegistered Kind = 64 + iota
	KindSlaveRefused
	KindPing
	KindLaunch
	KindKill
	KindStatusAck
	KindApply
	KindOperationAck
	KindFrameworkShutdown
	KindExecutorShutdown
	KindToExecutor
	KindDrain
	KindResend
	KindRenewed
)

// From a framework to the master.
const (
	KindSubscribe Kind = 96 + iota
	KindAccept
	KindDecline
	KindRevive
	KindSuppress
	KindKillTask
	KindAcknowledge
	KindAcknowledgeOperation
	KindReconcile
	KindReconcileOperations
	KindTeardown
	KindShutdownExecutor
	KindRequest
	KindUpdateFramework
)

// From the master to a framework.
const (
	KindSubscribed Kind = 128 + iota
	KindOffers
	KindRescind
	KindUpdate
	KindFailure
	KindError
	KindHeartbeat
)

// Between a slave and its executors.
const (
	KindExecutorSubscribe Kind = 160 + iota
	KindExecutorSubscribed
	KindExecutorLaunch
	KindExecutorKill
	KindExecutorUpdate
	KindExecutorAck
	KindExecutorMessage
	KindExecutorStop
)

// An Envelope is a message with the reign on whose behalf a master sends it. Slaves, frameworks and executors send both fields as they
// know them, or zero. Receivers drop what comes from another cluster or from a lower reign than the highest they have seen (L1).
type Envelope struct {
	Cluster offer.ClusterID
	Reign   uint64
	Message Message
}

// Watch asks any master who leads. It is answered by Leader at once and again at each change, for as long as the connection lives.
type Watch struct{}

// Leader says who leads, as far as the sender knows. A master that does not lead also answers everything else with it.
type Leader struct {
	Known   bool
	ID      string
	Address string
}

// TaskRef names a task.
type TaskRef struct {
	Framework offer.FrameworkID
	Task      offer.TaskID
	Slave     offer.SlaveID // may be empty where the sender does not know it
	Lease     time.Duration // of a framework that asks: the task's, as it was launched
}

// Kind implements Message, here and below.
func (*Watch) Kind() Kind  { return KindWatch }
func (*Leader) Kind() Kind { return KindLeader }
