package allocator

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// BenchmarkCurve times a run that offers every slave, and one after which a hundred slaves are free again, with ten slaves for each framework.
func BenchmarkCurve(b *testing.B) {
	for _, slaves := range []int{1000, 10_000, 100_000} {
		f := &fleet{a: New(Config{Seed: 7}), now: time.Unix(1, 0)}
		for i := range slaves / 10 {
			f.a.Apply(f.now, FrameworkAdded{Framework: offer.Framework{ID: offer.FrameworkID(fmt.Sprintf("framework-%d", i)), Roles: []string{"r"}}})
		}
		total := resource.Must("cpus:24;mem:4096;disk:4096;ports:[31000-32000]")
		for i := range slaves {
			f.a.Apply(f.now, SlaveAdded{Slave: offer.Slave{ID: offer.SlaveID(fmt.Sprintf("slave-%d", i)), Resources: total}})
		}
		f.run()
		b.Run(fmt.Sprintf("%d/full", slaves), func(b *testing.B) {
			var spent time.Duration
			for b.Loop() {
				b.StopTimer()
				f.recover(0)
				b.StartTimer()
				start := time.Now()
				f.run()
				if took := time.Since(start); spent == 0 || took < spent {
					spent = took
				}
				if len(f.out) != slaves {
					b.Fatal(len(f.out))
				}
			}
			perOffer(b, spent, slaves) // the best run
		})
		all := slices.Clone(f.out)
		b.Run(fmt.Sprintf("%d/delta", slaves), func(b *testing.B) {
			var spent time.Duration
			round := 0
			at := make(map[offer.SlaveID]int, len(all))
			for i, al := range all {
				at[al.Slave] = i
			}
			for b.Loop() {
				b.StopTimer()
				for i := range 100 {
					f.a.Apply(f.now, Recovered{all[(round+i*(slaves/100))%slaves], 0})
				}
				round++
				b.StartTimer()
				start := time.Now()
				f.out = f.a.Run(f.now, f.out[:0])
				if took := time.Since(start); spent == 0 || took < spent {
					spent = took
				}
				if len(f.out) != 100 {
					b.Fatal(len(f.out))
				}
				for _, al := range f.out {
					all[at[al.Slave]] = al
				}
			}
			perOffer(b, spent, 100)
		})
	}
}

func perOffer(b *testing.B, spent time.Duration, offers int) {
	if offers > 0 {
		b.ReportMetric(float64(spent.Nanoseconds())/float64(offers), "ns/offer")
	}
}

// BenchmarkDeclineToTheEnd declines every offer until every framework refuses every slave.
func BenchmarkDeclineToTheEnd(b *testing.B) {
	for _, size := range []struct{ slaves, frameworks int }{{1000, 200}, {10_000, 1000}} {
		b.Run(fmt.Sprintf("%dx%d", size.slaves, size.frameworks), func(b *testing.B) {
			var runs, declines time.Duration
			offers := 0
			for b.Loop() {
				f := newFleet(size.slaves, size.frameworks, "cpus:16;mem:2014;disk:1024", "*")
				for {
					start := time.Now()
					f.run()
					runs += time.Since(start)
					if len(f.out) == 0 {
						break
					}
					offers += len(f.out)
					start = time.Now()
					f.recover(offer.MaxRefuse)
					declines += time.Since(start)
				}
			}
			perOffer(b, runs, offers)
			b.ReportMetric(float64(declines.Nanoseconds())/float64(offers), "ns/decline")
		})
	}
}
