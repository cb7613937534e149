package workload

import (
	"fmt"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
	"github.com/meros-project/meros/offer/resource"
)

// backlog are the workloads in which frameworks revive offers one after the other. Mesos lets the runs coalesce; here one follows each revive.
func backlog() []Workload {
	size, tiny := Size{Slaves: 10_000, Frameworks: 1000}, Size{Slaves: 30, Frameworks: 7}
	return []Workload{
		{Name: "AllocatorBacklog", What: "every framework revives offers while everything is offered, with a run after each", Full: size, Tiny: tiny,
			run: func(d *driver, s Size) error {
				d.addFrameworks(s.Frameworks, nil)
				d.send("add slaves", d.slavesOf(s.Slaves, parsed(wholeSlave), nil))
				if err := d.settle("first run"); err != nil {
					return err
				}
				if err := d.expect(s.Slaves); err != nil {
					return err
				}
				if err := d.book.even(d.out); err != nil {
					return err
				}
				return d.reviveAll(0, false)
			}},
		{Name: "AllocatorBacklog/Filtered", What: "the same while everything is free and refused: each framework gets the slaves of its role back",
			Full: size, Tiny: tiny, run: backlogFiltered},
		{Name: "AllocatorBacklog/Untakable", What: "the same while everything is free and too small for everybody; each suppresses before it revives",
			Full: size, Tiny: tiny,
			run: func(d *driver, s Size) error {
				least := map[string][]resource.Quantities{resource.AnyRole: {quantities("cpus:1000")}}
				d.addFrameworks(s.Frameworks, func(_ int, f *offer.Framework) { f.MinAllocatable = least })
				d.send("add slaves", d.slavesOf(s.Slaves, parsed(wholeSlave), nil))
				if err := d.settle("first run"); err != nil {
					return err
				}
				if err := d.expect(0); err != nil {
					return err
				}
				if err := d.reviveAll(0, true); err != nil {
					return err
				}
				// What is large enough is offered at once.
				d.send("one large slave", d.large(s.Slaves))
				if err := d.settle("run"); err != nil {
					return err
				}
				return d.expect(1)
			}},
		{Name: "AllocatorBacklog/Everybody", What: "everybody has refused every slave; one framework after the other revives, is offered all, and refuses again",
			Full: Size{Slaves: 10_000, Frameworks: 50, Rounds: 5}, Tiny: Size{Slaves: 30, Frameworks: 7, Rounds: 3}, run: backlogEverybody},
	}
}

func (d *driver) large(n int) []allocator.Event {
	s := offer.Slave{ID: slaveID(n), Resources: resource.Must("cpus:1000;mem:4096")}
	d.book.addSlave(s, true, nil)
	return []allocator.Event{allocator.SlaveAdded{Slave: s}}
}

// reviveAll has every framework revive, with a run after each, as one phase.
func (d *driver) reviveAll(offers int, suppress bool) error {
	var events []allocator.Event
	for _, f := range d.book.frameworks {
		if suppress {
			events = append(events, allocator.Suppressed{Framework: f.id})
		}
		events = append(events, allocator.Revived{Framework: f.id})
	}
	d.out = d.out[:0]
	d.timed("revives", func() {
		for _, ev := range events {
			d.apply(ev)
			if _, ok := ev.(allocator.Revived); ok {
				d.decide()
			}
		}
	})
	for _, f := range d.book.frameworks {
		d.book.revive(f.id)
	}
	if err := d.enter(); err != nil {
		return err
	}
	return d.expect(offers)
}

func backlogFiltered(d *driver, s Size) error {
	role := func(i int) string { return fmt.Sprintf("role-%d", i%s.Frameworks) }
	d.addFrameworks(s.Frameworks, func(i int, f *offer.Framework) { f.Roles = []string{role(i)} })
	d.send("add slaves", d.slavesOf(s.Slaves, func(i int) resource.Resources {
		return resource.Must(fmt.Sprintf("cpus(%s):24;mem(%[1]s):4096;disk(%[1]s):4096;ports(%[1]s):[31000-32000]", role(i)))
	}, nil))
	if err := d.settle("first run"); err != nil {
		return err
	}
	if err := d.expect(s.Slaves); err != nil {
		return err
	}
	d.recover("decline", offer.MaxRefuse)
	if err := d.settle("run, everything refused"); err != nil {
		return err
	}
	if err := d.expect(0); err != nil {
		return err
	}
	return d.reviveAll(s.Slaves, false)
}

func backlogEverybody(d *driver, s Size) error {
	if err := d.refuseAll(s); err != nil {
		return err
	}
	for i := range s.Rounds {
		id := frameworkID(i % s.Frameworks)
		d.book.revive(id)
		d.out = d.out[:0]
		d.timed("revive and run", func() {
			d.apply(allocator.Revived{Framework: id})
			d.decide()
		})
		if err := d.enter(); err != nil {
			return err
		}
		if err := d.expect(s.Slaves); err != nil {
			return err
		}
		d.recover("decline again", offer.MaxRefuse)
		if err := d.settle("run, everything refused"); err != nil {
			return err
		}
		if err := d.expect(0); err != nil {
			return err
		}
	}
	return nil
}

// refuseAll has every framework refuse every slave.
func (d *driver) refuseAll(s Size) error {
	d.addFrameworks(s.Frameworks, nil)
	d.send("add slaves", d.slavesOf(s.Slaves, parsed(wholeSlave), fragmented(declinedUsed, portRanges)))
	for range s.Frameworks {
		if err := d.settle("fill"); err != nil {
			return err
		}
		if err := d.expect(s.Slaves); err != nil {
			return err
		}
		d.recover("decline", offer.MaxRefuse)
	}
	if err := d.settle("run, everything refused"); err != nil {
		return err
	}
	return d.expect(0)
}
