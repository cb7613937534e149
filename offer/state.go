package offer

import (
	"fmt"
	"strconv"
)

func itoa(n int) string { return strconv.Itoa(n) }

// State is where a task stands. The numbers are Mesos' TaskState.
type State uint8

// The states. Which of them are final is said by Terminal; which may follow which, by CanFollow.
const (
	Starting       State = 0  // the slave has begun to start it
	Running        State = 1  // it runs
	Finished       State = 2  // it ended by itself with exit status 0
	Failed         State = 3  // it ended by itself with another status, or was stopped for breaking a limit
	Killed         State = 4  // it was killed on request
	Lost           State = 5  // what frameworks that are not partition-aware are told for Unreachable, Dropped, Gone, GoneByOperator, Unknown
	Staging        State = 6  // the master has accepted it
	Error          State = 7  // its description is invalid
	Killing        State = 8  // it is being killed
	Dropped        State = 9  // it was never started
	Unreachable    State = 10 // its slave does not answer; it may still run
	Gone           State = 11 // it ran and no longer exists
	GoneByOperator State = 12 // an operator has vouched that it no longer exists
	Unknown        State = 13 // the master knows neither the task nor its slave
	states               = 14
)

var stateNames = [states]string{"TASK_STARTING", "TASK_RUNNING", "TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_LOST", "TASK_STAGING",
	"TASK_ERROR", "TASK_KILLING", "TASK_DROPPED", "TASK_UNREACHABLE", "TASK_GONE", "TASK_GONE_BY_OPERATOR", "TASK_UNKNOWN"}

// String returns Mesos' name, such as TASK_RUNNING.
func (s State) String() string {
	if s < states {
		return stateNames[s]
	}
	return "TASK_STATE(" + itoa(int(s)) + ")"
}

// Valid reports whether s is one of the states.
func (s State) Valid() bool { return s < states }

// MarshalText writes Mesos' name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads Mesos' name.
func (s *State) UnmarshalText(b []byte) error {
	for i, n := range stateNames {
		if n == string(b) {
			*s = State(i)
			return nil
		}
	}
	return fmt.Errorf("task state %.40q: not a state (allowed: TASK_STAGING, TASK_RUNNING, ...)", b)
}

// Terminal reports whether a task in this state has ended for good and holds no resources. Lost counts: it is the end as far as
// a framework that is not partition-aware can tell. Unreachable and Unknown do not.
func (s State) Terminal() bool {
	switch s {
	case Finished, Failed, Killed, Lost, Error, Dropped, Gone, GoneByOperator:
		return true
	}
	return false
}

func set(s ...State) (m uint16) {
	for _, x := range s {
		m |= 1 << x
	}
	return m
}

var ended = set(Finished, Failed, Killed, Lost, Error, Dropped, Gone, GoneByOperator)

// follows is the one transition table: follows[from] is the set of states that may come next (invariant T2). A repeat of the same
// state is a fresh report about it (health, for instance) and is allowed outside terminal states.
var follows = [states]uint16{
	Staging:     ended | set(Staging, Starting, Running, Killing, Unreachable),
	Starting:    ended&^set(Dropped, Error) | set(Starting, Running, Killing, Unreachable),
	Running:     ended&^set(Dropped, Error) | set(Running, Killing, Unreachable),
	Killing:     ended&^set(Dropped, Error) | set(Killing, Unreachable),
	Unreachable: ended | set(Unreachable, Staging, Starting, Running, Killing),
	Unknown:     ended | set(Unknown, Unreachable, Staging, Starting, Running, Killing),
}

// CanFollow reports whether a task in state from may be told to be in state to next. Nothing follows a terminal state.
func CanFollow(from, to State) bool {
	return from.Valid() && to.Valid() && follows[from]&(1<<to) != 0
}

// ForFramework translates a state for a framework: those that are not partition-aware are told Lost for the states that Mesos added
// for partitions, those without KillingState are told Running for Killing.
func (s State) ForFramework(c Capabilities) State {
	switch s {
	case Unreachable, Dropped, Gone, GoneByOperator, Unknown:
		if !c.Has(PartitionAware) {
			return Lost
		}
	case Killing:
		if !c.Has(KillingState) {
			return Running
		}
	}
	return s
}
