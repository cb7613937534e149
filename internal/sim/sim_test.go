package sim_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/sim"
)

// campaign is how many seeds every test run goes through; the command goes through as many as it is told to.
const campaign = 48

func TestNothingIsLostUnderFaultsAndAllWorldsConverge(t *testing.T) {
	var sum sim.Counts
	for seed := uint64(1); seed <= campaign; seed++ {
		r := sim.RunSeed(seed, 60)
		if r.Violation != nil {
			for _, line := range r.Trace {
				t.Log(line)
			}
			t.Fatalf("seed %d: %v\nagain: %s", seed, r.Violation, r.Reproduce())
		}
		c := r.Counts
		sum.Reigns += c.Reigns
		sum.Deposed += c.Deposed
		sum.Unknown += c.Unknown
		sum.SlaveCrashes += c.SlaveCrashes
		sum.FrameworkCrashes += c.FrameworkCrashes
		sum.Cuts += c.Cuts
		sum.Partitions += c.Partitions
		sum.Launched += c.Launched
		sum.Started += c.Started
		sum.Dropped += c.Dropped
	}
	t.Logf("%+v", sum)
	for what, n := range map[string]int{"reigns": sum.Reigns, "leaders deposed": sum.Deposed, "unknown outcomes": sum.Unknown,
		"slave crashes": sum.SlaveCrashes, "framework crashes": sum.FrameworkCrashes, "cuts": sum.Cuts, "partitions": sum.Partitions,
		"tasks launched": sum.Launched, "tasks dropped": sum.Dropped} {
		require.Positive(t, n, "the faults do not bite: no %s in %d seeds", what, campaign)
	}
}

func TestTheSameSeedGivesTheSameTrace(t *testing.T) {
	for _, seed := range []uint64{1, 2, 3, 12} {
		a, b := sim.RunSeed(seed, 0), sim.RunSeed(seed, 100)
		require.Equal(t, a.Hash, b.Hash, "seed %d", seed)
		require.Equal(t, a.Steps, b.Steps)
		require.NotEqual(t, a.Hash, sim.RunSeed(seed+100, 0).Hash)
	}
}

func TestTheCheckersNoticeADiskThatLies(t *testing.T) {
	rules := map[string]int{}
	for seed := uint64(1); seed <= 8; seed++ {
		if v := sim.Run(sim.Config{Seed: seed, LyingDisk: true}).Violation; v != nil {
			rules[v.Rule]++
		}
	}
	t.Log(rules)
	require.GreaterOrEqual(t, len(rules), 1)
}
