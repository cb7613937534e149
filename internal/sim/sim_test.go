package sim_test

import (
	"math/bits"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/sim"
)

// campaign is how many small seeds every test run goes through; the command goes through as many as it is told to.
const campaign = 48

func run(t *testing.T, cfg sim.Config) *sim.Report {
	t.Helper()
	cfg.Keep = 60
	r := sim.Run(cfg)
	if r.Violation != nil {
		t.Fatalf("%s\n%v\n%s", strings.Join(r.Trace, "\n"), r.Violation, r.Scenario())
	}
	return r
}

func TestNothingIsLostUnderFaultsAndAllWorldsConverge(t *testing.T) {
	var sum sim.Counts
	for seed := uint64(1); seed <= campaign; seed++ {
		c := run(t, sim.SmallConfig(seed)).Counts
		sum.Reigns += c.Reigns
		sum.Deposed += c.Deposed
		sum.Unknown += c.Unknown
		sum.SlaveCrashes += c.SlaveCrashes
		sum.FrameworkCrashes += c.FrameworkCrashes
		sum.Cuts += c.Cuts
		sum.Partitions += c.Partitions
		sum.Launched += c.Launched
		sum.Started += c.Started
	}
	t.Logf("%+v", sum)
	for what, n := range map[string]int{"reigns": sum.Reigns, "leaders deposed": sum.Deposed, "unknown outcomes": sum.Unknown,
		"slave crashes": sum.SlaveCrashes, "framework crashes": sum.FrameworkCrashes, "cuts": sum.Cuts, "partitions": sum.Partitions,
		"tasks launched": sum.Launched, "processes started": sum.Started} {
		require.Positive(t, n, "the faults do not bite: no %s in %d seeds", what, campaign)
	}
}

func TestTheSameSeedGivesTheSameTrace(t *testing.T) {
	for _, seed := range []uint64{1, 2, 3, 12} {
		for _, cfg := range []sim.Config{sim.SmallConfig(seed), sim.LongConfig(seed, 3, 10, 3, 40, 0.5)} {
			again, other := cfg, cfg
			again.Keep, again.CheckEvery = 100, 1 // how closely one looks changes nothing
			other.Seed += 100
			a, b := sim.Run(cfg), sim.Run(again)
			require.Equal(t, a.Hash, b.Hash, "seed %d", seed)
			require.Equal(t, a.Steps, b.Steps)
			require.NotEqual(t, a.Hash, sim.Run(other).Hash)
		}
	}
}

// Scenarios of bugs that were found: each has failed once and never fails again.
func TestWhatWasFoundOnceStaysFixed(t *testing.T) {
	files, err := filepath.Glob("testdata/regress/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			f, err := os.Open(file)
			require.NoError(t, err)
			defer func() { require.NoError(t, f.Close()) }()
			cfg, err := sim.ParseScenario(f)
			require.NoError(t, err)
			run(t, cfg)
		})
	}
}

func TestASeedThatFailsShrinksToAScenarioThatFailsForTheSameReason(t *testing.T) {
	cfg := sim.SmallConfig(3)
	cfg.Rounds, cfg.Plant = 2, sim.LyingDisk()
	r := sim.Run(cfg)
	for cfg.Seed < 20 && r.Violation == nil {
		cfg.Seed++
		r = sim.Run(cfg)
	}
	require.NotNil(t, r.Violation, "the checkers do not notice a disk that lies")
	small := sim.Shrink(r, 80)
	require.NotNil(t, small.Violation)
	require.Less(t, bits.OnesCount64(uint64(small.Config.Faults)), bits.OnesCount64(uint64(r.Config.Faults)))
	require.LessOrEqual(t, small.Config.Slaves, r.Config.Slaves)
	text := small.Scenario()
	read, err := sim.ParseScenario(strings.NewReader(text))
	require.NoError(t, err)
	again := sim.Run(read)
	require.NotNil(t, again.Violation, "the scenario does not fail:\n%s", text)
	require.Equal(t, r.Violation.Rule, again.Violation.Rule)
	require.Equal(t, small.Hash, again.Hash)
}

func TestAScenarioThatIsNotOneIsRefused(t *testing.T) {
	for _, text := range []string{"seed x", "masters 3.5", "faults delay,rain", "plant nothing", "color red", "trouble 7"} {
		_, err := sim.ParseScenario(strings.NewReader("# a comment\n\n" + text))
		require.ErrorContains(t, err, "line 3", text)
	}
}

func TestFaultsAreReadAsTheyAreWritten(t *testing.T) {
	for _, f := range []sim.Fault{0, sim.FaultDelay, sim.FaultOperator | sim.FaultJump, sim.AllFaults} {
		read, err := sim.ParseFaults(f.String())
		require.NoError(t, err)
		require.Equal(t, f, read, "%s", f)
	}
}

func TestAWorldWithoutFaultsHasNone(t *testing.T) {
	cfg := sim.LongConfig(5, 3, 5, 2, 20, 1)
	cfg.Faults = sim.NoFaults
	r := run(t, cfg)
	require.Zero(t, r.Faults)
	require.Greater(t, r.Time, 50*time.Minute)
}
