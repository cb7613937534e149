package main

import (
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/bench/workload"
	"github.com/meros-project/meros/offer/allocator"
)

func TestAllocatorBenchmarksPrintTheirFigures(t *testing.T) {
	small := []string{"-slaves", "20", "-frameworks", "10"}
	for _, c := range []struct {
		name string
		args []string
		keys []string
	}{
		{"alloc/decline", append(small, "-rounds", "5"), []string{"ms", "us_per_offer", "ratio"}},
		{"alloc/noop", append(small, "-rounds", "3"), []string{"us", "slave_back_us"}},
		{"alloc/quota", []string{"-slaves", "30", "-frameworks", "30"}, []string{"ms", "noop_us", "ratio"}},
		{"alloc/mixed", []string{"-slaves", "8", "-frameworks", "55"}, []string{"launched", "seconds"}},
		{"alloc/revive", small, []string{"ms"}},
		{"alloc/curve", []string{"-slaves", "1000", "-rounds", "1"}, []string{"exponent", "delta_ratio", "wall_exponent", "wall_delta_ratio"}},
		{"alloc/suppress", small, []string{"ms", "ratio"}},
		{"alloc/suppress-extreme", small, []string{"ms", "ratio"}},
		{"alloc/slaves", small, []string{"ms", "ratio"}},
		{"alloc/labels", append(small, "-rounds", "2"), []string{"ms", "ratio"}},
		{"alloc/volumes", small, []string{"regular_ms", "regular_ratio", "shared_ms", "mixed_ratio", "ratio"}},
		{"alloc/metrics", small, []string{"ms", "ratio"}},
		{"alloc/backlog", small, []string{"ms", "ratio"}},
		{"alloc/reserve", []string{"-frameworks", "5"}, []string{"ms", "ratio"}},
		{"alloc/quota-random", []string{"-slaves", "30", "-frameworks", "30"}, []string{"ms", "ratio"}},
		{"alloc/nonquota", []string{"-slaves", "20", "-frameworks", "20"}, []string{"ms", "ratio"}},
		{"alloc/nonquota-random", []string{"-slaves", "20", "-frameworks", "20"}, []string{"ms", "ratio"}},
		{"alloc/sort", small, []string{"ms", "ratio"}},
		{"alloc/sort-tree", []string{"-slaves", "20"}, []string{"3x32_ms", "7x3_ratio", "10x2_ms", "ratio"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := figures(t, append([]string{c.name}, c.args...)...)
			for _, key := range c.keys {
				require.Contains(t, f, key)
			}
		})
	}
	listed := 0
	for _, b := range benchmarks() {
		if strings.HasPrefix(b.name, "alloc/") {
			listed++
		}
	}
	require.Equal(t, 19, listed)
}

// slow is an allocator that sleeps in the first run.
type slow struct {
	allocator.Allocator
	released <-chan struct{}
}

func (s slow) Run(now time.Time, out []allocator.Allotment) []allocator.Allotment {
	<-s.released
	return s.Allocator.Run(now, out)
}

func TestAPlainAllocatorThatTakesTooLongIsGivenUp(t *testing.T) {
	var out strings.Builder
	r := &report{name: "x", out: &out, progress: io.Discard}
	w := workload.Find("DeclineOffers")
	fast, err := measure(t.Context(), r, fastSide(), 1, w, w.Tiny)
	require.NoError(t, err)
	release := make(chan struct{})
	defer close(release)
	m, err := measure(t.Context(), r, side{name: "plain", cut: 50 * time.Millisecond,
		make: func(cfg allocator.Config) allocator.Allocator { return slow{hierarchical(cfg), release} }}, 3, w, w.Tiny)
	require.NoError(t, err)
	require.Equal(t, "first run", m.cut)
	require.Len(t, m.times("add slaves"), 1)
	require.Contains(t, out.String(), `and not done: given up`)
	ratio, err := compare(r, fast, m, "first run")
	require.NoError(t, err)
	require.Greater(t, ratio, 1.0)
	require.Contains(t, out.String(), "the ratio is at least ")
	_, err = compare(r, fast, m, "round")
	require.ErrorContains(t, err, `given up in "first run", before "round" could be compared`)
}

func TestDifferentNumbersOfOffersDoNotCompare(t *testing.T) {
	r := &report{out: io.Discard}
	result := func(offers int, digest uint64) measured {
		return measured{results: []workload.Result{{Offers: offers, Digest: digest, Phases: []workload.Phase{{Name: "p", Took: time.Duration(offers)}}}}}
	}
	ratio, err := compare(r, result(10, 1), result(10, 2), "p")
	require.NoError(t, err)
	require.InDelta(t, 1, ratio, 0)
	_, err = compare(r, result(10, 1), result(11, 1), "p")
	require.EqualError(t, err, "10 offers, the plain allocator made 11")
}

func TestTheSlopeIsThatOfAPower(t *testing.T) {
	var x, y []float64
	for _, n := range []float64{10, 100, 1000, 100_000} {
		x, y = append(x, math.Log(n)), append(y, math.Log(7*math.Pow(n, 1.25)))
	}
	require.InDelta(t, 1.25, slope(x, y), 1e-9)
}
