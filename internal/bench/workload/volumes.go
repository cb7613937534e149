package workload

import (
	"fmt"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// volumes are the workloads with a persistent volume of a gibibyte on each slave, all of which is reserved to one role.
func volumes() []Workload {
	var out []Workload
	for _, v := range []struct {
		name   string
		what   string
		shared func(i int) bool
	}{
		{"Regular", "which one framework uses", func(int) bool { return false }},
		{"Shared", "which several frameworks may use at once", func(int) bool { return true }},
		{"Mixed", "of which every other may be used by several frameworks at once", func(i int) bool { return i%2 == 1 }},
	} {
		out = append(out, Workload{Name: "PersistentVolumes/" + v.name, What: "six cycles of slaves with a volume, " + v.what,
			Full: Size{Slaves: 10_000, Frameworks: 1000}, Tiny: Size{Slaves: 30, Frameworks: 7},
			run: func(d *driver, s Size) error { return d.volumes(s, v.shared) }})
	}
	return out
}

func (d *driver) volumes(s Size, shared func(i int) bool) error {
	const role = "test"
	by := resource.Reservation{Type: resource.Static, Role: role}
	volume := func(i int) resource.Resources {
		e := resource.NewScalar(resource.Disk, resource.Units(1024))
		e.Reservations, e.Shared = []resource.Reservation{by}, shared(i)
		e.Volume = &resource.Volume{ID: "volume", ContainerPath: "data"}
		return resource.Resources{e}
	}
	total := func(i int) resource.Resources {
		return resource.Must("cpus(test):24;mem(test):4096;disk(test):3072;ports(test):[31000-32000]").Add(volume(i))
	}
	d.addFrameworks(s.Frameworks, inRole(role, offer.SharedResources))
	d.send("add slaves", d.slavesOf(s.Slaves, total, fragmented("cpus(test):16;mem(test):1024;disk(test):1024", portRanges, by)))
	for cycle := range 6 {
		if cycle > 0 {
			d.recover("recover", 0)
		}
		if err := d.settle("cycle"); err != nil {
			return fmt.Errorf("cycle %d: %w", cycle, err)
		}
		if err := d.expect(s.Slaves); err != nil {
			return fmt.Errorf("cycle %d: %w", cycle, err)
		}
		for i := range d.out {
			if len(d.out[i].Resources.Volumes()) != 1 {
				return fmt.Errorf("cycle %d: slave %s is offered without its volume: %s", cycle, d.out[i].Slave, d.out[i].Resources)
			}
		}
		if err := d.book.even(d.out); err != nil {
			return fmt.Errorf("cycle %d: %w", cycle, err)
		}
	}
	return nil
}
