package resource_test

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/offer/resource"
)

func TestRangesTables(t *testing.T) {
	parse := func(text string) resource.Ranges {
		r, err := resource.ParseRanges(text)
		require.NoError(t, err)
		return r.Normalize()
	}
	require.Equal(t, "[1-7,9-9]", parse("[5-7,1-3,4,9]").String())
	require.Equal(t, "[1-10]", parse("[1-10,3-4,2-2]").String())
	require.Equal(t, "[1-1]", resource.Ranges{{5, 2}, {1, 1}}.Normalize().String())
	require.Equal(t, "[1-2,6-10]", parse("[1-10]").Sub(parse("[3-5]")).String())
	require.Equal(t, "[1-5]", parse("[1-2,4-5]").Add(parse("[3]")).String())
	require.Equal(t, "[3-4,8-9]", parse("[1-4,8-12]").Intersect(parse("[3-9]")).String())
	require.Equal(t, "[1-2,8-8]", parse("[1-2,8-12]").Take(3).String())
	require.Equal(t, "[1-2]", parse("[1-2]").Take(9).String())
	require.Empty(t, parse("[1-2]").Take(0))
	require.True(t, parse("[31000-32000]").Has(32000))
	require.False(t, parse("[31000-32000]").Has(32001))
	require.False(t, parse("[1-2,4-5]").Contains(parse("[2-4]")))
}

func TestRangesAtTheEndOfUint64(t *testing.T) {
	all := resource.Ranges{{0, math.MaxUint64}}
	require.Equal(t, uint64(math.MaxUint64), all.Count())
	require.Equal(t, resource.Ranges{{0, 4}, {6, math.MaxUint64}}, all.Sub(resource.Ranges{{5, 5}}))
	require.Empty(t, all.Sub(all))
	require.Equal(t, all, all.Sub(resource.Ranges{{5, 5}}).Add(resource.Ranges{{5, 5}}))
	require.Equal(t, all, resource.Ranges{{3, math.MaxUint64}, {0, math.MaxUint64}}.Normalize())
	last := resource.Ranges{{math.MaxUint64 - 1, math.MaxUint64}}
	require.Equal(t, []uint64{math.MaxUint64 - 1, math.MaxUint64}, slices.Collect(last.Values()))
	require.Equal(t, resource.Ranges{{0, 9}}, all.Take(10))
	require.Equal(t, all, all.Take(math.MaxUint64).Add(last))
}

func TestTakeDoesNotWriteToItsReceiver(t *testing.T) {
	r := resource.Ranges{{1, 2}, {5, 9}}
	require.Equal(t, resource.Ranges{{1, 2}, {5, 5}}, r.Take(3))
	require.Equal(t, resource.Ranges{{1, 2}, {5, 9}}, r)
}

func TestValuesStopsEarly(t *testing.T) {
	var got []uint64
	for v := range (resource.Ranges{{1, 3}, {7, 9}}).Values() {
		if got = append(got, v); v == 2 {
			break
		}
	}
	require.Equal(t, []uint64{1, 2}, got)
}

// bits is the naive model: a bit for each of 64 values above an offset.
type bits uint64

func model(base uint64, data []byte) (resource.Ranges, bits) {
	var r resource.Ranges
	var m bits
	for ; len(data) >= 2; data = data[2:] {
		b, e := uint64(data[0]%64), uint64(data[1]%64)
		r = append(r, resource.Range{Begin: base + b, End: base + e})
		for v := b; v <= e; v++ {
			m |= 1 << v
		}
	}
	return r.Normalize(), m
}

func (m bits) ranges(base uint64) resource.Ranges {
	var r resource.Ranges
	for v := range uint64(64) {
		if m>>v&1 == 0 {
			continue
		}
		if n := len(r); n > 0 && r[n-1].End == base+v-1 {
			r[n-1].End++
		} else {
			r = append(r, resource.Range{Begin: base + v, End: base + v})
		}
	}
	return r
}

func (m bits) values(base uint64) []uint64 {
	var out []uint64
	for v := range uint64(64) {
		if m>>v&1 == 1 {
			out = append(out, base+v)
		}
	}
	return out
}

func FuzzRanges(f *testing.F) {
	f.Add(false, []byte{1, 5, 7, 9}, []byte{5, 7}, uint8(3))
	f.Add(true, []byte{0, 63}, []byte{63, 63, 0, 0}, uint8(64))
	f.Add(true, []byte{60, 63, 2, 1}, []byte{}, uint8(0))
	f.Fuzz(func(t *testing.T, high bool, x, y []byte, n uint8) {
		base := uint64(0)
		if high {
			base = math.MaxUint64 - 63
		}
		a, ma := model(base, x)
		b, mb := model(base, y)
		before := slices.Clone(a)
		same := func(m bits, r resource.Ranges) {
			t.Helper()
			require.True(t, m.ranges(base).Equal(r), "want %v, got %v", m.ranges(base), r)
		}
		same(ma, a)
		same(ma|mb, a.Add(b))
		same(ma&^mb, a.Sub(b))
		same(ma&mb, a.Intersect(b))
		require.Equal(t, ma&mb != 0, a.Intersects(b))
		require.Equal(t, mb&^ma == 0, a.Contains(b))
		values := ma.values(base)
		require.Equal(t, uint64(len(values)), a.Count())
		require.Equal(t, values, slices.Collect(a.Values()))
		taken := slices.Collect(a.Take(uint64(n)).Values())
		require.True(t, slices.Equal(values[:min(len(values), int(n))], taken), "take %d: %v", n, taken)
		require.True(t, before.Equal(a), "an operation wrote to its receiver")
	})
}
