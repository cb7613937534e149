package workload

import (
	"fmt"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// What the slaves of most workloads have, and what is in use of it.
const (
	wholeSlave   = "cpus:24;mem:4096;disk:4096;ports:[31000-32000]"
	declinedUsed = "cpus:16;mem:2014;disk:1024"
	portRanges   = 16
)

// declining are the workloads in which every offer is declined for good.
func declining() []Workload {
	return []Workload{
		{Name: "DeclineOffers", What: "every offer is declined for good, round after round (twice as many as frameworks, in Mesos)",
			Full: Size{Slaves: 10_000, Frameworks: 1000, Rounds: 10}, Tiny: Size{Slaves: 30, Frameworks: 7, Rounds: 14},
			run: func(d *driver, s Size) error {
				d.addFrameworks(s.Frameworks, nil)
				d.send("add slaves", d.slavesOf(s.Slaves, parsed(wholeSlave), fragmented(declinedUsed, portRanges)))
				return d.decline(s)
			}},
		{Name: "ResourceLabels", What: "the same in one role, with two reservations on each slave that differ in the last of twelve labels",
			Full: Size{Slaves: 10_000, Frameworks: 1000, Rounds: 10}, Tiny: Size{Slaves: 30, Frameworks: 7, Rounds: 14},
			run: func(d *driver, s Size) error {
				d.addFrameworks(s.Frameworks, inRole("role1", 0))
				total := func(i int) resource.Resources {
					return resource.Must(wholeSlave).Add(labelled("role1", fmt.Sprint(i, "-a"), 8)).Add(labelled("role1", fmt.Sprint(i, "-b"), 8))
				}
				d.send("add slaves", d.slavesOf(s.Slaves, total, fragmented(declinedUsed, portRanges)))
				return d.decline(s)
			}},
	}
}

// decline is what both have in common. What is offered at first is declined in the first round.
func (d *driver) decline(s Size) error {
	if err := d.settle("first run"); err != nil {
		return err
	}
	if err := d.expect(s.Slaves); err != nil {
		return err
	}
	if err := d.book.even(d.out); err != nil {
		return err
	}
	for i := range s.Rounds {
		d.recover("decline", offer.MaxRefuse)
		if err := d.settle("round"); err != nil {
			return fmt.Errorf("round %d: %w", i, err)
		}
		offers := s.Slaves
		if i >= s.Frameworks-1 { // everybody has refused everything
			offers = 0
		}
		if err := d.expect(offers); err != nil {
			return fmt.Errorf("round %d: %w", i, err)
		}
	}
	return nil
}

// labelled returns cpus with a dynamic reservation of twelve labels, of which the last is its own.
func labelled(role, own string, cpus int64) resource.Resources {
	e := resource.NewScalar(resource.CPUs, resource.Units(cpus))
	by := resource.Reservation{Type: resource.Dynamic, Role: role, Principal: "principal"}
	for i := range 11 {
		by.Labels = append(by.Labels, resource.Label{Key: fmt.Sprintf("key-%02d", i), Value: fmt.Sprintf("value-%02d", i)})
	}
	by.Labels = append(by.Labels, resource.Label{Key: "key-11", Value: own})
	e.Reservations = []resource.Reservation{by}
	return resource.Resources{e}
}
