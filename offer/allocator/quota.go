package allocator

import (
	"math"
	"slices"

	"github.com/meros-project/meros/offer/resource"
)

// surplus returns how much of a kind is free beyond what the guarantees require.
func (a *Hierarchical) surplus(k int) int64 {
	return max(0, a.available.at(k)-a.root.childRequire.at(k))
}

// relief computes, by kind, how much less would be required if r consumed without end: what r may take of the resources that are
// kept free for guarantees. With several levels, taking x lessens the requirement by min(x, relief).
func (a *Hierarchical) relief(r *role, out *vec) {
	out.clear()
	for n := r; n != a.root; n = n.parent {
		for k := range n.required {
			was := n.required[k]
			left := max(0, n.childRequire.at(k)-out.at(k))
			out.add(k, was-left-out.at(k))
		}
	}
}

// cut decides how much of each entry of res a client of r may be offered, given limits and guarantees: amounts[i] for the entry i, with
// whole for all of it. It reports whether anything is cut. What is reserved comes first, the most refined before the others; after an
// entry that does not fit, none of its kind is offered. So less room never means that something else is offered. In the first stage, a role
// gets of the kinds that it is short of no more than its guarantee, and must get some of them.
func (a *Hierarchical) cut(r *role, res resource.Resources, guaranteed bool) (isCut, some bool) {
	x := &a.run
	x.amounts = x.amounts[:0]
	for range res {
		x.amounts = append(x.amounts, whole)
	}
	clear(x.ended)
	x.relief.clear()
	if a.promises > 0 {
		a.relief(r, &x.relief)
	}
	from := r
	if a.lot(x.open).traits&hasReserved == 0 {
		from = a.root
	}
	for n := r; n != a.root; n = n.parent {
		n.taken.clear()
	}
	for owner := from; owner != nil; owner = owner.parent { // the root stands for unreserved
		for i := range res {
			e := &res[i]
			if e.Type != resource.ScalarType || e.Revocable || ownerOf(e) != owner.name {
				continue
			}
			k := a.kinds.of(e.Name)
			if k < 0 {
				continue
			}
			want := int64(e.Scalar)
			got := a.grant(r, e, k, want, guaranteed)
			if got < want {
				isCut = true
				x.amounts[i] = got
				x.ended.add(int32(k))
				x.slave.mixed = x.slave.mixed || i > 0 && res[i-1].Name == e.Name || i+1 < len(res) && res[i+1].Name == e.Name
			}
			some = some || got > 0 && x.relief.at(k) > 0
		}
	}
	return isCut, some
}

// ownerOf returns the role that an entry is reserved to, or nothing.
func ownerOf(e *resource.Resource) string {
	if n := len(e.Reservations); n > 0 {
		return e.Reservations[n-1].Role
	}
	return ""
}

const whole = int64(-1)

// grant returns how much of want, of entry e, a client of r may be offered, and notes it in the scratch of cut.
func (a *Hierarchical) grant(r *role, e *resource.Resource, k int, want int64, guaranteed bool) int64 {
	x := &a.run
	got, owner := want, ownerOf(e)
	if x.ended.has(int32(k)) {
		got = 0
	}
	for n := r; n != a.root && n.name != owner; n = n.parent {
		if k < len(n.limit) && n.limit[k] != noLimit {
			got = min(got, max(0, n.limit[k]-n.consumed.at(k)-n.taken.at(k)))
		}
	}
	short := false
	if owner == "" && a.promises > 0 {
		bound := x.relief.at(k)
		if !guaranteed || bound == 0 {
			bound += a.surplus(k)
			short = true
		}
		short = short && bound < got
		got = min(got, bound)
	}
	if got < want {
		switch {
		case e.Volume != nil || e.Shared:
			got = 0
		case k == gpuKind:
			got -= got % 1000
		}
		a.block(r, k, short)
	}
	for n := r; n != a.root && n.name != owner; n = n.parent {
		n.taken.add(k, got)
	}
	return got
}

// block remembers that a client of r was offered less than there is, so that r is woken when there is more for it.
func (a *Hierarchical) block(r *role, k int, short bool) {
	for n := r; n != a.root; n = n.parent {
		n.blocked = true
	}
	if !short {
		return
	}
	if !r.isShort {
		r.isShort = true
		a.short = append(a.short, r)
	}
	for len(a.shortAt) <= k {
		a.shortAt = append(a.shortAt, math.MaxInt64)
	}
	a.shortAt[k] = min(a.shortAt[k], a.surplus(k))
}

// starve notes that a role has no room for the smallest offer, if that is so of any resources that are neither reserved nor revocable and
// of all its clients. It is then left out until it is woken.
func (a *Hierarchical) starve(r *role) {
	if r.starved || r.ownMin > 0 || len(a.min) == 0 {
		return
	}
	relief := &a.run.relief
	relief.clear()
	if a.promises > 0 {
		a.relief(r, relief)
	}
	for _, set := range a.min {
		lacks := false
		for _, m := range set {
			room, short := int64(math.MaxInt64), false
			for n := r; n != a.root; n = n.parent {
				if m.kind < len(n.limit) && n.limit[m.kind] != noLimit {
					room = min(room, n.limit[m.kind]-n.consumed.at(m.kind))
				}
			}
			if a.promises > 0 && room >= m.min { // else a limit alone leaves too little
				room, short = relief.at(m.kind)+a.surplus(m.kind), true
			}
			if lacks = room < m.min; lacks {
				a.block(r, m.kind, short)
				break
			}
		}
		if !lacks {
			return
		}
	}
	r.starved = true
	a.countOpen(r)
}

// countOpen keeps open right, of a role and those above it.
func (a *Hierarchical) countOpen(r *role) {
	in := r.clients.n > 0 && !r.starved
	if in == r.counted {
		return
	}
	r.counted = in
	for n := r; n != nil; n = n.parent {
		n.open += 2*flag(in) - 1
	}
}

// wakeShort wakes the roles that were cut for want of headroom, if there is more of it now.
func (a *Hierarchical) wakeShort() {
	if len(a.short) == 0 {
		return
	}
	for k, at := range a.shortAt {
		if a.surplus(k) > at {
			for _, r := range a.short {
				r.isShort = false
				a.wake(r)
			}
			a.short = a.short[:0]
			a.shortAt.clear()
			return
		}
	}
}

func (a *Hierarchical) forgetShort(r *role) {
	a.short = slices.DeleteFunc(a.short, func(o *role) bool { return o == r })
	r.isShort = false
	if len(a.short) == 0 {
		a.shortAt.clear() // or what the last one lacked would wake the next one
	}
}

// trimmed returns a lot with the amounts that cut has decided.
func (a *Hierarchical) trimmed(l lot) lot {
	out := a.run.scratch[:0]
	for i, amount := range a.run.amounts {
		e := a.value(l)[i]
		switch {
		case amount == whole:
			out = append(out, e)
		case amount > 0:
			e.Scalar = resource.Scalar(amount)
			out = append(out, e)
		}
	}
	a.run.scratch = out
	return a.internScratch(out)
}
