package unpack_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/isolation/unpack"
)

var when = time.Unix(1_700_000_000, 0)

func tarOf(entries ...tar.Header) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range entries {
		content := h.PAXRecords["MEROS.content"]
		h.PAXRecords = nil
		h.Size = int64(len(content))
		h.ModTime = when
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if err := w.WriteHeader(&h); err != nil {
			panic(err)
		}
		_, _ = w.Write([]byte(content))
	}
	_ = w.Close()
	return b.Bytes()
}

func file(name, content string) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeReg, PAXRecords: map[string]string{"MEROS.content": content}}
}
func link(name, target string) tar.Header {
	return tar.Header{Name: name, Linkname: target, Typeflag: tar.TypeSymlink}
}
func hard(name, target string) tar.Header {
	return tar.Header{Name: name, Linkname: target, Typeflag: tar.TypeLink}
}
func of(kind byte, name string) tar.Header {
	return tar.Header{Name: name, Typeflag: kind, Mode: 0o755}
}

func gz(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write(b)
	_ = w.Close()
	return out.Bytes()
}

func zipOf(entries map[string]string, modes map[string]fs.FileMode) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, content := range entries {
		h := &zip.FileHeader{Name: name, Method: zip.Deflate}
		h.SetMode(0o644)
		if m, ok := modes[name]; ok {
			h.SetMode(m)
		}
		f, err := w.CreateHeader(h)
		if err != nil {
			panic(err)
		}
		_, _ = f.Write([]byte(content))
	}
	_ = w.Close()
	return b.Bytes()
}

// place is a folder to unpack into, with something beside it that no archive may reach.
type place struct {
	t     testing.TB
	outer string
	root  *os.Root
}

func newPlace(t testing.TB) *place {
	p := &place{t: t, outer: t.TempDir()}
	require.NoError(t, os.WriteFile(filepath.Join(p.outer, "secret"), []byte("secret"), 0o600))
	require.NoError(t, os.Mkdir(p.dir(), 0o755))
	var err error
	p.root, err = os.OpenRoot(p.dir())
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.root.Close() })
	return p
}

func (p *place) dir() string { return filepath.Join(p.outer, "sandbox") }

func (p *place) archive(name string, b []byte, o unpack.Options) error {
	f, err := os.CreateTemp(p.t.TempDir(), "archive")
	require.NoError(p.t, err)
	defer f.Close()
	_, err = f.Write(b)
	require.NoError(p.t, err)
	_, err = f.Seek(0, io.SeekStart)
	require.NoError(p.t, err)
	return unpack.Archive(context.Background(), p.root, name, f, o)
}

// unharmed shows that nothing outside was touched, and that nothing inside can hurt who works there.
func (p *place) unharmed(rootfs bool) {
	names, err := os.ReadDir(p.outer)
	require.NoError(p.t, err)
	require.Len(p.t, names, 2, "something was written outside")
	b, err := os.ReadFile(filepath.Join(p.outer, "secret"))
	require.NoError(p.t, err)
	require.Equal(p.t, "secret", string(b))
	st, err := os.Stat(filepath.Join(p.outer, "secret"))
	require.NoError(p.t, err)
	require.Equal(p.t, fs.FileMode(0o600), st.Mode())
	require.EqualValues(p.t, 1, st.Sys().(*syscall.Stat_t).Nlink, "a hard link to the outside")
	inside, err := filepath.EvalSymlinks(p.dir())
	require.NoError(p.t, err)
	require.NoError(p.t, filepath.WalkDir(p.dir(), func(path string, e fs.DirEntry, err error) error {
		require.NoError(p.t, err)
		i, err := e.Info()
		require.NoError(p.t, err)
		switch {
		case i.Mode()&fs.ModeSymlink != 0 && !rootfs:
			if to, err := filepath.EvalSymlinks(path); err == nil {
				require.True(p.t, to == inside || strings.HasPrefix(to, inside+"/"), "%s leads to %s", path, to)
			}
		case i.Mode()&(fs.ModeDevice|fs.ModeNamedPipe|fs.ModeSocket|fs.ModeIrregular) != 0:
			p.t.Fatalf("%s is %v", path, i.Mode())
		case i.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0:
			p.t.Fatalf("%s is %v", path, i.Mode())
		}
		return nil
	}))
}

func (p *place) content(name string) string {
	b, err := os.ReadFile(filepath.Join(p.dir(), name))
	require.NoError(p.t, err)
	return string(b)
}

