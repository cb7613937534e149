package allocator

import (
	"cmp"
	"iter"
	"math"
	"math/bits"
	"slices"
)

const (
	shareBits     = 40
	defaultWeight = 1000
)

// share returns floor(2^40 * max over kinds of held/total), the dominant share. It saturates.
func (a *Hierarchical) share(held vec) uint64 {
	top, of := uint64(0), uint64(1) // the largest fraction so far
	for k, x := range held {
		total := uint64(max(a.total.at(k), 0))
		if x <= 0 || total == 0 || a.kinds.excluded[k] {
			continue
		}
		hi, lo := bits.Mul64(uint64(x), of)
		if h, l := bits.Mul64(top, total); hi > h || hi == h && lo > l {
			top, of = uint64(x), total
		}
	}
	return mulDiv(top, 1<<shareBits, of)
}

// weighted divides a share by a weight in thousandths.
func weighted(share uint64, weight int64) uint64 {
	if weight == defaultWeight {
		return share
	}
	return mulDiv(share, defaultWeight, uint64(weight))
}

// mulDiv returns floor(x*m/d), or the largest uint64 when that does not fit.
func mulDiv(x, m, d uint64) uint64 {
	hi, lo := bits.Mul64(x, m)
	if hi >= d {
		return math.MaxUint64
	}
	q, _ := bits.Div64(hi, lo, d)
	return q
}

// rank is where a client stands among the frameworks of its role, or a role among its siblings: the lowest comes first.
type rank struct {
	key   uint64 // weighted dominant share
	count uint64 // allotments ever made, so that equals take turns
}

// virtualLeaf stands, among the children of a role, for the frameworks that are in the role itself.
const virtualLeaf = int32(-1)

type entry struct {
	rank
	handle int32
	seq    uint32 // breaks ties before the names are looked at
}

// Sizes of the blocks of an order: one that is full is split, one that is small is joined to its neighbour if both fit well.
const (
	maxBlock   = 64
	joinBlocks = 48
	smallBlock = 12
)

// order is a sorted list of clients or of roles, in blocks, so that a move costs little however long it is. No block is empty. When its epoch
// is not the allocator's, or it is stale, its ranks are outdated and its entries in no order until fresh is called.
type order struct {
	blocks [][]entry
	spare  [][]entry // empty ones
	n      int
	hint   struct{ block, at int } // where the entry that moves next is likely to be
	epoch  uint64
	stale  bool
}

// ranked is what an order needs to know about what it holds: clientsOf and childrenOf.
type ranked interface {
	rank(handle int32) rank    // computed anew
	stored(handle int32) *rank // as it is in the order
	seq(handle int32) uint32   // lower ones come first among equals; the same for all if it says nothing
	tie(x, y int32) int        // never 0 for two different ones
}

func (o *order) current(epoch uint64) bool { return o.epoch == epoch && !o.stale }

// all iterates over the handles, in order if the order is current.
func (o *order) all() iter.Seq[int32] {
	return func(yield func(int32) bool) {
		for _, b := range o.blocks {
			for i := range b {
				if !yield(b[i].handle) {
					return
				}
			}
		}
	}
}

// fresh brings the ranks up to date.
func fresh[R ranked](o *order, epoch uint64, of R) {
	if o.current(epoch) || o.n <= 1 { // there is nobody to compare with
		return
	}
	o.epoch, o.stale = epoch, false
	sorted := true
	var last *entry
	for _, b := range o.blocks {
		for i := range b {
			e := &b[i]
			e.rank = of.rank(e.handle)
			*of.stored(e.handle) = e.rank
			sorted = sorted && (last == nil || compareEntries(last, e, of) < 0)
			last = e
		}
	}
	if sorted {
		return
	}
	if len(o.blocks) == 1 {
		slices.SortFunc(o.blocks[0], func(x, y entry) int { return compareEntries(&x, &y, of) })
		return
	}
	list := slices.Concat(o.blocks...)
	slices.SortFunc(list, func(x, y entry) int { return compareEntries(&x, &y, of) })
	for _, b := range o.blocks {
		list = list[copy(b, list):]
	}
}

func compareEntries[R ranked](x, y *entry, of R) int {
	switch {
	case x.key != y.key:
		return cmp.Compare(x.key, y.key)
	case x.count != y.count:
		return cmp.Compare(x.count, y.count)
	case x.seq != y.seq:
		return cmp.Compare(x.seq, y.seq)
	case x.handle == y.handle:
		return 0
	}
	return of.tie(x.handle, y.handle)
}

// standing returns the entry of handle as it is in the order.
func standing[R ranked](handle int32, of R) entry {
	return entry{*of.stored(handle), handle, of.seq(handle)}
}

// position returns where e is, or would be: the block, and the place in it.
func position[R ranked](o *order, e *entry, of R) (block, at int) {
	low, high := 0, len(o.blocks)
	for low < high {
		mid := (low + high) / 2
		if compareEntries(&o.blocks[mid][0], e, of) <= 0 {
			low = mid + 1
		} else {
			high = mid
		}
	}
	if low == 0 {
		return 0, 0
	}
	return low - 1, within(o.blocks[low-1], e, of)
}

