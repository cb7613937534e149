package allocator

import (
	"fmt"
	"slices"

	"github.com/meros-project/meros/offer/resource"
)

// Check compares everything that is kept incrementally with what it must be, and returns an error that names the first difference. It
// takes time in proportion to the whole state and is for tests. What is held and what is free on a slave must add up to its total
// exactly (R1), nothing twice (R2), unless the slave's total was reduced below what is held there.
func (a *Hierarchical) Check() error {
	var total, available vec
	held := make([]vec, len(a.clients))
	holdings := make([]int, len(a.clients))
	consumed := make([]vec, len(a.roles))
	for _, s := range a.slavesByID() {
		if err := a.checkSlave(s); err != nil {
			return err
		}
		a.addScalars(&total, a.value(s.total), 1)
		if s.active {
			a.addPlain(&available, a.value(s.free), 1)
		}
		a.expectReserved(consumed, a.value(s.total))
		for _, w := range a.words.words(s.held) {
			h, res := holding(w).client(), a.value(holding(w).lot())
			a.addScalars(&held[h], res, 1)
			holdings[h]++
			a.expectConsumed(consumed, a.clients[h], res)
		}
	}
	for _, v := range []struct {
		what      string
		got, want vec
	}{{"cluster total", a.total, total}, {"available", a.available, available}} {
		if !equal(v.got, v.want) {
			return fmt.Errorf("%s: is %v, must be %v", v.what, v.got, v.want)
		}
	}
	for _, c := range a.clientsByName() {
		if !equal(c.held, held[c.handle]) || c.holdings != holdings[c.handle] {
			return fmt.Errorf("framework %s in role %s holds %v on %d slaves, must be %v on %d",
				c.framework.id, c.role.name, c.held, c.holdings, held[c.handle], holdings[c.handle])
		}
	}
	if err := a.checkTerms(); err != nil {
		return err
	}
	return a.checkRoles(held, consumed)
}

func equal(x, y vec) bool {
	for k := range max(len(x), len(y)) {
		if x.at(k) != y.at(k) {
			return false
		}
	}
	return true
}

func (a *Hierarchical) checkSlave(s *slave) error {
	free, over := a.expectedFree(s)
	if over != s.over || !a.value(free).Equal(a.value(s.free)) {
		return fmt.Errorf("slave %s: free is %s (over %t), must be %s (over %t)", s.id, a.value(s.free), s.over, a.value(free), over)
	}
	if !over {
		sum := a.value(s.free)
		for _, h := range a.words.words(s.held) {
			sum = sum.Add(only(a.value(holding(h).lot()), false))
		}
		if want := only(a.value(s.total), false); !sum.Equal(want) {
			return fmt.Errorf("slave %s: held and free are %s, the total is %s", s.id, sum, want)
		}
	}
	if in := s.active && s.offerable(); in != a.withFree.has(s.handle) {
		return fmt.Errorf("slave %s: something to offer is %t", s.id, in)
	}
	return a.checkFilters(s)
}

func (a *Hierarchical) checkFilters(s *slave) error {
	judged := uint32(0)
	list := a.words.words(s.filters)
	for i, w := range list {
		p := pair(w)
		f := a.filters.slab.at(p.id())
		if f.slave != s.handle || f.client != p.client() || a.clients[p.client()] == nil || i > 0 && pair(list[i-1]).client() > p.client() {
			return fmt.Errorf("slave %s: filter %d is of slave %d and client %d, listed under client %d", s.id, p.id(), f.slave, f.client, p.client())
		}
		if !a.filtered(s, p.client()) {
			continue
		}
		judged++
		all := false // what is seen, some filter must refuse as a whole; what a framework may see of it is less
		from, to := a.pairs(s, p.client())
		for _, q := range list[from:to] {
			all = all || a.contains(a.filters.slab.at(pair(q).id()).refused, s.seen)
		}
		if !all && s.shared == 0 && a.lot(s.seen).traits == 0 {
			return fmt.Errorf("slave %s: a verdict on client %d that no filter bears out", s.id, p.client())
		}
	}
	if judged != s.judged {
		return fmt.Errorf("slave %s: %d filters with a verdict, counted are %d", s.id, judged, s.judged)
	}
	return nil
}

func (a *Hierarchical) expectReserved(consumed []vec, total resource.Resources) {
	for i := range total {
		e := &total[i]
		if k := a.kinds.of(e.Name); e.Type == resource.ScalarType && !e.Revocable && e.Reserved() && k >= 0 {
			for r := a.roleIndex[e.Role()]; r != nil && r != a.root; r = r.parent {
				consumed[r.handle].add(k, int64(e.Scalar))
			}
		}
	}
}

