package allocator

import (
	"slices"

	"github.com/meros-project/meros/offer/resource"
)

// inParts reports whether an allotment takes a share of a slave.
func (a *Hierarchical) inParts() bool { return a.cfg.OfferShare > 0 && a.cfg.OfferShare < 1000 }

// part returns ceil(n*share/1000).
func (a *Hierarchical) part(n uint64) uint64 {
	share := uint64(a.cfg.OfferShare)
	return n/1000*share + (n%1000*share+999)/1000
}

// takesPart is takes when allotments are shares of a slave.
func (a *Hierarchical) takesPart(c *client, strip traits, guaranteed bool) bool {
	x := &a.run
	s, p := x.slave, &x.proposal
	s.mixed = true // the next parts are others, such as other ports, and filters may let them through
	x.sight = a.viewOf(c.role, strip)
	if all := a.lot(x.sight).all; !allocatable(c.min, all) || !allocatable(c.needs, all) {
		return false
	}
	a.propose(a.portion(c), c.role, strip, guaranteed)
	p.ok = false // it is for this client only
	if p.empty || !allocatable(c.min, p.qty) || !allocatable(c.needs, p.qty) {
		return false
	}
	if x.offer = p.view; p.cut {
		x.offer = a.trimmed(p.view)
	}
	return x.offer != 0 && !(s.judged != s.filters.n && a.refuses(s, c, x.offer))
}

// portion returns what of all that c sees goes into one allotment.
func (a *Hierarchical) portion(c *client) lot {
	x := &a.run
	all, total := a.value(x.sight), a.value(x.slave.total)
	out, qty := x.scratch[:0], &x.partQty
	for i := range all {
		e := all[i]
		if !e.Revocable && len(e.Reservations) == 0 {
			e = a.piece(total, e)
		}
		out = append(out, e)
	}
	x.scratch = out
	qty.clear()
	a.addScalars(qty, out, 1)
	in := a.lot(x.sight)
	a.raise(out, qty, c.min, in.res, in.all)
	a.raise(out, qty, c.needs, in.res, in.all)
	return a.internScratch(out)
}

// piece returns what of an unreserved entry goes into one allotment.
func (a *Hierarchical) piece(total resource.Resources, e resource.Resource) resource.Resource {
	i := slices.IndexFunc(total, func(t resource.Resource) bool { return t.SameKind(e) })
	if i < 0 {
		return e
	}
	switch t := &total[i]; e.Type {
	case resource.RangesType:
		e.Ranges = e.Ranges.Take(a.part(t.Ranges.Count()))
	case resource.SetType:
		n := min(len(e.Set), int(a.part(uint64(len(t.Set)))))
		e.Set = e.Set[:n:n]
	default:
		e.Scalar = min(e.Scalar, wholeGPUs(e.Name, resource.Scalar(a.part(uint64(t.Scalar)))))
	}
	return e
}

// wholeGPUs rounds up: GPUs are not split.
func wholeGPUs(name string, x resource.Scalar) resource.Scalar {
	if name == resource.GPUs {
		return (x + 999) / 1000 * 1000
	}
	return x
}

// raise adds to out, of which qty are the scalars, until it has the first of sets that is in all that the client sees, unless it has any of
// them. The entries of out are parts of those of all, of which the scalars are enough.
func (a *Hierarchical) raise(out resource.Resources, qty *vec, sets []minSet, all resource.Resources, enough vec) {
	if allocatable(sets, *qty) {
		return
	}
	i := slices.IndexFunc(sets, func(s minSet) bool { return allocatable([]minSet{s}, enough) })
	if i < 0 {
		return
	}
	for _, m := range sets[i] {
		for j := range out {
			e := &out[j]
			lack := m.min - qty.at(m.kind)
			if lack <= 0 || e.Type != resource.ScalarType || a.kinds.of(e.Name) != m.kind {
				continue
			}
			more := min(wholeGPUs(e.Name, resource.Scalar(lack)), all[j].Scalar-e.Scalar)
			e.Scalar += more
			qty.add(m.kind, int64(more))
		}
	}
}
