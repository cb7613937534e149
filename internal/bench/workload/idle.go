package workload

import (
	"fmt"

	"github.com/meros-project/meros/offer/allocator"
)

// idle are the workloads in which a run has nothing to give.
func idle() []Workload {
	return []Workload{
		{Name: "EverythingFiltered", What: "runs while every framework refuses every slave",
			Full: Size{Slaves: 10_000, Frameworks: 100, Rounds: 1000}, Tiny: Size{Slaves: 30, Frameworks: 7, Rounds: 5},
			run: func(d *driver, s Size) error {
				if err := d.refuseAll(s); err != nil {
					return err
				}
				return d.idle(s.Rounds)
			}},
		{Name: "EverythingLimited", What: "runs while every role is at its limit and a quarter of the slaves is free",
			Full: Size{Slaves: 3000, Frameworks: 3000, Rounds: 1000}, Tiny: Size{Slaves: 30, Frameworks: 30, Rounds: 5},
			run: func(d *driver, s Size) error {
				if err := d.largeAndSmall(s, allocator.DominantShares); err != nil {
					return err
				}
				return d.idle(s.Rounds)
			}},
	}
}

// idle times runs with nothing new, and runs after one slave went and came back.
func (d *driver) idle(rounds int) error {
	d.out = d.out[:0]
	d.series("run with nothing new", rounds, func(int) { d.decide() })
	if err := d.enter(); err != nil {
		return err
	}
	if err := d.expect(0); err != nil {
		return err
	}
	n := len(d.book.slaves)
	d.series("run with one slave back", rounds, func(i int) {
		id := d.book.slaves[i*7919%n].id
		d.apply(allocator.SlaveActive{Slave: id})
		d.apply(allocator.SlaveActive{Slave: id, Active: true})
		d.decide()
	})
	if err := d.enter(); err != nil {
		return err
	}
	if err := d.expect(0); err != nil {
		return fmt.Errorf("nothing is new: %w", err)
	}
	return nil
}
