package disk

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/meros-project/meros/isolation/isolationtest"
)

func usePlainOpen(t *testing.T, plain bool) {
	plainOpen.Store(plain)
	t.Cleanup(func() { plainOpen.Store(false) })
}

func TestWhatIsMountedIsNotLookedAtNorRemoved(t *testing.T) {
	isolationtest.NeedsRoot(t)
	for _, plain := range []bool{false, true} {
		t.Run(fmt.Sprint("without openat2: ", plain), func(t *testing.T) {
			usePlainOpen(t, plain)
			base := t.TempDir()
			dir, other := filepath.Join(base, "dir"), filepath.Join(base, "other")
			fill(t, filepath.Join(other, "file"), mebi)
			require.NoError(t, os.MkdirAll(filepath.Join(dir, "x/tmpfs"), 0o755))
			require.NoError(t, os.Mkdir(filepath.Join(dir, "x/bind"), 0o755))
			mount := func(source, target, kind string, flags uintptr) {
				require.NoError(t, syscall.Mount(source, target, kind, flags, ""))
				t.Cleanup(func() { _ = syscall.Unmount(target, syscall.MNT_DETACH) })
			}
			mount("test", filepath.Join(dir, "x/tmpfs"), "tmpfs", 0)
			fill(t, filepath.Join(dir, "x/tmpfs/file"), mebi)
			if !plain { // one of the same device is found with openat2 only
				mount(other, filepath.Join(dir, "x/bind"), "", syscall.MS_BIND)
			}
			fill(t, filepath.Join(dir, "x/y/file"), 1)
			n, _, err := measure(t.Context(), newPace(), dir, 1000)
			require.NoError(t, err)
			require.Less(t, n, uint64(32<<10))

			err = Empty(t.Context(), dir)
			require.ErrorIs(t, err, unix.EBUSY)
			require.NoDirExists(t, filepath.Join(dir, "x/y"))
			require.FileExists(t, filepath.Join(other, "file"))
			require.FileExists(t, filepath.Join(dir, "x/tmpfs/file"))
			require.NoError(t, syscall.Unmount(filepath.Join(dir, "x/tmpfs"), 0))
			if !plain {
				require.NoError(t, syscall.Unmount(filepath.Join(dir, "x/bind"), 0))
			}
			require.NoError(t, Empty(t.Context(), dir))
			require.FileExists(t, filepath.Join(other, "file"))
			left, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
}
