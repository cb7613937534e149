package resource

import (
	"cmp"
	"iter"
	"math"
	"slices"
	"strconv"
)

// Range is the values from Begin to End, both included.
type Range struct{ Begin, End uint64 }

// Ranges is a set of integers, such as ports, as sorted, disjoint ranges that do not touch. Normalize makes it so from any
// ranges; the other methods require it, keep it, and never change their receiver or argument. A result may share memory with
// either.
type Ranges []Range

// Normalize returns the same values sorted, with overlapping and touching ranges joined and those with Begin > End dropped.
func (r Ranges) Normalize() Ranges {
	if r.normal() {
		return r
	}
	s := slices.DeleteFunc(slices.Clone(r), func(x Range) bool { return x.Begin > x.End })
	slices.SortFunc(s, func(a, b Range) int { return cmp.Or(cmp.Compare(a.Begin, b.Begin), cmp.Compare(a.End, b.End)) })
	out := s[:0]
	for _, x := range s {
		out = out.push(x)
	}
	return out
}

func (r Ranges) normal() bool {
	for i, x := range r {
		if x.Begin > x.End || i > 0 && (x.Begin == 0 || r[i-1].End >= x.Begin-1) {
			return false
		}
	}
	return true
}

// push appends x, whose Begin is not below any that was pushed before.
func (r Ranges) push(x Range) Ranges {
	if n := len(r); n > 0 && (r[n-1].End == math.MaxUint64 || x.Begin <= r[n-1].End+1) {
		r[n-1].End = max(r[n-1].End, x.End)
		return r
	}
	return append(r, x)
}

// Add returns the values in r or in o.
func (r Ranges) Add(o Ranges) Ranges {
	if len(o) == 0 {
		return r
	}
	if len(r) == 0 {
		return o
	}
	out := make(Ranges, 0, len(r)+len(o))
	i, j := 0, 0
	for i < len(r) || j < len(o) {
		if j == len(o) || i < len(r) && r[i].Begin <= o[j].Begin {
			out = out.push(r[i])
			i++
		} else {
			out = out.push(o[j])
			j++
		}
	}
	return out
}

// Sub returns the values in r that are not in o.
func (r Ranges) Sub(o Ranges) Ranges {
	if len(r) == 0 || len(o) == 0 {
		return r
	}
	out := make(Ranges, 0, len(r)+len(o))
	j := 0
	for _, x := range r {
		for j < len(o) && o[j].End < x.Begin {
			j++
		}
		rest := true
		for k := j; rest && k < len(o) && o[k].Begin <= x.End; k++ {
			if o[k].Begin > x.Begin {
				out = append(out, Range{x.Begin, o[k].Begin - 1})
			}
			if rest = o[k].End < x.End; rest {
				x.Begin = o[k].End + 1
			}
		}
		if rest {
			out = append(out, x)
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// Intersect returns the values in both r and o.
func (r Ranges) Intersect(o Ranges) Ranges {
	var out Ranges
	for i, j := 0, 0; i < len(r) && j < len(o); {
		if b, e := max(r[i].Begin, o[j].Begin), min(r[i].End, o[j].End); b <= e {
			out = append(out, Range{b, e})
		}
		if r[i].End < o[j].End {
			i++
		} else {
			j++
		}
	}
	return out
}

// Intersects reports whether a value is in both r and o.
func (r Ranges) Intersects(o Ranges) bool {
	for i, j := 0, 0; i < len(r) && j < len(o); {
		switch {
		case r[i].End < o[j].Begin:
			i++
		case o[j].End < r[i].Begin:
			j++
		default:
			return true
		}
	}
	return false
}

// Contains reports whether every value of o is in r.
func (r Ranges) Contains(o Ranges) bool {
	i := 0
	for _, x := range o {
		for i < len(r) && r[i].End < x.Begin {
			i++
		}
		if i == len(r) || r[i].Begin > x.Begin || r[i].End < x.End {
			return false
		}
	}
	return true
}

// Has reports whether v is in r.
func (r Ranges) Has(v uint64) bool { return r.Contains(Ranges{{v, v}}) }

// Count returns the number of values, at most math.MaxUint64.
func (r Ranges) Count() uint64 {
	n := uint64(0)
	for _, x := range r {
		size := x.End - x.Begin
		if size == math.MaxUint64 || n+size+1 < n {
			return math.MaxUint64
		}
		n += size + 1
	}
	return n
}

// Take returns the lowest n values of r, or all of r when it has fewer.
func (r Ranges) Take(n uint64) Ranges {
	for i, x := range r {
		if n == 0 {
			return r[:i:i]
		}
		if size := x.End - x.Begin; size >= n {
			return append(r[:i:i], Range{x.Begin, x.Begin + n - 1})
		} else {
			n -= size + 1
		}
	}
	return r
}

// Values iterates over the values of r in ascending order.
func (r Ranges) Values() iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for _, x := range r {
			for v := x.Begin; ; v++ {
				if !yield(v) {
					return
				}
				if v == x.End {
					break
				}
			}
		}
	}
}

// Equal reports whether r and o hold the same values.
func (r Ranges) Equal(o Ranges) bool { return slices.Equal(r, o) }

// String prints the ranges as Mesos' text form does: "[80-80,31000-32000]".
func (r Ranges) String() string { return string(r.append(nil)) }

func (r Ranges) append(dst []byte) []byte {
	dst = append(dst, '[')
	for i, x := range r {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendUint(dst, x.Begin, 10)
		dst = append(dst, '-')
		dst = strconv.AppendUint(dst, x.End, 10)
	}
	return append(dst, ']')
}
