package frameworkcore

import (
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
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

// Called is a call of the user's program: one of the messages from a framework to the master, but for Subscribe and Acknowledge.
type Called struct{ Call message.Message }

// Handled says that the user's handler has returned from a Deliver. Ok means that it took the status over: it is acknowledged.
type Handled struct {
	Seq uint64
	Ok  bool
}

// Tick says that Deadline has come, or nothing at all.
type Tick struct{}

func (Connected) event()    {}
func (Disconnected) event() {}
func (FromMaster) event()   {}
func (Called) event()       {}
func (Handled) event()      {}
func (Tick) event()         {}

// An Effect is one of the structs below: what the shell is to do, in order.
type Effect interface{ effect() }

// Send sends a message to the master, on the connection if it is still the current one.
type Send struct {
	Conn    uint64
	Message message.Message
}

// Reconnect drops the connection and looks for the leader anew.
type Reconnect struct{ Refusal *offer.Refusal }

// Deliver hands a message to the user's handler, one after the other in this order: Subscribed, Offers, Rescind, Update, OperationUpdate,
// FromExecutor, Failure, Error or Leader{Known: false} for "the master is lost". Answered by Handled with Seq.
type Deliver struct {
	Seq     uint64
	Message message.Message
}

// End ends the session for good. A nil Refusal means that it was torn down as asked.
type End struct{ Refusal *offer.Refusal }

// Note tells the log and the metrics what happened. It decides nothing.
type Note struct {
	Event  string
	Task   offer.TaskID
	Reason offer.Reason
	Text   string
}

func (Send) effect()      {}
func (Reconnect) effect() {}
func (Deliver) effect()   {}
func (End) effect()       {}
func (Note) effect()      {}
