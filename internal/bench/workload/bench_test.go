package workload

import (
	"fmt"
	"strings"
	"testing"

	"github.com/meros-project/meros/offer/allocator"
)

// plain makes names of sizes and phases into names of benchmarks and units.
var plain = strings.NewReplacer(" ", "-", ",", "")

// bench runs a workload again and again. All of its phases are timed, what checks them is not. Each phase is reported by its mean.
func bench(b *testing.B, name string, sizes ...Size) {
	w := Find(name)
	for _, size := range sizes {
		b.Run(plain.Replace(size.String()), func(b *testing.B) {
			b.ReportAllocs()
			var last Result
			for b.Loop() {
				b.StopTimer()
				r, err := w.Run(Options{Make: hierarchical, Before: func(string) { b.StartTimer() }, After: func(string) { b.StopTimer() }}, size)
				if err != nil {
					b.Fatal(err)
				}
				last = r
				b.StartTimer()
			}
			for _, phase := range last.Names() {
				if times := last.Times(phase); len(times) > 0 {
					sum := int64(0)
					for _, t := range times {
						sum += t.Nanoseconds()
					}
					b.ReportMetric(float64(sum)/float64(len(times))/1e6, plain.Replace(phase)+"-ms")
				}
			}
		})
	}
}

func both(slaves, frameworks, rounds int) []Size {
	return []Size{{Slaves: slaves / 10, Frameworks: frameworks / 10, Rounds: rounds}, {Slaves: slaves, Frameworks: frameworks, Rounds: rounds}}
}

func BenchmarkDeclineOffers(b *testing.B)  { bench(b, "DeclineOffers", both(10_000, 1000, 5)...) }
func BenchmarkSuppressOffers(b *testing.B) { bench(b, "SuppressOffers", both(10_000, 1000, 0)...) }
func BenchmarkExtremeSuppressOffers(b *testing.B) {
	bench(b, "ExtremeSuppressOffers", both(10_000, 1000, 0)...)
}
func BenchmarkAddAndUpdateSlave(b *testing.B) {
	bench(b, "AddAndUpdateSlave", both(10_000, 1000, 0)...)
}
func BenchmarkResourceLabels(b *testing.B) { bench(b, "ResourceLabels", both(10_000, 1000, 2)...) }
func BenchmarkMetrics(b *testing.B)        { bench(b, "Metrics", both(10_000, 1000, 0)...) }
func BenchmarkFullSort(b *testing.B)       { bench(b, "FullSort", both(10_000, 1000, 0)...) }

func BenchmarkPersistentVolumes(b *testing.B) {
	for _, kind := range []string{"Regular", "Shared", "Mixed"} {
		b.Run(kind, func(b *testing.B) { bench(b, "PersistentVolumes/"+kind, both(2000, 200, 0)...) })
	}
}

func BenchmarkHierarchyFullSort(b *testing.B) {
	for _, tree := range []Size{{Height: 3, Branching: 32}, {Height: 7, Branching: 3}, {Height: 10, Branching: 2}} {
		name := fmt.Sprintf("%dx%d", tree.Height, tree.Branching)
		tree.Slaves = 2000
		b.Run(name, func(b *testing.B) { bench(b, "HierarchyFullSort/"+name, tree) })
	}
}

func BenchmarkAllocatorBacklog(b *testing.B) {
	b.Run("Offered", func(b *testing.B) { bench(b, "AllocatorBacklog", both(10_000, 1000, 0)...) })
	b.Run("Filtered", func(b *testing.B) { bench(b, "AllocatorBacklog/Filtered", both(10_000, 1000, 0)...) })
	b.Run("Untakable", func(b *testing.B) { bench(b, "AllocatorBacklog/Untakable", both(10_000, 1000, 0)...) })
	b.Run("Everybody", func(b *testing.B) { bench(b, "AllocatorBacklog/Everybody", both(5000, 50, 3)...) })
}

func BenchmarkUpdateAllocation(b *testing.B) {
	bench(b, "UpdateAllocation", Size{Frameworks: 50}, Size{Frameworks: 100}, Size{Frameworks: 200})
}

func BenchmarkMultiFrameworkAllocations(b *testing.B) {
	for _, name := range []string{"", "/NoHints", "/RefuseOnly", "/Careless"} {
		b.Run("manners"+strings.ReplaceAll(name, "/", ""), func(b *testing.B) {
			bench(b, "MultiFrameworkAllocations"+name, Size{Slaves: 80, Frameworks: 554})
		})
	}
}

func BenchmarkLargeAndSmallQuota(b *testing.B) {
	for _, by := range []string{"drf", "random"} {
		b.Run(by, func(b *testing.B) {
			bench(b, "LargeAndSmallQuota/"+by, Size{Slaves: 30, Frameworks: 30}, Size{Slaves: 300, Frameworks: 300}, Size{Slaves: 3000, Frameworks: 3000})
		})
	}
}

func BenchmarkNonQuotaVsQuota(b *testing.B) {
	for _, by := range []string{"drf", "random"} {
		b.Run(by, func(b *testing.B) {
			bench(b, "NonQuotaVsQuota/"+by, Size{Slaves: 20, Frameworks: 20}, Size{Slaves: 200, Frameworks: 200}, Size{Slaves: 2000, Frameworks: 2000})
		})
	}
}

func BenchmarkEverythingFiltered(b *testing.B) {
	bench(b, "EverythingFiltered", Size{Slaves: 1000, Frameworks: 50, Rounds: 1000})
}

func BenchmarkEverythingLimited(b *testing.B) {
	bench(b, "EverythingLimited", Size{Slaves: 300, Frameworks: 300, Rounds: 1000})
}

func BenchmarkChangedSlaves(b *testing.B) { bench(b, "ChangedSlaves", both(10_000, 1000, 2)...) }

// BenchmarkSteadyRun is the part of DeclineOffers that goes on for ever: everything comes back and is offered anew. Run alone is timed.
func BenchmarkSteadyRun(b *testing.B) {
	for _, size := range both(10_000, 1000, 0) {
		b.Run(plain.Replace(size.String()), func(b *testing.B) {
			b.ReportAllocs()
			d := &driver{opts: Options{Make: hierarchical}}
			d.reset(allocator.Config{})
			if err := d.suppressible(size); err != nil {
				b.Fatal(err)
			}
			for range 3 {
				d.recover("recover", 0)
				if err := d.settle("cycle"); err != nil {
					b.Fatal(err)
				}
			}
			offers := 0
			for b.Loop() {
				b.StopTimer()
				d.recover("recover", 0)
				d.out = d.out[:0]
				b.StartTimer()
				d.decide()
				b.StopTimer()
				if err := d.enter(); err != nil {
					b.Fatal(err)
				}
				offers += len(d.out)
				b.StartTimer()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(offers), "ns/offer")
		})
	}
}
