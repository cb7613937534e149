package allocator

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/meros-project/meros/internal/image"
)

// TestAnAllocatorThatWasKeptAtAnyEventGoesOnTheSame replaces the twin of the model by what comes out of its image, as a recording does.
func TestAnAllocatorThatWasKeptAtAnyEventGoesOnTheSame(t *testing.T) {
	images, err := image.New[Hierarchical](nil)
	require.NoError(t, err)
	rapid.Check(t, func(t *rapid.T) {
		draw := rapid.IntRange(0, 1<<20)
		every := rapid.IntRange(1, 20).Draw(t, "every")
		m := newModel(t, func(n int) int { return draw.Draw(t, "n") % n })
		for i := range rapid.IntRange(1, 120).Draw(t, "events") {
			m.step()
			if i%every != 0 {
				continue
			}
			b, err := images.Encode(nil, m.twin)
			require.NoError(t, err)
			before := m.twin.Describe()
			m.twin, err = images.Decode(b)
			require.NoError(t, err)
			require.Equal(t, before, m.twin.Describe())
			require.NoError(t, m.twin.Check())
		}
	})
}
