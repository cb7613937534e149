package process

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAFileIsReadWholeAndOneThatIsMissingIsNamed(t *testing.T) {
	dir := t.TempDir()
	for _, n := range []int{0, 1, 4096, 10_000} {
		path := filepath.Join(dir, "file")
		want := bytes.Repeat([]byte{'x'}, n)
		require.NoError(t, os.WriteFile(path, want, 0o600))
		got, err := ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, string(want), string(got))
	}
	missing := filepath.Join(dir, "missing")
	_, err := ReadFile(missing)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, missing)
	_, err = ReadFile(dir)
	require.ErrorContains(t, err, "read "+dir)
}
