package allocator

import (
	"math"
	"slices"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// subject is a client as Explain looks at it: what a run knows of it, found without leaving a trace.
type subject struct {
	c       *client
	path    []*role // its role and those above, without the root
	min     []minSet
	needs   []minSet
	relief  vec
	limited bool
	blocked bool // whatever the slave is
	looks   map[view]look
}

// view is what a look depends on, besides the subject.
type view struct {
	free, shared, total lot
	shown, guaranteed   bool
}

// subject returns the subject of a client, always the same one.
func (x *explainer) subject(c *client) *subject {
	u := x.subjects[c.handle]
	if u == nil {
		u = x.newSubject(c)
		x.subjects[c.handle] = u
	}
	return u
}

func (x *explainer) newSubject(c *client) *subject {
	a := x.a
	u := &subject{c: c, min: c.min, needs: c.needs, looks: map[view]look{}}
	for n := c.role; n != a.root; n = n.parent {
		u.path = append(u.path, n)
		u.limited = u.limited || n.limit != nil
	}
	if a.unresolved { // some names may be known by now
		if c.ownMin != nil {
			u.min = x.compile(c.ownMin)
		}
		u.needs = x.compile(c.wants)
	}
	if a.promises > 0 {
		a.relief(c.role, &u.relief)
	}
	return u
}

// kind returns the kind of a name, or -1.
func (x *explainer) kind(name string) int {
	if k, ok := x.a.kinds.index[name]; ok {
		return k
	}
	return -1
}

func (x *explainer) compile(sets []resource.Quantities) []minSet {
	out := make([]minSet, len(sets))
	for i, q := range sets {
		for j := range q {
			out[i] = append(out[i], amount{x.kind(q[j].Name), int64(q[j].Amount)})
		}
	}
	return out
}

// scalars sums up the scalars of r by kind.
func (x *explainer) scalars(r resource.Resources) (v vec) {
	for i := range r {
		if k := x.kind(r[i].Name); k >= 0 && r[i].Type == resource.ScalarType {
			v.add(k, int64(r[i].Scalar))
		}
	}
	return v
}

// stock is resources, and their scalars by kind.
type stock struct {
	res resource.Resources
	qty vec
}

func (x *explainer) stock(r resource.Resources) stock { return stock{r, x.scalars(r)} }

// enough reports whether there is anything, and a set among it if there are sets.
func (v *stock) enough(sets []minSet) bool { return len(v.res) > 0 && allocatable(sets, v.qty) }

// open is what a slave could offer to somebody.
func (x *explainer) open(s *slave) stock {
	in := x.a.lot(s.free)
	if s.shared == 0 {
		return stock{in.res, in.all}
	}
	return x.stock(in.res.Add(x.a.value(s.shared)))
}

// sees reports whether an entry is for a client, but for the other ones of that slave.
func (u *subject) sees(s *slave, e *resource.Resource) bool {
	return u.hides(e) == 0 && u.mayHave(e) && !(e.Shared && s.shown.has(u.c.handle))
}

// hides returns the capability that a client lacks for an entry.
func (u *subject) hides(e *resource.Resource) offer.Capabilities {
	keeps := u.c.framework.keeps
	switch {
	case e.Revocable && keeps&hasRevocable == 0:
		return offer.RevocableResources
	case len(e.Reservations) > 1 && keeps&hasRefined == 0:
		return offer.ReservationRefinement
	case e.Shared && keeps&hasShared == 0:
		return offer.SharedResources
	}
	return 0
}

// mayHave reports whether an entry is unreserved or reserved to the client's role or one above.
func (u *subject) mayHave(e *resource.Resource) bool {
	owner := ownerOf(e)
	return owner == "" || owner == u.c.role.name || resource.IsDescendant(u.c.role.name, owner)
}

// visible returns what of v a client sees.
func (x *explainer) visible(u *subject, s *slave, v stock) stock {
	n := slices.IndexFunc(v.res, func(e resource.Resource) bool { return !u.sees(s, &e) })
	if n < 0 {
		return v
	}
	return x.stock(v.res.Filter(func(e resource.Resource) bool { return u.sees(s, &e) }))
}

// look is what a client would be offered of a slave, but for filters and for others that come first.
type look struct {
	open, view stock   // what there is, and what of it the client sees
	part       stock   // what of that may go into one allotment
	amounts    []int64 // of the entries of part; whole for all
	cut        bool
	some       bool  // of what the role is short of
	got        stock // the offer
	empty      bool
}

// look returns what a client would be offered of a slave. Many slaves look the same.
func (x *explainer) look(u *subject, s *slave, guaranteed bool) look {
	key := view{free: s.free, shared: s.shared, shown: s.shown.has(u.c.handle), guaranteed: guaranteed}
	if x.a.inParts() {
		key.total = s.total
	}
	v, known := u.looks[key]
	if !known {
		v = x.newLook(u, s, guaranteed)
		u.looks[key] = v
	}
	return v
}

// newLook works out what a run's propose and takes do.
func (x *explainer) newLook(u *subject, s *slave, guaranteed bool) look {
	v := look{open: x.open(s)}
	v.view = x.visible(u, s, v.open)
	if v.part = v.view; x.a.inParts() && v.view.enough(u.min) && v.view.enough(u.needs) {
		v.part = x.part(u, s, v.view)
	}
	v.got, v.empty = v.part, len(v.part.res) == 0
	if v.empty || !guaranteed && x.a.promises == 0 && !u.limited {
		return v
	}
	x.cut(u, &v, guaranteed)
	if guaranteed && !v.some {
		v.empty = true
	}
	if !v.cut {
		return v
	}
	out := make(resource.Resources, 0, len(v.part.res))
	for i, n := range v.amounts {
		e := v.part.res[i]
		if n != whole {
			e.Scalar = resource.Scalar(n)
		}
		if n != 0 {
			out = append(out, e)
		}
	}
	v.got = x.stock(out)
	v.empty = v.empty || len(out) == 0
	return v
}

// cut is Hierarchical.cut.
func (x *explainer) cut(u *subject, v *look, guaranteed bool) {
	a := x.a
	taken := make([]vec, len(u.path))
	var ended bitset
	v.amounts = slices.Repeat([]int64{whole}, len(v.part.res))
	for below := 0; below <= len(u.path); below++ {
		for i := range v.part.res {
			e := &v.part.res[i]
			k := x.kind(e.Name)
			if k < 0 || e.Type != resource.ScalarType || e.Revocable || u.level(e) != below {
				continue
			}
			want := int64(e.Scalar)
			got := want
			if ended.has(int32(k)) {
				got = 0
			}
			for j, n := range u.path[:below] {
				if left, limited := n.left(k); limited {
					got = min(got, max(0, left-taken[j].at(k)))
				}
			}
			if below == len(u.path) && a.promises > 0 {
				bound := u.relief.at(k)
				if !guaranteed || bound == 0 {
					bound += a.surplus(k)
				}
				got = min(got, bound)
			}
			if got < want {
				got = trim(e, k, got)
				v.cut, v.amounts[i] = true, got
				ended.add(int32(k))
			}
			for j := range taken[:below] {
				taken[j].add(k, got)
			}
			v.some = v.some || got > 0 && u.relief.at(k) > 0
		}
	}
}

// level returns where in the path the role is that an entry is reserved to: as many roles, those below it, bound it by their limits.
func (u *subject) level(e *resource.Resource) int {
	owner := ownerOf(e)
	i := slices.IndexFunc(u.path, func(n *role) bool { return n.name == owner })
	if i < 0 {
		return len(u.path)
	}
	return i
}

// left returns what a role's limit leaves of a kind; less than nothing if more is consumed.
func (r *role) left(k int) (int64, bool) {
	if k >= len(r.limit) || r.limit[k] == noLimit {
		return math.MaxInt64, false
	}
	return r.limit[k] - r.consumed.at(k), true
}

// trim returns how much of an entry can be offered if there is room for got, less than all of it: volumes and GPUs are not split.
func trim(e *resource.Resource, k int, got int64) int64 {
	switch {
	case e.Volume != nil || e.Shared:
		return 0
	case k == gpuKind:
		return got - got%1000
	}
	return got
}

// part returns what of all that a client sees goes into one allotment.
func (x *explainer) part(u *subject, s *slave, all stock) stock {
	a := x.a
	total := a.value(s.total)
	out := make(resource.Resources, 0, len(all.res))
	for _, e := range all.res {
		if !e.Revocable && len(e.Reservations) == 0 {
			e = a.piece(total, e)
		}
		out = append(out, e)
	}
	qty := x.scalars(out)
	a.raise(out, &qty, u.min, all.res, all.qty)
	a.raise(out, &qty, u.needs, all.res, all.qty)
	return stock{out, qty}
}

// covering returns when the last filter ends that covers what a client would be offered, and what it refuses.
func (x *explainer) covering(u *subject, s *slave, what resource.Resources) (until int64, refused resource.Resources) {
	a := x.a
	until = never
	from, to := a.pairs(s, u.c.handle)
	for _, p := range a.words.words(s.filters)[from:to] {
		f := a.filters.slab.at(pair(p).id())
		if f.expiry > x.now && f.expiry > until && a.value(f.refused).Contains(what) {
			until, refused = f.expiry, a.value(f.refused)
		}
	}
	return until, refused
}

// meets reports whether a slave meets the constraints of a client; not known if there are too many that were never compared.
func (x *explainer) meets(c *client, s *slave) (pass, known bool) {
	k := c.constraint
	if k == nil {
		return true, true
	}
	key := s.handle
	if !k.rules.ByHostname() {
		key = s.class
	}
	switch {
	case key != none && k.known.has(key):
		return k.pass.has(key), true
	case x.compared >= maxCompared:
		return false, false
	}
	x.compared++
	return k.rules.Pass(described(s)), true
}

// described is what constraints see of a slave.
func described(s *slave) *offer.Slave {
	return &offer.Slave{Hostname: s.hostname, Domain: s.domain, Attributes: s.attributes}
}

// takes reports whether a run would find an offer of the slave for a client.
func (x *explainer) takes(u *subject, s *slave, guaranteed bool) bool {
	a, c := x.a, u.c
	f := c.framework
	if !c.enabled || !s.active || a.lot(s.total).scarce&^c.asked != 0 || s.remote && f.caps&offer.RegionAware == 0 ||
		a.cfg.MaxOutstanding > 0 && f.outstanding >= a.cfg.MaxOutstanding {
		return false
	}
	if pass, _ := x.meets(c, s); !pass {
		return false
	}
	v := x.look(u, s, guaranteed)
	if v.empty || !allocatable(u.min, v.got.qty) || !allocatable(u.needs, v.got.qty) {
		return false
	}
	until, _ := x.covering(u, s, v.got.res)
	return until == never
}
