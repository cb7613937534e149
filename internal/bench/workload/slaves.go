package workload

import (
	"fmt"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
	"github.com/meros-project/meros/offer/resource"
)

// changing are the workloads in which slaves change, and what is reserved on them.
func changing() []Workload {
	return []Workload{
		{Name: "AddAndUpdateSlave", What: "slaves come, are offered, and then get ten revocable cpus each, which are offered too",
			Full: Size{Slaves: 10_000, Frameworks: 1000}, Tiny: Size{Slaves: 30, Frameworks: 7}, run: addAndUpdate},
		{Name: "UpdateAllocation", What: "twenty times a reservation is made and undone on a slave with four labelled ones for each role",
			Full: Size{Frameworks: 200}, Tiny: Size{Frameworks: 5}, run: updateAllocation},
		{Name: "ChangedSlaves", What: "everything comes back and is offered anew; then only what a hundred slaves have",
			Full: Size{Slaves: 10_000, Frameworks: 1000, Rounds: 5}, Tiny: Size{Slaves: 130, Frameworks: 7, Rounds: 2}, run: changedSlaves},
	}
}

func addAndUpdate(d *driver, s Size) error {
	d.addFrameworks(s.Frameworks, inRole(resource.AnyRole, offer.RevocableResources))
	together := func(phase string, events []allocator.Event) error {
		d.out = d.out[:0]
		d.timed(phase, func() {
			for _, ev := range events {
				d.apply(ev)
			}
			d.decide()
		})
		if err := d.enter(); err != nil {
			return err
		}
		return d.expect(s.Slaves)
	}
	added := d.slavesOf(s.Slaves, parsed("cpus:2;mem:1024;disk:4096;ports:[31000-32000]"), fragmented("cpus:1;mem:128;disk:1024", 4))
	if err := together("add slaves and run", added); err != nil {
		return err
	}
	if err := d.book.even(d.out); err != nil {
		return err
	}
	extra := resource.NewScalar(resource.CPUs, resource.Units(10))
	extra.Revocable = true
	more := resource.Resources{extra}
	events := make([]allocator.Event, len(added))
	for i, ev := range added {
		s := ev.(allocator.SlaveAdded).Slave
		s.Resources = s.Resources.Add(more)
		d.book.grow(s.ID, more)
		events[i] = allocator.SlaveUpdated{Slave: s}
	}
	if err := together("update slaves and run", events); err != nil {
		return err
	}
	for _, al := range d.out {
		if !al.Resources.Equal(more) {
			return fmt.Errorf("slave %s offers %s after it has got %s", al.Slave, al.Resources, more)
		}
	}
	return d.book.even(d.out)
}

// updateAllocation has one slave and one framework; s.Frameworks counts the roles that have reservations, in each of which there would be one.
func updateAllocation(d *driver, s Size) error {
	total := resource.Must("cpus:100;mem:100000;disk:100000")
	for i := range 4 * s.Frameworks {
		total = total.Add(labelled(fmt.Sprintf("role-%d", i/4), fmt.Sprint(i), 1))
	}
	d.addFrameworks(1, inRole("role-1", 0))
	d.send("add slaves", d.slavesOf(1, func(int) resource.Resources { return total }, nil))
	if err := d.settle("first run"); err != nil {
		return err
	}
	if err := d.expect(1); err != nil {
		return err
	}
	first := d.out[0]
	from := resource.Must("cpus:1")
	to, err := from.Reserve(resource.Reservation{Type: resource.Dynamic, Role: "role-1", Principal: "principal"})
	if err != nil {
		return err
	}
	reserve := allocator.Converted{Framework: first.Framework, Role: first.Role, Slave: first.Slave, From: from, To: to}
	unreserve := reserve
	unreserve.From, unreserve.To = to, from
	events := make([]allocator.Event, 0, 40)
	for range 20 {
		events = append(events, reserve, unreserve)
	}
	d.send("reserve and unreserve", events)
	// It comes back as it went, then with the reservation, then without.
	for i, conversion := range []*allocator.Converted{nil, &reserve, &unreserve} {
		if conversion != nil {
			left, ok := d.out[0].Resources.Sub(conversion.From)
			if !ok {
				return fmt.Errorf("the slave offers %s without %s", d.out[0].Resources, conversion.From)
			}
			d.apply(*conversion)
			d.out[0].Resources = left.Add(conversion.To)
			d.book.swap(first.Slave, conversion.From, conversion.To)
		}
		want := d.out[0].Resources
		if i != 1 && !want.Equal(first.Resources) {
			return fmt.Errorf("%s is held, at first %s was", want, first.Resources)
		}
		d.recover("recover", 0)
		if err := d.settle("run"); err != nil {
			return err
		}
		if err := d.expect(1); err != nil {
			return err
		}
		if got := d.out[0].Resources; !got.Equal(want) {
			return fmt.Errorf("the slave offers %s, must offer %s", got, want)
		}
	}
	return nil
}

// swap enters that a reservation was made or undone on what a framework holds. Amounts stay the same.
func (l *ledger) swap(id offer.SlaveID, from, to resource.Resources) {
	s := l.bySlave[id]
	left, ok := s.total.Sub(from)
	if !ok {
		panic(fmt.Sprintf("slave %s has no %s", id, from))
	}
	s.total = left.Add(to)
}

// changed is how many slaves change in ChangedSlaves.
const changed = 100

func changedSlaves(d *driver, s Size) error {
	if err := d.suppressible(s); err != nil {
		return err
	}
	for range s.Rounds {
		d.recover("recover", 0)
		if err := d.settle("full run"); err != nil {
			return err
		}
		if err := d.expect(s.Slaves); err != nil {
			return err
		}
		if err := d.book.even(d.out); err != nil {
			return err
		}
	}
	all := append([]allocator.Allotment(nil), d.out...)
	n := min(changed, s.Slaves)
	for range 5 * s.Rounds {
		d.out = d.out[:0]
		step := len(all) / n
		for i := range n {
			d.out = append(d.out, all[i*step])
		}
		d.recover("recover some", 0)
		if err := d.settle("run with changes"); err != nil {
			return err
		}
		if err := d.expect(n); err != nil {
			return err
		}
		if err := d.book.even(d.out); err != nil {
			return err
		}
		for i := range n {
			all[i*step] = d.out[i]
		}
	}
	return nil
}
