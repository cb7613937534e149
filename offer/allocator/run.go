package allocator

import (
	"slices"
	"time"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// fewAwake is up to how many woken clients are compared with each other instead of walking the tree.
const fewAwake = 16

// run is the state of one Run, and scratch of it.
type run struct {
	todo   []ticket
	sorted []ticket // scratch of sortTickets
	starts []int32
	awake  []int32
	all    bool // todo has every slave that has something free
	roused int  // of Hierarchical.woken, how many were woken in this run and are awake
	work   int

	out    []Allotment
	start  int     // of the present slave's allotments in out
	given  []int32 // their clients
	again  bool    // only those clients are tried, all others wanted nothing more
	slave  *slave
	full   bool // all clients are tried, not only those awake
	shared bool // the slave's shared volumes may still be offered in this run

	views    [8]lot
	viewMask uint8
	viewRole *role
	proposal proposal
	sight    lot   // what of it the present client may see
	owner    *role // to which all of it is reserved, if that is one
	open     lot   // free, and the shared volumes if they may still be offered

	// The client found by pick and what it gets.
	client *client
	offer  lot

	amounts []int64
	ended   bitset // kinds of which an entry was cut
	relief  vec
	cutQty  vec
	scratch resource.Resources

	serial  uint64   // tells runs apart
	warmed  uint64   // nothing; see warm
	demand  []minSet // what somebody needs
	draws   []draw
	partQty vec
}

// proposal is what every framework of a role with the same capabilities would be offered, but for its filters and its minimum.
type proposal struct {
	ok         bool
	role       *role
	strip      traits
	guaranteed bool
	view       lot // what of the slave's free resources may go into one offer
	cut        bool
	qty        vec
	empty      bool
	trimmed    lot // built on demand
}

// Run decides; see Allocator.
func (a *Hierarchical) Run(now time.Time, out []Allotment) []Allotment {
	at := a.clock.read(now)
	a.sweep()
	a.expire(at)
	a.wakeShort()
	if a.dirtyCount == 0 && a.wokenCount == 0 && len(a.again) == 0 {
		return out
	}
	x := &a.run
	x.serial++
	a.resolve()
	a.gather()
	x.out, x.work, x.roused = out, 0, 0
	for i := 0; i < len(x.todo); i++ {
		t := x.todo[i]
		s := a.slaves[t.handle]
		if i%warmAhead == 0 {
			a.warm(x.todo[i:min(i+warmAhead, len(x.todo))])
		}
		if x.work >= a.cfg.MaxWork {
			for _, rest := range x.todo[i:] {
				a.markDirty(a.slaves[rest.handle])
			}
			break
		}
		s.served = x.serial
		a.serve(s, t.full)
		if !x.shared {
			a.markDirty(s) // the next client's turn to see the shared volumes
		}
		if x.roused > 0 && !x.all {
			x.all = true
			a.extend(i)
		}
	}
	for _, h := range x.awake {
		c := a.clients[h]
		c.awake = false
		for n := c.role; n != nil; n = n.parent {
			n.awake--
		}
	}
	x.awake = x.awake[:0]
	if len(x.out) > len(out) {
		a.runs++
	}
	out, x.out, x.slave, x.client, x.owner, x.offer = x.out, nil, nil, nil, nil, 0
	return out
}

// rise has a client tried in this run.
func (a *Hierarchical) rise(h int32) {
	c := a.clients[h]
	if !c.enabled || c.awake {
		return
	}
	c.awake = true
	a.run.awake = append(a.run.awake, h)
	for n := c.role; n != nil; n = n.parent {
		n.awake++
	}
}

// rouse has those that the last allotment has made room for (it met a guarantee with what was reserved) tried with the slaves of this run
// from the present one on. They stay woken for the others.
func (a *Hierarchical) rouse() {
	a.wakeShort()
	for x := &a.run; x.roused < len(a.woken); x.roused++ {
		a.rise(a.woken[x.roused])
	}
}

// serve allots what a slave has free until nobody takes any of it.
func (a *Hierarchical) serve(s *slave, full bool) {
	x := &a.run
	x.slave, x.full, x.shared = s, full, true
	x.start, x.given = len(x.out), x.given[:0]
	x.work++
	a.see(s) // a filter's verdict holds for the free resources that it was reached for
	s.mixed = s.mixed && !full
	for {
		x.viewMask, x.proposal.ok = 0, false
		x.open = s.free
		if x.shared {
			x.open = a.add(s.free, s.shared)
		}
		x.owner = nil
		if owner := a.lot(x.open).owner; owner != "" {
			x.owner = a.roleIndex[owner]
		}
		if !a.pick() {
			return
		}
		a.allot(x.client, x.offer)
		a.rouse()
		if s.mixed {
			x.full = true
			a.changes.add(s, len(a.slaves)) // for who comes back
		}
		if s.free == 0 && (!x.shared || s.shared == 0) {
			return
		}
	}
}

// pick finds the next client that takes something of the slave. When allotments are shares of a slave, those that have one already come last.
func (a *Hierarchical) pick() bool {
	x := &a.run
	if a.ownMins == 0 && !allocatable(a.min, a.lot(x.open).all) {
		return false // too little for anybody
	}
	x.again = false
	if a.pickOnce() {
		return true
	}
	if !a.inParts() || len(x.given) == 0 {
		return false
	}
	x.again = true
	return a.pickOnce()
}

// pickOnce looks first for one with an unmet guarantee, then by share alone.
func (a *Hierarchical) pickOnce() bool {
	x := &a.run
	if a.cfg.Policy == Random {
		return a.promises > 0 && !a.root.childRequire.zero() && a.visitDrawn(a.root, true) || a.visitDrawn(a.root, false)
	}
	few := !x.full && len(x.awake) <= fewAwake
	if a.promises > 0 && !a.root.childRequire.zero() {
		if few && a.pickAwake(true) || !few && a.visit(a.root, true) {
			return true
		}
	}
	if few {
		return a.pickAwake(false)
	}
	return a.visit(a.root, false)
}

// pickAwake is visit for few clients.
func (a *Hierarchical) pickAwake(guaranteed bool) bool {
	x := &a.run
	x.client = nil
	var best *client
	what := lot(0)
	for _, h := range x.awake {
		c := a.clients[h]
		if best != nil && a.before(best, c) {
			continue
		}
		if a.takes(c, guaranteed) {
			best, what = c, x.offer
		}
	}
	x.client, x.offer = best, what
	return best != nil
}

// before reports whether x comes before y in the walk of the tree.
func (a *Hierarchical) before(x, y *client) bool {
	if x.role == y.role {
		fresh(&x.role.clients, a.epoch, clientsOf{a})
		of := clientsOf{a}
		ex, ey := standing(x.handle, of), standing(y.handle, of)
		return compareEntries(&ex, &ey, of) < 0
	}
	// Climb to the children of the nearest common ancestor; its own frameworks are its virtual leaf.
	r, q := x.role, y.role
	from, to := virtualLeaf, virtualLeaf
	for r != q {
		if r.depth >= q.depth {
			from, r = r.handle, r.parent
		} else {
			to, q = q.handle, q.parent
		}
	}
	of := childrenOf{a, r}
	fresh(&r.below, a.epoch, of)
	ex, ey := standing(from, of), standing(to, of)
	return compareEntries(&ex, &ey, of) < 0
}

// visit looks for a taker in r and below, in order.
func (a *Hierarchical) visit(r *role, guaranteed bool) bool {
	x := &a.run
	if r.open == 0 && a.lot(x.open).traits == 0 {
		return false
	}
	fresh(&r.below, a.epoch, childrenOf{a, r})
	plain := a.lot(x.open).traits == 0
	for _, b := range r.below.blocks {
		for i := range b {
			h := b[i].handle
			if h == virtualLeaf {
				if a.visitClients(r, guaranteed) {
					return true
				}
				continue
			}
			n := a.roles[h]
			if x.owner != nil && !related(n, x.owner) {
				continue
			}
			x.work++
			if !x.full && n.awake == 0 || guaranteed && r == a.root && !n.needs || plain && n.open == 0 {
				continue
			}
			if a.visit(n, guaranteed) {
				return true
			}
		}
	}
	return false
}

// related reports whether one role is the other, or below it.
func related(n, m *role) bool {
	for n.depth > m.depth {
		n = n.parent
	}
	for m.depth > n.depth {
		m = m.parent
	}
	return n == m
}

func (a *Hierarchical) visitClients(r *role, guaranteed bool) bool {
	x := &a.run
	if r.starved && a.lot(x.open).traits == 0 {
		return false
	}
	if r.ownMin == 0 && !allocatable(a.min, a.lot(a.viewOf(r, 0)).all) {
		return false
	}
	fresh(&r.clients, a.epoch, clientsOf{a})
	s := x.slave
	filtered := bitset(nil)
	if s.wide && s.judged > 0 {
		filtered = a.words.words(s.verdicts)
	}
	for n, b := range r.clients.blocks {
		for i := range b {
			h := b[i].handle
			if filtered.has(h) {
				continue
			}
			c := a.clients[h]
			if (x.full || c.awake) && a.takes(c, guaranteed) {
				x.client = c
				x.work += i / 16
				r.clients.hint.block, r.clients.hint.at = n, i
				return true
			}
		}
		x.work += 1 + len(b)/16
	}
	return false
}

// takes reports whether there is an offer of the slave for c, and leaves it in run.offer.
func (a *Hierarchical) takes(c *client, guaranteed bool) bool {
	x := &a.run
	s := x.slave
	x.work++
	f := c.framework
	all := a.lot(x.open).traits
	if all == 0 && c.role.starved || a.filtered(s, c.handle) || a.lot(s.total).scarce&^c.asked != 0 || s.remote && f.caps&offer.RegionAware == 0 ||
		c.constraint != nil && !a.passes(c, s) || a.bound(c) || a.inParts() && slices.Contains(x.given, c.handle) != x.again {
		return false
	}
	p := &x.proposal
	strip := all & strippable &^ f.keeps
	if s.shown.has(c.handle) {
		strip |= all & hasShared
	}
	if a.inParts() {
		return a.takesPart(c, strip, guaranteed)
	}
	if !p.ok || p.role != c.role || p.strip != strip || p.guaranteed != guaranteed {
		x.sight = a.viewOf(c.role, strip)
		a.propose(x.sight, c.role, strip, guaranteed)
	}
	if p.empty || !allocatable(c.min, p.qty) || !allocatable(c.needs, p.qty) {
		if p.cut && all == 0 && !guaranteed {
			a.starve(c.role)
		}
		return false
	}
	x.offer = p.view
	if p.cut {
		if p.trimmed == 0 {
			p.trimmed = a.trimmed(p.view)
		}
		x.offer = p.trimmed
	}
	return x.offer != 0 && !(s.judged != s.filters.n && a.refuses(s, c, x.offer))
}

// propose works out what of v the frameworks of a role would be offered that have the same capabilities.
func (a *Hierarchical) propose(v lot, r *role, strip traits, guaranteed bool) {
	p := &a.run.proposal
	p.ok, p.role, p.strip, p.guaranteed = true, r, strip, guaranteed
	p.view, p.cut, p.trimmed, p.qty = v, false, 0, a.lot(v).all
	p.empty = v == 0
	if p.empty || !guaranteed && a.promises == 0 && !a.limited(r) {
		return
	}
	some := false
	p.cut, some = a.cut(r, a.value(v), guaranteed)
	if guaranteed && !some {
		p.empty = true
		return
	}
	if !p.cut {
		return
	}
	q := &a.run.cutQty
	q.clear()
	p.empty = true
	for i, amount := range a.run.amounts {
		e := &a.value(v)[i]
		if amount == whole {
			amount = int64(e.Scalar)
			p.empty = false
		}
		if amount == 0 {
			continue
		}
		p.empty = false
		if k := a.kinds.of(e.Name); k >= 0 {
			q.add(k, amount)
		}
	}
	p.qty = *q
}

func (a *Hierarchical) limited(r *role) bool {
	if a.limits == 0 {
		return false
	}
	for n := r; n != a.root; n = n.parent {
		if n.limit != nil {
			return true
		}
	}
	return false
}

// viewOf returns what is free on the slave without what is reserved to others and what is to be stripped.
func (a *Hierarchical) viewOf(r *role, strip traits) lot {
	x := &a.run
	if a.lot(x.open).traits&hasReserved == 0 {
		r = a.root // then the role makes no difference
	}
	if strip == 0 && r == a.root {
		return x.open
	}
	if x.viewRole != r {
		x.viewRole, x.viewMask = r, 0
	}
	if x.viewMask&(1<<strip) == 0 {
		x.viewMask |= 1 << strip
		x.views[strip] = a.strip(x.open, r, strip)
	}
	return x.views[strip]
}

// strip returns what of a lot a framework of r may see from whose offers some entries are stripped.
func (a *Hierarchical) strip(all lot, r *role, strip traits) lot {
	m, known := a.lots.recall(opView+operation(strip), all, lot(r.serial))
	if known {
		return m.result
	}
	res := a.value(all)
	out := a.run.scratch[:0]
	for i := range res {
		e := &res[i]
		if strip&hasRevocable != 0 && e.Revocable || strip&hasRefined != 0 && len(e.Reservations) > 1 || strip&hasShared != 0 && e.Shared {
			continue
		}
		if n := len(e.Reservations); n > 0 {
			if owner := e.Reservations[n-1].Role; owner != r.name && !resource.IsDescendant(r.name, owner) {
				continue
			}
		}
		out = append(out, *e)
	}
	a.run.scratch = out
	seen := all
	if len(out) < len(res) {
		seen = a.internScratch(out)
	}
	*m = remembered{all, lot(r.serial), seen, opView + operation(strip)}
	return seen
}

// refuses reports whether a filter of c covers what it is offered. While nothing of the slave has been given away in this run, the verdict
// on the whole view is kept for the next ones.
func (a *Hierarchical) refuses(s *slave, c *client, what lot) bool {
	x := &a.run
	from, to := a.pairs(s, c.handle)
	for _, p := range a.words.words(s.filters)[from:to] {
		refused := a.filters.slab.at(pair(p).id()).refused
		if len(x.given) == 0 && a.contains(refused, x.sight) {
			a.judge(s, c.handle)
			return true
		}
		if a.contains(refused, what) {
			return true
		}
	}
	return false
}

// allot gives resources of the slave to a client, as a new allotment or as more of one of this run.
func (a *Hierarchical) allot(c *client, l lot) {
	x := &a.run
	s := x.slave
	if i := slices.Index(x.given, c.handle); i >= 0 {
		al := &x.out[x.start+i]
		al.Resources = al.Resources.Add(a.value(l))
	} else {
		x.given = append(x.given, c.handle)
		x.out = append(x.out, Allotment{Framework: c.framework.id, Role: c.role.name, Slave: s.id, Resources: a.value(l)})
		a.noteOutstanding(s, c)
		c.count++
		c.role.directCount++
		for n := c.role; n != a.root; n = n.parent {
			n.count++
		}
	}
	if a.lot(l).traits&hasShared != 0 {
		x.shared = false
		s.shown.add(c.handle)
	}
	a.hold(s, c, l)
	a.take(s, l)
}
