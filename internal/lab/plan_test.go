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
		"  1 kill-masters    m1 m2 m3, 1.3s",
		"  2 full-master     m3, 4.4s",
		"  3 move-slave      s1, 0s",
		"  4 stop-slave      s2, 22s",
		"  5 leader-alone    leader, 9.9s",
		"  6 halves          m2 s1 s4 f1 f2 | m1 m3 s2 s3 s5, 5.7s",
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
				want += len(seldom)
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
