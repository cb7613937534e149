package image

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/meros-project/meros/isolation/unpack"
)

// A layerInfo is what layer.json holds.
type layerInfo struct {
	Bytes   int64    // of the content of its files
	Removed []string // paths that lower layers may have and that are gone with this one
	Opaque  []string // folders of this layer that hide those of lower ones
	Overlay bool     // that is said in the form of overlayfs too
}

// unpack has the puller unpack a layer into its folder, and puts it where it belongs, or leaves nothing there.
func (s *Store) unpack(p *puller, n int, diffID string, most int64) error {
	info, err := p.layer(n, most)
	if err != nil {
		return err
	}
	temp := filepath.Join(p.dir, strconv.Itoa(n))
	if err := s.finish(temp, info); err != nil {
		return err
	}
	final := s.path("layers", diffID[len("sha256:"):])
	if err := removeTree(final); err != nil { // one without layer.json is half deleted
		return err
	}
	return os.Rename(temp, final)
}

// finish adds to an unpacked layer what the puller has no right to, and notes what it is.
func (s *Store) finish(temp string, info *layerInfo) error {
	root, err := os.OpenRoot(filepath.Join(temp, "fs"))
	if err != nil {
		return err
	}
	defer root.Close()
	info.forOverlay(root)
	if info.Bytes, err = sizeOf(root); err != nil {
		return err
	}
	if err := s.write(filepath.Join(temp, "layer.json"), info); err != nil {
		return err
	}
	return syncAll(filepath.Join(temp, "fs"))
}

// A checked reader counts and sums up what is read.
type checked struct {
	r    io.Reader
	sum  hash.Hash
	n    int64
	most int64
}

func (c *checked) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	_, _ = c.sum.Write(b[:n])
	if c.n > c.most {
		return n, fmt.Errorf("has more than the %d bytes that are allowed", c.most)
	}
	return n, err
}

// stream unpacks a layer as it comes, and says at the end whether it was the right one.
func (c StoreConfig) stream(ctx context.Context, l *layer, root *os.Root, w *whiteouts, most int64) error {
	body, err := l.open(ctx)
	if err != nil {
		return err
	}
	defer body.Close()
	stop := context.AfterFunc(ctx, func() { _ = body.Close() })
	defer stop()
	in := &checked{r: body, sum: sha256.New(), most: c.MaxImage}
	if l.size >= 0 {
		in.most = l.size
	}
	content := sha256.New()
	o := unpack.Options{Rootfs: true, Setuid: c.Setuid, MaxBytes: most, MaxEntries: c.MaxEntries, Entry: w.entry, Sum: content}
	buffered := bufio.NewReaderSize(in, 64<<10)
	start, _ := buffered.Peek(4)
	switch {
	case bytes.HasPrefix(start, []byte{0x1f, 0x8b}):
		err = unpack.TarGzip(ctx, root, buffered, o)
	case bytes.Equal(start, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		err = errors.New("is packed with zstd (allowed: tar, and tar packed with gzip)")
	default:
		err = unpack.Tar(ctx, root, buffered, o)
	}
	if err == nil {
		_, err = io.Copy(io.Discard, buffered) // what follows is part of what the digest is of
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return err
	case l.size >= 0 && in.n != l.size:
		return fmt.Errorf("has %d bytes, but its manifest says %d", in.n, l.size)
	case l.packed != "" && sum(in.sum) != l.packed:
		return fmt.Errorf("is not what its digest says: %s came for %s", sum(in.sum), l.packed)
	case sum(content) != l.diffID:
		return fmt.Errorf("is not what the image's configuration says: %s came for %s", sum(content), l.diffID)
	}
	return nil
}

func sum(h hash.Hash) string { return "sha256:" + hex.EncodeToString(h.Sum(nil)) }

// whiteouts are what a layer says of lower ones.
type whiteouts struct {
	removed, opaque map[string]bool
	bytes           int // of their names
}

// maxWhiteouts bounds the names of what a layer removes, in bytes.
const maxWhiteouts = 1 << 20

const (
	whiteoutPrefix = ".wh."
	opaqueName     = ".wh..wh..opq"
)

// entry takes whiteouts out of the archive.
func (w *whiteouts) entry(name string) (keep bool, err error) {
	dir, base := path.Split(name)
	dir = path.Clean(dir)
	if !strings.HasPrefix(base, whiteoutPrefix) {
		return true, nil
	}
	switch w.bytes += len(name); {
	case w.bytes > maxWhiteouts:
		return false, fmt.Errorf("removes more than %d bytes of names, the most that is allowed", maxWhiteouts)
	case !utf8.ValidString(name):
		return false, errors.New("removes what has a name that is not UTF-8")
	case base == opaqueName:
		w.opaque[dir] = true
	case strings.HasPrefix(base, whiteoutPrefix+whiteoutPrefix): // AUFS's own
	default:
		target := base[len(whiteoutPrefix):]
		if target == "" || target == "." || target == ".." {
			return false, errors.New("removes what has no name")
		}
		w.removed[path.Join(dir, target)] = true
	}
	return false, nil
}

// settle decides what the whiteouts come to once the layer is there. They are about lower layers only, wherever they stand in the archive.
func (w *whiteouts) settle(root *os.Root) (*layerInfo, error) {
	info := &layerInfo{}
	for _, name := range sorted(w.removed) {
		ok, err := realFolder(root, path.Dir(name))
		if err != nil {
			return nil, err
		}
		if !ok {
			continue // something of this layer hides all that could be there
		}
		st, err := root.Lstat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			info.Removed = append(info.Removed, name)
		case err != nil:
			return nil, err
		case st.IsDir():
			w.opaque[name] = true // removed, and made anew
		}
	}
	for _, name := range sorted(w.opaque) {
		ok, err := realFolder(root, name)
		if err != nil {
			return nil, err
		}
		if ok {
			info.Opaque = append(info.Opaque, name)
		}
	}
	return info, nil
}

// forOverlay says the same in the form of overlayfs, if it can.
func (i *layerInfo) forOverlay(root *os.Root) {
	i.Overlay = true
	for _, name := range i.Removed {
		i.Overlay = i.Overlay && overlayWhiteout(root, name) == nil
	}
	for _, name := range i.Opaque {
		i.Overlay = i.Overlay && overlayOpaque(root, name) == nil
	}
}

func sorted(set map[string]bool) []string {
	var names []string
	for n := range set {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// realFolder makes a folder, and reports false where something else stands in the way.
func realFolder(root *os.Root, dir string) (bool, error) {
	if dir == "." {
		return true, nil
	}
	if ok, err := realFolder(root, path.Dir(dir)); !ok || err != nil {
		return false, err
	}
	st, err := root.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return true, root.Mkdir(dir, 0o755)
	}
	return err == nil && st.IsDir(), err
}

// sizeOf is how many bytes the files of a layer have.
func sizeOf(root *os.Root) (n int64, err error) {
	err = fs.WalkDir(root.FS(), ".", func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		i, err := e.Info()
		if err == nil && i.Mode().IsRegular() {
			n += i.Size()
		}
		return err
	})
	return n, err
}