func TestArchivesOfEveryFormatAreUnpacked(t *testing.T) {
	entries := []tar.Header{of(tar.TypeDir, "bin/"), file("./bin/run", "one"), file("deep/er/file", "two"), link("bin/same", "run"), link("bin/up", "../deep/er/file"),
		hard("again", "bin/run"), file("bin/run", "three")}
	entries[1].Mode = 0o755
	b := tarOf(entries...)
	for name, packed := range map[string][]byte{"a.tar": b, "a.tar.gz": gz(b), "a.tgz": gz(b)} {
		p := newPlace(t)
		require.NoError(t, p.archive(name, packed, unpack.Options{}), name)
		require.Equal(t, "three", p.content("bin/run"), "the last entry of a name wins")
		require.Equal(t, "three", p.content("bin/same"))
		require.Equal(t, "two", p.content("bin/up"))
		require.Equal(t, "one", p.content("again"), "what was replaced was not written through")
		p.unharmed(false)
	}
	p := newPlace(t)
	require.NoError(t, p.archive("a.zip", zipOf(map[string]string{"x/y": "zipped", "run": "r", "l": "x/y"},
		map[string]fs.FileMode{"run": 0o755, "l": fs.ModeSymlink | 0o777}), unpack.Options{}))
	require.Equal(t, "zipped", p.content("x/y"))
	require.Equal(t, "zipped", p.content("l"))
	st, err := os.Stat(filepath.Join(p.dir(), "run"))
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o755), st.Mode())
	require.NoError(t, p.archive("notes.txt.gz", gz([]byte("text")), unpack.Options{}))
	require.Equal(t, "text", p.content("notes.txt"))
	// `printf x | tar` and bzip2 cannot be asked for on every machine: this holds one file "f" with "bz\n".
	bz, err := base64.StdEncoding.DecodeString(tarBz2)
	require.NoError(t, err)
	require.NoError(t, p.archive("a.tar.bz2", bz, unpack.Options{}))
	require.Equal(t, "bz\n", p.content("f"))
	p.unharmed(false)
}

// Each of these is refused, and harms nothing.
func TestHostileArchivesAreRefused(t *testing.T) {
	long := strings.Repeat("d/", 200) + "f"
	for name, c := range map[string]struct {
		entries []tar.Header
		want    string
	}{
		"a name that climbs":             {[]tar.Header{file("../secret", "x")}, `entry "../secret": has a name with ".."`},
		"a name that climbs later":       {[]tar.Header{file("a/../../secret", "x")}, `has a name with ".."`},
		"an absolute name":               {[]tar.Header{file("/etc/cron.d/x", "x")}, "has an absolute name"},
		"an absolute folder":             {[]tar.Header{of(tar.TypeDir, "/tmp/x/")}, "has an absolute name"},
		"a link out":                     {[]tar.Header{link("l", "../secret")}, `is a link that leads out, to "../secret"`},
		"an absolute link":               {[]tar.Header{link("l", "/etc/passwd")}, "is a link that leads out"},
		"a link out by way of down":      {[]tar.Header{link("l", "a/../../secret")}, "is a link that leads out"},
		"writing through a link":         {[]tar.Header{link("l", "."), file("l/x", "x")}, `lies below "l", which is no folder but a link`},
		"a climb through a link":         {[]tar.Header{of(tar.TypeDir, "p/q"), link("p/q/l", "../.."), link("m", "p/q/l/..")}, "is a link that leads out"},
		"a link moved up by a hard link": {[]tar.Header{of(tar.TypeDir, "a/b"), link("a/b/l", "../.."), hard("l", "a/b/l")}, "which is a link"},
		"a hard link out":                {[]tar.Header{hard("l", "../secret")}, `is a link to what has a name with ".."`},
		"a hard link to the root":        {[]tar.Header{hard("l", "/etc/passwd")}, "is a link to what has an absolute name"},
		"a hard link through a link":     {[]tar.Header{link("d", "."), hard("l", "d/x")}, "which is no folder but a link"},
		"a hard link to a folder":        {[]tar.Header{of(tar.TypeDir, "d/"), hard("l", "d")}, "which is a folder"},
		"a file in a folder's place":     {[]tar.Header{file("d/x", "x"), file("d", "x")}, "takes the place of a folder"},
		"a link in a folder's place":     {[]tar.Header{of(tar.TypeDir, "d/"), link("d", "..")}, "is a link that leads out"},
		"the folder itself":              {[]tar.Header{link(".", "x")}, "takes the place of the folder itself"},
		"a character device":             {[]tar.Header{of(tar.TypeChar, "null")}, "is a device (allowed: files, folders and links)"},
		"a block device":                 {[]tar.Header{of(tar.TypeBlock, "sda")}, "is a device"},
		"a fifo":                         {[]tar.Header{of(tar.TypeFifo, "pipe")}, "is a fifo"},
		"deeper than anybody needs":      {[]tar.Header{file(long, "x")}, "folders deep (allowed: at most 128)"},
		"the task's own output":          {[]tar.Header{file("stdout", "x")}, "has a name that is reserved"},
		"more entries than allowed":      {[]tar.Header{file("a", ""), file("b", ""), file("c", ""), file("d", "")}, "more than 3 entries"},
		"more bytes than allowed":        {[]tar.Header{file("a", strings.Repeat("x", 600)), file("b", strings.Repeat("x", 600))}, "more than 1000 bytes when unpacked"},
	} {
		t.Run(name, func(t *testing.T) {
			o := unpack.Options{MaxEntries: 3, MaxBytes: 1000, Reserved: []string{"stdout", "stderr"}}
			p := newPlace(t)
			require.ErrorContains(t, p.archive("a.tar", tarOf(c.entries...), o), c.want)
			p.unharmed(false)
			p = newPlace(t)
			require.ErrorContains(t, p.archive("a.tgz", gz(tarOf(c.entries...)), o), c.want)
			p.unharmed(false)
		})
	}
}

func TestHostileZipArchivesAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		entry string
		body  string
		mode  fs.FileMode
		want  string
	}{
		"a name that climbs": {"../x", "", 0o644, `has a name with ".."`},
		"an absolute name":   {"/x", "", 0o644, "has an absolute name"},
		"a link out":         {"l", "../secret", fs.ModeSymlink | 0o777, "leads out"},
		"a long link":        {"l", strings.Repeat("x", 5000), fs.ModeSymlink | 0o777, "is a link to nothing that can be named"},
		"a device":           {"d", "", fs.ModeDevice | fs.ModeCharDevice | 0o666, "is a device"},
		"too many bytes":     {"b", strings.Repeat("x", 6000), 0o644, "more than 5500 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			b := zipOf(map[string]string{c.entry: c.body}, map[string]fs.FileMode{c.entry: c.mode})
			require.ErrorContains(t, p.archive("a.zip", b, unpack.Options{MaxBytes: 5500}), c.want)
			p.unharmed(false)
		})
	}
	p := newPlace(t)
	locked := zipOf(map[string]string{"a": "b"}, nil)
	for i := range locked { // the flag is in the local header and in the list of entries
		if bytes.HasPrefix(locked[i:], []byte("PK\x03\x04")) {
			locked[i+6] |= 1
		} else if bytes.HasPrefix(locked[i:], []byte("PK\x01\x02")) {
			locked[i+8] |= 1
		}
	}
	require.ErrorContains(t, p.archive("a.zip", locked, unpack.Options{}), "is encrypted")
	require.ErrorContains(t, p.archive("a.zip", []byte("not a zip archive at all"), unpack.Options{}), "zip: ")
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// A bomb is stopped by its ratio long before it has filled the disk.
func TestBombsAreStopped(t *testing.T) {
	const size = 80 << 20
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	require.NoError(t, w.WriteHeader(&tar.Header{Name: "bomb", Typeflag: tar.TypeReg, Mode: 0o644, Size: size}))
	_, err := io.CopyN(w, zeros{}, size)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.NoError(t, z.Close())
	p := newPlace(t)
	require.ErrorContains(t, p.archive("bomb.tgz", b.Bytes(), unpack.Options{}), "unpacks to more than 200 times its size")
	_, err = os.Stat(filepath.Join(p.dir(), "bomb"))
	require.ErrorIs(t, err, fs.ErrNotExist, "what was written of it is gone")
	// The same where the entries are not even wanted.
	require.ErrorContains(t, p.archive("bomb.tgz", b.Bytes(), unpack.Options{Entry: func(string) (bool, error) { return false, nil }}),
		"unpacks to more than 200 times its size")
	p.unharmed(false)
}

func TestSetuidBitsAndClosedFoldersAreTamed(t *testing.T) {
	suid, closed := file("suid", "x"), of(tar.TypeDir, "closed/")
	suid.Mode, closed.Mode = 0o6755, 0o1000
	p := newPlace(t)
	require.NoError(t, p.archive("a.tar", tarOf(suid, closed, file("closed/x", "x")), unpack.Options{}))
	p.unharmed(false)
	st, err := os.Stat(filepath.Join(p.dir(), "closed"))
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o700), st.Mode().Perm())
	require.Zero(t, st.Mode()&fs.ModeSticky)
}

