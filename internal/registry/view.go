package registry

import (
	"iter"

	"github.com/tidwall/btree"

	"github.com/meros-project/meros/offer"
)

// A View is the registry at one moment. It never changes and may be read by any number of goroutines; what it returns must not be
// changed either.
type View struct {
	head       Header
	slaves     *btree.Map[uint64, *SlaveRecord]
	gone       *btree.Map[uint64, struct{}]
	frameworks *btree.Map[uint64, *FrameworkRecord]
	roles      *btree.Map[string, *RoleRecord]
	history    *btree.Map[uint64, *KeyRecord]
}

// ClusterID is the cluster's identity; empty before the first reign.
func (v *View) ClusterID() offer.ClusterID { return v.head.Cluster }

// Reign counts the leaders so far; zero before the first.
func (v *View) Reign() uint64 { return v.head.Reign }

// Header returns identity and counters.
func (v *View) Header() Header { return v.head }

// Slave returns the record of a slave that is admitted, unreachable, or gone and not pruned yet.
func (v *View) Slave(id offer.SlaveID) (*SlaveRecord, bool) {
	n, ok := SlaveNumber(id)
	if !ok {
		return nil, false
	}
	return v.slaves.Get(n)
}

// Gone reports whether a slave was marked gone, pruned since or not.
func (v *View) Gone(id offer.SlaveID) bool {
	n, ok := SlaveNumber(id)
	if !ok {
		return false
	}
	if r, ok := v.slaves.Get(n); ok {
		return r.State == SlaveGone
	}
	_, gone := v.gone.Get(n)
	return gone
}

// Slaves returns all records in the order of admission.
func (v *View) Slaves() iter.Seq[*SlaveRecord] {
	return func(yield func(*SlaveRecord) bool) {
		v.slaves.Scan(func(_ uint64, r *SlaveRecord) bool { return yield(r) })
	}
}

// GoneNumbers returns the numbers of gone slaves that were pruned.
func (v *View) GoneNumbers() iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		v.gone.Scan(func(n uint64, _ struct{}) bool { return yield(n) })
	}
}

// SlaveCount is the number of records that Slaves returns.
func (v *View) SlaveCount() int { return v.slaves.Len() }

// Framework returns the record of a framework that is not retired.
func (v *View) Framework(id offer.FrameworkID) (*FrameworkRecord, bool) {
	n, ok := FrameworkNumber(id)
	if !ok {
		return nil, false
	}
	return v.frameworks.Get(n)
}

// Removed reports whether an id was once a framework's and is retired. It never forgets one.
func (v *View) Removed(id offer.FrameworkID) bool {
	n, ok := FrameworkNumber(id)
	if !ok || n > v.head.NextFramework {
		return false
	}
	_, live := v.frameworks.Get(n)
	return !live
}

// Frameworks returns all records in the order of admission.
func (v *View) Frameworks() iter.Seq[*FrameworkRecord] {
	return func(yield func(*FrameworkRecord) bool) {
		v.frameworks.Scan(func(_ uint64, r *FrameworkRecord) bool { return yield(r) })
	}
}

// FrameworkCount is the number of records that Frameworks returns.
func (v *View) FrameworkCount() int { return v.frameworks.Len() }

// Role returns what a role is entitled to, if that differs from the default.
func (v *View) Role(role string) (*RoleRecord, bool) { return v.roles.Get(role) }

// Roles returns all roles with a record, by name.
func (v *View) Roles() iter.Seq[*RoleRecord] {
	return func(yield func(*RoleRecord) bool) {
		v.roles.Scan(func(_ string, r *RoleRecord) bool { return yield(r) })
	}
}
