package resource

import (
	"cmp"
	"slices"
	"strings"
)

// Names of the resources whose type is fixed, as in Mesos. Any other name may have any type.
const (
	// CPUs is a scalar: processors, or shares of one.
	CPUs = "cpus"
	// Mem is a scalar: mebibytes of memory.
	Mem = "mem"
	// Disk is a scalar: mebibytes of disk. Only disk can hold a persistent volume.
	Disk = "disk"
	// GPUs is a scalar of whole units.
	GPUs = "gpus"
	// Ports is ranges of TCP and UDP port numbers.
	Ports = "ports"
)

// Type says which of the value fields of a Resource counts.
type Type uint8

// The three types of value. The zero value is a scalar.
const (
	// ScalarType is an exact decimal amount.
	ScalarType Type = iota
	// RangesType is a set of integers.
	RangesType
	// SetType is a set of strings.
	SetType
)

// String returns Mesos' name of the type: "SCALAR", "RANGES" or "SET".
func (t Type) String() string {
	switch t {
	case ScalarType:
		return "SCALAR"
	case RangesType:
		return "RANGES"
	case SetType:
		return "SET"
	}
	return "UNKNOWN"
}

// ReservationType says who made a reservation.
type ReservationType uint8

const (
	// Static reservations come from a slave's configuration and cannot be undone while it runs.
	Static ReservationType = iota
	// Dynamic reservations are made and undone by operations.
	Dynamic
)

// String returns Mesos' name of the type: "STATIC" or "DYNAMIC".
func (t ReservationType) String() string {
	switch t {
	case Static:
		return "STATIC"
	case Dynamic:
		return "DYNAMIC"
	}
	return "UNKNOWN"
}

// Label is a note on a reservation. Labels are part of a reservation's identity; their order is not.
type Label struct{ Key, Value string }

// Reservation keeps a resource for one role and the roles below it.
type Reservation struct {
	Type ReservationType
	Role string
	// Principal is who made the reservation; empty when it is unknown.
	Principal string
	// Labels are sorted by key, then value, in canonical resources.
	Labels []Label
}

// Compare orders reservations by role, type, principal and labels.
func (r Reservation) Compare(o Reservation) int {
	return cmp.Or(strings.Compare(r.Role, o.Role), cmp.Compare(r.Type, o.Type), strings.Compare(r.Principal, o.Principal),
		slices.CompareFunc(r.Labels, o.Labels, compareLabels))
}

func compareLabels(a, b Label) int {
	return cmp.Or(strings.Compare(a.Key, b.Key), strings.Compare(a.Value, b.Value))
}

// Volume makes a reserved disk resource a persistent volume: its data outlives the task and the executor. ID and Principal are
// its identity; where and how one task mounts it are not, as in Mesos, so that each task may choose its own path.
type Volume struct {
	// ID is unique on a slave among the volumes of one role.
	ID string
	// ContainerPath is where the task sees the volume, absolute or relative to its sandbox.
	ContainerPath string
	// Principal is who created the volume; empty when it is unknown.
	Principal string
	// ReadOnly mounts the volume without the right to write.
	ReadOnly bool
}

// Resource is one entry: an amount of one name, with everything that tells it from other amounts of that name.
type Resource struct {
	// Name is the kind of resource, such as CPUs.
	Name string
	// Type says which of Scalar, Ranges and Set holds the value; the other two are zero.
	Type   Type
	Scalar Scalar
	Ranges Ranges
	Set    Set
	// Reservations is the stack of reservations, outermost last: each role is below the one before (refinement). Empty means
	// unreserved.
	Reservations []Reservation
	// Volume is not nil for a persistent volume, which is taken as a whole or not at all.
	Volume *Volume
	// Revocable resources may be taken back from a running task at any time.
	Revocable bool
	// Shared marks a persistent volume that several tasks may use at once.
	Shared bool
	// SharedCount is how many times a shared volume is held; 0 means once.
	SharedCount int
}

// NewScalar returns an unreserved scalar entry.
func NewScalar(name string, amount Scalar) Resource {
	return Resource{Name: name, Type: ScalarType, Scalar: amount}
}

// NewRanges returns an unreserved ranges entry.
func NewRanges(name string, ranges ...Range) Resource {
	return Resource{Name: name, Type: RangesType, Ranges: ranges}
}

// NewItems returns an unreserved set entry.
func NewItems(name string, items ...string) Resource {
	return Resource{Name: name, Type: SetType, Set: items}
}

// Role returns the role the entry is reserved to, the outermost of its stack, or "*".
func (r Resource) Role() string { return r.role() }

