package allocator

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// TestLongOrdersStaySorted moves, takes out and puts back hundreds of frameworks in one role at random, so that blocks split and join.
func TestLongOrdersStaySorted(t *testing.T) {
	a, now, rng := New(Config{}), time.Unix(1, 0), rand.New(rand.NewPCG(1, 2))
	const frameworks = 700
	id := func(i int) offer.FrameworkID { return offer.FrameworkID(fmt.Sprint("f", i)) }
	held := make([]int, frameworks)
	for i := range frameworks {
		a.Apply(now, FrameworkAdded{Framework: offer.Framework{ID: id(i), Roles: []string{"a"}}})
	}
	a.Apply(now, SlaveAdded{Slave: offer.Slave{ID: "s", Resources: resource.Must("cpus:100000;mem:1")}})
	a.Apply(now, SlaveAdded{Slave: offer.Slave{ID: "other", Resources: resource.Must("mem:5000")}, Inactive: true})
	most := 0
	for i := range 20_000 {
		f := rng.IntN(frameworks)
		if i%2000 > 1500 {
			f %= 20 // so that some blocks run empty
		}
		al := Allotment{id(f), "a", "s", resource.Must("cpus:1")}
		switch x := rng.IntN(10); {
		case x < 2:
			a.Apply(now, Suppressed{Framework: id(f)})
		case x < 4:
			a.Apply(now, Revived{Framework: id(f)})
		case x < 7 && held[f] > 0:
			held[f]--
			a.Apply(now, Recovered{al, 0})
		case x == 9 && i%100 == 0: // a new total
			a.Apply(now, SlaveUpdated{offer.Slave{ID: "other", Resources: resource.Must(fmt.Sprintf("mem:%d", 1+rng.IntN(5000)))}})
		default:
			held[f]++
			a.Apply(now, Used{al})
		}
		if i%50 == 0 {
			fresh(&a.roles[0].clients, a.epoch, clientsOf{a})
		}
		if i%97 == 0 {
			require.NoError(t, a.Check())
		}
		most = max(most, len(a.roles[0].clients.blocks))
	}
	require.NoError(t, a.Check())
	require.Greater(t, most, 4)
	for i := range frameworks {
		a.Apply(now, FrameworkActive{id(i), false})
	}
	require.NoError(t, a.Check())
	require.Empty(t, a.root.below.blocks)
}
