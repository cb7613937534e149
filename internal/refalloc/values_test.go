package refalloc_test

import (
	"fmt"
	"slices"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// What there may be in a world: resources, slaves, frameworks.

// amounts returns up to n of some scalars.
func (w *world) amounts(n int) resource.Quantities {
	var q resource.Quantities
	for _, x := range []struct {
		name string
		each int64
	}{{cpus, 1000}, {resource.Disk, 16_000}, {resource.GPUs, 500}, {resource.Mem, 20_000}} {
		if amount := int64(w.pick(n)); amount > 0 {
			q = append(q, resource.Quantity{Name: x.name, Amount: resource.Scalar(amount * x.each)})
		}
	}
	return q
}

func (w *world) minimum() (sets []resource.Quantities) {
	for range w.pick(3) {
		sets = append(sets, w.amounts(3))
	}
	return sets
}

// total returns what a slave may have.
func (w *world) total() resource.Resources {
	var list []resource.Resource
	add := func(e resource.Resource) { list = append(list, e) }
	add(resource.NewScalar(cpus, resource.Scalar(500*(1+w.pick(12)))))
	add(resource.NewScalar(resource.Mem, units(int64(20*w.pick(10)))))
	add(resource.NewRanges(resource.Ports, resource.Range{Begin: 1, End: uint64(1 + w.pick(20))}))
	if w.pick(3) == 2 {
		add(resource.NewItems("tags", []string{"x", "y", "z"}[:1+w.pick(3)]...))
	}
	for i := range w.pick(5) {
		add(w.extra(i))
	}
	var out resource.Resources
	for _, e := range list {
		if one, err := resource.New(e); err == nil && one.Validate(resource.Limits{}) == nil {
			if sum := out.Add(one); sum.Validate(resource.Limits{}) == nil {
				out = sum
			}
		}
	}
	return out
}

// extra returns something that is not plain.
func (w *world) extra(i int) resource.Resource {
	e := resource.NewScalar(cpus, resource.Scalar(500*(1+w.pick(6))))
	switch w.pick(9) {
	case 0:
		e.Reservations = []resource.Reservation{{Role: roles[1+w.pick(len(roles)-1)], Type: resource.ReservationType(w.pick(2))}}
	case 1:
		e.Revocable = true
	case 2:
		e = resource.NewScalar(resource.GPUs, units(int64(1+w.pick(3))))
	case 3, 4:
		e = resource.NewScalar(resource.Disk, units(int64(16*(1+w.pick(3)))))
		e.Reservations = []resource.Reservation{{Role: []string{"a", "a/b", "b"}[w.pick(3)], Type: resource.Dynamic}}
		e.Volume = &resource.Volume{ID: fmt.Sprint("v", i), ContainerPath: "data"}
		e.Shared = w.pick(2) == 0
	case 5:
		e.Reservations = []resource.Reservation{{Role: "a"}, {Role: "a/b", Type: resource.Dynamic}}
		if w.pick(2) == 0 {
			e.Reservations = append(e.Reservations, resource.Reservation{Role: "a/b/d", Type: resource.Dynamic})
		}
	case 6:
		e = resource.NewRanges(resource.Ports, resource.Range{Begin: 100, End: uint64(100 + w.pick(5))})
		e.Reservations = []resource.Reservation{{Role: []string{"a", "b"}[w.pick(2)]}}
	case 7:
		e = resource.NewScalar(resource.Disk, units(int64(16*(1+w.pick(3)))))
	default:
		e = resource.NewScalar("licence", units(int64(1+w.pick(3))))
	}
	return e
}

func (w *world) slave(id offer.SlaveID) offer.Slave {
	s := offer.Slave{ID: id, Resources: w.total(), Hostname: fmt.Sprint("host-", w.pick(3))}
	s.Domain.Region = []string{"", "here", "away"}[w.pick(3)]
	s.Domain.Zone = []string{"", "z"}[w.pick(2)]
	if w.pick(3) == 2 {
		s.Attributes = append(s.Attributes, offer.Attribute{Name: "rack", Text: fmt.Sprint("r", w.pick(2))})
	}
	if w.pick(3) == 2 {
		level := resource.Scalar(w.pick(2) * 1000)
		s.Attributes = append(s.Attributes, offer.Attribute{Name: "level", Scalar: &level})
	}
	return s
}

// part returns some of what there is.
func (w *world) part(of resource.Resources) resource.Resources {
	var out resource.Resources
	for _, e := range of {
		if w.pick(2) == 0 {
			continue
		}
		if w.pick(2) == 0 && e.Volume == nil {
			switch e.Type {
			case resource.ScalarType:
				if e.Name != resource.GPUs {
					e.Scalar = max(1, e.Scalar*resource.Scalar(1+w.pick(7))/8)
				}
			case resource.RangesType:
				e.Ranges = e.Ranges.Take((e.Ranges.Count() + 1) / 2)
			default:
				e.Set = e.Set[:1]
			}
		}
		if e.Shared {
			e.SharedCount = 0
		}
		out = append(out, e)
	}
	return out
}

func (w *world) framework(id offer.FrameworkID) (offer.Framework, []string) {
	f := offer.Framework{ID: id, Capabilities: offer.Capabilities(127)}
	if w.pick(2) == 1 {
		f.Capabilities = offer.Capabilities(w.pick(128))
	}
	for range 1 + w.pick(3) {
		if role := w.role(); !slices.Contains(f.Roles, role) {
			f.Roles = append(f.Roles, role)
		}
	}
	if w.pick(4) == 3 {
		f.MinAllocatable = map[string][]resource.Quantities{f.Roles[0]: w.minimum()}
	}
	if w.pick(3) == 2 {
		f.Constraints = map[string][]offer.ConstraintGroup{f.Roles[0]: w.constraints()}
	}
	var suppressed []string
	for _, role := range f.Roles {
		if w.rarely() {
			suppressed = append(suppressed, role)
		}
	}
	w.frameworks[id] = &f
	return f, suppressed
}

// constraints returns up to two groups.
func (w *world) constraints() (groups []offer.ConstraintGroup) {
	for range w.pick(3) {
		var group offer.ConstraintGroup
		for range 1 + w.pick(2) {
			c := offer.Constraint{Of: offer.ConstraintSubject(w.pick(4)), Op: offer.ConstraintOp(1 + w.pick(6))}
			if c.Of == offer.OfAttribute {
				c.Attribute = []string{"rack", "level"}[w.pick(2)]
			}
			if c.Op != offer.Exists && c.Op != offer.NotExists {
				c.Value = []string{"r1", "host-1", "z", "here", ".*1"}[w.pick(5)]
			}
			group = append(group, c)
		}
		groups = append(groups, group)
	}
	return groups
}

func (w *world) conversion(e resource.Resource, role string) (resource.Resources, bool) {
	from := resource.Resources{e}
	var to resource.Resources
	var err error
	switch {
	case e.Revocable || e.Shared:
		return nil, false
	case e.Volume != nil:
		e.Volume = nil
		to = resource.Resources{e}
	case e.Name == resource.Disk && e.Reserved() && w.pick(2) == 0:
		to, err = from.WithVolume(resource.Volume{ID: fmt.Sprint("w", w.pick(3)), ContainerPath: "data"})
		if err == nil && w.pick(2) == 0 {
			to = slices.Clone(to)
			to[0].Shared = true
		}
	case e.DynamicallyReserved() && w.pick(2) == 0:
		to, err = from.Unreserve()
	case role != "*":
		to, err = from.Reserve(resource.Reservation{Role: role, Type: resource.Dynamic})
	default:
		return nil, false
	}
	return to, err == nil
}