func (r *Resource) role() string {
	if n := len(r.Reservations); n > 0 {
		return r.Reservations[n-1].Role
	}
	return AnyRole
}

// Reserved reports whether the entry is reserved to any role.
func (r Resource) Reserved() bool { return len(r.Reservations) > 0 }

// DynamicallyReserved reports whether the outermost reservation is dynamic and can thus be undone.
func (r Resource) DynamicallyReserved() bool {
	n := len(r.Reservations)
	return n > 0 && r.Reservations[n-1].Type == Dynamic
}

// AvailableTo reports whether the entry may be offered to role: it is unreserved, or reserved to role or to an ancestor of it.
func (r Resource) AvailableTo(role string) bool {
	of := r.role()
	return of == AnyRole || of == role || IsDescendant(role, of)
}

// Empty reports whether the entry holds nothing.
func (r Resource) Empty() bool { return r.empty() }

func (r *Resource) empty() bool {
	switch r.Type {
	case RangesType:
		return len(r.Ranges) == 0
	case SetType:
		return len(r.Set) == 0
	}
	return r.Scalar == 0
}

// Count returns how many times the entry is held: SharedCount for a shared volume, else 1.
func (r Resource) Count() int { return r.count() }

func (r *Resource) count() int {
	if r.Shared && r.SharedCount > 1 {
		return r.SharedCount
	}
	return 1
}

// SameKind reports whether two entries have the same identity, so that their amounts add up: name, type, reservations, volume
// with its size, revocable and shared.
func (r Resource) SameKind(o Resource) bool { return compare(&r, &o) == 0 }

// compare is the total order of canonical resources. It looks at identity only; the size of a volume belongs to it, because a
// volume is not divisible.
func compare(a, b *Resource) int {
	if c := strings.Compare(a.Name, b.Name); c != 0 {
		return c
	}
	if c := cmp.Compare(a.Type, b.Type); c != 0 {
		return c
	}
	if c := compareStacks(a.Reservations, b.Reservations); c != 0 {
		return c
	}
	if c := compareVolumes(a, b); c != 0 {
		return c
	}
	return cmp.Or(compareBools(a.Revocable, b.Revocable), compareBools(a.Shared, b.Shared))
}

func compareStacks(a, b []Reservation) int {
	if len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) {
		return 0
	}
	for i := range min(len(a), len(b)) {
		if c := a[i].Compare(b[i]); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}

func compareVolumes(a, b *Resource) int {
	v, w := a.Volume, b.Volume
	if v == nil || w == nil {
		return compareBools(v != nil, w != nil)
	}
	return cmp.Or(strings.Compare(v.ID, w.ID), strings.Compare(v.Principal, w.Principal), cmp.Compare(a.Scalar, b.Scalar))
}

func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// whole reports whether the entry is a volume that one holder has alone, so that a second one of the same identity is a second
// entry.
func (r *Resource) whole() bool { return r.Volume != nil && !r.Shared }

// covers reports whether r holds the value of o, which has the same identity. A shared volume covers any count of itself unless
// counting is set.
func (r *Resource) covers(o *Resource, counting bool) bool {
	switch {
	case r.Shared:
		return !counting || r.count() >= o.count()
	case r.Type == RangesType:
		return r.Ranges.Contains(o.Ranges)
	case r.Type == SetType:
		return r.Set.Contains(o.Set)
	}
	return r.Scalar >= o.Scalar
}

// plus returns r with the value of o, which has the same identity and is not whole.
func (r Resource) plus(o *Resource) Resource {
	switch {
	case r.Shared:
		r.SharedCount = r.count() + o.count()
	case r.Type == RangesType:
		r.Ranges = r.Ranges.Add(o.Ranges)
	case r.Type == SetType:
		r.Set = r.Set.Add(o.Set)
	default:
		r.Scalar = addSaturating(r.Scalar, o.Scalar)
	}
	return r
}

// minus returns r without the value of o, which it covers, and whether anything is left.
func (r Resource) minus(o *Resource) (Resource, bool) {
	switch {
	case r.Shared:
		left := r.count() - o.count()
		r.SharedCount = left
		if left == 1 {
			r.SharedCount = 0
		}
		return r, left > 0
	case r.Type == RangesType:
		r.Ranges = r.Ranges.Sub(o.Ranges)
	case r.Type == SetType:
		r.Set = r.Set.Sub(o.Set)
	default:
		r.Scalar -= o.Scalar
	}
	return r, !r.empty()
}
