package workload

import (
	"fmt"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
	"github.com/meros-project/meros/offer/resource"
)

func frameworkID(i int) offer.FrameworkID { return offer.FrameworkID(fmt.Sprintf("framework-%d", i)) }
func slaveID(i int) offer.SlaveID         { return offer.SlaveID(fmt.Sprintf("slave-%d", i)) }

// addFrameworks adds n frameworks, all alike but for what each changes, as a phase.
func (d *driver) addFrameworks(n int, each func(i int, f *offer.Framework)) {
	events := make([]allocator.Event, n)
	for i := range events {
		f := offer.Framework{ID: frameworkID(i), Name: fmt.Sprint("name-", i), Roles: []string{resource.AnyRole}}
		if each != nil {
			each(i, &f)
		}
		d.book.addFramework(f)
		events[i] = allocator.FrameworkAdded{Framework: f}
	}
	d.send("add frameworks", events)
}

// inRole returns what puts every framework into a role.
func inRole(role string, caps offer.Capabilities) func(int, *offer.Framework) {
	return func(_ int, f *offer.Framework) { f.Roles, f.Capabilities = []string{role}, caps }
}

// slavesOf returns the events that add n slaves. Total and used give the resources of each; frameworks hold what is used in turn.
func (d *driver) slavesOf(n int, total, used func(i int) resource.Resources) []allocator.Event {
	events := make([]allocator.Event, n)
	for i := range events {
		ev := allocator.SlaveAdded{Slave: offer.Slave{ID: slaveID(i), Hostname: fmt.Sprintf("host-%d", i), Resources: total(i)}}
		if used != nil {
			f := d.book.frameworks[i%len(d.book.frameworks)]
			ev.Used = []allocator.Allotment{{Framework: f.id, Role: f.role, Resources: used(i)}}
		}
		d.book.addSlave(ev.Slave, true, ev.Used)
		events[i] = ev
	}
	return events
}

// parsed returns resources that are parsed anew for each slave, as those of different slaves are.
func parsed(text string) func(int) resource.Resources {
	return func(int) resource.Resources { return resource.Must(text) }
}

// fragmented returns resources of a text with n ranges of ports, which lie apart.
func fragmented(text string, n int, reserved ...resource.Reservation) func(int) resource.Resources {
	return func(int) resource.Resources {
		width := uint64(1001 / n)
		ports := resource.NewRanges(resource.Ports)
		for i := range uint64(n) {
			ports.Ranges = append(ports.Ranges, resource.Range{Begin: 31000 + i*width, End: 31000 + i*width + width/2 - 1})
		}
		ports.Reservations = reserved
		return resource.Must(text).Add(resource.Resources{ports})
	}
}
