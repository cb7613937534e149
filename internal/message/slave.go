package message

import "github.com/meros-project/meros/offer"

// SlaveRegister asks for admission of a slave that has no id yet.
type SlaveRegister struct {
	Nonce offer.UUID // the same in every attempt, so that an attempt whose answer was lost is not admitted twice
	Slave offer.Slave
}

// SlaveReregister announces a slave that has an id, to a new leader or after a lost connection. It travels in parts: each but the
// last has Last false, Slave is read from the first, tasks and executors are the union of all.
type SlaveReregister struct {
	Slave     offer.Slave // its Resources are the total as checkpointed, with dynamic reservations and volumes
	Part      uint32
	Last      bool
	Tasks     []SlaveTask
	Executors []SlaveExecutor
	Draining  *offer.Drain // as last told to the slave
}

// SlaveTask is one task that a slave holds: not yet terminal, or with updates that are not acknowledged.
type SlaveTask struct {
	Framework offer.FrameworkID
	Role      string
	Task      offer.Task
	Latest    offer.State  // the newest state the slave knows
	Status    offer.Status // the head of the update stream, or the last acknowledged one
}

// SlaveExecutor is one executor that runs on a slave.
type SlaveExecutor struct {
	Framework offer.FrameworkID
	Role      string
	Executor  offer.Executor
}

// SlaveUnregister says that the slave stops for good: its tasks are gone.
type SlaveUnregister struct{}

// Pong answers Ping.
type Pong struct{}

// StatusUpdate carries the head of one task's update stream. Latest lets the master free resources before its framework has
// acknowledged its way to the end.
type StatusUpdate struct {
	Framework offer.FrameworkID
	Status    *offer.Status
	Latest    offer.State
	// Encoded is how package wire writes Status, or empty where nobody knows: it saves writing it once more. It is not a field of the message.
	Encoded string
}

// OperationUpdate carries the outcome of an operation, from slave to master and from master to framework.
type OperationUpdate struct {
	Framework offer.FrameworkID
	Status    offer.OperationStatus
}

// ExecutorExited says that an executor has ended. Best effort.
type ExecutorExited struct {
	Framework offer.FrameworkID
	Slave     offer.SlaveID
	Executor  offer.ExecutorID
	Exit      offer.Exit
	// Tasks are those of the executor that the slave has on hand, ended ones too. Another one is still on its way to the slave, which will
	// start the executor anew for it.
	Tasks []offer.TaskID
}

// FromExecutor carries bytes from an executor to its framework. Best effort.
type FromExecutor struct {
	Framework offer.FrameworkID
	Slave     offer.SlaveID
	Executor  offer.ExecutorID
	Data      []byte
}

// Renew asks for the leases of the slave's tasks. It is sent only while there are such tasks, and answered by Renewed with the same Seq once the
// master has made sure that it still leads.
type Renew struct{ Seq uint64 }

// SlaveRegistered welcomes a slave. Reconcile lists the tasks that the master believes to be there and the slave did not name: the
// slave answers each with a status update (Dropped when it never got the task).
type SlaveRegistered struct {
	ID        offer.SlaveID
	Reconcile []TaskRef
}

// SlaveRefused turns a slave away. With Shutdown it must kill its tasks and stop for good; without, it may try again later.
type SlaveRefused struct {
	Reason   offer.Reason
	Message  string
	Shutdown bool
}

// Ping is sent by the master every ping interval. Connected is false when the master does not count the slave as registered: it must
// register again.
type Ping struct{ Connected bool }

// Launch starts tasks of one framework in one role. With Group all are started or none, under Executor (nil: the built-in one).
type Launch struct {
	Framework offer.Framework // id, name, user, principal, NoCheckpoint and Capabilities only
	Role      string
	Tasks     []offer.Task
	Group     bool
	Executor  *offer.Executor
}

// Kill stops a task. A nil Policy means the task's own.
type Kill struct {
	Framework offer.FrameworkID
	Task      offer.TaskID
	Policy    *offer.KillPolicy
}

// StatusAck tells the slave that the framework has taken over the update.
type StatusAck struct {
	Framework offer.FrameworkID
	Task      offer.TaskID
	UUID      offer.UUID
}

// Apply carries out Reserve, Unreserve, Create or Destroy. The master has applied it to its own books already; the slave checkpoints the
// change before it answers.
type Apply struct {
	Framework offer.FrameworkID // empty for an operator's
	UUID      offer.UUID
	Operation offer.Operation
}

// OperationAck is StatusAck for an OperationUpdate.
type OperationAck struct {
	Framework offer.FrameworkID
	UUID      offer.UUID
}

// FrameworkShutdown kills everything that the framework runs there.
type FrameworkShutdown struct{ Framework offer.FrameworkID }

// ExecutorShutdown ends an executor and its tasks.
type ExecutorShutdown struct {
	Framework offer.FrameworkID
	Executor  offer.ExecutorID
}

// ToExecutor carries bytes from a framework to its executor, by way of the master. Best effort.
type ToExecutor struct {
	Framework offer.FrameworkID
	Slave     offer.SlaveID
	Executor  offer.ExecutorID
	Data      []byte
}

// Drain asks the slave to kill its tasks within the policy and to take no new ones; a nil Config ends it.
type Drain struct{ Config *offer.Drain }

// Resend asks for the updates of the framework's tasks that wait for an acknowledgement, now and not when their time has come: the
// framework was away and is back.
type Resend struct{ Framework offer.FrameworkID }

// Renewed answers Renew: leases count anew from when that was sent.
type Renewed struct{ Seq uint64 }

func (*SlaveRegister) Kind() Kind     { return KindSlaveRegister }
func (*SlaveReregister) Kind() Kind   { return KindSlaveReregister }
func (*SlaveUnregister) Kind() Kind   { return KindSlaveUnregister }
func (*Pong) Kind() Kind              { return KindPong }
func (*StatusUpdate) Kind() Kind      { return KindStatusUpdate }
func (*OperationUpdate) Kind() Kind   { return KindOperationUpdate }
func (*ExecutorExited) Kind() Kind    { return KindExecutorExited }
func (*FromExecutor) Kind() Kind      { return KindFromExecutor }
func (*SlaveRegistered) Kind() Kind   { return KindSlaveRegistered }
func (*SlaveRefused) Kind() Kind      { return KindSlaveRefused }
func (*Ping) Kind() Kind              { return KindPing }
func (*Launch) Kind() Kind            { return KindLaunch }
func (*Kill) Kind() Kind              { return KindKill }
func (*StatusAck) Kind() Kind         { return KindStatusAck }
func (*Apply) Kind() Kind             { return KindApply }
func (*OperationAck) Kind() Kind      { return KindOperationAck }
func (*FrameworkShutdown) Kind() Kind { return KindFrameworkShutdown }
func (*ExecutorShutdown) Kind() Kind  { return KindExecutorShutdown }
func (*ToExecutor) Kind() Kind        { return KindToExecutor }
func (*Drain) Kind() Kind             { return KindDrain }
func (*Resend) Kind() Kind            { return KindResend }
func (*Renew) Kind() Kind             { return KindRenew }
func (*Renewed) Kind() Kind           { return KindRenewed }