func (a *Hierarchical) expectConsumed(consumed []vec, c *client, res resource.Resources) {
	for i := range res {
		e := &res[i]
		k := a.kinds.of(e.Name)
		if e.Type != resource.ScalarType || e.Revocable || k < 0 || e.Reserved() && !resource.IsDescendant(c.role.name, e.Role()) {
			continue
		}
		for r := c.role; r != a.root && !(e.Reserved() && r.name == e.Role()); r = r.parent {
			consumed[r.handle].add(k, int64(e.Scalar))
		}
	}
}

func (a *Hierarchical) checkRoles(held, consumed []vec) error {
	below := make([]vec, len(a.roles))
	direct := make([]vec, len(a.roles))
	enabled := make([]int, len(a.roles))
	open := make([]int, len(a.roles))
	for _, c := range a.clientsByName() {
		direct[c.role.handle].addVec(held[c.handle], 1)
		if c.enabled != (c.framework.active && c.subscribed && !c.suppressed) {
			return fmt.Errorf("framework %s in role %s: enabled is %t", c.framework.id, c.role.name, c.enabled)
		}
		for r := c.role; r != a.root; r = r.parent {
			below[r.handle].addVec(held[c.handle], 1)
			enabled[r.handle] += flag(c.enabled)
		}
	}
	for _, r := range a.rolesByName() {
		if r.counted != (r.clients.n > 0 && !r.starved) {
			return fmt.Errorf("role %s: counts as open is %t", r.name, r.counted)
		}
		for n := r; n != a.root; n = n.parent {
			open[n.handle] += flag(r.counted)
		}
	}
	for _, r := range a.rolesByName() {
		if r.open != open[r.handle] {
			return fmt.Errorf("role %s: %d roles are open, must be %d", r.name, r.open, open[r.handle])
		}
		for _, v := range []struct {
			what      string
			got, want vec
		}{{"holds", r.held, below[r.handle]}, {"itself holds", r.direct, direct[r.handle]}, {"consumes", r.consumed, consumed[r.handle]}} {
			if !equal(v.got, v.want) {
				return fmt.Errorf("role %s %s %v, must be %v", r.name, v.what, v.got, v.want)
			}
		}
		if r.enabled != enabled[r.handle] {
			return fmt.Errorf("role %s: %d frameworks take part, must be %d", r.name, r.enabled, enabled[r.handle])
		}
		if err := a.checkOrders(r); err != nil {
			return err
		}
		for k := range a.kinds.names {
			want := max(0, r.guarantee.at(k)-r.consumed.at(k), r.childRequire.at(k))
			if r.required.at(k) != want {
				return fmt.Errorf("role %s: %d of %s are kept free for it, must be %d", r.name, r.required.at(k), a.kinds.names[k], want)
			}
		}
	}
	return a.checkOrders(a.root)
}

func (a *Hierarchical) checkOrders(r *role) error {
	if err := checkOrder(&r.clients, a.epoch, clientsOf{a}); err != nil {
		return fmt.Errorf("role %s: frameworks: %w", r.name, err)
	}
	for _, e := range slices.Concat(r.clients.blocks...) {
		c := a.clients[e.handle]
		if c == nil || c.role != r || !c.enabled || r.clients.current(a.epoch) && (e.rank != c.place || e.rank != (clientsOf{a}).rank(e.handle)) {
			return fmt.Errorf("role %s: the order holds client %d at %v, out of place", r.name, e.handle, e.rank)
		}
	}
	of := childrenOf{a, r}
	if err := checkOrder(&r.below, a.epoch, of); err != nil {
		return fmt.Errorf("role %s: roles below: %w", r.name, err)
	}
	var required vec
	for _, c := range a.rolesByName() {
		if c.parent == r {
			required.addVec(c.required, 1)
		}
	}
	if !equal(required, r.childRequire) {
		return fmt.Errorf("role %s: its children require %v, counted are %v", r.name, required, r.childRequire)
	}
	for _, e := range slices.Concat(r.below.blocks...) {
		if r.below.current(a.epoch) && e.rank != of.rank(e.handle) {
			return fmt.Errorf("role %s: the order below holds %d at %v, must be %v", r.name, e.handle, e.rank, of.rank(e.handle))
		}
	}
	return nil
}

func checkOrder[R ranked](o *order, epoch uint64, of R) error {
	all := slices.Concat(o.blocks...)
	if len(all) != o.n || slices.ContainsFunc(o.blocks, func(b []entry) bool { return len(b) == 0 }) {
		return fmt.Errorf("%d entries in %d blocks, counted are %d", len(all), len(o.blocks), o.n)
	}
	if o.current(epoch) && !slices.IsSortedFunc(all, func(x, y entry) int { return compareEntries(&x, &y, of) }) {
		return fmt.Errorf("out of order: %v", all)
	}
	return nil
}
