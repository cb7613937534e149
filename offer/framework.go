package offer

import (
	"time"

	"github.com/meros-project/meros/offer/resource"
)

// A Framework describes a scheduler as it subscribes. The master assigns the ID at first subscription; a framework that comes back
// with it resumes its tasks.
type Framework struct {
	ID        FrameworkID
	Name      string
	User      string   // operating system user for its tasks; empty means the slave's default
	Roles     []string // at least one; defaults to "*"
	Principal string   // authenticated identity; cannot change over the framework's life
	Hostname  string
	WebURL    string
	Labels    []resource.Label

	// FailoverTimeout is how long the cluster keeps the tasks of a framework that is not connected. Zero: they are killed and the
	// id is retired as soon as the connection is lost. Kept across the death of masters.
	FailoverTimeout time.Duration

	// NoCheckpoint lets the framework's tasks die with their slave process: nothing about them is written to the slave's disk.
	// Mesos' checkpoint field, inverted so that the zero value is the safe one.
	NoCheckpoint bool

	Capabilities Capabilities

	// MinAllocatable overrides, role by role, the smallest offer worth making: an offer goes out if it contains any one of the sets.
	MinAllocatable map[string][]resource.Quantities

	// Constraints say, role by role, which slaves are worth offering: those that pass any one of the groups. A role that is absent or
	// has no group takes every slave.
	Constraints map[string][]ConstraintGroup
}

// Capabilities is a set of what a framework understands. Mesos: FrameworkInfo.Capability.
type Capabilities uint32

// The capabilities.
const (
	// PartitionAware frameworks are told Unreachable, Dropped, Gone, GoneByOperator and Unknown; others are told Lost instead.
	PartitionAware Capabilities = 1 << iota
	// KillingState frameworks are told Killing.
	KillingState
	// RevocableResources frameworks are offered revocable resources.
	RevocableResources
	// GPUResources frameworks are offered slaves that have GPUs.
	GPUResources
	// SharedResources frameworks are offered shared volumes.
	SharedResources
	// ReservationRefinement frameworks are offered stacked reservations.
	ReservationRefinement
	// RegionAware frameworks are offered slaves outside the master's region.
	RegionAware
)

// Has reports whether all of want are in c.
func (c Capabilities) Has(want Capabilities) bool { return c&want == want }
