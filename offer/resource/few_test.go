package resource

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestFewEntriesAreAddedAndSubtractedAlike compares the ways for a few entries with what the one for many gives, entry by entry.
func TestFewEntriesAreAddedAndSubtractedAlike(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pick := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "n") }
		entry := func() Resource {
			e := Resource{Name: Disk, Scalar: Units(int64(1 + pick(3))), Reservations: []Reservation{{Role: string([]byte{'a' + byte(pick(20))})}}}
			switch pick(5) {
			case 0:
				e = NewRanges(Ports, Range{uint64(pick(50)), uint64(50 + pick(50))})
				e.Reservations = []Reservation{{Role: string([]byte{'a' + byte(pick(20))})}}
			case 1:
				e.Volume = &Volume{ID: string([]byte{'v' + byte(pick(3))}), ContainerPath: "p"}
				if e.Shared = pick(2) == 0; e.Shared {
					e.Scalar = Units(1)
				}
			}
			return e
		}
		var many Resources
		for range 40 + pick(40) {
			many = many.merged(Resources{entry()})
		}
		for range 3 {
			o := Resources{entry()}
			if pick(2) == 0 {
				o = Resources{many[pick(len(many))]}
			}
			require.Equal(t, many.merged(o), many.Add(o))
			left, ok := many.Sub(o)
			require.Equal(t, many.Contains(o), many.covers(o, false))
			if !ok {
				continue
			}
			require.True(t, left.Add(o).Equal(many) || o[0].Type == RangesType, "%s without %s is %s", many, o, left)
			if o[0].Type == RangesType {
				require.False(t, left.ContainsAny(o))
			}
		}
	})
}

// merged is Add without regard to lengths.
func (r Resources) merged(o Resources) Resources {
	out := append(append(Resources(nil), r...), o...)
	return canonical(out)
}
