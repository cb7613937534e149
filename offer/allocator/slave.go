package allocator

import (
	"slices"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// slave is what is known of one slave. Its shared volumes are never used up: they are in total but not in free.
type slave struct {
	handle int32
	seq    uint64 // order of arrival
	id     offer.SlaveID
	active bool
	dirty  bool
	over   bool  // more is held than there is
	freeAt int32 // position in withFree, or -1
	gpus   bool
	remote bool

	total  resource.Resources
	shared resource.Resources // the shared volumes of total
	shown  bitset             // clients that were offered them since the slave has last changed; each holds something here
	free   resource.Resources // total without shared volumes and without what is held
	held   []holding          // by client

	attributes  []offer.Attribute
	region      string
	maintenance *maintenance // nil when nothing is planned

	// Filters. A bit of filtered says that the client refuses all it could be offered while free is not more than seen.
	filters   []pair // by client
	refused   []refusedSet
	hasFilter bitset
	filtered  bitset
	seen      resource.Resources
	mixed     bool // a limit has cut one of several entries of a kind: with less free, clients could be offered something else

	// Scratch of the run: what free consists of.
	traits traits
	qty    vec
}

// holding is what one client holds on a slave, allotted or used.
type holding struct {
	client int32
	res    resource.Resources
}

// traits say which entries a view of resources may have to strip.
type traits uint8

const (
	hasRevocable traits = 1 << iota
	hasShared
	hasRefined
	hasReserved
	strippable = hasRevocable | hasShared | hasRefined
)

func traitsOf(r resource.Resources) traits {
	t := traits(0)
	for i := range r {
		e := &r[i]
		if e.Revocable {
			t |= hasRevocable
		}
		if e.Shared {
			t |= hasShared
		}
		if n := len(e.Reservations); n > 0 {
			t |= hasReserved
			if n > 1 {
				t |= hasRefined
			}
		}
	}
	return t
}

func (s *slave) offerable() bool { return len(s.free) > 0 || len(s.shared) > 0 }

func (a *Hierarchical) addSlave(ev SlaveAdded) {
	if old := a.slaveIndex[ev.Slave.ID]; old != nil {
		a.removeSlave(old)
	}
	a.slaveSeq++
	s := &slave{seq: a.slaveSeq, id: ev.Slave.ID, active: !ev.Inactive, freeAt: -1}
	if n := len(a.freeSlave); n > 0 {
		s.handle = a.freeSlave[n-1]
		a.freeSlave = a.freeSlave[:n-1]
		a.slaves[s.handle] = s
	} else {
		s.handle = int32(len(a.slaves))
		a.slaves = append(a.slaves, s)
	}
	a.slaveIndex[s.id] = s
	a.describeSlave(s, ev.Slave)
	a.setTotal(s, ev.Slave.Resources)
	for _, used := range ev.Used {
		used.Slave = s.id
		a.used(used)
	}
	a.markDirty(s)
}

func (a *Hierarchical) describeSlave(s *slave, from offer.Slave) {
	s.attributes = slices.Clone(from.Attributes)
	s.region = from.Domain.Region
	s.remote = a.cfg.Region != "" && s.region != "" && s.region != a.cfg.Region
}

// setTotal replaces a slave's total and all that follows from it.
func (a *Hierarchical) setTotal(s *slave, total resource.Resources) {
	a.addScalars(&a.total, s.total, -1)
	a.addScalars(&a.total, total, 1)
	a.epoch++
	old := s.total
	s.total = total
	a.reserve(total, 1)
	a.reserve(old, -1)
	a.derive(s)
	a.refree(s)
}

// derive computes what follows from a slave's total alone.
func (a *Hierarchical) derive(s *slave) {
	s.shared = only(s.total, true)
	s.gpus = s.total.Scalar(resource.GPUs) > 0
	s.seen = nil
	clear(s.filtered)
	clear(s.shown)
}

// reopen has the shared volumes of a slave that has changed offered to all again.
func (s *slave) reopen() {
	if len(s.shown) > 0 {
		clear(s.shown)
		clear(s.filtered)
	}
}

func (a *Hierarchical) updateSlave(ev SlaveUpdated) {
	s := a.slaveIndex[ev.Slave.ID]
	if s == nil {
		return
	}
	same := slices.EqualFunc(s.attributes, ev.Slave.Attributes, sameAttribute) && s.region == ev.Slave.Domain.Region
	if !same {
		a.clearSlave(s)
		s.reopen()
		a.describeSlave(s, ev.Slave)
	}
	if !s.total.Equal(ev.Slave.Resources) {
		a.setTotal(s, ev.Slave.Resources)
	} else if same {
		return
	}
	a.markDirty(s)
}

func sameAttribute(x, y offer.Attribute) bool {
	if x.Name != y.Name || x.Text != y.Text || !x.Ranges.Equal(y.Ranges) || (x.Scalar == nil) != (y.Scalar == nil) {
		return false
	}
	return x.Scalar == nil || *x.Scalar == *y.Scalar
}

func (a *Hierarchical) activateSlave(ev SlaveActive) {
	s := a.slaveIndex[ev.Slave]
	if s == nil || s.active == ev.Active {
		return
	}
	s.active = ev.Active
	s.reopen()
	sign := int64(-1)
	if s.active {
		sign = 1
	}
	a.addPlain(&a.available, s.free, sign)
	a.noteFree(s)
	a.markDirty(s)
}

func (a *Hierarchical) removeSlave(s *slave) {
	if s == nil {
		return
	}
	a.clearSlave(s)
	a.endMaintenance(s)
	for len(s.held) > 0 {
		h := s.held[len(s.held)-1]
		a.unhold(s, a.clients[h.client], h.res)
	}
	a.setTotal(s, nil)
	if s.dirty {
		a.dirty = without(a.dirty, s.handle)
	}
	delete(a.slaveIndex, s.id)
	a.slaves[s.handle] = nil
	a.freeSlave = append(a.freeSlave, s.handle)
}

// refree computes free from total and what is held.
func (a *Hierarchical) refree(s *slave) {
	if s.active {
		a.addPlain(&a.available, s.free, -1)
	}
	s.free, s.over = a.expectedFree(s)
	if s.active {
		a.addPlain(&a.available, s.free, 1)
	}
	a.noteFree(s)
	a.markDirty(s)
}

// expectedFree returns what a slave has left, and whether more is held than there is.
func (a *Hierarchical) expectedFree(s *slave) (free resource.Resources, over bool) {
	free = only(s.total, false)
	for i := range s.held {
		used := only(s.held[i].res, false)
		left, ok := free.Sub(used)
		if !ok {
			over = true
			left, _ = free.Sub(clip(free, used))
		}
		free = left
	}
	return free, over
}

// give makes resources free that were held.
func (a *Hierarchical) give(s *slave, res resource.Resources) {
	s.reopen()
	if s.over {
		a.refree(s)
		return
	}
	res = only(res, false)
	s.free = s.free.Add(res)
	if s.active {
		a.addPlain(&a.available, res, 1)
	}
	a.noteFree(s)
	a.markDirty(s)
}

// take makes free resources held.
func (a *Hierarchical) take(s *slave, res resource.Resources) {
	res = only(res, false)
	left := resource.Resources(nil)
	if !same(s.free, res) {
		ok := false
		if left, ok = s.free.Sub(res); !ok || s.over {
			a.refree(s)
			return
		}
	}
	s.free = left
	if s.active {
		a.addPlain(&a.available, res, -1)
	}
	a.noteFree(s)
}

// same reports whether two values are one.
func same(x, y resource.Resources) bool {
	return len(x) == len(y) && (len(x) == 0 || &x[0] == &y[0])
}

// only returns the shared entries of r, or all others.
func only(r resource.Resources, shared bool) resource.Resources {
	n := 0
	for i := range r {
		if r[i].Shared == shared {
			n++
		}
	}
	switch n {
	case len(r):
		return r
	case 0:
		return nil
	}
	out := make(resource.Resources, 0, n)
	for i := range r {
		if r[i].Shared == shared {
			out = append(out, r[i])
		}
	}
	return out
}

// clip returns the part of want that is in have.
func clip(have, want resource.Resources) resource.Resources {
	var out resource.Resources
	for i := range want {
		e := want[i]
		for j := range have {
			h := &have[j]
			if !h.SameKind(e) {
				continue
			}
			switch {
			case e.Volume != nil && !e.Shared:
			case e.Shared:
				e.SharedCount = min(e.Count(), h.Count())
			case e.Type == resource.RangesType:
				e.Ranges = e.Ranges.Intersect(h.Ranges)
			case e.Type == resource.SetType:
				e.Set = e.Set.Sub(e.Set.Sub(h.Set))
			default:
				e.Scalar = min(e.Scalar, h.Scalar)
			}
			part := resource.Resources{e}
			if rest, ok := have.Sub(part); ok && !e.Empty() {
				have = rest
				out = out.Add(part)
			}
			break
		}
	}
	return out
}

// bitset is a set of handles.
type bitset []uint64

func (b bitset) has(h int32) bool { return int(h>>6) < len(b) && b[h>>6]&(1<<(h&63)) != 0 }

func (b *bitset) add(h int32) {
	for len(*b) <= int(h>>6) {
		*b = append(*b, 0)
	}
	(*b)[h>>6] |= 1 << (h & 63)
}

func (b bitset) remove(h int32) {
	if int(h>>6) < len(b) {
		b[h>>6] &^= 1 << (h & 63)
	}
}
