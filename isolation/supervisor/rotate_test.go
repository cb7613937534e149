package supervisor

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// openLog makes a rotated file in a folder of its own.
func openLog(t testing.TB, limit int64, keep int) (*rotated, string) {
	dir := t.TempDir()
	f, err := openSandbox(dir)
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	r, err := openRotated(f, "out", nil, limit, keep)
	require.NoError(t, err)
	t.Cleanup(func() { _ = r.file.Close() })
	return r, dir
}

func read(t require.TestingT, path ...string) string {
	b, err := os.ReadFile(filepath.Join(path...))
	require.NoError(t, err)
	return string(b)
}

func write(t testing.TB, r *rotated, text string) {
	n, err := r.Write([]byte(text))
	require.NoError(t, err)
	require.Equal(t, len(text), n)
}

func TestAFullFileIsRenamedAndTheOldestIsDropped(t *testing.T) {
	r, dir := openLog(t, 10, 2)
	for i := range 5 {
		write(t, r, fmt.Sprintf("line %d\n", i))
	}
	require.Equal(t, "line 4\n", read(t, dir, "out"))
	require.Equal(t, "line 3\n", read(t, dir, "out.1"))
	require.Equal(t, "line 2\n", read(t, dir, "out.2"))
	require.NoFileExists(t, filepath.Join(dir, "out.3"))
	r, dir = openLog(t, 10, 0)
	write(t, r, "0123456789abc")
	require.Equal(t, "abc", read(t, dir, "out"))
	require.NoFileExists(t, filepath.Join(dir, "out.1"))
}

func TestWhatIsKeptIsTheEndOfWhatWasWritten(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		limit := rapid.Int64Range(1, 40).Draw(rt, "limit")
		keep := rapid.IntRange(0, 3).Draw(rt, "keep")
		r, dir := openLog(t, limit, keep)
		var all bytes.Buffer
		for i := range rapid.IntRange(1, 30).Draw(rt, "writes") {
			b := bytes.Repeat([]byte{byte('a' + i%26)}, rapid.IntRange(0, 50).Draw(rt, "length"))
			if len(b) > 0 && rapid.Bool().Draw(rt, "line") {
				b[rapid.IntRange(0, len(b)-1).Draw(rt, "end")] = '\n'
			}
			all.Write(b)
			_, _ = r.Write(b)
		}
		var kept string
		for i := keep; i >= 0; i-- {
			name := "out"
			if i > 0 {
				name = fmt.Sprintf("out.%d", i)
			}
			b, err := os.ReadFile(filepath.Join(dir, name))
			if i > 0 && os.IsNotExist(err) {
				continue
			}
			require.NoError(rt, err)
			require.LessOrEqual(rt, int64(len(b)), limit)
			kept += string(b)
		}
		require.True(rt, strings.HasSuffix(all.String(), kept), "%q ends with %q", all.String(), kept)
		if int64(all.Len()) <= limit {
			require.Equal(rt, all.String(), kept)
		}
		_ = r.file.Close()
	})
}

func TestWhateverATaskPutsInTheWayHarmsNobodyAndBoundsHold(t *testing.T) {
	victim := filepath.Join(t.TempDir(), "victim")
	require.NoError(t, os.WriteFile(victim, []byte("precious"), 0o600))
	must := func(err error) { require.NoError(t, err) }
	for name, put := range map[string]func(dir, name string){
		"a link":        func(dir, name string) { must(os.Symlink(victim, filepath.Join(dir, name))) },
		"a hard link":   func(dir, name string) { must(os.Link(victim, filepath.Join(dir, name))) },
		"a fifo":        func(dir, name string) { must(unix.Mkfifo(filepath.Join(dir, name), 0o666)) },
		"a folder":      func(dir, name string) { must(os.MkdirAll(filepath.Join(dir, name, "full"), 0o755)) },
		"another file":  func(dir, name string) { must(os.WriteFile(filepath.Join(dir, name), []byte("mine"), 0o600)) },
		"nothing":       func(string, string) {},
		"a dead socket": func(dir, name string) { must(unix.Mknod(filepath.Join(dir, name), unix.S_IFSOCK|0o600, 0)) },
	} {
		for _, at := range []string{"out", "out.1", "out.2"} {
			r, dir := openLog(t, 100, 2)
			write(t, r, strings.Repeat("x", 90))
			if at == "out" {
				must(os.Rename(filepath.Join(dir, "out"), filepath.Join(dir, "elsewhere")))
			}
			put(dir, at)
			for range 20 {
				write(t, r, strings.Repeat("y", 90))
			}
			var st unix.Stat_t
			require.NoError(t, unix.Fstat(int(r.file.Fd()), &st))
			require.LessOrEqual(t, st.Size, int64(100), "%s at %s", name, at)
			require.Zero(t, r.lost)
			require.Equal(t, "precious", read(t, victim), "%s at %s", name, at)
			must(os.Chmod(victim, 0o600))
			entries, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.LessOrEqual(t, len(entries), 4)
		}
	}
}

func TestAFileThatTheTaskEmptiesIsNotFull(t *testing.T) {
	r, dir := openLog(t, 100, 1)
	write(t, r, strings.Repeat("x", 100))
	require.NoError(t, os.Truncate(filepath.Join(dir, "out"), 0))
	write(t, r, "more")
	require.Equal(t, "more", read(t, dir, "out"))
	require.NoFileExists(t, filepath.Join(dir, "out.1"))
}

func TestWhatAFullDiskDoesNotTakeIsCountedAndSaid(t *testing.T) {
	r, dir := openLog(t, 1000, 1)
	good := r.file
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("this system has no /dev/full:", err)
	}
	defer full.Close()
	r.file = full
	write(t, r, "lost\n")
	write(t, r, "lost too\n")
	r.file = good
	write(t, r, "kept\n")
	require.Equal(t, "\n[14 bytes of output are missing here: no space left on device]\nkept\n", read(t, dir, "out"))
}

func TestAnOutputFileThatIsNotItsOwnIsRefusedAtTheStart(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "out"), 0o666))
	f, err := openSandbox(dir)
	require.NoError(t, err)
	defer f.Close()
	_, err = openRotated(f, "out", nil, 10, 1)
	require.ErrorContains(t, err, "is a fifo")
	require.NoError(t, os.Symlink(dir, dir+"-link"))
	_, err = openSandbox(dir + "-link")
	require.Error(t, err)
}
