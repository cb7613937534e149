package refalloc

import (
	"cmp"
	"math"
	"math/bits"
	"slices"

	"github.com/meros-project/meros/offer/allocator"
)

// A child is what a role has below it in the order: a role, or with leaf the frameworks in the role itself.
type child struct {
	role  *role
	leaf  bool
	label string
}

// rankAll builds the order anew.
func (a *Allocator) rankAll() {
	for _, c := range a.clients {
		a.rankClient(c)
	}
	for _, r := range a.roles {
		a.rankRole(r)
		r.below = nil
		for _, n := range r.children {
			if n.enabled() {
				r.below = append(r.below, child{role: n, label: n.name})
			}
		}
		if len(r.clients) > 0 {
			r.below = append(r.below, child{role: r, leaf: true, label: r.name + "/."})
		}
	}
	a.below = nil
	for _, n := range a.top {
		if n.enabled() {
			a.below = append(a.below, child{role: n, label: n.name})
		}
	}
	a.sorted = false
}

func (a *Allocator) rankClient(c *client) {
	if a.cfg.Policy != allocator.Random {
		c.share, c.turns = a.share(c.held), c.count
	}
}

func (a *Allocator) rankRole(r *role) {
	if a.cfg.Policy == allocator.Random {
		return
	}
	r.share = mulDiv(a.share(r.held), defaultWeight, uint64(r.weight))
	r.directShare = a.share(r.direct)
	r.turns, r.directTurns = r.count, r.directCount
}

// enabled reports whether a framework in r or below takes part in offers.
func (r *role) enabled() bool {
	return len(r.clients) > 0 || slices.ContainsFunc(r.children, (*role).enabled)
}

// order returns the clients in the order in which they are asked for a slave.
func (a *Allocator) order(s *slave) []*client {
	if a.cfg.Policy == allocator.Random && a.drawn != s {
		a.draw(s)
		a.drawn, a.sorted = s, false
	}
	if !a.sorted {
		a.walk = appendClients(a.walk[:0], a.below)
		a.sorted = true
	}
	return a.walk
}

// draw has each client and each role draw a number for a slave, in place of its share.
func (a *Allocator) draw(s *slave) {
	number := func(child uint64, weight int64) uint64 {
		return mulDiv(minusLog2(mix64(a.cfg.Seed, a.runs, s.seq, child)), defaultWeight, uint64(weight))
	}
	for _, c := range a.clients {
		c.share = number(c.framework.seq, defaultWeight)
	}
	for _, r := range a.roles {
		r.share, r.directShare = number(hashName(r.name), r.weight), number(hashName(r.name+"/."), defaultWeight)
	}
}

func appendClients(out []*client, below []child) []*client {
	slices.SortFunc(below, compareChildren)
	for _, n := range below {
		if !n.leaf {
			out = appendClients(out, n.role.below)
			continue
		}
		slices.SortFunc(n.role.clients, compareClients)
		out = append(out, n.role.clients...)
	}
	return out
}

func compareClients(x, y *client) int {
	if x.share != y.share {
		return cmp.Compare(x.share, y.share)
	}
	if x.turns != y.turns {
		return cmp.Compare(x.turns, y.turns)
	}
	return cmp.Compare(x.framework.seq, y.framework.seq)
}

func compareChildren(x, y child) int {
	return cmp.Or(cmp.Compare(x.share(), y.share()), cmp.Compare(x.turns(), y.turns()), cmp.Compare(x.label, y.label))
}

func (n child) share() uint64 {
	if n.leaf {
		return n.role.directShare
	}
	return n.role.share
}

func (n child) turns() uint64 {
	if n.leaf {
		return n.role.directTurns
	}
	return n.role.turns
}

// share returns floor(2^40 * the largest part that held is of the cluster's total of any one kind).
func (a *Allocator) share(held amounts) uint64 {
	top := uint64(0)
	for name, x := range held {
		if total := a.total[name]; x > 0 && total > 0 && !slices.Contains(a.cfg.ExcludeFromFairness, name) {
			top = max(top, mulDiv(uint64(x), 1<<40, uint64(total)))
		}
	}
	return top
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
