package slavecore

import (
	"time"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// An Event is one of the structs below: the whole input of a Core.
type Event interface{ event() }

// Connected says that a connection to the leading master is up. Conn counts up; events that name an older one are stale.
type Connected struct{ Conn uint64 }

// Disconnected says that the connection has ended.
type Disconnected struct{ Conn uint64 }

// FromMaster is one message from the master, with whose reign it carries.
type FromMaster struct {
	Conn     uint64
	Envelope message.Envelope
}

// Checkpointed answers Checkpoints: the one with this token and all before it are on disk.
type Checkpointed struct{ Token uint64 }

// CheckpointFailed answers Checkpoint: the record is not on disk, or perhaps not. It is final for this run of the slave.
type CheckpointFailed struct {
	Token uint64
	Error string
}

// Started says that a container's first process runs.
type Started struct {
	Container string
	PID       int
	Sandbox   string
}

// StartFailed says that a container could not be started, and that nothing of it runs.
type StartFailed struct {
	Container string
	Reason    offer.Reason // ReasonContainerLaunchFailed where nothing better is known
	Error     string
}

// Exited says that a container has ended and nothing of it runs any more.
type Exited struct {
	Container  string
	Exit       offer.Exit
	Known      bool               // false: it ended while nobody watched, Exit is not known
	Reason     offer.Reason       // of a limitation; ReasonNone otherwise
	Message    string             // for people
	Limitation resource.Resources // what was exceeded
}

// FromExecutor is one message from a custom executor. Conn counts up over all executors' connections.
type FromExecutor struct {
	Conn    uint64
	Message message.Message
}

// ExecutorDisconnected says that an executor's connection has ended.
type ExecutorDisconnected struct{ Conn uint64 }

// Probed answers Probe, also after EndProbe, once nothing of the probe is left.
type Probed struct {
	Probe  uint64
	Result offer.CheckResult // of the Probe's kind; not Known if it has come to nothing
	Error  string            // then, why
	Void   bool              // it could not be made, through no fault of the task: it says nothing, good or bad
}

// Tick says that Deadline has come, or nothing at all.
type Tick struct{}

// StopAsked begins an orderly stop of the slave process. With Leave it unregisters and kills its tasks; without, tasks go on and
// wait for the next run.
type StopAsked struct{ Leave bool }

func (Connected) event()            {}
func (Disconnected) event()         {}
func (FromMaster) event()           {}
func (Checkpointed) event()         {}
func (CheckpointFailed) event()     {}
func (Started) event()              {}
func (StartFailed) event()          {}
func (Exited) event()               {}
func (FromExecutor) event()         {}
func (ExecutorDisconnected) event() {}
func (Probed) event()               {}
func (Tick) event()                 {}
func (StopAsked) event()            {}

// An Effect is one of the structs below: what the shell is to do, in order.
type Effect interface{ effect() }

// Send sends a message to the master, on the connection if it is still the current one.
type Send struct {
	Conn    uint64
	Message message.Message
}

// Reconnect drops the connection and looks for the leader anew.
type Reconnect struct{ Refusal *offer.Refusal }

// Checkpoint appends records to the journal. Answered by Checkpointed or CheckpointFailed once they are on disk; checkpoints that wait
// share one flush and one answer. Records of later effects come after these in the journal.
type Checkpoint struct {
	Token   uint64
	Records []Record
}

// Start starts a container. It is asked only after the checkpoint of its launch is on disk. Answered by Started or StartFailed, and
// in the end Exited.
type Start struct {
	Container string
	Framework *offer.Framework
	Role      string
	Task      *offer.Task     // of a command or function task
	Executor  *offer.Executor // of a custom executor; then Task is nil
	Token     string          // the executor's secret for ExecutorSubscribe
	Resources resource.Resources
	Limits    []offer.Limit      // of an executor: what its tasks may use together above Resources; those of a task are in Task
	Recovered bool               // the launch was checkpointed by an earlier run: start it only if that run never did, and it has no lease
	Group     string             // of a member of a launch group under the built-in executor: the same for all members that have one executor
	Beside    resource.Resources // what that executor has for itself
	Renewal   uint64             // of a task with a lease: it counts from when Renew with this Seq was sent. Zero: not known, of one that is recovered
}

// Adopt takes over a container that an earlier run of the slave started. Answered by Started if it runs, then Exited when it ends, or at
// once by Exited.
type Adopt struct {
	Container string
	Framework offer.FrameworkID
	Task      offer.TaskID
	Executor  offer.ExecutorID
}

// Kill signals a container: politely (SIGTERM) or surely (SIGKILL to all of it). Exited follows when it has ended.
type Kill struct {
	Container string
	Sure      bool
}

// Resize changes what a container may use.
type Resize struct {
	Container string
	Resources resource.Resources
	Limits    []offer.Limit // above Resources; they replace those from before
}

// Renew gives a container its lease anew: it counts from when the message Renew with this Seq was sent. What has run out stays so.
type Renew struct {
	Container string
	Seq       uint64
	Lease     time.Duration
}

// Forget says that a container's runtime data are no longer needed; the sandbox stays until it is collected.
type Forget struct{ Container string }

// Probe looks once at a task that runs, for at most the check's timeout. Answered by Probed.
type Probe struct {
	Probe     uint64 // counts up
	Container string
	PID       int // of the container's first process
	Framework *offer.Framework
	Task      *offer.Task
	Health    bool // it is the task's Health that is due; else its Check
}

// Check is what to do.
func (p *Probe) Check() *offer.Check {
	if p.Health {
		return &p.Task.Health.Check
	}
	return p.Task.Check
}

// EndProbe gives up a probe that is under way: its result is of no interest. Probed follows.
type EndProbe struct{ Probe uint64 }

// SendExecutor sends a message to a custom executor.
type SendExecutor struct {
	Conn    uint64
	Message message.Message
}

// CloseExecutor ends an executor's connection.
type CloseExecutor struct {
	Conn    uint64
	Refusal *offer.Refusal
}

// MakeVolumes creates or deletes the directories of persistent volumes. The record of it is checkpointed already.
type MakeVolumes struct {
	Create, Destroy resource.Resources
}

// Stop ends the slave process: Run returns. A Refusal that is not nil is the error it returns.
type Stop struct{ Refusal *offer.Refusal }

// Note tells the log and the metrics what happened. It decides nothing.
type Note struct {
	Event     string
	Framework offer.FrameworkID
	Task      offer.TaskID
	Reason    offer.Reason
	Text      string
}

func (Send) effect()          {}
func (Reconnect) effect()     {}
func (Checkpoint) effect()    {}
func (Start) effect()         {}
func (Adopt) effect()         {}
func (Kill) effect()          {}
func (Resize) effect()        {}
func (Renew) effect()         {}
func (Forget) effect()        {}
func (Probe) effect()         {}
func (EndProbe) effect()      {}
func (SendExecutor) effect()  {}
func (CloseExecutor) effect() {}
func (MakeVolumes) effect()   {}
func (Stop) effect()          {}
func (Note) effect()          {}