func TestARootFolderKeepsWhatItsContainerNeeds(t *testing.T) {
	suid, sticky := file("bin/su", "x"), of(tar.TypeDir, "tmp/")
	suid.Mode, sticky.Mode, suid.Uid, suid.Gid = 0o4755, 0o1777, 0, 42
	b := tarOf(suid, sticky, link("etc/mtab", "/proc/mounts"), link("out", "../../../etc"), of(tar.TypeChar, "dev/null"), of(tar.TypeFifo, "run/fifo"))
	p := newPlace(t)
	require.NoError(t, p.archive("a.tar", b, unpack.Options{Rootfs: true}))
	p.unharmed(true)
	require.NoFileExists(t, filepath.Join(p.dir(), "dev/null"))
	require.NoFileExists(t, filepath.Join(p.dir(), "run/fifo"))
	to, err := os.Readlink(filepath.Join(p.dir(), "etc/mtab"))
	require.NoError(t, err)
	require.Equal(t, "/proc/mounts", to)
	st, err := os.Stat(filepath.Join(p.dir(), "tmp"))
	require.NoError(t, err)
	require.Equal(t, fs.ModeDir|fs.ModeSticky|0o777, st.Mode())
	st, err = os.Stat(filepath.Join(p.dir(), "bin/su"))
	require.NoError(t, err)
	require.Equal(t, when.Unix(), st.ModTime().Unix())
	if os.Geteuid() == 0 {
		require.EqualValues(t, 42, st.Sys().(*syscall.Stat_t).Gid)
	}
	p = newPlace(t)
	require.NoError(t, p.archive("a.tar", b, unpack.Options{Rootfs: true, Setuid: true}))
	st, err = os.Stat(filepath.Join(p.dir(), "bin/su"))
	require.NoError(t, err)
	require.NotZero(t, st.Mode()&fs.ModeSetuid)
	// Links of a root folder point anywhere, and are followed nowhere.
	for _, through := range []string{"/", "..", "."} {
		p = newPlace(t)
		require.ErrorContains(t, p.archive("a.tar", tarOf(link("l", through), file("l/secret", "x")), unpack.Options{Rootfs: true}), "no folder but a link")
		p.unharmed(true)
	}
}

func TestAnUnpackingEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	p := newPlace(t)
	require.ErrorIs(t, unpack.Tar(ctx, p.root, bytes.NewReader(tarOf(file("a", "b"))), unpack.Options{}), context.Canceled)
}

func TestWhatIsNoArchiveIsSaidSo(t *testing.T) {
	p := newPlace(t)
	require.ErrorContains(t, p.archive("a.txz", nil, unpack.Options{}), "xz archives are not unpacked (allowed: .tar,")
	require.ErrorContains(t, p.archive("a.txt", nil, unpack.Options{}), "is not the name of an archive")
	require.ErrorContains(t, p.archive("a.tgz", []byte("<html>404</html>"), unpack.Options{}), "gzip: ")
	require.ErrorContains(t, p.archive("a.tar", gz(nil)[:8], unpack.Options{}), "tar: ")
	require.ErrorContains(t, p.archive("a.tgz", gz(tarOf(file("a", "b")))[:60], unpack.Options{}), "unexpected EOF")
	require.True(t, unpack.IsArchive("x.tar.xz") && !unpack.IsArchive(".zip") && !unpack.IsArchive("zip"))
}

func FuzzArchive(f *testing.F) {
	f.Add(byte(0), tarOf(file("a/b", "c"), link("l", "a/b"), hard("h", "a/b")))
	f.Add(byte(0), tarOf(of(tar.TypeDir, "p/q"), link("p/q/l", "../.."), link("m", "p/q/l"), file("m/secret", "x")))
	f.Add(byte(0), tarOf(file("../secret", "x"), hard("l", "../secret"), of(tar.TypeChar, "c")))
	f.Add(byte(2), zipOf(map[string]string{"a": "b", "l": "../secret"}, map[string]fs.FileMode{"l": fs.ModeSymlink}))
	f.Add(byte(1), gz(tarOf(file("x", "y"))))
	f.Fuzz(func(t *testing.T, format byte, b []byte) {
		p := newPlace(t)
		rootfs := format&4 != 0
		o := unpack.Options{MaxBytes: 1 << 20, MaxEntries: 100, Rootfs: rootfs}
		_ = p.archive([]string{"a.tar", "a.tgz", "a.zip", "a.gz"}[format&3], b, o)
		_ = os.Chmod(p.dir(), 0o755)
		if rootfs && os.Geteuid() != 0 {
			return // folders may be closed to this process
		}
		p.unharmed(rootfs)
	})
}

const tarBz2 = "QlpoOTFBWSZTWWjq5o4AAG37gMmQAADAAE0AAADxAB4QBAggAFRXqNAAAeoJKnkhtGkAH3EQ6EFc0IRM1JvGiBGQetbpmokt3RZ70RGLaOnXCfGIAUr4u5IpwoSDR1c0cA=="
