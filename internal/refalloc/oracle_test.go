package refalloc_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestOracle has the plain allocator and the real one decide about the same random events, and compares every allotment of every run.
func TestOracle(t *testing.T) {
	// Small numbers, which rapid prefers, would have the same few things happen all the time: bits are drawn without preference.
	even := rapid.Custom(func(t *rapid.T) int {
		x := 0
		for range 10 {
			x *= 2
			if rapid.Bool().Draw(t, "bit") {
				x++
			}
		}
		return x
	})
	runs, steps := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, func(n int) int { return even.Draw(t, "n") % n })
		for range 10 + even.Draw(t, "steps")%150 {
			w.step()
			steps++
		}
		runs += w.runs
	})
	t.Logf("%d events and runs; %d runs allotted something", steps, runs)
}

// TestOracleWithManyFrameworks is TestOracle with so many that orders are kept in several parts, and that most runs are about few of them.
func TestOracleWithManyFrameworks(t *testing.T) {
	runs := 0
	for seed := range uint64(4) {
		numbers := rand.New(rand.NewPCG(seed, 0))
		w := newWorld(t, numbers.IntN)
		w.size, w.fleet = 500, 150
		w.populate(w.size)
		for range 120 {
			w.step()
		}
		require.NoError(t, w.real.Check())
		runs += w.runs
	}
	require.Greater(t, runs, 20, "runs that allotted something")
}

// FuzzOracle is TestOracle with the choices taken from the input.
func FuzzOracle(f *testing.F) {
	f.Add([]byte("\x00\x01\x02\x03\x04\x05\x06\x07\x08"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 2000 {
			return
		}
		w := newWorld(t, func(n int) int {
			if len(data) == 0 {
				return 0
			}
			x := int(data[0])
			data = data[1:]
			return x % n
		})
		for len(data) > 0 {
			w.step()
		}
		w.run()
	})
}
