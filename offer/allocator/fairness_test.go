package allocator

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// TestEqualTasksShareByWeight is R10: when every framework takes one task of every offer and slaves are as large as a task, the weighted shares of
// frameworks that still want more differ by no more than one task, at every level of the tree.
func TestEqualTasksShareByWeight(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		roles := []string{"a", "a/x", "a/y", "b"}
		a, now := New(Config{Seed: rapid.Uint64().Draw(t, "seed")}), time.Unix(1, 0)
		weights := map[string]int64{}
		for _, role := range roles {
			weights[role] = int64(rapid.IntRange(1, 4).Draw(t, "weight"))
			a.Apply(now, RoleSet{Role: role, Weight: resource.Scalar(weights[role] * 1000)})
		}
		const frameworks = 8
		for i := range frameworks {
			a.Apply(now, FrameworkAdded{Framework: offer.Framework{ID: offer.FrameworkID(fmt.Sprint("f", i)), Roles: []string{roles[i%len(roles)]}}})
		}
		slaves := rapid.IntRange(1, 100).Draw(t, "slaves")
		tasks := map[string]int64{} // by role and what is below, and by framework
		for i := range slaves {
			a.Apply(now, SlaveAdded{Slave: offer.Slave{ID: offer.SlaveID(fmt.Sprint("s", i)), Resources: resource.Must("cpus:1;mem:128")}})
		}
		for _, al := range a.Run(now, nil) {
			tasks[string(al.Framework)]++
			tasks[al.Role]++
			if al.Role == "a/x" || al.Role == "a/y" {
				tasks["a"]++
			} else if al.Role == "a" {
				tasks["a/."]++
			}
		}
		require.NoError(t, a.Check())
		weights["a/."] = 1
		near := func(x, y string, wx, wy int64) {
			// |x/wx - y/wy| <= 1/min(wx, wy), without division
			require.LessOrEqual(t, abs(tasks[x]*wy-tasks[y]*wx), max(wx, wy), "%s has %d, %s has %d, weights %d and %d", x, tasks[x], y, tasks[y], wx, wy)
		}
		near("a", "b", weights["a"], weights["b"])
		near("a/x", "a/y", weights["a/x"], weights["a/y"])
		near("a/x", "a/.", weights["a/x"], 1)
		for i := range frameworks / 2 {
			near(fmt.Sprint("f", i), fmt.Sprint("f", i+frameworks/2), 1, 1)
		}
	})
}

func abs(x int64) int64 { return max(x, -x) }

// TestNobodyStarves: frameworks that decline every offer with a filter do not keep a slave from one that comes last for longer than a round.
func TestNobodyStarves(t *testing.T) {
	a, now := New(Config{}), time.Unix(1, 0)
	const frameworks = 50
	for i := range frameworks {
		a.Apply(now, FrameworkAdded{Framework: offer.Framework{ID: offer.FrameworkID(fmt.Sprint("f", i))}})
	}
	a.Apply(now, SlaveAdded{Slave: offer.Slave{ID: "s", Resources: resource.Must("cpus:1;mem:128")}})
	for _, refuse := range []time.Duration{0, time.Second} {
		asked := map[offer.FrameworkID]int{}
		for range 3 * frameworks {
			out := a.Run(now, nil)
			require.Len(t, out, 1)
			asked[out[0].Framework]++
			a.Apply(now, Recovered{out[0], refuse})
			now = now.Add(refuse)
		}
		for i := range frameworks {
			require.Equal(t, 3, asked[offer.FrameworkID(fmt.Sprint("f", i))], "framework %d, refusing for %s", i, refuse)
		}
	}
}

// TestRunsLookOnlyAtWhatHasChanged counts what a run looks at.
func TestRunsLookOnlyAtWhatHasChanged(t *testing.T) {
	const slaves, frameworks = 500, 20
	f := newFleet(slaves, frameworks, "cpus:16;mem:2014;disk:1024", "*")
	rounds := 0
	for f.run(); len(f.out) > 0; f.run() {
		rounds++
		f.recover(time.Hour)
	}
	require.Equal(t, frameworks, rounds, "every framework is asked about every slave once")
	looked := func() int {
		f.a.run.work = 0
		f.run()
		return f.a.run.work
	}
	require.Zero(t, looked(), "nothing has changed")
	require.Equal(t, slaves*frameworks, f.a.filters.live)

	// A larger slave: that one.
	al := Allotment{Framework: "framework-3", Role: "*", Slave: "slave-3", Resources: resource.Must("cpus:1")}
	f.a.Apply(f.now, Recovered{al, 0})
	require.Less(t, looked(), 5)
	require.Len(t, f.out, 1)
	require.Equal(t, "cpus:9;disk:3072;mem:2082", f.out[0].Resources.Filter(func(e resource.Resource) bool { return e.Type == resource.ScalarType }).String())

	// A revive: that framework, with every slave that has something free.
	f.a.Apply(f.now, Revived{Framework: "framework-5"})
	require.Equal(t, (slaves-1)*(frameworks-1)+frameworks-1, f.a.filters.live)
	require.Less(t, looked(), 3*slaves)
	require.Len(t, f.out, slaves-1)
	require.Zero(t, looked())

	// The filters end: each slave once more.
	f.now = f.a.Deadline()
	require.Equal(t, time.Unix(1, 0).Add(time.Hour), f.now)
	require.LessOrEqual(t, looked(), 3*slaves)
	require.Zero(t, f.a.filters.live)
	require.NoError(t, f.a.Check())
}

