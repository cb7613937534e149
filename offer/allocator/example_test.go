package allocator_test

import (
	"fmt"
	"time"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
	"github.com/meros-project/meros/offer/resource"
)

// Two frameworks, of which one's role has twice the weight of the other's, share six equal slaves. The allocator is told what has happened and
// when; it has no clock of its own.
func Example() {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	a := allocator.New(allocator.Config{Seed: 1})
	a.Apply(now, allocator.RoleSet{Role: "web", Weight: resource.Units(2)})
	a.Apply(now, allocator.FrameworkAdded{Framework: offer.Framework{ID: "shop", Roles: []string{"web"}}})
	a.Apply(now, allocator.FrameworkAdded{Framework: offer.Framework{ID: "reports", Roles: []string{"batch"}}})
	for i := range 6 {
		a.Apply(now, allocator.SlaveAdded{Slave: offer.Slave{ID: offer.SlaveID(fmt.Sprint("s-", i)), Resources: resource.Must("cpus:4;mem:1024")}})
	}
	slaves := map[offer.FrameworkID]int{}
	for _, allotment := range a.Run(now, nil) {
		slaves[allotment.Framework]++
	}
	fmt.Println(slaves)
	// Output: map[reports:2 shop:4]
}

// What a framework refuses goes to the next one, and comes back to it when its filter expires.
func ExampleRecovered() {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	a := allocator.New(allocator.Config{})
	a.Apply(now, allocator.FrameworkAdded{Framework: offer.Framework{ID: "picky", Roles: []string{"*"}}})
	a.Apply(now, allocator.SlaveAdded{Slave: offer.Slave{ID: "s-1", Resources: resource.Must("cpus:4;mem:1024")}})
	first := a.Run(now, nil)[0]
	fmt.Println(first.Framework, first.Slave, first.Resources)

	a.Apply(now, allocator.Recovered{Allotment: first, Refuse: 5 * time.Second})
	fmt.Println(len(a.Run(now, nil)), "now, next worth asking in", a.Deadline().Sub(now))
	now = a.Deadline()
	fmt.Println(len(a.Run(now, nil)), "then")
	// Output:
	// picky s-1 cpus:4;mem:1024
	// 0 now, next worth asking in 5s
	// 1 then
}

// A framework that says what it needs is offered slaves that have it, and nothing else, until it says that it needs nothing any more.
func ExampleRequested() {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	a := allocator.New(allocator.Config{})
	a.Apply(now, allocator.FrameworkAdded{Framework: offer.Framework{ID: "trainer", Roles: []string{"ml"}}})
	a.Apply(now, allocator.SlaveAdded{Slave: offer.Slave{ID: "s-1", Resources: resource.Must("cpus:4;mem:1024")}})
	a.Apply(now, allocator.SlaveAdded{Slave: offer.Slave{ID: "s-2", Resources: resource.Must("cpus:4;mem:1024;gpus:2")}})
	need, _ := resource.ParseQuantities("cpus:2;gpus:1")
	fmt.Println(a.Apply(now, allocator.Requested{Framework: "trainer", Role: "ml", Needs: []resource.Quantities{need}}))
	for _, allotment := range a.Run(now, nil) {
		fmt.Println(allotment.Slave, allotment.Resources)
	}
	a.Apply(now, allocator.Requested{Framework: "trainer", Role: "ml"})
	for _, allotment := range a.Run(now, nil) {
		fmt.Println(allotment.Slave, allotment.Resources)
	}
	// Output:
	// <nil>
	// s-2 cpus:4;gpus:2;mem:1024
	// s-1 cpus:4;mem:1024
}

// Before a slave is taken out of service, those who hold something there are asked for it back, politely: once, until they have answered.
func ExampleSlaveUnavailable() {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	a := allocator.New(allocator.Config{})
	a.Apply(now, allocator.FrameworkAdded{Framework: offer.Framework{ID: "shop"}})
	a.Apply(now, allocator.SlaveAdded{Slave: offer.Slave{ID: "s-1", Resources: resource.Must("cpus:4;mem:1024")}})
	a.Run(now, nil)
	plan := offer.Unavailability{Start: now.Add(time.Hour), Duration: 10 * time.Minute}
	a.Apply(now, allocator.SlaveUnavailable{Slave: "s-1", Unavailability: &plan})
	for _, inverse := range a.Inverse(now, nil) {
		fmt.Println(inverse.Framework, "is to leave", inverse.Slave, "in", inverse.Unavailability.Start.Sub(now))
	}
	a.Apply(now, allocator.InverseAnswered{Framework: "shop", Slave: "s-1", Refuse: 5 * time.Minute})
	fmt.Println(len(a.Inverse(now, nil)), "now, asked again in", a.Deadline().Sub(now))
	// Output:
	// shop is to leave s-1 in 1h0m0s
	// 0 now, asked again in 5m0s
}

// What is not valid is refused and changes nothing; Validate tells beforehand.
func ExampleHierarchical_Validate() {
	a := allocator.New(allocator.Config{})
	a.Apply(time.Time{}, allocator.SlaveAdded{Slave: offer.Slave{ID: "s-1", Resources: resource.Must("cpus:4;mem:1024")}})
	quota, _ := resource.ParseQuantities("cpus:6")
	fmt.Println(a.Validate(allocator.RoleSet{Role: "web", Guarantee: quota}))
	fmt.Println(a.Validate(allocator.RoleSet{Role: "web", Guarantee: quota, Force: true}))
	fmt.Println(a.Validate(allocator.RoleSet{Role: "web", Weight: -1}))
	// Output:
	// guarantee cpus:6 of role web: must not have all guarantees promise 6, over the cluster's 4
	// <nil>
	// weight -0.001 of role web: must be between 0.001 and 1000000, or 0 for the default of 1
}
