package allocator

import (
	"fmt"
	"testing"
	"time"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// The workloads are those of Mesos' hierarchical_allocator_tests.cpp: slaves of which a part is used by frameworks in turn, all in one role.

// fleet is slaves and frameworks with, per slave, what is used and how the rest looks.
type fleet struct {
	a   *Hierarchical
	now time.Time
	out []Allotment
}

func newFleet(slaves, frameworks int, used string, inRole string) *fleet {
	f := &fleet{a: New(Config{Seed: 7}), now: time.Unix(1, 0)}
	for i := range frameworks {
		f.a.Apply(f.now, FrameworkAdded{Framework: offer.Framework{ID: offer.FrameworkID(fmt.Sprintf("framework-%d", i)), Roles: []string{inRole}}})
	}
	ports := make([]resource.Range, 16)
	for i := range ports {
		ports[i] = resource.Range{Begin: 31000 + uint64(i)*20, End: 31009 + uint64(i)*20}
	}
	for i := range slaves {
		held := resource.Must(used).Add(resource.Resources{resource.NewRanges(resource.Ports, ports...)})
		f.a.Apply(f.now, SlaveAdded{
			Slave: offer.Slave{ID: offer.SlaveID(fmt.Sprintf("slave-%d", i)),
				Resources: resource.Must("cpus:24;mem:4096;disk:4096;ports:[31000-32000]")},
			Used: []Allotment{{Framework: offer.FrameworkID(fmt.Sprintf("framework-%d", i%frameworks)), Role: inRole, Resources: held}},
		})
	}
	return f
}

func (f *fleet) run() { f.out = f.a.Run(f.now, f.out[:0]) }

func (f *fleet) recover(refuse time.Duration) {
	for _, al := range f.out {
		f.a.Apply(f.now, Recovered{al, refuse})
	}
}

func perOffer(b *testing.B, spent time.Duration, offers int) {
	if offers > 0 {
		b.ReportMetric(float64(spent.Nanoseconds())/float64(offers), "ns/offer")
	}
}

// BenchmarkDeclineOffers times rounds in which every slave is offered once and every offer declined for good. The number of filters grows; after
// some rounds it starts again with none.
func BenchmarkDeclineOffers(b *testing.B) {
	for _, size := range []struct{ slaves, frameworks, rounds int }{{1000, 200, 200}, {10000, 1000, 10}} {
		b.Run(fmt.Sprintf("%dx%d", size.slaves, size.frameworks), func(b *testing.B) {
			f := newFleet(size.slaves, size.frameworks, "cpus:16;mem:2014;disk:1024", "*")
			offers, round := 0, 0
			var spent time.Duration
			for b.Loop() {
				start := time.Now()
				f.run()
				spent += time.Since(start)
				offers += len(f.out)
				if round++; round < size.rounds {
					f.recover(offer.MaxRefuse)
					continue
				}
				b.StopTimer()
				round = 0
				f.recover(0)
				for i := range size.frameworks {
					f.a.Apply(f.now, Revived{Framework: offer.FrameworkID(fmt.Sprintf("framework-%d", i))})
				}
				b.StartTimer()
			}
			perOffer(b, spent, offers)
		})
	}
}

// BenchmarkDeclineToTheEnd declines until every framework refuses every slave.
func BenchmarkDeclineToTheEnd(b *testing.B) {
	offers := 0
	for b.Loop() {
		f := newFleet(1000, 200, "cpus:16;mem:2014;disk:1024", "*")
		for f.run(); len(f.out) > 0; f.run() {
			offers += len(f.out)
			f.recover(offer.MaxRefuse)
		}
	}
	perOffer(b, b.Elapsed(), offers)
}

// BenchmarkSuppressOffers suppresses another fifth of the frameworks before each of five rounds.
func BenchmarkSuppressOffers(b *testing.B) {
	const frameworks = 1000
	f := newFleet(10000, frameworks, "cpus:16;mem:1024;disk:1024", "*")
	f.run()
	round, offers := 0, 0
	var spent time.Duration
	for b.Loop() {
		b.StopTimer()
		f.recover(0)
		for i := round * frameworks / 5; i < (round+1)*frameworks/5; i++ {
			id := offer.FrameworkID(fmt.Sprintf("framework-%d", i))
			if round == 4 {
				id = offer.FrameworkID(fmt.Sprintf("framework-%d", i-frameworks*4/5))
				f.a.Apply(f.now, Revived{Framework: id})
				continue
			}
			f.a.Apply(f.now, Suppressed{Framework: id})
		}
		if round++; round == 5 {
			round = 0
			for i := range frameworks {
				f.a.Apply(f.now, Revived{Framework: offer.FrameworkID(fmt.Sprintf("framework-%d", i))})
			}
		}
		b.StartTimer()
		start := time.Now()
		f.run()
		spent += time.Since(start)
		offers += len(f.out)
	}
	perOffer(b, spent, offers)
}

// BenchmarkNothingToDo runs when every slave has free resources and every framework refuses them.
func BenchmarkNothingToDo(b *testing.B) {
	f := newFleet(10000, 10, "cpus:16;mem:1024;disk:1024", "*")
	for f.run(); len(f.out) > 0; f.run() {
		f.recover(offer.MaxRefuse)
	}
	for b.Loop() {
		f.run()
	}
}

// BenchmarkAddSlaves adds slaves with used resources to frameworks that are there, and offers them.
func BenchmarkAddSlaves(b *testing.B) {
	for b.Loop() {
		f := newFleet(10000, 1000, "cpus:1;mem:128;disk:1024", "*")
		f.run()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10000, "ns/slave")
}

// BenchmarkQuota is LargeAndSmallQuota with 300 roles: 50 large and 250 small, 300 slaves, limits that bind.
func BenchmarkQuota(b *testing.B) {
	for _, size := range []struct{ small, large int }{{250, 50}, {2500, 500}} {
		b.Run(fmt.Sprintf("%droles", size.small+size.large), func(b *testing.B) {
			var spent time.Duration
			offers := 0
			for b.Loop() {
				b.StopTimer()
				f := &fleet{a: New(Config{}), now: time.Unix(1, 0)}
				for i := range size.small + size.large {
					role := fmt.Sprintf("role-%d", i)
					q := "cpus:1;mem:1024;disk:1024"
					if i >= size.small {
						q = "cpus:4;mem:4096;disk:4096"
					}
					quota, _ := resource.ParseQuantities(q)
					f.a.Apply(f.now, RoleSet{Role: role, Guarantee: quota, Limit: quota})
					f.a.Apply(f.now, FrameworkAdded{Framework: offer.Framework{ID: offer.FrameworkID(role), Roles: []string{role}}})
				}
				for i := range size.small/5 + size.large*5 {
					f.a.Apply(f.now, SlaveAdded{Slave: offer.Slave{ID: offer.SlaveID(fmt.Sprint(i)), Resources: resource.Must("cpus:2;mem:2048;disk:2048")}})
				}
				b.StartTimer()
				start := time.Now()
				f.run()
				spent += time.Since(start)
				offers += len(f.out)
			}
			perOffer(b, spent, offers)
		})
	}
}

// BenchmarkRevives is AllocatorBacklog: revives of one framework after the other, with a run after each.
func BenchmarkRevives(b *testing.B) {
	for _, free := range []bool{false, true} {
		b.Run(fmt.Sprintf("free=%t", free), func(b *testing.B) {
			f := newFleet(10000, 1000, "cpus:16;mem:1024;disk:1024", "*")
			f.run()
			if free {
				f.a.min = []minSet{{{0, 1 << 40}}} // nobody takes anything
				for i := range 1000 {
					f.a.findClient(offer.FrameworkID(fmt.Sprintf("framework-%d", i)), "*").min = f.a.min
				}
				f.recover(0)
				f.run()
			}
			i := 0
			for b.Loop() {
				id := offer.FrameworkID(fmt.Sprintf("framework-%d", i%1000))
				f.a.Apply(f.now, Suppressed{Framework: id})
				f.a.Apply(f.now, Revived{Framework: id})
				f.run()
				i++
			}
		})
	}
}

// BenchmarkReserve reserves and unreserves on a slave with 800 reservations in 200 roles.
func BenchmarkReserve(b *testing.B) {
	a, now := New(Config{}), time.Unix(1, 0)
	total := resource.Must("cpus:100;mem:100000")
	for i := range 800 {
		total = total.Add(resource.Resources{{Name: resource.CPUs, Scalar: 1000, Reservations: []resource.Reservation{{Type: resource.Dynamic,
			Role: fmt.Sprintf("role-%d", i/4), Labels: []resource.Label{{Key: "k", Value: fmt.Sprint(i)}}}}}})
	}
	a.Apply(now, FrameworkAdded{Framework: offer.Framework{ID: "f", Roles: []string{"role-1"}}})
	a.Apply(now, SlaveAdded{Slave: offer.Slave{ID: "s", Resources: total}})
	out := a.Run(now, nil)
	from := resource.Must("cpus:1")
	to, _ := from.Reserve(resource.Reservation{Type: resource.Dynamic, Role: "role-1", Principal: "p"})
	ev := Converted{Framework: out[0].Framework, Role: out[0].Role, Slave: "s", From: from, To: to}
	for b.Loop() {
		a.Apply(now, ev)
		ev.From, ev.To = ev.To, ev.From
	}
}