// within returns how many entries of a block come before e.
func within[R ranked](b []entry, e *entry, of R) int {
	low, high := 0, len(b)
	for low < high {
		mid := (low + high) / 2
		if compareEntries(&b[mid], e, of) < 0 {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

func (o *order) insertAt(block, at int, e entry) {
	o.n++
	if len(o.blocks) == 0 {
		o.blocks = append(o.blocks, []entry{e})
		return
	}
	b := o.blocks[block]
	if len(b) == maxBlock {
		half := maxBlock / 2
		if at == maxBlock && block == len(o.blocks)-1 {
			half = maxBlock - 1 // they come in order: full blocks
		}
		o.blocks = slices.Insert(o.blocks, block+1, append(o.block(), b[half:]...))
		o.blocks[block] = b[:half]
		if at > half {
			block, at = block+1, at-half
		}
		b = o.blocks[block]
	}
	o.blocks[block] = slices.Insert(b, at, e)
}

func (o *order) removeAt(block, at int) {
	o.n--
	b := slices.Delete(o.blocks[block], at, at+1)
	o.blocks[block] = b
	switch {
	case len(b) == 0:
	case len(b) >= smallBlock:
		return
	case block > 0 && len(o.blocks[block-1])+len(b) <= joinBlocks:
		o.blocks[block-1] = append(o.blocks[block-1], b...)
	case block+1 < len(o.blocks) && len(o.blocks[block+1])+len(b) <= joinBlocks:
		o.blocks[block+1] = slices.Insert(o.blocks[block+1], 0, b...)
	default:
		return
	}
	if cap(o.blocks[block]) == maxBlock {
		o.spare = append(o.spare, o.blocks[block][:0])
	}
	o.blocks = slices.Delete(o.blocks, block, block+1)
}

// block returns an empty block of full capacity.
func (o *order) block() []entry {
	n := len(o.spare) - 1
	if n < 0 {
		return make([]entry, 0, maxBlock)
	}
	b := o.spare[n]
	o.spare = o.spare[:n]
	return b
}

func insert[R ranked](o *order, epoch uint64, handle int32, of R) {
	*of.stored(handle) = of.rank(handle)
	e := standing(handle, of)
	if !o.current(epoch) {
		last := max(0, len(o.blocks)-1)
		at := 0
		if len(o.blocks) > 0 {
			at = len(o.blocks[last])
		}
		o.insertAt(last, at, e)
		o.stale = true
		return
	}
	block, at := position(o, &e, of)
	o.insertAt(block, at, e)
}

func remove[R ranked](o *order, epoch uint64, handle int32, of R) {
	if o.current(epoch) {
		e := standing(handle, of)
		o.removeAt(position(o, &e, of))
		return
	}
	for block, b := range o.blocks {
		for at := range b {
			if b[at].handle == handle {
				o.removeAt(block, at)
				return
			}
		}
	}
}

// moved puts the entry of handle where its new rank belongs.
func moved[R ranked](o *order, epoch uint64, handle int32, of R) {
	if !o.current(epoch) {
		return
	}
	if o.n <= 1 {
		o.stale = true // see fresh
		return
	}
	was := standing(handle, of)
	next := entry{of.rank(handle), handle, was.seq}
	if was.rank == next.rank {
		return
	}
	*of.stored(handle) = next.rank
	block, at := o.hint.block, o.hint.at
	if block >= len(o.blocks) || at >= len(o.blocks[block]) || o.blocks[block][at].handle != handle {
		block, at = position(o, &was, of)
	}
	b := o.blocks[block]
	if block+1 < len(o.blocks) && compareEntries(&next, &o.blocks[block+1][0], of) > 0 || block > 0 && compareEntries(&next, &b[0], of) < 0 {
		o.removeAt(block, at)
		block, at = position(o, &next, of)
		o.insertAt(block, at, next)
		return
	}
	to := at
	switch {
	case at+1 < len(b) && compareEntries(&b[at+1], &next, of) < 0:
		to += within(b[at+1:], &next, of)
		copy(b[at:to], b[at+1:to+1])
	case at > 0 && compareEntries(&next, &b[at-1], of) < 0:
		to = within(b[:at], &next, of)
		copy(b[to+1:at+1], b[to:at])
	}
	b[to] = next
}

// clientsOf ranks the frameworks of a role.
type clientsOf struct{ a *Hierarchical }

func (x clientsOf) rank(h int32) rank {
	c := x.a.clients[h]
	return rank{x.a.share(c.held), c.count}
}
func (x clientsOf) stored(h int32) *rank { return &x.a.clients[h].place }
func (x clientsOf) seq(h int32) uint32 {
	return uint32(min(x.a.clients[h].framework.seq, math.MaxUint32))
}
func (x clientsOf) tie(g, h int32) int {
	return cmp.Compare(x.a.clients[g].framework.seq, x.a.clients[h].framework.seq)
}

// childrenOf ranks the roles below one, and the frameworks in the role itself as one more.
type childrenOf struct {
	a  *Hierarchical
	of *role
}

func (x childrenOf) rank(h int32) rank {
	if h == virtualLeaf {
		return rank{x.a.share(x.of.direct), x.of.directCount}
	}
	r := x.a.roles[h]
	return rank{weighted(x.a.share(r.held), r.weight), r.count}
}
func (x childrenOf) stored(h int32) *rank {
	if h == virtualLeaf {
		return &x.of.leafPlace
	}
	return &x.a.roles[h].place
}
func (x childrenOf) seq(int32) uint32   { return 0 }
func (x childrenOf) tie(g, h int32) int { return cmp.Compare(x.label(g), x.label(h)) }
func (x childrenOf) label(h int32) string {
	if h == virtualLeaf {
		return x.of.name + "/."
	}
	return x.a.roles[h].name
}
