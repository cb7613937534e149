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

// portion returns what of the offer found for c goes into one allotment.
func (a *Hierarchical) portion(c *client) lot {
	x := &a.run
	p := &x.proposal
	all, total := a.value(x.offer), a.value(x.slave.total)
	out, qty := x.scratch[:0], &x.partQty
	x.whole = x.whole[:0]
	for i := range all {
		e := all[i]
		x.whole = append(x.whole, e.Scalar)
		if e.Revocable || len(e.Reservations) > 0 || e.Volume != nil || e.Shared {
			out = append(out, e)
		} else {
			out = append(out, a.piece(total, e))
		}
	}
	x.scratch = out
	qty.clear()
	a.addScalars(qty, out, 1)
	a.raise(out, qty, c.min, p.qty)
	a.raise(out, qty, c.needs, p.qty)
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

// raise adds to out, of which qty are the scalars, until it has the first of sets that there is enough for, unless it has any of them.
func (a *Hierarchical) raise(out resource.Resources, qty *vec, sets []minSet, enough vec) {
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
			more := min(wholeGPUs(e.Name, resource.Scalar(lack)), a.run.whole[j]-e.Scalar)
			e.Scalar += more
			qty.add(m.kind, int64(more))
		}
	}
}
