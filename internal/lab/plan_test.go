package lab

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func list(seed uint64, n int) []string {
	plan := NewPlan(seed)
	out := make([]string, n)
	for i := range out {
		out[i] = plan.Next().String()
	}
	return out
}

func TestASeedAlwaysGivesTheSameFaults(t *testing.T) {
	require.Equal(t, list(7, 200), list(7, 200))
	require.NotEqual(t, list(7, 20), list(8, 20))
	require.Equal(t, []string{
		"  1 kill-leader     leader, 600ms",
		"  2 kill-frameworks f1 f2, 4s",
		"  3 leader-alone    leader, 5.6s",
		"  4 stop-framework  f2, 4.4s",
		"  5 move-slave      s1, 1.5s",
		"  6 halves          m3 s1 s2 s4 f2 | m1 m2 s3 s5 f1, 5.7s",
	}, list(1, 6))
}

func TestEachRoundHasEveryKindAndOneMasterAtMostHasMoved(t *testing.T) {
	for seed := range uint64(50) {
		plan := NewPlan(seed)
		moved := map[string]bool{}
		for round := 1; round <= 4; round++ {
			seen := map[Kind]int{}
			want := len(everywhere)
			if round%2 == 0 {
				want++ // Away
			}
			for range want {
				f := plan.Next()
				seen[f.Kind]++
				require.NotEmpty(t, f.Nodes, f)
				require.GreaterOrEqual(t, f.Hold.Seconds(), 0.0)
				if f.Kind == Halves {
					require.Len(t, append(f.Nodes, f.Others...), masters+slaves+frameworks)
				}
				if f.Kind == MoveMaster {
					if name := f.Nodes[0]; moved[name] {
						delete(moved, name)
					} else {
						moved[name] = true
					}
					require.LessOrEqual(t, len(moved), 1)
				}
				if f.Kind == StopSlave {
					require.Greater(t, f.Hold, taskLease)
				}
			}
			require.Len(t, seen, want, "seed %d round %d", seed, round)
		}
	}
}
