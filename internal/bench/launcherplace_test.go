package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheLaunchersPlacementsAreCountedAndTimed(t *testing.T) {
	f := figures(t, "launcher/place", "-slaves", "200", "-tasks", "300", "-rounds", "1")
	for _, key := range []string{"placements_per_s", "growth", "wall_placements_per_s", "wall_growth"} {
		require.Positive(t, f[key], key)
	}
	took, wall, placed, err := placeOnce(50, 100)
	require.NoError(t, err)
	require.Equal(t, 100, placed)
	require.Positive(t, took)
	require.Positive(t, wall)
}
