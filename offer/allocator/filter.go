package allocator

import (
	"cmp"
	"slices"

	"github.com/meros-project/meros/offer/resource"
)

const none = int32(-1)

// filter says that until expiry a client is not to be offered what is contained in the refused set of a slave. Filters of a client are
// a list, so that a revive costs only them; those of a slave are sorted by client.
type filter struct {
	slave, client int32
	refused       int32
	gen           uint32 // tells the uses of a slot apart
	expiry        int64
	prev, next    int32 // among the client's
}

// filters holds all filters, and when they end.
type filters struct {
	slab   []filter
	unused []int32
	heap   []deadline // by time; may hold those of filters that are gone
	live   int
}

type deadline struct {
	at  int64
	id  int32
	gen uint32
}

// pair is a filter of a client, in a slave's list.
type pair struct{ client, id int32 }

// refusedSet is resources that one or more filters of a slave refuse.
type refusedSet struct {
	res  resource.Resources
	refs int
}

func (s *slave) pairs(client int32) (from, to int) {
	from, _ = slices.BinarySearchFunc(s.filters, client, func(p pair, c int32) int { return cmp.Compare(p.client, c) })
	for to = from; to < len(s.filters) && s.filters[to].client == client; to++ {
	}
	return from, to
}

func (a *Hierarchical) addFilter(s *slave, c *client, res resource.Resources, expiry int64) {
	x := &a.filters
	from, to := s.pairs(c.handle)
	for i := to - 1; i >= from; i-- {
		id := s.filters[i].id
		f := &x.slab[id]
		old := s.refused[f.refused].res
		if f.expiry >= expiry && (same(old, res) || old.Contains(res)) {
			return // says less than one that is there
		}
		if f.expiry <= expiry && (same(old, res) || res.Contains(old)) {
			a.dropFilter(id)
			to--
		}
	}
	if to-from >= maxFiltersPerPair {
		first := slices.MinFunc(s.filters[from:to], func(p, q pair) int { return cmp.Compare(x.slab[p.id].expiry, x.slab[q.id].expiry) })
		a.dropFilter(first.id)
		to--
	}
	id := int32(len(x.slab))
	if n := len(x.unused); n > 0 {
		id = x.unused[n-1]
		x.unused = x.unused[:n-1]
	} else {
		x.slab = append(x.slab, filter{})
	}
	f := &x.slab[id]
	*f = filter{slave: s.handle, client: c.handle, refused: s.refuse(res), gen: f.gen + 1, expiry: expiry, prev: none, next: c.filters}
	if c.filters != none {
		x.slab[c.filters].prev = id
	}
	c.filters = id
	s.filters = slices.Insert(s.filters, to, pair{c.handle, id})
	s.hasFilter.add(c.handle)
	x.live++
	x.push(deadline{expiry, id, f.gen})
}

// refuse returns the index of res in refused. Refusals of one offer after the other are the rule, so looking at a few is enough.
func (s *slave) refuse(res resource.Resources) int32 {
	unused := none
	for i := len(s.refused) - 1; i >= max(0, len(s.refused)-16); i-- {
		switch r := &s.refused[i]; {
		case r.refs == 0:
			unused = int32(i)
		case same(r.res, res) || r.res.Equal(res):
			r.refs++
			return int32(i)
		}
	}
	if unused == none {
		unused = int32(len(s.refused))
		s.refused = append(s.refused, refusedSet{})
	}
	s.refused[unused] = refusedSet{res, 1}
	return unused
}

func (a *Hierarchical) dropFilter(id int32) {
	x := &a.filters
	f := &x.slab[id]
	s, c := a.slaves[f.slave], a.clients[f.client]
	from, to := s.pairs(c.handle)
	i := from + slices.IndexFunc(s.filters[from:to], func(p pair) bool { return p.id == id })
	s.filters = slices.Delete(s.filters, i, i+1)
	if to-from == 1 {
		s.hasFilter.remove(c.handle)
	}
	s.filtered.remove(c.handle)
	if set := &s.refused[f.refused]; set.refs > 1 {
		set.refs--
	} else {
		*set = refusedSet{}
		for n := len(s.refused); n > 0 && s.refused[n-1].refs == 0; n-- {
			s.refused = s.refused[:n-1]
		}
	}
	if f.prev != none {
		x.slab[f.prev].next = f.next
	} else {
		c.filters = f.next
	}
	if f.next != none {
		x.slab[f.next].prev = f.prev
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
	for n := len(s.filters); n > 0; n = len(s.filters) {
		a.dropFilter(s.filters[n-1].id)
	}
}

// forgetVerdicts has the filters of a client looked at anew.
func (a *Hierarchical) forgetVerdicts(c *client) {
	for id := c.filters; id != none; id = a.filters.slab[id].next {
		a.slaves[a.filters.slab[id].slave].filtered.remove(c.handle)
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
		s := a.slaves[a.filters.slab[id].slave]
		a.dropFilter(id)
		a.markDirty(s)
	}
}

// next returns when the next filter ends.
func (x *filters) next() (int64, bool) {
	for len(x.heap) > 0 {
		if top := x.heap[0]; x.slab[top.id].gen == top.gen {
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
	x.heap = slices.DeleteFunc(x.heap, func(d deadline) bool { return x.slab[d.id].gen != d.gen })
	for i := len(x.heap)/2 - 1; i >= 0; i-- {
		x.sink(i)
	}
}
