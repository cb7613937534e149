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
