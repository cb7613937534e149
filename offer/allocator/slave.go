package allocator

import (
	"iter"
	"math/bits"
	"slices"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// slave is what is known of one slave. Its shared volumes are never used up: they are in total but not in free. Slaves lie side by side, in
// chunks, and what a run needs of each comes first, in two lines of the cache.
type slave struct {
	handle int32
	class  int32 // for constraints; none when it was not asked for
	free   lot   // total without shared volumes and without what is held
	seen   lot   // see judged
	shared lot   // the shared volumes of total
	total  lot
	held   list // of holding

	// Filters, sorted by client. A verdict says that a client refuses all it could be offered while free is seen; judged counts the filters
	// of such clients. Verdicts are marks in filters, or if there are many of these a bitset of clients.
	filters list // of pair
	judged  uint32
	wide    bool // has verdicts

	active bool // takes part in offers
	on     bool // is active, whatever the whitelist says
	over   bool // more is held than there is
	remote bool
	mixed  bool // with less free, clients could be offered something else: a limit has cut one of several entries of a kind, or offers are shares
	again  bool // in Hierarchical.again

	seq         uint64 // order of arrival
	id          offer.SlaveID
	maintenance *maintenance // nil when nothing is planned
	shown       bitset       // clients that were offered the shared volumes since the slave has last changed; each holds something here
	served      uint64       // the serial number of the last run that has served it

	verdicts   list
	changed    int64 // of Hierarchical.changes, where it was last
	unanswered []unanswered
	hostname   string
	attributes []offer.Attribute
	domain     offer.Domain
}

// slaveChunk is how many slaves lie side by side.
const slaveChunk = 64

// newSlave returns a slave with a handle of its own.
func (a *Hierarchical) newSlave() *slave {
	if n := len(a.freeSlave); n > 0 {
		s := a.freeSlave[n-1]
		a.freeSlave = a.freeSlave[:n-1]
		*s = slave{handle: s.handle}
		a.slaves[s.handle] = s
		return s
	}
	h := len(a.slaves)
	if h == len(a.chunk)+a.chunkAt {
		a.chunk, a.chunkAt = make([]slave, min(slaveChunk, 4+h)), h
	}
	s := &a.chunk[h-a.chunkAt]
	s.handle = int32(h)
	a.slaves = append(a.slaves, s)
	a.slaveSeqs = append(a.slaveSeqs, 0)
	return s
}

// holding is what one client holds on a slave, allotted or used: the client and the lot.
type holding uint64

func newHolding(client int32, l lot) holding { return holding(uint64(client)<<32 | uint64(l)) }
func (h holding) client() int32              { return int32(h >> 32) }
func (h holding) lot() lot                   { return lot(uint32(h)) }

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

func (s *slave) offerable() bool { return s.free != 0 || s.shared != 0 }

func (a *Hierarchical) addSlave(ev SlaveAdded) {
	if old := a.slaveIndex[ev.Slave.ID]; old != nil {
		a.removeSlave(old)
	}
	s := a.newSlave()
	a.slaveSeq++
	s.seq, s.id, s.on, s.class = a.slaveSeq, ev.Slave.ID, !ev.Inactive, none
	a.slaveIndex[s.id] = s
	a.slaveSeqs[s.handle] = s.seq
	a.describeSlave(s, ev.Slave)
	s.active = s.on && a.listed(s)
	a.setTotal(s, a.intern(ev.Slave.Resources))
	for _, used := range ev.Used {
		used.Slave = s.id
		a.used(used)
	}
	a.markDirty(s)
}

func (a *Hierarchical) describeSlave(s *slave, from offer.Slave) {
	a.forgetClass(s)
	s.hostname, s.attributes, s.domain = from.Hostname, slices.Clone(from.Attributes), from.Domain
	s.remote = a.cfg.Region != "" && s.domain.Region != "" && s.domain.Region != a.cfg.Region
}

// setTotal replaces a slave's total and all that follows from it.
func (a *Hierarchical) setTotal(s *slave, total lot) {
	a.total.addVec(a.lot(s.total).all, -1)
	a.total.addVec(a.lot(total).all, 1)
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
	s.shared = a.sharedOf(s.total)
	a.unjudge(s)
	s.seen = 0
	clear(s.shown)
}

// reopen has the shared volumes of a slave that has changed offered to all again.
func (a *Hierarchical) reopen(s *slave) {
	if len(s.shown) > 0 {
		clear(s.shown)
		a.unjudge(s)
	}
}

func (a *Hierarchical) updateSlave(ev SlaveUpdated) {
	s := a.slaveIndex[ev.Slave.ID]
	if s == nil {
		return
	}
	same := s.hostname == ev.Slave.Hostname && s.domain == ev.Slave.Domain && slices.EqualFunc(s.attributes, ev.Slave.Attributes, sameAttribute)
	if !same {
		a.clearSlave(s)
		a.reopen(s)
		a.describeSlave(s, ev.Slave)
		a.settleSlave(s)
	}
	if total := a.intern(ev.Slave.Resources); total != s.total && !a.value(s.total).Equal(ev.Slave.Resources) {
		a.setTotal(s, total)
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
	if s != nil {
		s.on = ev.Active
		a.settleSlave(s)
	}
}

func (a *Hierarchical) removeSlave(s *slave) {
	if s == nil {
		return
	}
	a.clearSlave(s)
	a.endMaintenance(s)
	a.answerSlave(s)
	a.forgetClass(s)
	for s.held.n > 0 {
		h := holding(a.words.words(s.held)[s.held.n-1])
		a.unhold(s, a.clients[h.client()], h.lot())
	}
	a.setTotal(s, 0)
	if a.isDirty.has(s.handle) {
		a.isDirty.remove(s.handle)
		if a.dirtyCount--; a.dirtyCount == 0 {
			a.dirty = a.dirty[:0]
		}
	}
	delete(a.slaveIndex, s.id)
	a.slaves[s.handle] = nil
	a.freeSlave = append(a.freeSlave, s)
}

// refree computes free from total and what is held.
func (a *Hierarchical) refree(s *slave) {
	was := s.free
	s.free, s.over = a.expectedFree(s)
	if s.active {
		a.available.addVec(a.lot(was).plain, -1)
		a.available.addVec(a.lot(s.free).plain, 1)
	}
	a.noteFree(s)
	a.markDirty(s)
}

// expectedFree returns what a slave has left, and whether more is held than there is.
func (a *Hierarchical) expectedFree(s *slave) (free lot, over bool) {
	free = a.restOf(s.total)
	for _, h := range a.words.words(s.held) {
		used := a.restOf(holding(h).lot())
		left := a.sub(free, used)
		if left == failed {
			over = true
			left = a.sub(free, a.intern(clip(a.value(free), a.value(used))))
		}
		free = left
	}
	return free, over
}

// give makes resources free that were held.
func (a *Hierarchical) give(s *slave, l lot) {
	a.reopen(s)
	if s.over {
		a.refree(s)
		return
	}
	l = a.restOf(l)
	s.free = a.add(s.free, l)
	if s.active {
		a.available.addVec(a.lot(l).plain, 1)
	}
	a.noteFree(s)
	a.markDirty(s)
}

// take makes free resources held.
func (a *Hierarchical) take(s *slave, l lot) {
	l = a.restOf(l)
	left := a.sub(s.free, l)
	if left == failed || s.over && s.free != l {
		a.refree(s)
		return
	}
	s.free = left
	if s.active {
		a.available.addVec(a.lot(l).plain, -1)
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

// all iterates over the handles from low to high.
func (b bitset) all() iter.Seq[int32] {
	return func(yield func(int32) bool) {
		for i, word := range b {
			for ; word != 0; word &= word - 1 {
				if !yield(int32(i<<6 | bits.TrailingZeros64(word))) {
					return
				}
			}
		}
	}
}

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
