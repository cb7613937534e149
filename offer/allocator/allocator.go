package allocator

import (
	"time"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// An Allocator decides who is offered what. It is pure: it has no clock, and the same events and runs with the same times give the
// same allotments. It is not safe for concurrent use.
type Allocator interface {
	// Apply tells the allocator what has happened. Events about things it does not know are ignored, but for those that make them known.
	Apply(now time.Time, ev Event)
	// Run decides: it appends to out what is to be offered now and counts it as allocated from then on. It looks only at what has
	// changed since the last run; when nothing has, it costs nothing. A run may leave work over; see Deadline.
	Run(now time.Time, out []Allotment) []Allotment
	// Deadline reports when a Run is next worth making: a time that is not after now while work is pending, the expiry of the next
	// filter, or the zero time.
	Deadline() time.Time
}

// An Allotment is one future offer: whole resources of one slave for one framework in one role.
type Allotment struct {
	Framework offer.FrameworkID
	Role      string
	Slave     offer.SlaveID
	Resources resource.Resources
}

// An Event is one of the plain structs below.
type Event interface{ event() }

// SlaveAdded brings a slave in, or back. Used is what its tasks, executors and volumes in use hold already.
type SlaveAdded struct {
	Slave    offer.Slave // Resources is the total
	Used     []Allotment // Slave fields are ignored
	Inactive bool
}

// SlaveUpdated replaces a slave's total, attributes and domain.
type SlaveUpdated struct{ Slave offer.Slave }

// SlaveActive says whether a slave takes part in offers.
type SlaveActive struct {
	Slave  offer.SlaveID
	Active bool
}

// SlaveRemoved takes a slave and everything allocated on it out.
type SlaveRemoved struct{ Slave offer.SlaveID }

// FrameworkAdded brings a framework in. Suppressed roles start without offers.
type FrameworkAdded struct {
	Framework  offer.Framework
	Suppressed []string
	Inactive   bool
}

// FrameworkUpdated replaces a framework's roles, capabilities, minimum allocatable and suppressed roles.
type FrameworkUpdated struct {
	Framework  offer.Framework
	Suppressed []string
}

// FrameworkActive says whether a framework takes part in offers. Going inactive clears its filters.
type FrameworkActive struct {
	Framework offer.FrameworkID
	Active    bool
}

// FrameworkRemoved takes a framework out; what it held must have been recovered before.
type FrameworkRemoved struct{ Framework offer.FrameworkID }

// Used tells of resources that a framework holds and that did not come from this allocator's allotments, such as a task that a slave
// brings back.
type Used struct{ Allotment }

// Recovered returns allotted or used resources. Refuse above zero sets a filter: until now+Refuse, nothing contained in the resources is
// allotted to the same framework in the same role on the same slave. An allotment that is larger in any way passes.
type Recovered struct {
	Allotment
	Refuse time.Duration
}

// Converted replaces, on one slave and in what one framework holds there, From by To: a reservation or a volume was made or undone. The
// slave's total changes likewise. An empty Framework converts unallocated resources (an operator's operation).
type Converted struct {
	Framework offer.FrameworkID
	Role      string
	Slave     offer.SlaveID
	From, To  resource.Resources
}

// Suppressed stops allotments for the roles of a framework; none named means all.
type Suppressed struct {
	Framework offer.FrameworkID
	Roles     []string
}

// Revived ends suppression and clears filters for the roles of a framework; none named means all.
type Revived struct {
	Framework offer.FrameworkID
	Roles     []string
}

// Requested replaces what a framework says it needs in a role, as a hint; see message Request of the scheduler API.
type Requested struct {
	Framework offer.FrameworkID
	Role      string
	Needs     []resource.Quantities
}

// RoleSet sets what a role is entitled to. Weight is in thousandths; zero means the default of 1000.
type RoleSet struct {
	Role      string
	Weight    resource.Scalar
	Guarantee resource.Quantities
	Limit     resource.Quantities
}

func (SlaveAdded) event()       {}
func (SlaveUpdated) event()     {}
func (SlaveActive) event()      {}
func (SlaveRemoved) event()     {}
func (FrameworkAdded) event()   {}
func (FrameworkUpdated) event() {}
func (FrameworkActive) event()  {}
func (FrameworkRemoved) event() {}
func (Used) event()             {}
func (Recovered) event()        {}
func (Converted) event()        {}
func (Suppressed) event()       {}
func (Revived) event()          {}
func (Requested) event()        {}
func (RoleSet) event()          {}