// TestSharesAreExact compares the integer arithmetic with what the same numbers give by hand.
func TestSharesAreExact(t *testing.T) {
	for _, c := range []struct{ x, m, d, want uint64 }{
		{1, 1 << 40, 3, 1 << 40 / 3},
		{1 << 62, 1 << 40, 1 << 62, 1 << 40},
		{1<<62 - 1, 1 << 40, 1 << 62, 1<<40 - 1},
		{1 << 63, 1 << 40, 1, 1<<64 - 1},
		{7, 1000, 1500, 4},
	} {
		require.Equal(t, c.want, mulDiv(c.x, c.m, c.d), "%d*%d/%d", c.x, c.m, c.d)
	}
	a := New(Config{ExcludeFromFairness: []string{"disk"}})
	a.total = vec{4000, 1000, 10}
	require.EqualValues(t, 1<<40/4, a.share(vec{1000, 100, 10}))
	require.EqualValues(t, 1<<40/2, a.share(vec{1000, 500}))
	require.EqualValues(t, 0, a.share(vec{-1, 0, 5, 0, 7}), "nothing counts that is excluded, negative, or of what there is nothing")
	require.EqualValues(t, 1<<39, weighted(1<<40, 2000))
}

// TestFiltersAreBounded: refusing ever other subsets costs the one who does it its oldest filters, and nobody memory.
func TestFiltersAreBounded(t *testing.T) {
	a, now := New(Config{}), time.Unix(1, 0)
	a.Apply(now, FrameworkAdded{Framework: offer.Framework{ID: "f"}})
	a.Apply(now, SlaveAdded{Slave: offer.Slave{ID: "s", Resources: resource.Must("cpus:100;mem:100000;ports:[1-5000]")}})
	a.Run(now, nil)
	for i := range 5000 {
		a.Apply(now, Recovered{Allotment{"f", "*", "s", resource.Must(fmt.Sprintf("ports:[%d-%d]", i+1, i+1))}, time.Duration(i+1) * time.Second})
	}
	require.NoError(t, a.Check())
	require.Equal(t, maxFiltersPerPair, a.filters.live)
	require.LessOrEqual(t, int(a.filters.slab.n), maxFiltersPerPair+1)
	require.LessOrEqual(t, len(a.filters.heap), 1025)
	require.LessOrEqual(t, a.lots.live+a.lots.fresh, 30_000, "values that nothing uses are forgotten")

	// One that covers the others replaces them.
	a.Apply(now, Recovered{Allotment{"f", "*", "s", resource.Must("cpus:100;mem:100000;ports:[1-5000]")}, time.Hour * 24})
	require.Equal(t, 1, a.filters.live)
	require.Equal(t, now.Add(time.Hour*24).Unix(), func() int64 { a.Run(now, nil); return a.Deadline().Unix() }())
}

// TestGPUsAreCutToWholeUnits: a limit that is not a whole number, set past the parser, does not split a GPU.
func TestGPUsAreCutToWholeUnits(t *testing.T) {
	a, now := New(Config{}), time.Unix(1, 0)
	a.Apply(now, RoleSet{Role: "a", Limit: resource.Quantities{{Name: resource.GPUs, Amount: 2500}}})
	a.Apply(now, FrameworkAdded{Framework: offer.Framework{ID: "f", Roles: []string{"a"}, Capabilities: offer.GPUResources}})
	a.Apply(now, SlaveAdded{Slave: offer.Slave{ID: "s", Resources: resource.Must("cpus:1;mem:64;gpus:4")}})
	out := a.Run(now, nil)
	require.Len(t, out, 1)
	require.Equal(t, "cpus:1;gpus:2;mem:64", out[0].Resources.String())
	require.Equal(t, "gpus:2", a.Free("s").String())
}

// TestZeroTimeIsATime: an allocator that lives in the year 1 still asks to be run.
func TestZeroTimeIsATime(t *testing.T) {
	a := New(Config{})
	require.True(t, a.Deadline().IsZero())
	a.Apply(time.Time{}, FrameworkAdded{Framework: offer.Framework{ID: "f"}})
	a.Apply(time.Time{}, SlaveAdded{Slave: offer.Slave{ID: "s", Resources: resource.Must("cpus:1")}})
	require.False(t, a.Deadline().IsZero())
	require.Len(t, a.Run(time.Time{}, nil), 1)
	require.True(t, a.Deadline().IsZero())
}

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
