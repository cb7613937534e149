package resource_test

import (
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/meros-project/meros/offer/resource"
)

// genStack draws no reservation, a static one, or a stack; few roles, so that identities meet.
func genStack(t *rapid.T) []resource.Reservation {
	static := resource.Reservation{Role: "a"}
	dynamic := resource.Reservation{Type: resource.Dynamic, Role: "a/b", Principal: "p", Labels: []resource.Label{{Key: "k", Value: "v"}}}
	return rapid.SampledFrom([][]resource.Reservation{nil, nil, {static}, {{Type: resource.Dynamic, Role: "c"}}, {static, dynamic}}).Draw(t, "stack")
}

// generator draws resources. Ports and items come from the given parity of numbers, so that two draws of different parity are disjoint.
func generator(parity uint64) *rapid.Generator[resource.Resources] {
	return rapid.Custom(func(t *rapid.T) resource.Resources {
		var items []resource.Resource
		for _, name := range []string{"cpus", "mem", "x"} {
			for range rapid.IntRange(0, 2).Draw(t, "entries of "+name) {
				r := resource.NewScalar(name, resource.Scalar(rapid.Int64Range(0, 5000).Draw(t, name)))
				r.Reservations = genStack(t)
				r.Revocable = len(r.Reservations) == 0 && rapid.Bool().Draw(t, "revocable")
				items = append(items, r)
			}
		}
		used := map[uint64]bool{}
		for range rapid.IntRange(0, 4).Draw(t, "ports") {
			v := rapid.Uint64Range(0, 20).Draw(t, "port")*2 + parity
			if used[v] {
				continue
			}
			used[v] = true
			ports, set := resource.NewRanges("ports", resource.Range{Begin: v, End: v}), resource.NewItems("set", fmt.Sprint(v))
			ports.Reservations, set.Reservations = genStack(t), genStack(t)
			items = append(items, ports, set)
		}
		for i := range rapid.IntRange(0, 2).Draw(t, "volumes") {
			v := volume(fmt.Sprintf("v%d-%d", i, parity), rapid.Int64Range(1, 2).Draw(t, "size"))
			items = append(items, v)
		}
		r, err := resource.New(items...)
		if err != nil {
			t.Fatal(err)
		}
		if rapid.Bool().Draw(t, "shared") {
			r = r.Add(shared("s", rapid.IntRange(0, 3).Draw(t, "count")))
		}
		return r
	})
}

func TestAlgebra(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := generator(0).Draw(t, "a"), generator(1).Draw(t, "b"), generator(0).Draw(t, "c")
		sum := a.Add(b)
		require.NoError(t, sum.Validate(resource.Limits{}))
		require.True(t, sum.Equal(b.Add(a)), "commutes")
		require.True(t, sum.Add(c).Equal(a.Add(b.Add(c))), "associates")
		require.True(t, sum.Contains(a) && sum.Contains(b) && sum.Contains(nil))
		back, ok := sum.Sub(b)
		require.True(t, ok)
		require.True(t, back.Equal(a), "%s + %s - b = %s", a, b, back)
		require.Equal(t, a.Key(), back.Key())
		require.Equal(t, a.Key() == c.Key(), a.Equal(c))
		nothing, ok := a.Sub(a)
		require.True(t, ok)
		require.True(t, nothing.Empty())
		if rest, ok := a.Sub(c); ok {
			require.True(t, a.Contains(c))
			require.NoError(t, rest.Validate(resource.Limits{}))
			require.True(t, rest.Add(c).Equal(a))
		} else {
			require.True(t, rest.Equal(a))
		}
		if !b.Empty() && a.Shared().Empty() {
			require.False(t, a.Contains(sum), "a part does not contain the whole")
		}
		require.Equal(t, a.NonShared().Quantities().Add(b.NonShared().Quantities()), sum.NonShared().Quantities())
		require.True(t, a.Quantities().Fits(sum.Quantities()))
		require.True(t, a.Reserved().Add(a.Unreserved()).Equal(a))
		require.Equal(t, a.Quantities(), a.Unstacked().Quantities())
		again, err := resource.New(sum...)
		require.NoError(t, err)
		require.True(t, again.Equal(sum), "New of a canonical value is the same value")
	})
}

func TestPrintedIsParsedBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := generator(0).Draw(t, "r")
		out, err := json.Marshal(r)
		require.NoError(t, err)
		back, err := resource.Parse(string(out))
		require.NoError(t, err)
		require.True(t, back.Equal(r), "json: %s", out)

		text := r.Filter(func(e resource.Resource) bool {
			return len(e.Reservations) <= 1 && !e.DynamicallyReserved() && !e.Revocable && e.Volume == nil
		})
		back, err = resource.Parse(text.String())
		require.NoError(t, err)
		require.True(t, back.Equal(text), "text: %s", text)
	})
}

func TestFindTakesNoMoreThanThereIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		have, want := generator(0).Draw(t, "have"), generator(0).Draw(t, "want").Unstacked()
		got, ok := have.Find(want)
		if !ok {
			return
		}
		require.True(t, have.Contains(got))
		require.NoError(t, got.Validate(resource.Limits{}))
		require.True(t, got.Unstacked().Equal(want), "wanted %s, got %s", want, got)
	})
}

// TestSumsStayExact runs 10^5 additions and subtractions (R5) beside exact rational numbers.
func TestSumsStayExact(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	var held []resource.Resources
	var total resource.Resources
	exact := new(big.Rat)
	for range 100_000 {
		if len(held) > 0 && (len(held) > 200 || rng.IntN(2) == 0) {
			i := rng.IntN(len(held))
			left, ok := total.Sub(held[i])
			require.True(t, ok)
			exact.Sub(exact, big.NewRat(int64(held[i].CPUs()), 1000))
			total, held[i] = left, held[len(held)-1]
			held = held[:len(held)-1]
		} else {
			amount := resource.Scalar(rng.Int64N(10_000) + 1)
			entry := resource.NewScalar("cpus", amount)
			if rng.IntN(3) == 0 {
				entry.Reservations = []resource.Reservation{{Role: "a"}}
			}
			r := resource.Resources{entry}
			total, held = total.Add(r), append(held, r)
			exact.Add(exact, big.NewRat(int64(amount), 1000))
		}
		if total.CPUs() < 0 || exact.Cmp(big.NewRat(int64(total.CPUs()), 1000)) != 0 {
			t.Fatalf("%v is not %v", total.CPUs(), exact)
		}
	}
	for _, r := range held {
		left, ok := total.Sub(r)
		require.True(t, ok)
		total = left
	}
	require.True(t, total.Empty(), "what was added comes off without a rest: %s", total)
}
