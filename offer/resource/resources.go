package resource

import (
	"math"
	"slices"
	"sort"
)

// Resources is a bag of entries in canonical form: sorted by identity, entries of one identity merged into one, none empty. New,
// Parse and UnmarshalJSON make it; Validate checks one that came any other way, such as off the wire.
//
// The value is immutable by convention: no method changes its receiver or an argument, a result may share memory with both, and
// callers do not write to elements. It may therefore be copied, kept and read by several goroutines without a lock. Nil is the
// empty value.
type Resources []Resource

// New returns the canonical form of items: empty ones are dropped, those of one identity merged, values and labels sorted. It
// fails with an *Error for what Validate refuses under the default limits, and for ranges or items that are named twice. The
// items are not changed.
func New(items ...Resource) (Resources, error) {
	out := make(Resources, 0, len(items))
	for i := range items {
		item, err := normalize(items[i])
		if err != nil {
			return nil, err
		}
		if !item.empty() {
			out = append(out, item)
		}
	}
	slices.SortStableFunc(out, func(a, b Resource) int { return compare(&a, &b) })
	for i := 1; i < len(out); i++ {
		if a, b := &out[i-1], &out[i]; compare(a, b) == 0 {
			if err := disjoint(a, b); err != nil {
				return nil, err
			}
		}
	}
	out = merge(out)
	if err := out.Validate(Limits{}); err != nil {
		return nil, err
	}
	return out, nil
}

// canonical sorts and merges entries that are valid one by one, in place.
func canonical(list Resources) Resources {
	slices.SortStableFunc(list, func(a, b Resource) int { return compare(&a, &b) })
	return merge(list)
}

