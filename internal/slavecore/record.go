package slavecore

import (
	"time"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// A Record is one line of a slave's journal; what it points to does not change any more. Replaying them in order gives the state that a restarted slave begins with. RecordKind is
// its number on disk, append-only.
type Record interface{ RecordKind() RecordKind }

// RecordKind numbers the records.
type RecordKind uint8

// The kinds.
const (
	RecordRegistered RecordKind = 1 + iota
	RecordReign
	RecordLaunched
	RecordUpdated
	RecordAcked
	RecordResources
	RecordDraining
	RecordExecutorStarted
	RecordExecutorEnded
	RecordBoot
	RecordKilled
)

// Registered fixes the slave's identity.
type Registered struct {
	Cluster offer.ClusterID
	Slave   offer.Slave
}

// Reign is the highest reign whose messages the slave has accepted (L1).
type Reign struct{ Reign uint64 }

// Launched says that a task was accepted. It is on disk before the task is started (T5).
type Launched struct {
	Framework *offer.Framework // never nil, like Task
	Role      string
	Task      *offer.Task
	Container string           // of the task itself, or of its executor
	Group     uint64           // tasks of one launch group share a number above zero
	Executor  offer.ExecutorID // of the executor it runs under; empty for a task of its own
	At        time.Time        // when it was accepted: MaxCompletion counts from here
	Members   uint32           // of its group, whose records follow each other; zero where nobody needs to know
}

// Updated appends a status to the task's stream. On disk before it is sent, or before an executor is told that it was taken over.
type Updated struct {
	Framework offer.FrameworkID
	Status    *offer.Status // never nil
	// Encoded, if not nil, is where whoever writes the record leaves how package wire writes Status, before it answers the checkpoint. It is not
	// a field of the record.
	Encoded *string
}

// Acked takes the head off the task's stream; after a terminal one the task is forgotten (T10).
type Acked struct {
	Framework offer.FrameworkID
	Task      offer.TaskID
	UUID      offer.UUID
}

// Resources is the slave's total after an operation, with the operation's identity and outcome while it is not acknowledged.
type Resources struct {
	Total     resource.Resources
	Framework offer.FrameworkID
	Status    offer.OperationStatus
	Acked     bool
}

// Draining records the wish to empty the slave; nil ends it.
type Draining struct{ Config *offer.Drain }

// ExecutorStarted says that a custom executor was accepted. On disk before it is started.
type ExecutorStarted struct {
	Framework offer.Framework
	Role      string
	Executor  offer.Executor
	Container string
	Token     string
}

// ExecutorEnded says that a custom executor has ended.
type ExecutorEnded struct {
	Framework offer.FrameworkID
	Executor  offer.ExecutorID
}

// Boot names the boot of the machine: after another one, no process of an earlier run lives (S2).
type Boot struct{ ID string }

// Killed says that a kill was asked, so that a restarted slave goes on with it.
type Killed struct {
	Framework offer.FrameworkID
	Task      offer.TaskID
	Policy    *offer.KillPolicy
	Reason    offer.Reason // why, where it was not the framework that asked
}

func (*Registered) RecordKind() RecordKind      { return RecordRegistered }
func (*Reign) RecordKind() RecordKind           { return RecordReign }
func (*Launched) RecordKind() RecordKind        { return RecordLaunched }
func (*Updated) RecordKind() RecordKind         { return RecordUpdated }
func (*Acked) RecordKind() RecordKind           { return RecordAcked }
func (*Resources) RecordKind() RecordKind       { return RecordResources }
func (*Draining) RecordKind() RecordKind        { return RecordDraining }
func (*ExecutorStarted) RecordKind() RecordKind { return RecordExecutorStarted }
func (*ExecutorEnded) RecordKind() RecordKind   { return RecordExecutorEnded }
func (*Boot) RecordKind() RecordKind            { return RecordBoot }
func (*Killed) RecordKind() RecordKind          { return RecordKilled }
