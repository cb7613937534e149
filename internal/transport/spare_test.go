package transport

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestShortSlicesStayAndLongOnesGoRound(t *testing.T) {
	var spare Spare[*int]
	one := new(int)
	s := spare.Room([]*int{one}, keptItems-1)
	require.Equal(t, 1, cap(s), "what is short is left as it is")
	s = spare.Emptied(append(make([]*int, 0, keptItems), one))
	require.Equal(t, keptItems, cap(s))
	require.Nil(t, s[:1][0], "nothing is kept alive")
	require.Nil(t, spare.Emptied(make([]*int, 0, spareItems+1)), "what is very long is let go")
	for range 100 { // a pool may lose what it is given, such as under the race detector
		require.Nil(t, spare.Emptied(make([]*int, keptItems+1, 3*keptItems)))
		s = spare.Room([]*int{one}, 2*keptItems)
		require.Equal(t, []*int{one}, s)
		if cap(s) == 3*keptItems {
			for _, p := range s[:cap(s)][1:] {
				require.Nil(t, p)
			}
			return
		}
	}
	t.Fatal("a long slice was never lent again")
}

func TestAnEmptiedSliceCostsNothing(t *testing.T) {
	var spare Spare[*int]
	s := make([]*int, 10)
	require.Zero(t, testing.AllocsPerRun(100, func() { s = spare.Emptied(spare.Room(s, 5)) }))
}
