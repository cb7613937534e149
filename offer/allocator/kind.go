package allocator

import (
	"github.com/meros-project/meros/offer/resource"
)

// kinds interns the names of scalars, so that amounts are vectors.
type kinds struct {
	names    []string
	index    map[string]int
	excluded []bool
	exclude  map[string]bool
}

const gpuKind = 3

func (t *kinds) init(exclude []string) {
	t.index = make(map[string]int)
	t.exclude = make(map[string]bool, len(exclude))
	for _, name := range exclude {
		t.exclude[name] = true
	}
	for _, name := range []string{resource.CPUs, resource.Mem, resource.Disk, resource.GPUs} {
		t.intern(name)
	}
}

func (t *kinds) intern(name string) int {
	if k, ok := t.index[name]; ok {
		return k
	}
	k := len(t.names)
	t.names = append(t.names, name)
	t.excluded = append(t.excluded, t.exclude[name])
	t.index[name] = k
	return k
}

// of returns the kind of a name, or -1 when there are too many names already.
func (t *kinds) of(name string) int {
	switch name {
	case resource.CPUs:
		return 0
	case resource.Mem:
		return 1
	case resource.Disk:
		return 2
	case resource.GPUs:
		return gpuKind
	}
	if k, ok := t.index[name]; ok {
		return k
	}
	if len(t.names) >= maxKinds {
		return -1
	}
	return t.intern(name)
}

// vec holds amounts by kind, in thousandths. It is as long as the highest kind that was ever added; the rest is zero.
type vec []int64

func (v vec) at(k int) int64 {
	if uint(k) < uint(len(v)) { // a kind that is not known is -1
		return v[k]
	}
	return 0
}

func (v *vec) add(k int, x int64) {
	for len(*v) <= k {
		*v = append(*v, 0)
	}
	(*v)[k] += x
}

func (v *vec) addVec(o vec, sign int64) {
	for len(*v) < len(o) {
		*v = append(*v, 0)
	}
	to := *v
	for k, x := range o {
		to[k] += sign * x
	}
}

func (v vec) zero() bool {
	for _, x := range v {
		if x != 0 {
			return false
		}
	}
	return true
}

func (v *vec) clear() { *v = (*v)[:0] }

// vecs is the memory of the vectors of clients or roles, by handle, as long as they have no more than four kinds.
type vecs [][]int64

const (
	vecKinds = 4
	vecChunk = 32 // handles
)

// of returns n empty vectors for a handle, which has no others.
func (v *vecs) of(handle int32, n int) []vec {
	for int(handle)/vecChunk >= len(*v) {
		*v = append(*v, make([]int64, vecChunk*n*vecKinds))
	}
	memory := (*v)[handle/vecChunk]
	at := int(handle) % vecChunk * n * vecKinds
	out := make([]vec, n)
	for i := range out {
		out[i] = memory[at : at : at+vecKinds]
		at += vecKinds
	}
	return out
}

// amount is one kind's share of a minSet.
type amount struct {
	kind int
	min  int64
}

// minSet is one set of Config.MinAllocatable.
type minSet []amount

func (a *Hierarchical) compileMin(sets []resource.Quantities) []minSet {
	out := make([]minSet, 0, len(sets))
	for _, q := range sets {
		var set minSet
		for i := range q {
			set = append(set, amount{a.kinds.intern(q[i].Name), int64(q[i].Amount)})
		}
		out = append(out, set)
	}
	return out
}

// allocatable reports whether qty is worth an offer. No sets at all means that anything is.
func allocatable(sets []minSet, qty vec) bool {
	for _, set := range sets {
		ok := true
		for _, m := range set {
			if qty.at(m.kind) < m.min {
				ok = false
				break
			}
		}
		if ok {
			return true
		}
	}
	return len(sets) == 0
}

// addScalars adds all scalars of r, sign times.
func (a *Hierarchical) addScalars(v *vec, r resource.Resources, sign int64) {
	for i := range r {
		if e := &r[i]; e.Type == resource.ScalarType {
			if k := a.kinds.of(e.Name); k >= 0 {
				v.add(k, sign*int64(e.Scalar))
			}
		}
	}
}

// addPlain adds the scalars of r that are neither reserved nor revocable, sign times.
func (a *Hierarchical) addPlain(v *vec, r resource.Resources, sign int64) {
	for i := range r {
		if e := &r[i]; e.Type == resource.ScalarType && len(e.Reservations) == 0 && !e.Revocable {
			if k := a.kinds.of(e.Name); k >= 0 {
				v.add(k, sign*int64(e.Scalar))
			}
		}
	}
}
