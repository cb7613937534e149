package refalloc

import (
	"slices"
	"time"

	"github.com/meros-project/meros/offer/resource"
)

// filter says that until then a client is not to be offered what is contained in the refused resources.
type filter struct {
	refused resource.Resources
	until   time.Time
}

// maxFilters bounds the filters of one client on one slave; the one that ends first gives way.
const maxFilters = 8

// addFilter adds a filter, unless it says less than one that is there, and drops those that say less than it does.
func (s *slave) addFilter(of key, f filter) {
	for _, o := range s.filters[of] {
		if !o.until.Before(f.until) && o.refused.Contains(f.refused) {
			return
		}
	}
	list := slices.DeleteFunc(s.filters[of], func(o filter) bool { return !o.until.After(f.until) && f.refused.Contains(o.refused) })
	if len(list) >= maxFilters {
		first := 0
		for i := range list {
			if list[i].until.Before(list[first].until) {
				first = i
			}
		}
		list = slices.Delete(list, first, first+1)
	}
	s.filters[of] = append(list, f)
}

// expire drops the filters whose time is over.
func (s *slave) expire(now time.Time) {
	for of, list := range s.filters {
		list = slices.DeleteFunc(list, func(f filter) bool { return !f.until.After(now) })
		if s.filters[of] = list; len(list) == 0 {
			delete(s.filters, of)
		}
	}
}

// refused reports whether a filter covers what a client is to be offered.
func (s *slave) refused(of key, res resource.Resources) bool {
	for _, f := range s.filters[of] {
		if f.refused.Contains(res) {
			return true
		}
	}
	return false
}
