package allocator

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
	"sort"
)

const (
	shareBits     = 40
	defaultWeight = 1000
)

// share returns floor(2^40 * max over kinds of held/total), the dominant share. It saturates.
func (a *Hierarchical) share(held vec) uint64 {
	top := uint64(0)
	for k, x := range held {
		total := uint64(max(a.total.at(k), 0))
		if x <= 0 || total == 0 || a.kinds.excluded[k] {
			continue
		}
		top = max(top, mulDiv(uint64(x), 1<<shareBits, total))
	}
	return top
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
}

// order is a sorted list of clients or of roles. When its epoch is not the allocator's, or it is stale, its ranks are outdated and its
// entries in no order until fresh is called.
type order struct {
	list  []entry
	epoch uint64
	stale bool
}

// ranked is what an order needs to know about what it holds: clientsOf and childrenOf.
type ranked interface {
	rank(handle int32) rank    // computed anew
	stored(handle int32) *rank // as it is in the order
	tie(x, y int32) int        // never 0 for two different ones
}

func (o *order) current(epoch uint64) bool { return o.epoch == epoch && !o.stale }

// fresh brings the ranks up to date.
func fresh[R ranked](o *order, epoch uint64, of R) {
	if o.current(epoch) {
		return
	}
	for i := range o.list {
		e := &o.list[i]
		e.rank = of.rank(e.handle)
		*of.stored(e.handle) = e.rank
	}
	o.epoch, o.stale = epoch, false
	slices.SortFunc(o.list, func(x, y entry) int { return compareEntries(x, y, of) })
}

func compareEntries[R ranked](x, y entry, of R) int {
	switch {
	case x.key != y.key:
		return cmp.Compare(x.key, y.key)
	case x.count != y.count:
		return cmp.Compare(x.count, y.count)
	case x.handle == y.handle:
		return 0
	}
	return of.tie(x.handle, y.handle)
}

// position returns where e is, or would be.
func position[R ranked](list []entry, e entry, of R) int {
	return sort.Search(len(list), func(i int) bool { return compareEntries(list[i], e, of) >= 0 })
}

func insert[R ranked](o *order, epoch uint64, handle int32, of R) {
	e := entry{of.rank(handle), handle}
	*of.stored(handle) = e.rank
	if !o.current(epoch) {
		o.list = append(o.list, e)
		o.stale = true
		return
	}
	o.list = slices.Insert(o.list, position(o.list, e, of), e)
}

func remove[R ranked](o *order, epoch uint64, handle int32, of R) {
	i := 0
	if o.current(epoch) {
		i = position(o.list, entry{*of.stored(handle), handle}, of)
	} else {
		i = slices.IndexFunc(o.list, func(e entry) bool { return e.handle == handle })
	}
	o.list = slices.Delete(o.list, i, i+1)
}

// moved puts the entry of handle where its new rank belongs.
func moved[R ranked](o *order, epoch uint64, handle int32, of R) {
	if !o.current(epoch) {
		return
	}
	if len(o.list) <= 1 {
		o.stale = true // there is nobody to compare with yet
		return
	}
	next := entry{of.rank(handle), handle}
	was := of.stored(handle)
	if *was == next.rank {
		return
	}
	from := position(o.list, entry{*was, handle}, of)
	*was = next.rank
	switch {
	case from+1 < len(o.list) && compareEntries(o.list[from+1], next, of) < 0:
		to := from + position(o.list[from+1:], next, of)
		copy(o.list[from:to], o.list[from+1:to+1])
		o.list[to] = next
	case from > 0 && compareEntries(next, o.list[from-1], of) < 0:
		to := position(o.list[:from], next, of)
		copy(o.list[to+1:from+1], o.list[to:from])
		o.list[to] = next
	default:
		o.list[from] = next
	}
}

// clientsOf ranks the frameworks of a role.
type clientsOf struct{ a *Hierarchical }

func (x clientsOf) rank(h int32) rank {
	c := x.a.clients[h]
	return rank{x.a.share(c.held), c.count}
}
func (x clientsOf) stored(h int32) *rank { return &x.a.clients[h].place }
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
func (x childrenOf) tie(g, h int32) int { return cmp.Compare(x.label(g), x.label(h)) }
func (x childrenOf) label(h int32) string {
	if h == virtualLeaf {
		return x.of.name + "/."
	}
	return x.a.roles[h].name
}
