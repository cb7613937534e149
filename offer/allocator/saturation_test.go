package allocator

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// crowd is frameworks that want as many equal tasks as they can get, and take one of each offer.
type crowd struct {
	a       *Hierarchical
	now     time.Time
	weights map[string]int64
	tasks   map[string]int64 // by framework, by role with what is below, and by role and "/." without
	running []Allotment
}

var task = resource.Must("cpus:1;mem:128")

func (c *crowd) count(al Allotment, by int64) {
	c.tasks[string(al.Framework)] += by
	c.tasks[al.Role+"/."] += by
	c.tasks[al.Role] += by
	for _, above := range resource.RoleAncestors(al.Role) {
		c.tasks[above] += by
	}
}

// saturate runs until nothing is offered any more.
func (c *crowd) saturate(t require.TestingT) {
	for range 10_000 {
		out := c.a.Run(c.now, nil)
		if len(out) == 0 {
			return
		}
		for _, al := range out {
			rest, ok := al.Resources.Sub(task)
			require.True(t, ok, show(al))
			al.Resources = task
			c.running = append(c.running, al)
			c.count(al, 1)
			if al.Resources = rest; len(rest) > 0 {
				require.NoError(t, c.a.Apply(c.now, Recovered{al, 0}))
			}
		}
	}
	require.Fail(t, "never saturated")
}

// near requires that the weighted shares of two differ by no more than so many tasks.
func (c *crowd) near(t require.TestingT, x, y string, by int64) {
	wx, wy := max(c.weights[x], 1), max(c.weights[y], 1)
	// |x/wx - y/wy| <= by/min(wx, wy), without division
	require.LessOrEqual(t, abs(c.tasks[x]*wy-c.tasks[y]*wx), by*max(wx, wy), "%s has %d, %s has %d, weights %d and %d", x, c.tasks[x], y, c.tasks[y], wx, wy)
}

// fair compares siblings at every level. Who gives back a part of an offer, or whose task has ended, may see the place go to a sibling of its
// parent that was behind by as much: one task more for each level above.
func (c *crowd) fair(t require.TestingT) {
	c.near(t, "a", "b", 1)
	c.near(t, "a/x", "a/y", 2)
	c.near(t, "a/x", "a/.", 2)
	for i, above := range []int64{2, 2, 2, 1} { // levels above the frameworks in a (its virtual leaf), a/x, a/y and b
		c.near(t, fmt.Sprint("f", i), fmt.Sprint("f", i+4), 1+above)
	}
	require.NoError(t, c.a.Check())
}

// TestSharesStayFairUnderSaturation: slaves have room for several tasks, everything is used, tasks end at random and others take their place.
// The weighted shares of siblings, at every level, differ by no more than one task, see fair.
func TestSharesStayFairUnderSaturation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		roles := []string{"a", "a/x", "a/y", "b"}
		c := &crowd{a: New(Config{Seed: rapid.Uint64().Draw(t, "seed")}), now: time.Unix(1, 0), weights: map[string]int64{}, tasks: map[string]int64{}}
		apply := func(ev Event) { require.NoError(t, c.a.Apply(c.now, ev)) }
		for _, role := range roles {
			c.weights[role] = int64(rapid.IntRange(1, 4).Draw(t, "weight"))
			apply(RoleSet{Role: role, Weight: resource.Scalar(c.weights[role] * 1000)})
		}
		for i := range 8 {
			apply(FrameworkAdded{Framework: offer.Framework{ID: offer.FrameworkID(fmt.Sprint("f", i)), Roles: []string{roles[i%len(roles)]}}})
		}
		for i := range rapid.IntRange(1, 20).Draw(t, "slaves") {
			n := int64(rapid.IntRange(1, 8).Draw(t, "room"))
			total := resource.Must(fmt.Sprintf("cpus:%d;mem:%d", n, 128*n))
			apply(SlaveAdded{Slave: offer.Slave{ID: offer.SlaveID(fmt.Sprint("s", i)), Resources: total}})
		}
		c.saturate(t)
		c.fair(t)
		for range rapid.IntRange(1, 30).Draw(t, "ends") {
			for range rapid.IntRange(1, 5).Draw(t, "together") {
				if len(c.running) > 0 {
					i := rapid.IntRange(0, len(c.running)-1).Draw(t, "task")
					c.count(c.running[i], -1)
					apply(Recovered{c.running[i], 0})
					c.running = slices.Delete(c.running, i, i+1)
				}
			}
			c.saturate(t)
			c.fair(t)
		}
	})
}

// TestWhatFitsIsOfferedWithinOneRotation: however low the shares of the others, and however short their refusals, a framework whose need
// some slave has free is offered it before anybody is asked about that slave twice.
func TestWhatFitsIsOfferedWithinOneRotation(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, now := New(Config{Seed: rapid.Uint64().Draw(t, "seed")}), time.Unix(1, 0)
		apply := func(ev Event) { require.NoError(t, a.Apply(now, ev)) }
		roles := []string{"a", "a/x", "b", "*"}
		for _, role := range roles {
			apply(RoleSet{Role: role, Weight: resource.Scalar(rapid.IntRange(1, 4000).Draw(t, "weight"))})
		}
		others := rapid.IntRange(0, 20).Draw(t, "others")
		for i := range others {
			role := rapid.SampledFrom(roles).Draw(t, "role")
			apply(FrameworkAdded{Framework: offer.Framework{ID: offer.FrameworkID(fmt.Sprint("f", i)), Roles: []string{role}}})
		}
		apply(FrameworkAdded{Framework: offer.Framework{ID: "picky", Roles: []string{"a"}}})
		apply(Requested{Framework: "picky", Role: "a", Needs: []resource.Quantities{resource.Must("cpus:6;mem:600").Quantities()}})
		apply(SlaveAdded{Slave: offer.Slave{ID: "used", Resources: resource.Must("cpus:100;mem:10000")},
			Used: []Allotment{{Framework: "picky", Role: "a", Resources: resource.Must("cpus:100;mem:10000")}}})
		for i := range rapid.IntRange(1, 10).Draw(t, "slaves") {
			apply(SlaveAdded{Slave: offer.Slave{ID: offer.SlaveID(fmt.Sprint("small", i)), Resources: resource.Must("cpus:5;mem:1000")}})
		}
		apply(SlaveAdded{Slave: offer.Slave{ID: "large", Resources: resource.Must("cpus:7;mem:1000")}})
		for range others + 1 {
			for _, al := range a.Run(now, nil) {
				if al.Framework == "picky" {
					require.EqualValues(t, "large", al.Slave)
					return
				}
				apply(Recovered{al, 1}) // a nanosecond, during which all this happens
			}
		}
		require.Fail(t, "nothing was offered", a.Describe())
	})
}
