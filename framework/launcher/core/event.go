package core

import (
	"fmt"
	"time"

	"github.com/meros-project/meros/offer"
)

// An Event is something that happens to a Core.
type Event interface{ event() }

// The events.
type (
	// Subscribed says that the session is subscribed.
	Subscribed struct{}
	// Disconnected says that it is not any more, and that all offers are void.
	Disconnected struct{}
	// Offered brings offers.
	Offered struct{ Offers []offer.Offer }
	// Rescinded takes offers back.
	Rescinded struct{ Offers []offer.OfferID }
	// Updated brings the state of a task.
	Updated struct{ Status offer.Status }
	// Submitted is a task that should run. It is answered with a Refused effect if it is not taken.
	Submitted struct{ Task Task }
	// SubmittedGroup is a group that should run, answered as Submitted.
	SubmittedGroup struct{ Group Group }
	// Adopted is a task that runs already, answered as Submitted.
	Adopted struct {
		Task  Task
		At    Placed
		State offer.State
	}
	// Killed ends a task or a group. It is answered with a Refused effect if there is none of that id.
	Killed struct {
		ID     string
		Policy *offer.KillPolicy // nil: the task's own
	}
	// Forgiven ends the delay of those that fail together.
	Forgiven struct{ Backoff string }
	// NotLaunched says that an Accept could not be sent.
	NotLaunched struct {
		Tasks []offer.Task
		Why   string
	}
	// Tick says that Deadline has passed.
	Tick struct{}
)

func (Subscribed) event()     {}
func (Disconnected) event()   {}
func (Offered) event()        {}
func (Rescinded) event()      {}
func (Updated) event()        {}
func (Submitted) event()      {}
func (SubmittedGroup) event() {}
func (Adopted) event()        {}
func (Killed) event()         {}
func (Forgiven) event()       {}
func (NotLaunched) event()    {}
func (Tick) event()           {}

// An Effect is something that a Core wants done.
type Effect interface{ effect() }

// The effects.
type (
	// Accept uses offers of one slave and role for tasks.
	Accept struct {
		Offers []offer.OfferID
		Tasks  []offer.Task
		Refuse time.Duration
	}
	// Decline gives offers back.
	Decline struct {
		Offers []offer.OfferID
		Refuse time.Duration
	}
	// Suppress stops the offers of a role.
	Suppress struct{ Role string }
	// Revive lets them come again, also those that were refused.
	Revive struct{ Role string }
	// Kill asks for the end of a task.
	Kill struct {
		Task   offer.TaskID
		Slave  offer.SlaveID
		Policy *offer.KillPolicy
	}
	// Reconcile asks for the state of tasks, at most 1,000 of them.
	Reconcile struct{ Tasks []Ref }
	// Tell brings an outcome to the user.
	Tell struct{ Outcome Outcome }
	// Refused answers the event before it.
	Refused struct{ Refusal *offer.Refusal }
)

// A Ref names a task whose state is asked for.
type Ref struct {
	Task  offer.TaskID
	Slave offer.SlaveID
	Lease time.Duration
}

func (Accept) effect()    {}
func (Decline) effect()   {}
func (Suppress) effect()  {}
func (Revive) effect()    {}
func (Kill) effect()      {}
func (Reconcile) effect() {}
func (Tell) effect()      {}
func (Refused) effect()   {}

// A Kind is what an Outcome says.
type Kind uint8

// The kinds of outcomes.
const (
	// Launching comes before a task is launched, each attempt. Placed says where.
	Launching Kind = iota + 1
	// Changed brings a Status that is not the end of the attempt.
	Changed
	// Retrying says that the attempt has ended, as Status says, and that another one follows, not before Again.
	Retrying
	// Replacing says that the attempt was unreachable for too long and that another one follows. The old one is killed if it comes back.
	Replacing
	// Returned says that the attempt came back before it was replaced, and goes on.
	Returned
	// Ended is the last word about a task: Status says how it ended.
	Ended
	// Stranger brings the Status of a task that nobody has submitted or adopted; or of an attempt that was replaced.
	Stranger
)

// String returns the kind in a word.
func (k Kind) String() string {
	names := [...]string{Launching: "launching", Changed: "changed", Retrying: "retrying", Replacing: "replacing", Returned: "returned", Ended: "ended",
		Stranger: "stranger"}
	if k >= Launching && k <= Stranger {
		return names[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// An Outcome tells what became of a task.
type Outcome struct {
	Kind Kind
	// Task is the ID that was submitted, Group that of its group if it has one.
	Task  offer.TaskID
	Group string
	// Placed is the attempt that it is about; zero if there was none.
	Placed Placed
	// Status is what the cluster said. For a task that was killed while it waited it has the State TASK_KILLED and nothing else.
	Status offer.Status
	// Again is when the next attempt may begin, of Retrying.
	Again time.Time
	// Why says in words what is not in Status.
	Why string
}
