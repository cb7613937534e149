package refalloc

import (
	"slices"

	"github.com/meros-project/meros/offer/resource"
)

// inParts reports whether an allotment takes a share of a slave.
func (a *Allocator) inParts() bool { return a.cfg.OfferShare > 0 && a.cfg.OfferShare < 1000 }

// portion returns what of res, which a client could be offered, goes into one allotment.
func (a *Allocator) portion(c *client, s *slave, res resource.Resources) resource.Resources {
	out := slices.Clone(res)
	for i, e := range out {
		if !e.Reserved() && !e.Revocable {
			out[i] = a.part(e, s.Resources)
		}
	}
	raise(out, res, c.min)
	raise(out, res, c.needs)
	return out
}

// part returns the configured share of what the slave has of an entry in total, as far as it is in e.
func (a *Allocator) part(e resource.Resource, total resource.Resources) resource.Resource {
	share := func(n int64) int64 {
		return (n/1000)*int64(a.cfg.OfferShare) + (n%1000*int64(a.cfg.OfferShare)+999)/1000
	}
	for _, t := range total {
		if !t.SameKind(e) {
			continue
		}
		switch e.Type {
		case resource.RangesType:
			e.Ranges = e.Ranges.Take(uint64(share(int64(t.Ranges.Count()))))
		case resource.SetType:
			e.Set = e.Set[:min(int64(len(e.Set)), share(int64(len(t.Set))))]
		default:
			e.Scalar = min(e.Scalar, wholeGPUs(e.Name, share(int64(t.Scalar))))
		}
	}
	return e
}

// wholeGPUs rounds GPUs up to whole ones.
func wholeGPUs(name string, x int64) resource.Scalar {
	if name == resource.GPUs {
		x = (x + 999) / 1000 * 1000
	}
	return resource.Scalar(x)
}

// raise makes part, which has the same entries as all, larger until it has the first of the sets that all has, unless it has any.
func raise(part, all resource.Resources, sets []resource.Quantities) {
	if scalars(part).enough(sets) {
		return
	}
	for _, set := range sets {
		if !scalars(all).has(set) {
			continue
		}
		for _, q := range set {
			for i := range part {
				lack := int64(q.Amount) - scalars(part)[q.Name]
				if e := &part[i]; e.Type == resource.ScalarType && e.Name == q.Name && lack > 0 {
					e.Scalar += min(wholeGPUs(e.Name, lack), all[i].Scalar-e.Scalar)
				}
			}
		}
		return
	}
}
