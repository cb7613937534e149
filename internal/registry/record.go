package registry

import (
	"time"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// SlaveState is where a slave stands in the registry.
type SlaveState uint8

// The states of a slave.
const (
	SlaveAdmitted SlaveState = iota
	SlaveUnreachable
	SlaveGone
)

// A SlaveRecord is all that outlives a leader about a slave. Immutable once read.
type SlaveRecord struct {
	Slave    offer.Slave
	State    SlaveState
	Since    time.Time // of unreachable and gone
	Inactive bool
	Drain    *offer.Drain
	Drained  bool
}

// A FrameworkRecord is all that outlives a leader about a framework. Immutable once read.
type FrameworkRecord struct {
	Framework offer.Framework
	Connected bool
	Remaining time.Duration // failover time left when it was last recorded
}

// A RoleRecord is what a role is entitled to. Immutable once read.
type RoleRecord struct {
	Role      string
	Weight    resource.Scalar
	Guarantee resource.Quantities
	Limit     resource.Quantities
}
