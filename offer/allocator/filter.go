package allocator

import (
	"math/bits"
	"slices"
)

const none = int32(-1)

// filter says that until expiry a client is not to be offered what is contained in the refused lot of a slave. Filters of a client are
// a list, so that a revive costs only them; those of a slave are sorted by client.
type filter struct {
	slave, client int32
	refused       lot
	gen           uint32 // tells the uses of a slot apart
	expiry        int64
	prev, next    int32 // among the client's
}

// filters holds all filters, and when they end.
type filters struct {
	slab   paged[filter]
	unused []int32
	heap   []deadline // by time; may hold those of filters that are gone
	live   int
}

type deadline struct {
	at  int64
	id  int32
	gen uint32
}

// pair is a filter of a client, in a slave's list: the client, whether there is a verdict on it, and the filter.
type pair uint64

const pairJudged = pair(1) << 31

func newPair(client, id int32) pair { return pair(uint64(client)<<32 | uint64(id)) }
func (p pair) client() int32        { return int32(p >> 32) }
func (p pair) id() int32            { return int32(p & (1<<31 - 1)) }

// fewFilters is up to how many filters of a slave the verdicts are marks in them.
const fewFilters = 8

// pairs returns where the filters of a client are in those of a slave.
func (a *Hierarchical) pairs(s *slave, client int32) (from, to int) {
	if s.wide && s.judged == s.filters.n && s.verdicts.n <= countVerdicts {
		if below, all, in := countBits(a.words.words(s.verdicts), client); all == int(s.filters.n) { // one filter each, and a verdict on it
			return below, below + flag(in)
		}
	}
	list := a.words.words(s.filters)
	low, high := 0, len(list)
	for low < high {
		mid := (low + high) / 2
		if pair(list[mid]).client() < client {
			low = mid + 1
		} else {
			high = mid
		}
	}
	for to = low; to < len(list) && pair(list[to]).client() == client; to++ {
	}
	return low, to
}

// countVerdicts is up to how many words of verdicts are counted instead of searching filters for a client, which waits for memory more often.
const countVerdicts = 32

// countBits returns how many bits of a set are below one, and in all, and whether the one is set.
func countBits(set bitset, bit int32) (below, all int, in bool) {
	for i, word := range set {
		n := bits.OnesCount64(word)
		all += n
		switch at := int(bit >> 6); {
		case i < at:
			below += n
		case i == at:
			below += bits.OnesCount64(word & (1<<(bit&63) - 1))
		}
	}
	return below, all, set.has(bit)
}

// filtered reports whether there is a verdict that a client refuses whatever it could be offered of the slave.
func (a *Hierarchical) filtered(s *slave, client int32) bool {
	if s.judged == 0 {
		return false
	}
	if s.wide {
		return bitset(a.words.words(s.verdicts)).has(client)
	}
	for _, p := range a.words.words(s.filters) {
		if pair(p).client() == client {
			return pair(p)&pairJudged != 0
		}
	}
	return false
}

// judge notes the verdict that a client, which has filters there, refuses whatever it could be offered of the slave while free is what
// it is.
func (a *Hierarchical) judge(s *slave, client int32) {
	if a.filtered(s, client) {
		return
	}
	from, to := a.pairs(s, client)
	a.judgePairs(s, client, from, to)
}

// judgePairs is judge, given where the filters of the client are.
func (a *Hierarchical) judgePairs(s *slave, client int32, from, to int) {
	s.judged += uint32(to - from)
	if s.wide {
		a.mark(s, client)
		return
	}
	list := a.words.words(s.filters)
	for i := from; i < to; i++ {
		list[i] |= uint64(pairJudged)
	}
}

func (a *Hierarchical) mark(s *slave, client int32) {
	if word := uint32(client) >> 6; word >= s.verdicts.n {
		a.words.resize(&s.verdicts, word+1)
	}
	a.words.words(s.verdicts)[client>>6] |= 1 << (client & 63)
}

// widen turns the marks in the filters of a slave into a bitset.
func (a *Hierarchical) widen(s *slave) {
	s.wide = true
	for i := range int(s.filters.n) {
		list := a.words.words(s.filters)
		if p := pair(list[i]); p&pairJudged != 0 {
			list[i] &^= uint64(pairJudged)
			a.mark(s, p.client())
		}
	}
}

// unjudge forgets the verdicts on a slave.
func (a *Hierarchical) unjudge(s *slave) {
	if s.judged == 0 {
		return
	}
	s.judged = 0
	if s.wide {
		clear(a.words.words(s.verdicts))
		return
	}
	list := a.words.words(s.filters)
	for i := range list {
		list[i] &^= uint64(pairJudged)
	}
}

// unjudgeClient forgets the verdict on one client.
func (a *Hierarchical) unjudgeClient(s *slave, client int32) {
	if !a.filtered(s, client) {
		return
	}
	from, to := a.pairs(s, client)
	s.judged -= uint32(to - from)
	if s.wide {
		bitset(a.words.words(s.verdicts)).remove(client)
		return
	}
	list := a.words.words(s.filters)
	for i := from; i < to; i++ {
		list[i] &^= uint64(pairJudged)
	}
}

