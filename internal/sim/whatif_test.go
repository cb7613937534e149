package sim

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/image"
	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// long is a task that runs for an hour.
func long(*rand.Rand, *offer.Task) (time.Duration, offer.Exit) { return time.Hour, offer.Exit{} }

// busy is a leader's core in the middle of a calm run: three slaves of 4 cpus, and tasks of long programs on them.
func busy(t *testing.T, tasks int) (*mastercore.Core, time.Time) {
	images, err := image.New[mastercore.Core](mastercore.StateTypes(), image.Field{Package: "github.com/tidwall/btree", Name: "isoid"})
	require.NoError(t, err)
	w := New(Config{Seed: 5, Masters: 1, Slaves: 3, Frameworks: 1, Tasks: tasks, Runs: long})
	w.frameworks[0].user.(*program).goal = tasks / 4
	w.until(epoch.Add(time.Minute))
	require.Nil(t, w.failed)
	b, err := images.Encode(nil, w.log.leader.core)
	require.NoError(t, err)
	core, err := images.Decode(b)
	require.NoError(t, err)
	return core, w.now
}

func TestADrainedSlavesTasksMoveWhereThereIsRoomAndTheOthersWait(t *testing.T) {
	core, now := busy(t, 30)
	running := 0
	for range core.View().TasksOn("s-1") {
		running++
	}
	require.Positive(t, running)
	got, err := Try(core, now, WhatIf{Drain: []offer.SlaveID{"s-1"}})
	require.NoError(t, err)
	require.Empty(t, got.Refused)
	require.Zero(t, got.Staying)
	require.Len(t, got.Displaced, running)
	for _, d := range got.Displaced {
		require.Equal(t, offer.SlaveID("s-1"), d.From)
		require.NotEqual(t, offer.SlaveID("s-1"), d.To)
		require.NotEmpty(t, d.To, "there is room for %s", d.Task)
	}
	require.NoError(t, core.Check())

	core, now = busy(t, 30)
	all, err := Try(core, now, WhatIf{Drain: []offer.SlaveID{"s-1", "s-2", "s-3"}})
	require.NoError(t, err)
	require.NotEmpty(t, all.Displaced)
	for _, d := range all.Displaced {
		require.Empty(t, d.To, "no slave is left")
	}
}

func TestANewcomerIsServedAsFarAsThereIsRoom(t *testing.T) {
	core, now := busy(t, 30)
	running := 0
	for range core.View().Tasks() {
		running++
	}
	require.Positive(t, running)
	got, err := Try(core, now, WhatIf{Frameworks: []Newcomer{{Name: "new", Role: "*", Count: 20, Each: resource.Must("cpus:1;mem:64")}}})
	require.NoError(t, err)
	require.Empty(t, got.Displaced)
	require.Len(t, got.Added, 20)
	placed := 0
	for _, a := range got.Added {
		require.Equal(t, offer.FrameworkID("f-2"), a.Framework)
		if a.To != "" {
			placed++
		}
	}
	require.Equal(t, 12-running, placed, "each task has one of the 12 cpus")
}

func TestAQuotaChangesWhoWaits(t *testing.T) {
	newcomer := []Newcomer{{Name: "new", Role: "q", Count: 4, Each: resource.Must("cpus:1;mem:64")}}
	placed := func(c *Consequences) (n int) {
		for _, a := range c.Added {
			if a.To != "" {
				n++
			}
		}
		return n
	}
	core, now := busy(t, 30)
	free, err := Try(core, now, WhatIf{Frameworks: newcomer})
	require.NoError(t, err)
	require.Equal(t, 4, placed(free))
	core, now = busy(t, 30)
	bound, err := Try(core, now, WhatIf{Frameworks: newcomer, Quotas: []Quota{{Role: "q", Limit: resource.Quantities{{Name: "cpus", Amount: 2000}}}}})
	require.NoError(t, err)
	require.Empty(t, bound.Refused)
	require.Equal(t, 2, placed(bound))
	core, now = busy(t, 30)
	refused, err := Try(core, now, WhatIf{Quotas: []Quota{{Role: "q", Guarantee: resource.Quantities{{Name: "cpus", Amount: 1_000_000}}}}})
	require.NoError(t, err)
	require.Len(t, refused.Refused, 1)
	require.Contains(t, refused.Refused[0], "quota of role q: ")
	_, err = Try(core, now, WhatIf{Drain: []offer.SlaveID{"s-9"}})
	require.EqualError(t, err, `slave "s-9" is not known`)
}
