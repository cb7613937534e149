package allocator

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// TestNumbersDrawnAreTheSameEverywhere pins what orders depend on.
func TestNumbersDrawnAreTheSameEverywhere(t *testing.T) {
	require.EqualValues(t, uint64(0xe220a8397b1dcdaf), mix64(0), "the first number of SplitMix64 with seed 0")
	require.NotEqual(t, mix64(1, 2), mix64(2, 1))
	require.NotEqual(t, mix64(1), mix64(1, 0))
	require.EqualValues(t, uint64(0xaf63dc4c8601ec8c), hashName("a"), "FNV-1a")
	for x, want := range map[uint64]uint64{0: 64 << 24, 1: 64 << 24, 2: 64<<24 - 26591258, 1 << 63: 1 << 24, 1 << 62: 2 << 24, math.MaxUint64: 1} {
		require.EqualValues(t, want, minusLog2(x), "%#x", x)
	}
}

// TestLogarithmsAreExactToTheLastBit compares with floating point, which the allocator does without.
func TestLogarithmsAreExactToTheLastBit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.Uint64().Draw(t, "x") >> rapid.IntRange(0, 63).Draw(t, "shift")
		want := (64 - math.Log2(float64(x|1))) * (1 << logBits)
		require.InDelta(t, want, float64(minusLog2(x)), 1.01)
	})
}

// TestTheRandomPolicyChoosesInProportionToWeights counts who comes first, on many slaves, at two levels.
func TestTheRandomPolicyChoosesInProportionToWeights(t *testing.T) {
	const slaves = 20_000
	a, now := New(Config{Policy: Random, Seed: 11}), time.Unix(1, 0)
	weights := map[string]int64{"a": 1000, "b": 3000, "b/x": 500, "b/y": 2000}
	for _, role := range []string{"a", "b", "b/x", "b/y"} {
		require.NoError(t, a.Apply(now, RoleSet{Role: role, Weight: resource.Scalar(weights[role])}))
	}
	for id, role := range map[offer.FrameworkID]string{"a1": "a", "a2": "a", "bx": "b/x", "by": "b/y", "b": "b"} {
		require.NoError(t, a.Apply(now, FrameworkAdded{Framework: offer.Framework{ID: id, Roles: []string{role}}}))
	}
	for i := range slaves {
		require.NoError(t, a.Apply(now, SlaveAdded{Slave: offer.Slave{ID: offer.SlaveID(string(rune('A' + i))), Resources: resource.Must("cpus:1")}}))
	}
	first := map[offer.FrameworkID]float64{}
	for _, al := range a.Run(now, nil) {
		first[al.Framework]++
	}
	for id, want := range map[offer.FrameworkID]float64{"a1": 1. / 4 / 2, "a2": 1. / 4 / 2, "bx": 3. / 4 * .5 / 3.5, "by": 3. / 4 * 2 / 3.5, "b": 3. / 4 * 1 / 3.5} {
		require.InDelta(t, want, first[id]/slaves, 0.012, "how often %s comes first", id)
	}
}
