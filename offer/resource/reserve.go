package resource

import "slices"

// Reserve pushes a reservation on every entry. It fails with an *Error, and changes nothing, when an entry is a volume, is
// revocable and the reservation dynamic, or would get a stack that Validate refuses: the role must be below the one that an
// entry is reserved to.
func (r Resources) Reserve(by Reservation) (Resources, error) {
	by.Labels = sortedLabels(by.Labels)
	out := make(Resources, len(r))
	for i := range r {
		e := r[i]
		if e.Volume != nil {
			return nil, conflict(e.Name, "a persistent volume cannot be reserved")
		}
		e.Reservations = append(slices.Clip(e.Reservations), by)
		if err := e.validate(Limits{}.withDefaults()); err != nil {
			return nil, err
		}
		out[i] = e
	}
	return canonical(out), nil
}

// Unreserve pops the outermost reservation of every entry. It fails with an *Error, and changes nothing, when an entry is not
// reserved, is reserved statically, or is a volume, which must be destroyed first.
func (r Resources) Unreserve() (Resources, error) {
	out := make(Resources, len(r))
	for i := range r {
		e := r[i]
		switch {
		case !e.Reserved():
			return nil, conflict(e.Name, "is not reserved")
		case !e.DynamicallyReserved():
			return nil, conflict(e.Name, "a static reservation cannot be undone")
		case e.Volume != nil:
			return nil, conflict(e.Name, "a persistent volume must be destroyed before its reservation is undone")
		}
		n := len(e.Reservations) - 1
		e.Reservations = e.Reservations[:n:n]
		if n == 0 {
			e.Reservations = nil
		}
		out[i] = e
	}
	return canonical(out), nil
}

// WithVolume makes r, which is one entry of reserved disk, the persistent volume v: what offer.Create takes. It fails with an *Error when r is
// anything else, or v is not a volume that Validate allows.
func (r Resources) WithVolume(v Volume) (Resources, error) {
	if len(r) != 1 {
		return nil, conflict(Disk, "a persistent volume is made of exactly one entry")
	}
	e := r[0]
	if e.Volume != nil {
		return nil, conflict(e.Name, "is a persistent volume already")
	}
	e.Volume = &v
	if err := e.validate(Limits{}.withDefaults()); err != nil {
		return nil, err
	}
	return Resources{e}, nil
}

// Unstacked returns the same amounts with all reservations and volumes taken off, as if nothing had ever been reserved: what a
// slave has, for totals and for comparing. A shared volume counts once; revocable stays apart.
func (r Resources) Unstacked() Resources {
	out := make(Resources, len(r))
	for i := range r {
		e := r[i]
		e.Reservations, e.Volume, e.Shared, e.SharedCount = nil, nil, false, 0
		out[i] = e
	}
	return canonical(out)
}

func sortedLabels(labels []Label) []Label {
	if len(labels) == 0 {
		return nil
	}
	if slices.IsSortedFunc(labels, compareLabels) {
		return labels
	}
	labels = slices.Clone(labels)
	slices.SortFunc(labels, compareLabels)
	return labels
}
