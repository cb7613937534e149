package refalloc_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/meros-project/meros/internal/refalloc"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
	"github.com/meros-project/meros/offer/resource"
)

// BenchmarkDeclineOffers is Mesos' workload of that name: each slave is offered once a round, and every offer declined for good. It reports
// what one offer takes, which is to be no more than the 90 microseconds that Mesos needs.
func BenchmarkDeclineOffers(b *testing.B) {
	for _, size := range []struct{ slaves, frameworks int }{{1000, 200}, {10000, 1000}} {
		b.Run(fmt.Sprintf("%dx%d", size.slaves, size.frameworks), func(b *testing.B) {
			a, now := refalloc.New(allocator.Config{Seed: 7}), time.Unix(1, 0)
			apply := func(ev allocator.Event) {
				if err := a.Apply(now, ev); err != nil {
					b.Fatal(err)
				}
			}
			id := func(i int) offer.FrameworkID { return offer.FrameworkID(fmt.Sprint("framework-", i%size.frameworks)) }
			for i := range size.frameworks {
				apply(allocator.FrameworkAdded{Framework: offer.Framework{ID: id(i)}})
			}
			var ports []resource.Range
			for i := range 16 {
				ports = append(ports, resource.Range{Begin: 31000 + uint64(i)*20, End: 31009 + uint64(i)*20})
			}
			used := resource.Must("cpus:16;mem:2014;disk:1024").Add(resource.Resources{resource.NewRanges(resource.Ports, ports...)})
			for i := range size.slaves {
				apply(allocator.SlaveAdded{
					Slave: offer.Slave{ID: offer.SlaveID(fmt.Sprint("slave-", i)), Resources: resource.Must("cpus:24;mem:4096;disk:4096;ports:[31000-32000]")},
					Used:  []allocator.Allotment{{Framework: id(i), Role: "*", Resources: used}},
				})
			}
			var out []allocator.Allotment
			var spent time.Duration
			offers := 0
			for b.Loop() {
				start := time.Now()
				out = a.Run(now, out[:0])
				spent += time.Since(start)
				if offers += len(out); len(out) != size.slaves {
					b.Fatalf("%d offers of %d slaves", len(out), size.slaves)
				}
				for _, al := range out {
					apply(allocator.Recovered{Allotment: al, Refuse: offer.MaxRefuse})
				}
			}
			b.ReportMetric(float64(spent.Nanoseconds())/1000/float64(offers), "us/offer")
		})
	}
}
