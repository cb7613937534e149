package resource

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Set is a sorted list of distinct items. NewSet makes one from any strings; the methods require it, keep it, and never change
// their receiver or argument. A result may share memory with either.
type Set []string

// NewSet returns the distinct items in order.
func NewSet(items ...string) Set {
	s := slices.Clone(items)
	slices.Sort(s)
	return slices.Compact(s)
}

func (s Set) normal() bool {
	for i := 1; i < len(s); i++ {
		if s[i-1] >= s[i] {
			return false
		}
	}
	return true
}

// Add returns the items in s or in o.
func (s Set) Add(o Set) Set {
	if len(o) == 0 {
		return s
	}
	if len(s) == 0 {
		return o
	}
	out := make(Set, 0, len(s)+len(o))
	i, j := 0, 0
	for i < len(s) && j < len(o) {
		switch c := strings.Compare(s[i], o[j]); {
		case c < 0:
			out = append(out, s[i])
			i++
		case c > 0:
			out = append(out, o[j])
			j++
		default:
			out = append(out, s[i])
			i, j = i+1, j+1
		}
	}
	return append(append(out, s[i:]...), o[j:]...)
}

// Sub returns the items in s that are not in o.
func (s Set) Sub(o Set) Set {
	if len(s) == 0 || len(o) == 0 {
		return s
	}
	var out Set
	j := 0
	for _, item := range s {
		for j < len(o) && o[j] < item {
			j++
		}
		if j == len(o) || o[j] != item {
			out = append(out, item)
		}
	}
	return out
}

// Contains reports whether every item of o is in s.
func (s Set) Contains(o Set) bool {
	i := 0
	for _, item := range o {
		for i < len(s) && s[i] < item {
			i++
		}
		if i == len(s) || s[i] != item {
			return false
		}
	}
	return true
}

// Intersects reports whether an item is in both s and o.
func (s Set) Intersects(o Set) bool {
	for i, j := 0, 0; i < len(s) && j < len(o); {
		switch c := strings.Compare(s[i], o[j]); {
		case c < 0:
			i++
		case c > 0:
			j++
		default:
			return true
		}
	}
	return false
}

// Has reports whether item is in s.
func (s Set) Has(item string) bool {
	_, found := slices.BinarySearch(s, item)
	return found
}

// Equal reports whether s and o hold the same items.
func (s Set) Equal(o Set) bool { return slices.Equal(s, o) }

// String prints the set as Mesos' text form does: "{a,b}". An item that the text form cannot say is printed as a quoted Go
// string.
func (s Set) String() string { return string(s.append(nil)) }

func (s Set) append(dst []byte) []byte {
	dst = append(dst, '{')
	for i, item := range s {
		if i > 0 {
			dst = append(dst, ',')
		}
		if plainItem(item) {
			dst = append(dst, item...)
		} else {
			dst = strconv.AppendQuote(dst, item)
		}
	}
	return append(dst, '}')
}

// plainItem reports whether an item survives being printed as it is and parsed again.
func plainItem(item string) bool {
	return item != "" && !strings.ContainsAny(item, `,;{}"`) && strings.TrimSpace(item) == item && strings.IndexFunc(item, unicode.IsControl) < 0
}
