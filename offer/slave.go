package offer

import (
	"time"

	"github.com/meros-project/meros/offer/resource"
)

// A Slave describes one machine that runs tasks, as it registers with the master. The master assigns the ID at first admission; the
// slave keeps it on disk from then on.
type Slave struct {
	ID         SlaveID
	Hostname   string
	Address    string // host:port of the slave's own listener (sandbox files, executors' HTTP); may be empty
	Resources  resource.Resources
	Attributes []Attribute
	Domain     Domain
	Version    string // of the program, for operators
}

// An Attribute is a fact about a slave that frameworks may place by. Exactly one of the three values is set.
type Attribute struct {
	Name   string
	Text   string
	Scalar *resource.Scalar
	Ranges resource.Ranges
}

// A Domain says in which fault domain a node is. Empty means unknown.
type Domain struct {
	Region, Zone string
}

// Unavailability is a span in which a slave is planned to be out of service. A zero Duration means without end.
type Unavailability struct {
	Start    time.Time
	Duration time.Duration
}

// A Drain is an operator's wish to empty a slave.
type Drain struct {
	MaxGrace time.Duration // caps the grace of each kill; negative means no cap, zero means kill at once
	MarkGone bool          // when the last task has ended, the slave is marked gone and may never come back
}
