package workload

import (
	"fmt"

	"github.com/meros-project/meros/offer/allocator"
)

// suppressing are the workloads in which frameworks stop to want offers.
func suppressing() []Workload {
	return []Workload{
		{Name: "SuppressOffers", What: "before each of five cycles everything comes back and another fifth of the frameworks suppresses offers",
			Full: Size{Slaves: 10_000, Frameworks: 1000}, Tiny: Size{Slaves: 30, Frameworks: 10},
			run: func(d *driver, s Size) error {
				if err := d.suppressible(s); err != nil {
					return err
				}
				for cycle := range 5 {
					from, to := cycle*s.Frameworks/5, (cycle+1)*s.Frameworks/5
					if err := d.suppressCycle(from, to); err != nil {
						return fmt.Errorf("cycle %d: %w", cycle, err)
					}
					offers := s.Slaves
					if to == s.Frameworks {
						offers = 0
					}
					if err := d.expect(offers); err != nil {
						return err
					}
				}
				return nil
			}},
		{Name: "ExtremeSuppressOffers", What: "five cycles with all frameworks but one in a hundred suppressed",
			Full: Size{Slaves: 10_000, Frameworks: 1000}, Tiny: Size{Slaves: 30, Frameworks: 10},
			run: func(d *driver, s Size) error {
				if err := d.suppressible(s); err != nil {
					return err
				}
				for cycle := range 5 {
					quiet := 0
					if cycle == 0 {
						quiet = min(s.Frameworks*99/100, s.Frameworks-1)
					}
					if err := d.suppressCycle(0, quiet); err != nil {
						return fmt.Errorf("cycle %d: %w", cycle, err)
					}
					if err := d.expect(s.Slaves); err != nil {
						return err
					}
				}
				return nil
			}},
	}
}

func (d *driver) suppressible(s Size) error {
	d.addFrameworks(s.Frameworks, nil)
	d.send("add slaves", d.slavesOf(s.Slaves, parsed(wholeSlave), fragmented("cpus:16;mem:1024;disk:1024", portRanges)))
	if err := d.settle("first run"); err != nil {
		return err
	}
	if err := d.expect(s.Slaves); err != nil {
		return err
	}
	return d.book.even(d.out)
}

// suppressCycle recovers everything without a filter, has some frameworks suppress, and runs.
func (d *driver) suppressCycle(from, to int) error {
	d.recover("recover", 0)
	events := make([]allocator.Event, 0, to-from)
	for i := from; i < to; i++ {
		events = append(events, allocator.Suppressed{Framework: frameworkID(i)})
		d.book.byID[frameworkID(i)].suppressed = true
	}
	if len(events) > 0 {
		d.send("suppress", events)
	}
	phase := "cycle"
	if to == len(d.book.frameworks) {
		phase = "cycle, all suppressed"
	}
	if err := d.settle(phase); err != nil {
		return err
	}
	return d.book.even(d.out)
}
