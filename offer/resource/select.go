package resource

// Filter returns the entries for which keep is true.
func (r Resources) Filter(keep func(Resource) bool) Resources {
	kept := 0
	for kept < len(r) && keep(r[kept]) {
		kept++
	}
	if kept == len(r) {
		return r
	}
	var out Resources
	if kept > 0 {
		out = append(make(Resources, 0, len(r)-1), r[:kept]...)
	}
	for i := kept + 1; i < len(r); i++ {
		if keep(r[i]) {
			out = append(out, r[i])
		}
	}
	return out
}

// Named returns the entries with this name.
func (r Resources) Named(name string) Resources {
	return r.Filter(func(e Resource) bool { return e.Name == name })
}

// Unreserved returns the entries that are reserved to nobody.
func (r Resources) Unreserved() Resources {
	return r.Filter(func(e Resource) bool { return !e.Reserved() })
}

// Reserved returns the entries that are reserved to any role.
func (r Resources) Reserved() Resources { return r.Filter(Resource.Reserved) }

// ReservedTo returns the entries that are reserved to exactly this role.
func (r Resources) ReservedTo(role string) Resources {
	return r.Filter(func(e Resource) bool { return e.Reserved() && e.Role() == role })
}

// AvailableTo returns the entries that may be offered to role: unreserved ones, and those reserved to role or to an ancestor of
// it.
func (r Resources) AvailableTo(role string) Resources {
	return r.Filter(func(e Resource) bool { return e.AvailableTo(role) })
}

// Revocable returns the entries that may be taken back from a running task.
func (r Resources) Revocable() Resources {
	return r.Filter(func(e Resource) bool { return e.Revocable })
}

// NonRevocable returns the entries that stay with a task until it ends.
func (r Resources) NonRevocable() Resources {
	return r.Filter(func(e Resource) bool { return !e.Revocable })
}

// Shared returns the volumes that several tasks may use at once.
func (r Resources) Shared() Resources { return r.Filter(func(e Resource) bool { return e.Shared }) }

// NonShared returns everything but the shared volumes.
func (r Resources) NonShared() Resources { return r.Filter(func(e Resource) bool { return !e.Shared }) }

// Volumes returns the persistent volumes.
func (r Resources) Volumes() Resources {
	return r.Filter(func(e Resource) bool { return e.Volume != nil })
}

// Find picks from r what a task that wants these names and amounts can use. An entry of want without reservation is taken from
// any reservation, the most refined first and the unreserved last, never from a volume; one with a reservation or a volume is
// taken from that identity only. Revocable resources are used only for entries that are revocable themselves. It returns false
// when r has too little.
func (r Resources) Find(want Resources) (Resources, bool) {
	var found Resources
	left := r
	for i := range want {
		w := want[i]
		if w.Volume != nil || w.Reserved() {
			rest, ok := left.Sub(Resources{w})
			if !ok {
				return nil, false
			}
			left, found = rest, found.Add(Resources{w})
			continue
		}
		for depth := left.depth(); depth >= 0 && !w.empty(); depth-- {
			for _, have := range left {
				if have.Name != w.Name || have.Type != w.Type || len(have.Reservations) != depth || have.Volume != nil || have.Revocable != w.Revocable {
					continue
				}
				part := have.common(&w)
				if part.empty() {
					continue
				}
				w, _ = w.minus(&part)
				left, _ = left.Sub(Resources{part})
				found = found.Add(Resources{part})
			}
		}
		if !w.empty() {
			return nil, false
		}
	}
	return found, true
}

func (r Resources) depth() int {
	deepest := 0
	for i := range r {
		deepest = max(deepest, len(r[i].Reservations))
	}
	return deepest
}

// common returns the part of r that is also in o, with the identity of r.
func (r Resource) common(o *Resource) Resource {
	switch r.Type {
	case RangesType:
		r.Ranges = r.Ranges.Intersect(o.Ranges)
	case SetType:
		r.Set = r.Set.Sub(r.Set.Sub(o.Set))
	default:
		r.Scalar = min(r.Scalar, o.Scalar)
	}
	return r
}
