package sim

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/image"
	"github.com/meros-project/meros/internal/mastercore"
)

// TestALeaderThatWasKeptAtAnyEventGoesOnTheSame runs seeds with leaders' cores that are kept and restored at random events: the trace must be
// the same, byte for byte.
func TestALeaderThatWasKeptAtAnyEventGoesOnTheSame(t *testing.T) {
	images, err := image.New[mastercore.Core](mastercore.StateTypes(), image.Field{Package: "github.com/tidwall/btree", Name: "isoid"})
	require.NoError(t, err)
	for seed := range uint64(6) {
		cfg := Config{Seed: 700 + seed, Slaves: 3, Tasks: 15, Wire: seed%2 == 0, Rich: true,
			Faults: AllFaults &^ (FaultJump | FaultSuspend)} // what is kept has no monotonic reading: a master that records reads a clock that does not jump
		plain := Run(cfg)
		require.Nil(t, plain.Violation)
		random, times := rand.New(rand.NewPCG(seed, 3)), 0
		cfg.Swap = func(c *mastercore.Core) *mastercore.Core {
			if random.IntN(20) > 0 {
				return c
			}
			times++
			b, err := images.Encode(nil, c)
			require.NoError(t, err)
			restored, err := images.Decode(b)
			require.NoError(t, err)
			return restored
		}
		swapped := Run(cfg)
		require.Nil(t, swapped.Violation)
		require.Equal(t, plain.Hash, swapped.Hash, "seed %d", cfg.Seed)
		require.Greater(t, times, 20)
		t.Logf("seed %d: %d steps, restored %d times", cfg.Seed, plain.Steps, times)
	}
}
