package unpack

import (
	"archive/tar"
	"archive/zip"
	"compress/bzip2"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// maxDirectory bounds the bytes of a zip archive's list of entries, which is read into memory as a whole.
const maxDirectory = 32 << 20

// Tar unpacks a tar archive.
func Tar(ctx context.Context, root *os.Root, r io.Reader, o Options) error {
	m := &meter{ctx: ctx, o: o.withDefaults()}
	return untar(newTree(m, root), packed{r, m})
}

// TarGzip unpacks a tar archive that was packed with gzip.
func TarGzip(ctx context.Context, root *os.Root, r io.Reader, o Options) error {
	m := &meter{ctx: ctx, o: o.withDefaults()}
	z, err := gzip.NewReader(packed{r, m})
	if err != nil {
		return fmt.Errorf("gzip: %w", err)
	}
	return untar(newTree(m, root), z)
}

func untar(t *tree, r io.Reader) error {
	r = &drain{r: r, m: t.meter}
	if t.o.Sum != nil {
		r = io.TeeReader(r, t.o.Sum)
	}
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			if t.o.Sum != nil {
				if _, err := io.Copy(io.Discard, r); err != nil {
					return fmt.Errorf("tar: %w", err)
				}
			}
			return t.finish()
		}
		if err != nil {
			return fmt.Errorf("tar: %w", err)
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			if err := t.entry(); err != nil {
				return err
			}
			continue
		}
		if err := t.tarEntry(h, tr); err != nil {
			return fmt.Errorf("entry %s: %w", shown(h.Name), err)
		}
	}
}

// A drain bounds what is read past without being written, such as the content of entries that are left out.
type drain struct {
	r io.Reader
	m *meter
	n int64
}

func (d *drain) Read(b []byte) (int, error) {
	n, err := d.r.Read(b)
	d.n += int64(n)
	// Headers and padding are not content: an entry has at most a few KiB of them.
	if d.n > d.m.o.MaxBytes+int64(d.m.o.MaxEntries)*4096 {
		return n, fmt.Errorf("more than %d bytes when unpacked, the most that is allowed", d.m.o.MaxBytes)
	}
	if d.n > FreeBytes && d.n/d.m.o.MaxRatio > d.m.packed {
		return n, fmt.Errorf("unpacks to more than %d times its size, the most that is allowed", d.m.o.MaxRatio)
	}
	return n, err
}

func (t *tree) tarEntry(h *tar.Header, content io.Reader) error {
	name, skip, err := t.begin(h.Name)
	if err != nil || skip {
		return err
	}
	a := attributes{mode: h.FileInfo().Mode(), uid: h.Uid, gid: h.Gid, changed: h.ModTime}
	switch h.Typeflag {
	case tar.TypeReg, '\x00', tar.TypeCont, tar.TypeGNUSparse:
		return t.file(name, a, content)
	case tar.TypeDir:
		return t.dir(name, a)
	case tar.TypeSymlink:
		return t.symlink(name, h.Linkname, a)
	case tar.TypeLink:
		return t.hardlink(name, h.Linkname)
	case tar.TypeChar, tar.TypeBlock:
		return t.special(fs.ModeDevice)
	case tar.TypeFifo:
		return t.special(fs.ModeNamedPipe)
	}
	return fmt.Errorf("is of type %q (allowed: files, folders and links)", h.Typeflag)
}

// Zip unpacks a zip archive of size bytes.
func Zip(ctx context.Context, root *os.Root, r io.ReaderAt, size int64, o Options) error {
	m := &meter{ctx: ctx, o: o.withDefaults(), packed: size}
	list := &directory{r: r, left: maxDirectory}
	z, err := zip.NewReader(list, size)
	if err != nil {
		return fmt.Errorf("zip: %w", err)
	}
	list.left = -1
	t := newTree(m, root)
	for _, f := range z.File {
		if err := t.zipEntry(f); err != nil {
			return fmt.Errorf("entry %s: %w", shown(f.Name), err)
		}
	}
	return t.finish()
}

// A directory bounds what is read of an archive before its list of entries is known. Below zero there is no bound.
type directory struct {
	r    io.ReaderAt
	left int64
}

