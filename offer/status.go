package offer

import (
	"time"

	"github.com/meros-project/meros/offer/resource"
)

// Source says who made a status.
type Source uint8

// The sources. The numbers are Mesos'.
const (
	SourceMaster   Source = 0
	SourceSlave    Source = 1
	SourceExecutor Source = 2
)

// String returns Mesos' name.
func (s Source) String() string {
	switch s {
	case SourceMaster:
		return "SOURCE_MASTER"
	case SourceSlave:
		return "SOURCE_SLAVE"
	case SourceExecutor:
		return "SOURCE_EXECUTOR"
	}
	return "SOURCE(" + itoa(int(s)) + ")"
}

// A Status is one report about a task. A status with a UUID comes from a slave, is delivered at least once and in order for its task,
// and is repeated until acknowledged; one without comes from the master and is told once.
type Status struct {
	TaskID          TaskID
	SlaveID         SlaveID
	ExecutorID      ExecutorID
	State           State
	Source          Source
	Reason          Reason
	Message         string    // for people
	Data            []byte    // the executor's own
	Time            time.Time // when Source made it, by its own clock
	UUID            UUID
	Healthy         *bool              // what Task.Health says; nil: nothing yet. With a terminal state: false if that is why it was killed
	UnreachableTime time.Time          // with Unreachable: since when
	Exit            *Exit              // with a terminal state of a process: how it ended
	Container       *Container         // once the slave has one
	Limitation      resource.Resources // what was exceeded, with a limitation reason
	Check           *CheckResult       // what Task.Check has last come to; nil: the task has none
}

// An Exit is how a process ended: by itself with Code, or by Signal if that is not zero.
type Exit struct {
	Code   int
	Signal int
}

// Success reports an exit by itself with status 0.
func (e Exit) Success() bool { return e.Code == 0 && e.Signal == 0 }

// String says it in words, such as "exited with status 3" or "ended by signal 9".
func (e Exit) String() string {
	if e.Signal != 0 {
		return "ended by signal " + itoa(e.Signal)
	}
	return "exited with status " + itoa(e.Code)
}

// A Container says where a task runs on its slave.
type Container struct {
	ID      string
	PID     int
	Sandbox string // path on the slave
}
