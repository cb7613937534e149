package message

import "github.com/meros-project/meros/offer"

// ExecutorSubscribe announces an executor to its slave, first and after every lost connection.
type ExecutorSubscribe struct {
	Framework offer.FrameworkID
	Executor  offer.ExecutorID
	Token     string         // from the environment the slave gave it
	Tasks     []offer.Task   // launched and with no acknowledged update yet
	Updates   []offer.Status // not acknowledged
}

// ExecutorSubscribed welcomes an executor.
type ExecutorSubscribed struct {
	Slave     offer.Slave
	Framework offer.Framework
	Executor  offer.Executor
}

// ExecutorLaunch hands tasks to an executor; with Group they stand and fall together.
type ExecutorLaunch struct {
	Tasks []offer.Task
	Group bool
}

// ExecutorKill asks an executor to stop a task.
type ExecutorKill struct {
	Task   offer.TaskID
	Policy *offer.KillPolicy
}

// ExecutorUpdate reports a status. The slave checkpoints it before it answers with ExecutorAck.
type ExecutorUpdate struct{ Status offer.Status }

// ExecutorAck says that the slave has taken over the update.
type ExecutorAck struct {
	Task offer.TaskID
	UUID offer.UUID
}

// ExecutorMessage carries bytes between framework and executor, in either direction.
type ExecutorMessage struct{ Data []byte }

// ExecutorStop asks an executor to end its tasks within the grace and exit.
type ExecutorStop struct{}

func (*ExecutorSubscribe) Kind() Kind  { return KindExecutorSubscribe }
func (*ExecutorSubscribed) Kind() Kind { return KindExecutorSubscribed }
func (*ExecutorLaunch) Kind() Kind     { return KindExecutorLaunch }
func (*ExecutorKill) Kind() Kind       { return KindExecutorKill }
func (*ExecutorUpdate) Kind() Kind     { return KindExecutorUpdate }
func (*ExecutorAck) Kind() Kind        { return KindExecutorAck }
func (*ExecutorMessage) Kind() Kind    { return KindExecutorMessage }
func (*ExecutorStop) Kind() Kind       { return KindExecutorStop }
