package sim

import (
	"slices"
	"time"

	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
	"github.com/meros-project/meros/offer/resource"
)

// Bugs of the allocator, and of what it is told.
var offerPlants = []func() *Plant{leaks, freesTwice, offersTwice, offersUsed, offersEveryRole, offersReserved, quotaByOne, quotaUnheard, filterUnheard,
	filterForEver, broughtUnused, offersAcrossRoles}

// between is what stands between a master and its allocator.
type between struct {
	*allocator.Hierarchical
	apply func(ev allocator.Event) []allocator.Event
	run   func(out []allocator.Allotment) []allocator.Allotment
}

// Apply implements allocator.Allocator.
func (b *between) Apply(now time.Time, ev allocator.Event) error {
	if b.apply == nil {
		return b.Hierarchical.Apply(now, ev)
	}
	var err error
	for _, ev := range b.apply(ev) {
		if bad := b.Hierarchical.Apply(now, ev); err == nil {
			err = bad
		}
	}
	return err
}

// Run implements allocator.Allocator.
func (b *between) Run(now time.Time, out []allocator.Allotment) []allocator.Allotment {
	out = b.Hierarchical.Run(now, out)
	if b.run != nil {
		out = b.run(out)
	}
	return out
}

// allocates puts something between masters and their allocators.
func allocates(name, rules string, make func() *between) *Plant {
	return &Plant{Name: name, Rules: rules, Master: func(c *mastercore.Config) {
		b := make()
		b.Hierarchical, _ = c.Allocator.(*allocator.Hierarchical)
		c.Allocator = b
	}}
}

// recovers changes what is said of resources that come back.
func recovers(name, rules string, change func(r allocator.Recovered) []allocator.Event) *Plant {
	return allocates(name, rules, func() *between {
		return &between{apply: func(ev allocator.Event) []allocator.Event {
			if r, ok := ev.(allocator.Recovered); ok {
				return change(r)
			}
			return []allocator.Event{ev}
		}}
	})
}

// leaks does not return what every twentieth task or offer had.
func leaks() *Plant {
	n := 0
	return recovers("leaks", "R4", func(r allocator.Recovered) []allocator.Event {
		if n++; n%20 == 0 {
			return nil
		}
		return []allocator.Event{r}
	})
}

// freesTwice returns what every twentieth task or offer had twice.
func freesTwice() *Plant {
	n := 0
	return recovers("frees-twice", "R4 R1", func(r allocator.Recovered) []allocator.Event {
		if n++; n%20 == 0 {
			return []allocator.Event{r, r}
		}
		return []allocator.Event{r}
	})
}

// filterUnheard ignores for how long an offer is not wanted again.
func filterUnheard() *Plant {
	return recovers("filter-unheard", "R10", func(r allocator.Recovered) []allocator.Event {
		r.Refuse = min(r.Refuse, 5*time.Millisecond)
		return []allocator.Event{r}
	})
}

// filterForEver never offers again what was declined once.
func filterForEver() *Plant {
	return recovers("filter-for-ever", "T1 R10", func(r allocator.Recovered) []allocator.Event {
		if r.Refuse > 0 {
			r.Refuse = 365 * 24 * time.Hour
		}
		return []allocator.Event{r}
	})
}

// runs changes what is to be offered.
func runs(name, rules string, change func(out []allocator.Allotment) []allocator.Allotment) *Plant {
	return allocates(name, rules, func() *between { return &between{run: change} })
}

// offersTwice offers the same resources twice.
func offersTwice() *Plant {
	return runs("offers-twice", "R1 R2 R4", func(out []allocator.Allotment) []allocator.Allotment {
		if len(out) > 0 {
			out = append(out, out[len(out)-1])
		}
		return out
	})
}

// offersUsed offers all that a slave has, whatever is used of it.
func offersUsed() *Plant {
	return allocates("offers-used", "R1 R4", func() *between {
		totals := map[offer.SlaveID]resource.Resources{}
		b := &between{}
		b.apply = func(ev allocator.Event) []allocator.Event {
			if a, ok := ev.(allocator.SlaveAdded); ok {
				totals[a.Slave.ID] = a.Slave.Resources
			}
			return []allocator.Event{ev}
		}
		b.run = func(out []allocator.Allotment) []allocator.Allotment {
			for i := range out {
				out[i].Resources = totals[out[i].Slave]
			}
			return out
		}
		return b
	})
}

// offersEveryRole makes offers for a role that was put off.
func offersEveryRole() *Plant {
	return runs("offers-every-role", "R9", func(out []allocator.Allotment) []allocator.Allotment {
		for i := range out {
			out[i].Role = "nobody"
		}
		return out
	})
}

// offersReserved offers what is reserved for one role of a framework to another of its roles.
func offersReserved() *Plant {
	return runs("offers-reserved", "R7 R9", func(out []allocator.Allotment) []allocator.Allotment {
		for i := range out {
			if !out[i].Resources.Reserved().Empty() && out[i].Role != "b" {
				out[i].Role = "b"
			}
		}
		return out
	})
}

// entitles changes what a role is entitled to.
func entitles(name, rules string, change func(r *allocator.RoleSet)) *Plant {
	return allocates(name, rules, func() *between {
		return &between{apply: func(ev allocator.Event) []allocator.Event {
			if r, ok := ev.(allocator.RoleSet); ok {
				change(&r)
				return []allocator.Event{r}
			}
			return []allocator.Event{ev}
		}}
	})
}

// quotaByOne lets a role have one task more than its limit.
func quotaByOne() *Plant {
	return entitles("quota-by-one", "R8", func(r *allocator.RoleSet) {
		r.Limit = slices.Clone(r.Limit)
		for i := range r.Limit {
			r.Limit[i].Amount += resource.Units(1)
		}
	})
}

// quotaUnheard does not hear of limits that are set while it leads.
func quotaUnheard() *Plant {
	return entitles("quota-unheard", "R8", func(r *allocator.RoleSet) { r.Limit = nil })
}

// broughtUnused does not count what the tasks use that a slave brings along.
func broughtUnused() *Plant {
	return allocates("brought-unused", "R4 R1", func() *between {
		return &between{apply: func(ev allocator.Event) []allocator.Event {
			if a, ok := ev.(allocator.SlaveAdded); ok {
				a.Used = nil
				ev = a
			}
			return []allocator.Event{ev}
		}}
	})
}

// offersAcrossRoles offers what is reserved for one role of a framework to the framework's next role.
func offersAcrossRoles() *Plant {
	return allocates("offers-across-roles", "R7", func() *between {
		roles := map[offer.FrameworkID][]string{}
		b := &between{}
		b.apply = func(ev allocator.Event) []allocator.Event {
			switch ev := ev.(type) {
			case allocator.FrameworkAdded:
				roles[ev.Framework.ID] = ev.Framework.Roles
			case allocator.FrameworkUpdated:
				roles[ev.Framework.ID] = ev.Framework.Roles
			}
			return []allocator.Event{ev}
		}
		b.run = func(out []allocator.Allotment) []allocator.Allotment {
			for i := range out {
				if of := roles[out[i].Framework]; !out[i].Resources.Reserved().Empty() && len(of) > 1 {
					out[i].Role = of[(slices.Index(of, out[i].Role)+1)%len(of)]
				}
			}
			return out
		}
		return b
	})
}
