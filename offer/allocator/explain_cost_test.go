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

// TestExplainIsBounded asks about more roles, slaves and rivals than are looked at: what was left out is counted.
func TestExplainIsBounded(t *testing.T) {
	const slaves, roles = 1500, 100
	a, now := New(Config{}), time.Unix(0, 0)
	do := func(ev Event) { require.NoError(t, a.Apply(now, ev)) }
	f := offer.Framework{ID: "f", Constraints: map[string][]offer.ConstraintGroup{}}
	for i := range roles {
		f.Roles = append(f.Roles, fmt.Sprintf("r%02d", i))
	}
	f.Constraints["r00"] = where("host~web-.*")
	do(FrameworkAdded{Framework: f, Suppressed: f.Roles[1:]})
	for i := range slaves {
		do(SlaveAdded{Slave: offer.Slave{ID: offer.SlaveID(fmt.Sprint("s", i)), Hostname: fmt.Sprint("web-", i), Resources: resource.Must("cpus:1")}})
	}
	e, err := a.Explain(now, "f", "", "")
	require.NoError(t, err)
	require.Equal(t, slaves*roles-MaxExplained, e.Unseen)
	require.Len(t, e.Findings, MaxFindings)
	require.Equal(t, roles+1-MaxFindings, e.More) // each is suppressed but the first, of which some slaves were compared and some not
	require.Equal(t, NotCompared, e.Findings[0].Cause)
	require.Equal(t, slaves-maxCompared, e.Findings[0].Slaves)
	require.Equal(t, NextRun, e.Findings[1].Cause)
	require.Equal(t, maxCompared, e.Findings[1].Slaves)
	require.Contains(t, e.String(), "18928 pairs")

	a.Run(now, nil) // compares them all
	e, err = a.Explain(now, "f", "r00", "")
	require.NoError(t, err)
	require.Len(t, e.Findings, 1)
	require.Equal(t, Holding, e.Findings[0].Cause)
	require.Equal(t, slaves, e.Findings[0].Slaves)
	require.Zero(t, e.Unseen+e.More)

	do(SlaveAdded{Slave: offer.Slave{ID: "late", Resources: resource.Must("cpus:1")}})
	for i := range maxRivals + 100 {
		do(FrameworkAdded{Framework: offer.Framework{ID: offer.FrameworkID(fmt.Sprint("g", i)), Roles: []string{"other"},
			MinAllocatable: map[string][]resource.Quantities{"other": {{{Name: resource.CPUs, Amount: 2000}}}}}})
	}
	do(Revived{Framework: "f", Roles: []string{"r07"}})
	x := &explainer{a: a, out: &Explanation{}, rows: map[finding]int{}, subjects: map[int32]*subject{}}
	x.explainSlave(x.subject(a.frameworks["f"].client("r07")), a.slaveIndex["late"])
	require.Equal(t, NextRun, x.out.Findings[0].Cause)
	require.LessOrEqual(t, len(x.subjects), maxRivals+1)
}
