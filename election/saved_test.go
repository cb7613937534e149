package election

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type text string

func (s text) WriteTo(w io.Writer) (int64, error) {
	n, err := io.WriteString(w, string(s))
	return int64(n), err
}

func (text) Release() {}

func saved(t *testing.T, state string) ([]byte, Saved) {
	about := Saved{Cluster: "east", ClusterID: "east-1", Reign: 7, Index: 42, Taken: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)}
	var b bytes.Buffer
	require.NoError(t, WriteSaved(&b, about, text(state)))
	return b.Bytes(), about
}

func TestASavedStateComesBackAsItWas(t *testing.T) {
	for _, state := range []string{"", "x", strings.Repeat("state", 1<<18)} {
		data, about := saved(t, state)
		dir := t.TempDir()
		path := filepath.Join(dir, "backup")
		kept, err := KeepSaved(path, bytes.NewReader(data))
		require.NoError(t, err)
		require.Equal(t, about, kept)
		f, err := OpenSaved(path)
		require.NoError(t, err)
		require.Equal(t, about, f.Saved)
		for range 2 { // from the beginning each time
			back, err := io.ReadAll(f.State())
			require.NoError(t, err)
			require.Equal(t, state, string(back))
		}
		require.NoError(t, f.Close())
		_, err = KeepSaved(path, bytes.NewReader(data))
		require.ErrorContains(t, err, "is there already")
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Len(t, left, 1)
		mode, err := left[0].Info()
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), mode.Mode())
	}
}

// Every prefix and every changed byte is refused, and leaves no file.
func TestADamagedSavedStateIsRefused(t *testing.T) {
	data, _ := saved(t, "the state")
	dir := t.TempDir()
	path := filepath.Join(dir, "backup")
	refused := func(data []byte) string {
		_, err := KeepSaved(path, bytes.NewReader(data))
		require.ErrorIs(t, err, ErrSaved)
		left, readErr := os.ReadDir(dir)
		require.NoError(t, readErr)
		require.Empty(t, left)
		return err.Error()
	}
	for n := range data {
		refused(data[:n])
		changed := bytes.Clone(data)
		changed[n] ^= 1
		refused(changed)
	}
	later := bytes.Clone(data)
	later[len(savedMagic)] = '2'
	require.Contains(t, refused(later), `has format '2', this program knows '1'`)
	require.Contains(t, refused([]byte("#!/bin/sh\n")), `opens with "#!/bin/"`)
	require.Contains(t, refused(append(bytes.Clone(data), 0)), "cut short or damaged")

	_, err := KeepSaved(path, io.MultiReader(bytes.NewReader(data[:10]), brokenReader{}))
	require.ErrorIs(t, err, errBroken)
	_, err = OpenSaved(path)
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = OpenSaved(dir)
	require.ErrorIs(t, err, ErrSaved)
}

var errBroken = errors.New("the line is broken")

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errBroken }
