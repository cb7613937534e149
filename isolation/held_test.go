package isolation

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHeldContainersAreFoundUntilTheyAreDropped(t *testing.T) {
	var h Held[int]
	require.False(t, h.With("a", func(*int) { require.Fail(t, "there is none") }))
	h.Drop("a")
	n, m := 1, 7
	h.Put("a", &n)
	h.Put("b", &m)
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() { h.With("a", func(n *int) { *n++ }) })
	}
	all.Wait()
	require.True(t, h.With("a", func(n *int) { require.Equal(t, 101, *n) }))
	h.Put("a", &m)
	require.True(t, h.With("a", func(n *int) { require.Equal(t, 7, *n) }))
	h.Drop("a")
	require.False(t, h.With("a", func(*int) {}))
	require.True(t, h.With("b", func(n *int) { require.Equal(t, 7, *n) }))
}