// addFilter adds a filter unless one says more already, and returns where the filters of the client are.
func (a *Hierarchical) addFilter(s *slave, c *client, res lot, expiry int64) (from, to int) {
	x := &a.filters
	from, to = a.pairs(s, c.handle)
	for i := to - 1; i >= from; i-- {
		id := pair(a.words.words(s.filters)[i]).id()
		f := x.slab.at(id)
		if f.expiry >= expiry && a.contains(f.refused, res) {
			return from, to // says less than one that is there
		}
		if f.expiry <= expiry && a.contains(res, f.refused) {
			a.dropFilter(id)
			to--
		}
	}
	if to-from >= maxFiltersPerPair {
		first := none
		for _, p := range a.words.words(s.filters)[from:to] {
			if id := pair(p).id(); first == none || x.slab.at(id).expiry < x.slab.at(first).expiry {
				first = id
			}
		}
		a.dropFilter(first)
		a.markDirty(s)
		to--
	}
	if a.filtered(s, c.handle) {
		s.judged++ // the verdict stands, and the new one is counted with the others
	}
	id := none
	if n := len(x.unused); n > 0 {
		id = x.unused[n-1]
		x.unused = x.unused[:n-1]
	} else {
		id = x.slab.grow()
	}
	f := x.slab.at(id)
	*f = filter{slave: s.handle, client: c.handle, refused: res, gen: f.gen + 1, expiry: expiry, prev: none, next: c.filters}
	if c.filters != none {
		x.slab.at(c.filters).prev = id
	}
	c.filters = id
	p := newPair(c.handle, id)
	if !s.wide && from < to {
		p |= pair(a.words.words(s.filters)[from]) & pairJudged
	}
	a.words.insert(&s.filters, to, uint64(p))
	if !s.wide && s.filters.n > fewFilters {
		a.widen(s)
	}
	x.live++
	x.push(deadline{expiry, id, f.gen})
	return from, to + 1
}

func (a *Hierarchical) dropFilter(id int32) {
	x := &a.filters
	f := x.slab.at(id)
	s, c := a.slaves[f.slave], a.clients[f.client]
	a.unjudgeClient(s, c.handle)
	from, _ := a.pairs(s, c.handle)
	for i := from; ; i++ {
		if pair(a.words.words(s.filters)[i]).id() == id {
			a.words.delete(&s.filters, i)
			break
		}
	}
	if s.filters.n == 0 && s.wide {
		s.wide = false
		a.words.drop(&s.verdicts)
	}
	if f.prev != none {
		x.slab.at(f.prev).next = f.next
	} else {
		c.filters = f.next
	}
	if f.next != none {
		x.slab.at(f.next).prev = f.prev
	}
	f.gen++
	x.unused = append(x.unused, id)
	x.live--
	if len(x.heap) > 1024 && len(x.heap) > 4*x.live {
		x.sweep()
	}
}

// clearClient drops all filters of a client. Waking it is up to the caller.
func (a *Hierarchical) clearClient(c *client) {
	for c.filters != none {
		a.dropFilter(c.filters)
	}
}

// clearSlave drops all filters on a slave.
func (a *Hierarchical) clearSlave(s *slave) {
	for s.filters.n > 0 {
		a.dropFilter(pair(a.words.words(s.filters)[s.filters.n-1]).id())
	}
}

// forgetVerdicts has the filters of a client looked at anew.
func (a *Hierarchical) forgetVerdicts(c *client) {
	for id := c.filters; id != none; id = a.filters.slab.at(id).next {
		a.unjudgeClient(a.slaves[a.filters.slab.at(id).slave], c.handle)
	}
}

// expire drops the filters whose time is over and has their slaves looked at.
func (a *Hierarchical) expire(now int64) {
	for {
		at, ok := a.filters.next()
		if !ok || at > now {
			return
		}
		id := a.filters.heap[0].id
		s := a.slaves[a.filters.slab.at(id).slave]
		a.dropFilter(id)
		a.markDirty(s)
	}
}

// next returns when the next filter ends.
func (x *filters) next() (int64, bool) {
	for len(x.heap) > 0 {
		if top := x.heap[0]; x.slab.at(top.id).gen == top.gen {
			return top.at, true
		}
		x.pop()
	}
	return 0, false
}

func (x *filters) push(d deadline) {
	x.heap = append(x.heap, d)
	h := x.heap
	for i := len(h) - 1; i > 0; {
		up := (i - 1) / 2
		if h[up].at <= h[i].at {
			return
		}
		h[up], h[i] = h[i], h[up]
		i = up
	}
}

func (x *filters) pop() {
	last := len(x.heap) - 1
	x.heap[0] = x.heap[last]
	x.heap = x.heap[:last]
	x.sink(0)
}

func (x *filters) sink(i int) {
	h := x.heap
	for {
		low := 2*i + 1
		if low >= len(h) {
			return
		}
		if low+1 < len(h) && h[low+1].at < h[low].at {
			low++
		}
		if h[i].at <= h[low].at {
			return
		}
		h[i], h[low] = h[low], h[i]
		i = low
	}
}

// sweep rebuilds the heap without the deadlines of filters that are gone.
func (x *filters) sweep() {
	x.heap = slices.DeleteFunc(x.heap, func(d deadline) bool { return x.slab.at(d.id).gen != d.gen })
	for i := len(x.heap)/2 - 1; i >= 0; i-- {
		x.sink(i)
	}
}
