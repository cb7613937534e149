package mastercore

import (
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/offer"
)

// ConnID names a connection of a slave, framework or operator. The shell counts them up in the order in which they
// are made, and never reuses one within a reign.
type ConnID uint64

// An Event is one of the structs below: the whole input of a Core.
type Event interface{ event() }

// Received is one message from a connection, in the order in which it came. A connection is new when its first message arrives.
type Received struct {
	Conn      ConnID
	Principal string // authenticated identity of the peer; empty when there is none
	Message   message.Message
}

// Disconnected says that a connection has ended; nothing follows from it.
type Disconnected struct{ Conn ConnID }

// Committed answers Propose: the commands are committed and applied, with these results, one each.
type Committed struct {
	Token   uint64
	Results []registry.Result
}

// NotCommitted answers Propose when the commands were not, or perhaps not, committed.
type NotCommitted struct {
	Token   uint64
	Unknown bool // the outcome is unknown; false: they were certainly not committed
}

// Called is an operator's call, answered by Answer with the same Token.
type Called struct {
	Token     uint64
	Principal string
	Call      message.Operate
}

// Tick says that Deadline has come, or nothing at all.
type Tick struct{}

func (Received) event()     {}
func (Disconnected) event() {}
func (Committed) event()    {}
func (NotCommitted) event() {}
func (Called) event()       {}
func (Tick) event()         {}

// An Effect is one of the structs below: what the shell is to do, in order.
type Effect interface{ effect() }

// Send sends a message on a connection. Sending on one that is gone is not an error.
type Send struct {
	Conn    ConnID
	Message message.Message
}

// Close ends a connection after what was sent before. Refusal says why; it was sent to the peer already where it can be told.
type Close struct {
	Conn    ConnID
	Refusal *offer.Refusal
}

// Propose appends commands to the log, in one entry with others that queue. Answered by Committed or NotCommitted.
type Propose struct {
	Token    uint64
	Commands []registry.Command
}

// Answer answers Called; a nil Refusal means done.
type Answer struct {
	Token   uint64
	Refusal *offer.Refusal
}

// Resign ends the reign.
type Resign struct{ Refusal *offer.Refusal }

// Note tells the log and the metrics what happened. It decides nothing.
type Note struct {
	Event     string // stable name in lower case, such as "slave admitted"
	Slave     offer.SlaveID
	Framework offer.FrameworkID
	Task      offer.TaskID
	Reason    offer.Reason
	Text      string
}

func (Send) effect()    {}
func (Close) effect()   {}
func (Propose) effect() {}
func (Answer) effect()  {}
func (Resign) effect()  {}
func (Note) effect()    {}
