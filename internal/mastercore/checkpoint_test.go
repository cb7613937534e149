package mastercore

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/meros-project/meros/internal/image"
)

func coreImages(t testing.TB) *image.Codec[Core] {
	c, err := image.New[Core](StateTypes(), image.Field{Package: "github.com/tidwall/btree", Name: "isoid"})
	require.NoError(t, err)
	return c
}

// restore replaces a world's core by what comes out of its image.
func (w *world) restore(images *image.Codec[Core]) {
	b, err := images.Encode(nil, w.core)
	require.NoError(w.t, err)
	core, err := images.Decode(b)
	require.NoError(w.t, err)
	require.Equal(w.t, w.core.Describe(), core.Describe())
	require.NoError(w.t, core.Check())
	w.core = core
}

func TestACoreThatWasKeptAtAnyEventGoesOnTheSame(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		images := coreImages(t)
		data := randomScript(rapid.Uint64().Draw(rt, "seed"), 4000)
		rarely := rapid.IntRange(1, 40).Draw(rt, "every")
		first, second := newWorld(t, Config{OfferTimeout: -1}), newWorld(t, Config{OfferTimeout: -1})
		s := script{data}
		for n := 0; len(s.data) > 0; n++ {
			line := s.line()
			if n%rarely == 0 {
				second.restore(images)
			}
			require.Equal(t, first.line(line), second.line(line), "line %d: %s", n, line)
		}
		require.Equal(t, first.core.Describe(), second.core.Describe())
	})
}

// TestStateTypesAreComplete reads the source: what goes on after a commit, changes and jobs are found by their methods.
func TestStateTypesAreComplete(t *testing.T) {
	images := coreImages(t)
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	found := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		for _, m := range regexp.MustCompile(`(?m)^func \((?:\w+ )?\*(\w+)\) (?:committed|apply|run)\(c \*Core`).FindAllSubmatch(text, -1) {
			found++
			require.True(t, images.Knows("*mastercore."+string(m[1])), "%s is not in StateTypes", m[1])
		}
	}
	require.GreaterOrEqual(t, found, 19)
}