func (d *directory) ReadAt(b []byte, off int64) (int, error) {
	if d.left < 0 {
		return d.r.ReadAt(b, off)
	}
	if d.left -= int64(len(b)); d.left <= 0 {
		d.left = 0
		return 0, fmt.Errorf("the list of entries has more than %d bytes, the most that is allowed", maxDirectory)
	}
	return d.r.ReadAt(b, off)
}

func (t *tree) zipEntry(f *zip.File) error {
	name, skip, err := t.begin(f.Name)
	if err != nil || skip {
		return err
	}
	mode := f.Mode()
	a := attributes{mode: mode, changed: f.Modified}
	switch {
	case f.Flags&1 != 0:
		return errors.New("is encrypted")
	case mode.IsDir():
		return t.dir(name, a)
	case !mode.IsRegular() && mode&fs.ModeSymlink == 0:
		return t.special(mode)
	}
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	if mode.IsRegular() {
		return t.file(name, a, r)
	}
	target, err := io.ReadAll(io.LimitReader(r, maxName+1))
	if err != nil {
		return err
	}
	return t.symlink(name, string(target), a)
}

// File writes one file; folders above it are made.
func File(ctx context.Context, root *os.Root, name string, mode fs.FileMode, content io.Reader, o Options) error {
	m := &meter{ctx: ctx, o: o.withDefaults()}
	t := newTree(m, root)
	name, _, err := t.begin(name)
	if err != nil {
		return err
	}
	return t.file(name, attributes{mode: mode}, packed{content, m})
}

// The ways in which names of archives end, and what to do about them.
var formats = []struct {
	suffix string
	unpack func(ctx context.Context, root *os.Root, name string, f *os.File, o Options) error
}{
	{".tar", func(ctx context.Context, root *os.Root, _ string, f *os.File, o Options) error {
		return Tar(ctx, root, f, o)
	}},
	{".tar.gz", tarGzip}, {".tgz", tarGzip},
	{".tar.bz2", tarBzip2}, {".tbz2", tarBzip2},
	{".tar.xz", noXZ}, {".txz", noXZ},
	{".gz", gunzip},
	{".zip", func(ctx context.Context, root *os.Root, _ string, f *os.File, o Options) error {
		st, err := f.Stat()
		if err != nil {
			return err
		}
		return Zip(ctx, root, f, st.Size(), o)
	}},
}

func tarGzip(ctx context.Context, root *os.Root, _ string, f *os.File, o Options) error {
	return TarGzip(ctx, root, f, o)
}

func tarBzip2(ctx context.Context, root *os.Root, _ string, f *os.File, o Options) error {
	m := &meter{ctx: ctx, o: o.withDefaults()}
	return untar(newTree(m, root), bzip2.NewReader(packed{f, m}))
}

// noXZ says no: the standard library has no xz, and an archive's maker chooses how much memory its reader needs.
func noXZ(context.Context, *os.Root, string, *os.File, Options) error {
	return errors.New("xz archives are not unpacked (allowed: .tar, .tar.gz, .tgz, .tar.bz2, .tbz2, .gz, .zip)")
}

func gunzip(ctx context.Context, root *os.Root, name string, f *os.File, o Options) error {
	m := &meter{ctx: ctx, o: o.withDefaults()}
	z, err := gzip.NewReader(packed{f, m})
	if err != nil {
		return fmt.Errorf("gzip: %w", err)
	}
	t := newTree(m, root)
	name, _, err = t.begin(strings.TrimSuffix(name, ".gz"))
	if err != nil {
		return err
	}
	return t.file(name, attributes{mode: 0o644}, z)
}

// IsArchive reports whether name is that of an archive, xz included.
func IsArchive(name string) bool {
	for _, f := range formats {
		if strings.HasSuffix(name, f.suffix) && len(name) > len(f.suffix) {
			return true
		}
	}
	return false
}

// Archive unpacks the open file f, whose format its name tells, into root; that of a .gz without .tar is written to name without .gz. The
// caller closes f.
func Archive(ctx context.Context, root *os.Root, name string, f *os.File, o Options) error {
	for _, form := range formats {
		if strings.HasSuffix(name, form.suffix) && len(name) > len(form.suffix) {
			return form.unpack(ctx, root, name, f, o)
		}
	}
	return fmt.Errorf("%s is not the name of an archive", shown(name))
}
