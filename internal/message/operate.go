package message

import (
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// Verb says what an operator wants.
type Verb uint8

// The verbs. Numbers are append-only.
const (
	VerbDrain Verb = 1 + iota // Slave, Drain
	VerbDeactivate
	VerbReactivate
	VerbMarkGone
	VerbTeardown // Framework
	VerbSetWeight
	VerbSetQuota
	VerbReserve // Slave, Resources as they are to be
	VerbUnreserve
	VerbCreate
	VerbDestroy
)

// Operate is one operator's call; only the fields that the verb names are read. Answered by Operated with the same Seq.
type Operate struct {
	Seq       uint64
	Verb      Verb
	Slave     offer.SlaveID
	Framework offer.FrameworkID
	Drain     offer.Drain
	Role      string
	Weight    resource.Scalar // thousandths; 1000 is the default of every role
	Guarantee resource.Quantities
	Limit     resource.Quantities
	Resources resource.Resources
	Force     bool // set a quota even if the cluster, other roles or what the role consumes speak against it
}

// Operated answers Operate. ReasonNone means done, and, where the registry is concerned, committed.
type Operated struct {
	Seq     uint64
	Reason  offer.Reason
	Message string
}

func (*Operate) Kind() Kind  { return KindOperate }
func (*Operated) Kind() Kind { return KindOperated }
