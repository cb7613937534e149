package sim_test

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"text/tabwriter"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/sim"
)

// near is how many seeds after the stored one are tried: a change of the world gives another run to each, and most bugs are found by many.
const near = 100

// A checker that finds nothing is worth nothing: each planted bug is found by the seed that is stored for it, or by one nearby where the world
// has changed since, under the number of the rule that it breaks; and without the bug the same seed is sound.
func TestEachPlantedBugIsFoundByItsSeed(t *testing.T) {
	f, err := os.Open("testdata/bank.txt")
	require.NoError(t, err)
	defer func() { require.NoError(t, f.Close()) }()
	bank, err := sim.ReadBank(f)
	require.NoError(t, err)
	var names []string
	for _, s := range bank {
		names = append(names, s.Config.Plant.Name)
	}
	require.Equal(t, sim.PlantNames(), names, "go run ./internal/sim/simulate -bank -rewrite")
	require.GreaterOrEqual(t, len(names), 40)

	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row := func(s sim.Stored, r *sim.Report) {
		text := []rune(r.Violation.Text)
		_, err := table.Write([]byte(s.Config.Plant.Name + "\t" + r.Violation.Rule + "\t" + r.Violation.At.String() + "\t" + string(text[:min(110, len(text))]) + "\n"))
		require.NoError(t, err)
	}
	for _, s := range bank {
		found := false
		for k := range uint64(near) {
			cfg := s.Config
			cfg.Seed += k
			sound := cfg
			cfg.Plant = sim.Plants[cfg.Plant.Name]()
			sound.Plant = nil
			r := sim.Run(cfg)
			if !r.Breaks() {
				t.Logf("%s: seed %d does not find it any more", cfg.Plant.Name, cfg.Seed)
				continue
			}
			clean := sim.Run(sound)
			require.Nil(t, clean.Violation, "%s: seed %d without the bug\n%s", cfg.Plant.Name, cfg.Seed, clean.Scenario())
			row(s, r)
			found = true
			break
		}
		require.True(t, found, "%s is not found: go run ./internal/sim/simulate -bank -rewrite", s.Config.Plant.Name)
	}
	require.NoError(t, table.Flush())
	t.Logf("%d bugs\n%s", len(bank), b.String())
}

func TestABankIsReadAsItIsWritten(t *testing.T) {
	cfg := sim.BankConfig(7)
	cfg.Plant = sim.LyingDisk()
	stored := []sim.Stored{{Rule: "S4", Config: cfg}, {Rule: "T1", Config: cfg}}
	var first, second bytes.Buffer
	require.NoError(t, sim.WriteBank(&first, stored))
	read, err := sim.ReadBank(bytes.NewReader(first.Bytes()))
	require.NoError(t, err)
	require.Len(t, read, 2)
	require.Equal(t, cfg.Seed, read[1].Config.Seed)
	require.Equal(t, cfg.Faults, read[1].Config.Faults)
	require.NoError(t, sim.WriteBank(&second, read))
	require.Equal(t, first.String(), second.String())
	for _, text := range []string{"plant nothing; rule T1", "plant lying-disk", "plant lying-disk; rule T4", "plant lying-disk; rule T1; color red"} {
		_, err := sim.ReadBank(strings.NewReader("# none\n" + text))
		require.ErrorContains(t, err, "line 2", text)
	}
}
