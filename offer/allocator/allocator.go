package allocator

import (
	"time"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// An Allocator decides who is offered what. It is pure: it has no clock, and the same events and runs with the same times give the
// same allotments. It is not safe for concurrent use.
type Allocator interface {
	// Apply tells the allocator what has happened. Events about slaves and frameworks that it does not know are ignored, but for those
	// that make them known. What Validate refuses changes nothing.
	Apply(now time.Time, ev Event) error
	// Validate returns the error that Apply would return now, and changes nothing. It names the field, the value and what is allowed.
	Validate(ev Event) error
	// Run decides: it appends to out what is to be offered now and counts it as allocated from then on. It looks only at what has
	// changed since the last run; when nothing has, it costs nothing. A run may leave work over; see Deadline.
	Run(now time.Time, out []Allotment) []Allotment
	// Deadline reports when a Run or an Inverse is next worth making: a time that is not after now while work is pending, the expiry of
	// the next filter, or the zero time.
	Deadline() time.Time
	// Inverse appends to out what frameworks are to be asked to give back because of maintenance; see SlaveUnavailable.
	Inverse(now time.Time, out []Inverse) []Inverse
}

// An Allotment is one future offer: whole resources of one slave for one framework in one role.
type Allotment struct {
	Framework offer.FrameworkID
	Role      string
	Slave     offer.SlaveID
	Resources resource.Resources
}

// An Inverse is one future inverse offer: a framework holds something on a slave that is planned to be out of service.
type Inverse struct {
	Framework      offer.FrameworkID
	Slave          offer.SlaveID
	Unavailability offer.Unavailability
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

// FrameworkRemoved takes a framework out. What it holds, such as tasks that are still being killed, stays held until it is recovered.
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

// Answered says that the offer made of an allotment is not outstanding any more: it was accepted, declined or rescinded. There is exactly one
// for each allotment that Run has returned; the removal of the slave or of the framework counts as the answers of theirs.
type Answered struct {
	Framework offer.FrameworkID
	Role      string
	Slave     offer.SlaveID
}

// SlaveUnavailable says when a slave is planned to be out of service; nil ends it. It does not stop offers. Each framework that holds
// something there is asked for it back, see Inverse: once, and again when the plan has changed or its refusal has ended.
type SlaveUnavailable struct {
	Slave          offer.SlaveID
	Unavailability *offer.Unavailability
}

// InverseAnswered is a framework's answer to an inverse offer. While Refuse lasts there is no new one, whatever the answer was.
type InverseAnswered struct {
	Framework offer.FrameworkID
	Slave     offer.SlaveID
	Accepted  bool
	Refuse    time.Duration
}

// Whitelist names the hosts whose slaves take part in offers. All, as at the beginning, lifts it. A slave that is not listed is as an
// inactive one.
type Whitelist struct {
	All   bool
	Hosts []string
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

// Requested replaces what a framework says it could use in a role; see message Request of the scheduler API. While there are needs, only
// what contains one of them is allotted to it, and slaves that have one of them free are served first. No needs end the hint.
type Requested struct {
	Framework offer.FrameworkID
	Role      string
	Needs     []resource.Quantities
}

// RoleSet sets what a role is entitled to. Weight is in thousandths; zero means the default of 1000. Force has it even if the cluster is
// too small for the guarantees, the roles above or below do not agree, or the role consumes more than the limit already.
type RoleSet struct {
	Role      string
	Weight    resource.Scalar
	Guarantee resource.Quantities
	Limit     resource.Quantities
	Force     bool
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
func (Answered) event()         {}
func (SlaveUnavailable) event() {}
func (InverseAnswered) event()  {}
func (Whitelist) event()        {}
func (Suppressed) event()       {}
func (Revived) event()          {}
func (Requested) event()        {}
func (RoleSet) event()          {}
