package allocator

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// BenchmarkExplain asks about all slaves of a large cluster, in which every framework holds something, refuses something and is limited.
func BenchmarkExplain(b *testing.B) {
	for _, slaves := range []int{1000, 10_000, 100_000} {
		b.Run(fmt.Sprint(slaves), func(b *testing.B) {
			a, now := crowded(b, slaves, slaves/10), time.Unix(0, 0)
			b.ReportAllocs()
			for b.Loop() {
				e, err := a.Explain(now, "f7", "", "")
				require.NoError(b, err)
				require.NotEmpty(b, e.Findings)
			}
		})
	}
}

// crowded makes slaves of which each has had an offer declined in part.
func crowded(t testing.TB, slaves, frameworks int) *Hierarchical {
	a, now := New(Config{}), time.Unix(0, 0)
	do := func(ev Event) { require.NoError(t, a.Apply(now, ev)) }
	do(RoleSet{Role: "g", Guarantee: resource.Quantities{{Name: resource.CPUs, Amount: resource.Units(int64(slaves))}}, Force: true})
	do(RoleSet{Role: "r0", Limit: resource.Quantities{{Name: resource.CPUs, Amount: resource.Units(1)}}, Force: true})
	for i := range frameworks {
		do(FrameworkAdded{Framework: offer.Framework{ID: offer.FrameworkID(fmt.Sprint("f", i)), Roles: []string{fmt.Sprint("r", i%7), "x/y/z"}}})
	}
	for i := range slaves {
		do(SlaveAdded{Slave: offer.Slave{ID: offer.SlaveID(fmt.Sprint("s", i)), Resources: resource.Must(fmt.Sprintf("cpus:%d;mem:%d;cpus(q):3;ports:[1-9]", 2+i%7, 64+i%100))}})
	}
	for _, al := range a.Run(now, nil) {
		half := al
		half.Resources = resource.Must("mem:32")
		do(Recovered{half, time.Hour})
		do(Answered{al.Framework, al.Role, al.Slave})
	}
	return a
}
