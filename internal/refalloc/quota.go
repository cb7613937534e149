package refalloc

import (
	"cmp"
	"slices"
	"strings"

	"github.com/meros-project/meros/offer/resource"
)

// require computes what is to be kept free for each role, and for all.
func (a *Allocator) require() {
	a.required = sumRequired(a.top)
}

func sumRequired(roles []*role) amounts {
	sum := amounts{}
	for _, r := range roles {
		r.required = sumRequired(r.children) // what those below need is needed here, too
		for _, q := range r.guarantee {
			r.required[q.Name] = max(r.required[q.Name], int64(q.Amount)-r.consumed[q.Name])
		}
		for name, x := range r.required {
			sum[name] += x
		}
	}
	return sum
}

// relief returns how much less of a kind would be required if r had all that it could wish for: what r may take of the resources that are
// kept free for guarantees.
func (a *Allocator) relief(r *role, name string) int64 {
	left := int64(0) // what would be required of r, then of its parent, and so on
	for _, c := range r.children {
		left += c.required[name]
	}
	for ; r.parent != nil; r = r.parent {
		others := left
		for _, sibling := range r.parent.children {
			if sibling != r {
				others += sibling.required[name]
			}
		}
		left = others
	}
	return r.required[name] - left
}

// bounded returns what of res a client of r may have, given limits and guarantees: what is reserved first, the most refined before the others,
// and of each kind nothing after an entry that does not fit. With guaranteed, that is of the kinds that the role is short of no more than it is
// guaranteed, and nothing if it is not short of any.
func (a *Allocator) bounded(r *role, res resource.Resources, guaranteed bool) resource.Resources {
	order := make([]int, len(res))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(x, y int) int { return cmp.Compare(depth(res[y]), depth(res[x])) })
	got := make([]int64, len(res))
	taken := map[*role]amounts{}
	ended := map[string]bool{}
	short := false
	for _, i := range order {
		e := res[i]
		if e.Type != resource.ScalarType || e.Revocable {
			continue
		}
		if !ended[e.Name] {
			got[i] = a.underLimits(r, e, taken)
		}
		relief := a.relief(r, e.Name)
		if !e.Reserved() {
			room := relief
			if !guaranteed || relief == 0 {
				room += max(0, a.available[e.Name]-a.required[e.Name])
			}
			got[i] = min(got[i], room)
		}
		if got[i] < int64(e.Scalar) {
			got[i] = divisible(e, got[i])
			ended[e.Name] = true
		}
		for n := r; n != nil && !(e.Reserved() && n.name == e.Role()); n = n.parent {
			if taken[n] == nil {
				taken[n] = amounts{}
			}
			taken[n][e.Name] += got[i]
		}
		short = short || got[i] > 0 && relief > 0
	}
	if guaranteed && !short {
		return nil
	}
	return trimmed(res, got)
}

// depth is how far down the tree an entry is reserved; 0 is unreserved.
func depth(e resource.Resource) int {
	if !e.Reserved() {
		return 0
	}
	return 1 + strings.Count(e.Role(), "/")
}

// trimmed returns res with these amounts of its scalars that are not revocable.
func trimmed(res resource.Resources, got []int64) resource.Resources {
	var out resource.Resources
	for i, e := range res {
		if e.Type == resource.ScalarType && !e.Revocable {
			e.Scalar = resource.Scalar(got[i])
		}
		if e.Type != resource.ScalarType || e.Scalar > 0 {
			out = append(out, e)
		}
	}
	return out
}

// underLimits returns how much of e the limits of r and of the roles above it leave, up to the one that it is reserved to.
func (a *Allocator) underLimits(r *role, e resource.Resource, taken map[*role]amounts) int64 {
	got := int64(e.Scalar)
	for n := r; n != nil && !(e.Reserved() && n.name == e.Role()); n = n.parent {
		for _, q := range n.limit {
			if q.Name == e.Name {
				got = min(got, max(0, int64(q.Amount)-n.consumed[e.Name]-taken[n][e.Name]))
			}
		}
	}
	return got
}

// divisible returns how much of x, which is less than all of e, can be split off: nothing of a volume, and GPUs in whole units.
func divisible(e resource.Resource, x int64) int64 {
	switch {
	case e.Volume != nil:
		return 0
	case e.Name == resource.GPUs:
		return x - x%1000
	}
	return x
}
