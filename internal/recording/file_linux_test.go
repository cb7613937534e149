package recording

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAFileThatCannotBeWrittenDirectlyIsWrittenAllTheSame(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "a.rec")
	f, err := create(path)
	require.NoError(t, err)
	whole := append(aligned(2*sector), bytes.Repeat([]byte("w"), sector)...)
	require.True(t, isAligned(whole))
	part := pad(append(aligned(2*sector), "part"...))
	require.Len(t, part, sector)
	odd := []byte("odd") // what a file system says to this, it may say to all
	var want []byte
	for _, b := range [][]byte{whole, part, odd, whole} {
		n, err := f.Write(b)
		require.NoError(t, err)
		require.Equal(t, len(b), n)
		want = append(want, b...)
	}
	require.NoError(t, f.Close())
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, got))
	_, err = create(path)
	require.ErrorIs(t, err, os.ErrExist)
}