func merge(sorted Resources) Resources {
	out := sorted[:0]
	for i := range sorted {
		if n := len(out); n > 0 && !sorted[i].whole() && compare(&out[n-1], &sorted[i]) == 0 {
			out[n-1] = out[n-1].plus(&sorted[i])
		} else {
			out = append(out, sorted[i])
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// Add returns everything in r and in o. Amounts add up exactly, saturating only at the end of int64; ranges and sets are united,
// so that adding what overlaps loses the second copy. A shared volume counts once more for each time it is added.
func (r Resources) Add(o Resources) Resources {
	if len(o) == 0 {
		return r
	}
	if len(r) == 0 {
		return o
	}
	if few(r, o) {
		return r.addFew(o)
	}
	out := make(Resources, 0, max(len(r), len(o))) // one mostly has every kind that the other has
	i, j := 0, 0
	for i < len(r) && j < len(o) {
		switch c := compare(&r[i], &o[j]); {
		case c < 0:
			out = append(out, r[i])
			i++
		case c > 0:
			out = append(out, o[j])
			j++
		case r[i].whole():
			out = append(out, r[i], o[j])
			i, j = i+1, j+1
		default:
			out = append(out, r[i].plus(&o[j]))
			i, j = i+1, j+1
		}
	}
	return append(append(out, r[i:]...), o[j:]...)
}

// Times returns what n of r are together, or false where that is not simply more of the same: r holds anything but scalars, or an amount
// does not fit.
func (r Resources) Times(n int64) (Resources, bool) {
	if n < 1 {
		return nil, false
	}
	for i := range r {
		if e := &r[i]; e.Type != ScalarType || e.Volume != nil || int64(e.Scalar) > math.MaxInt64/n {
			return nil, false
		}
	}
	if n == 1 {
		return r, true
	}
	out := slices.Clone(r)
	for i := range out {
		out[i].Scalar *= Scalar(n)
	}
	return out, true
}

// few reports whether o is so much shorter than r that its entries had better be searched for.
func few(r, o Resources) bool { return 8*len(o) < len(r) }

// seek returns the first place from i on whose entry does not come before e.
func (r Resources) seek(i int, e *Resource) int {
	return i + sort.Search(len(r)-i, func(n int) bool { return compare(&r[i+n], e) >= 0 })
}

// addFew is Add for few entries.
func (r Resources) addFew(o Resources) Resources {
	out := make(Resources, 0, len(r)+len(o))
	i := 0
	for j := range o {
		at := r.seek(i, &o[j])
		out = append(out, r[i:at]...)
		i = at
		switch {
		case i == len(r) || compare(&r[i], &o[j]) != 0:
			out = append(out, o[j])
		case r[i].whole():
			out = append(out, r[i], o[j])
			i++
		default:
			out = append(out, r[i].plus(&o[j]))
			i++
		}
	}
	return append(out, r[i:]...)
}

// subFew is Sub for few entries, which r covers.
func (r Resources) subFew(o Resources) Resources {
	out := make(Resources, 0, len(r))
	i := 0
	for j := range o {
		at := r.seek(i, &o[j])
		out = append(out, r[i:at]...)
		if left, some := r[at].minus(&o[j]); some {
			out = append(out, left)
		}
		i = at + 1
	}
	return append(out, r[i:]...)
}

// Sum adds up any number of resources.
func Sum(all ...Resources) Resources {
	var out Resources
	for _, r := range all {
		out = out.Add(r)
	}
	return out
}

// Sub returns what is left of r without o, or r itself and false when r does not hold all of o. Of a shared volume, o must not
// hold more counts than r.
func (r Resources) Sub(o Resources) (Resources, bool) {
	if len(o) == 0 {
		return r, true
	}
	if !r.covers(o, true) {
		return r, false
	}
	if few(r, o) {
		return r.subFew(o), true // of more entries than o has, some stay
	}
	out := make(Resources, 0, len(r))
	j := 0
	for i := range r {
		if j == len(o) || compare(&r[i], &o[j]) != 0 {
			out = append(out, r[i])
			continue
		}
		if left, some := r[i].minus(&o[j]); some {
			out = append(out, left)
		}
		j++
	}
	if len(out) == 0 {
		return nil, true
	}
	return out, true
}

// Contains reports whether all of o is in r, entry by entry: what is reserved does not stand in for what is not. A shared volume
// is contained when r holds it at least once, whatever the counts.
func (r Resources) Contains(o Resources) bool { return r.covers(o, false) }

func (r Resources) covers(o Resources, counting bool) bool {
	i, few := 0, few(r, o)
	for j := range o {
		c := -1
		if few {
			i = r.seek(i, &o[j])
		}
		for ; i < len(r); i++ {
			if c = compare(&r[i], &o[j]); c >= 0 {
				break
			}
		}
		if i == len(r) || c > 0 || !r[i].covers(&o[j], counting) {
			return false
		}
		i++
	}
	return true
}

// ContainsAny reports whether r and o have something in common: an amount of the same identity, a value of the same ranges or
// set.
func (r Resources) ContainsAny(o Resources) bool {
	for i, j := 0, 0; i < len(r) && j < len(o); {
		a, b := &r[i], &o[j]
		switch c := compare(a, b); {
		case c < 0:
			i++
		case c > 0:
			j++
		case a.Type == RangesType && !a.Ranges.Intersects(b.Ranges), a.Type == SetType && !a.Set.Intersects(b.Set):
			i, j = i+1, j+1
		default:
			return true
		}
	}
	return false
}

// Same reports whether r and o are one and the same value in memory, so that what was found out about the one holds for the other. It is
// cheap; two that are merely equal need not be the same.
func (r Resources) Same(o Resources) bool {
	return len(r) == len(o) && (len(r) == 0 || &r[0] == &o[0])
}

// Equal reports whether r and o hold the same. Where a volume is mounted does not count.
func (r Resources) Equal(o Resources) bool {
	if len(r) != len(o) {
		return false
	}
	for i := range r {
		a, b := &r[i], &o[i]
		if compare(a, b) != 0 || a.count() != b.count() || a.Scalar != b.Scalar || !a.Ranges.Equal(b.Ranges) || !a.Set.Equal(b.Set) {
			return false
		}
	}
	return true
}

// Empty reports whether r holds nothing.
func (r Resources) Empty() bool { return len(r) == 0 }

// Len returns the number of entries.
func (r Resources) Len() int { return len(r) }

// Scalar returns the sum of the scalar entries with this name, reserved or not. A shared volume counts once.
func (r Resources) Scalar(name string) Scalar {
	sum := Scalar(0)
	for i := range r {
		if r[i].Type == ScalarType && r[i].Name == name {
			sum = addSaturating(sum, r[i].Scalar)
		}
	}
	return sum
}

// RangesOf returns the union of the ranges entries with this name.
func (r Resources) RangesOf(name string) Ranges {
	var sum Ranges
	for i := range r {
		if r[i].Type == RangesType && r[i].Name == name {
			sum = sum.Add(r[i].Ranges)
		}
	}
	return sum
}

// SetOf returns the union of the set entries with this name.
func (r Resources) SetOf(name string) Set {
	var sum Set
	for i := range r {
		if r[i].Type == SetType && r[i].Name == name {
			sum = sum.Add(r[i].Set)
		}
	}
	return sum
}

// CPUs returns the sum of all cpus.
func (r Resources) CPUs() Scalar { return r.Scalar(CPUs) }

// Mem returns the sum of all memory, in mebibytes.
func (r Resources) Mem() Scalar { return r.Scalar(Mem) }

// Disk returns the sum of all disk, in mebibytes, volumes included.
func (r Resources) Disk() Scalar { return r.Scalar(Disk) }

// GPUs returns the sum of all gpus.
func (r Resources) GPUs() Scalar { return r.Scalar(GPUs) }

// Ports returns the union of all ports.
func (r Resources) Ports() Ranges { return r.RangesOf(Ports) }

// Names returns the distinct names in order.
func (r Resources) Names() []string {
	var out []string
	for i := range r {
		if i == 0 || r[i].Name != r[i-1].Name {
			out = append(out, r[i].Name)
		}
	}
	return out
}

// Quantities returns the amount of each name, whatever its reservation: scalars as they are, ranges as one unit for each value.
// Sets are not counted; a shared volume counts once.
func (r Resources) Quantities() Quantities {
	out := make(Quantities, 0, len(r))
	for i := range r {
		amount := r[i].Scalar
		switch r[i].Type {
		case RangesType:
			amount = Units(int64(min(r[i].Ranges.Count(), math.MaxInt64)))
		case SetType:
			continue
		}
		if n := len(out); n > 0 && out[n-1].Name == r[i].Name {
			out[n-1].Amount = addSaturating(out[n-1].Amount, amount)
		} else {
			out = append(out, Quantity{Name: r[i].Name, Amount: amount})
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}
