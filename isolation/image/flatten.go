package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// Flatten writes an image's layers, merged, into dir, an empty folder that exists. It is for where overlayfs is not to be had. No link is
// followed on either side. ctx ends it; then, as after every error, the caller removes what is in dir.
func Flatten(ctx context.Context, u *Unpacked, dir string) error {
	to, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("image: flatten: %w", err)
	}
	defer to.Close()
	f := &flattener{ctx: ctx, to: to, buf: make([]byte, 256<<10)}
	for _, layer := range u.Layers {
		if err := f.layer(layer); err != nil {
			return fmt.Errorf("image: flatten %s: %w", filepath.Base(filepath.Dir(layer)), err)
		}
	}
	return f.modes()
}

type flattener struct {
	ctx  context.Context
	from *os.Root
	to   *os.Root
	buf  []byte
	seen map[[2]uint64]string   // where a file with more names than one was written, by device and inode
	dirs map[string]fs.FileInfo // what folders look like in the highest layer that has them
}

func (f *flattener) layer(dir string) (err error) {
	var info layerInfo
	b, err := os.ReadFile(filepath.Join(filepath.Dir(dir), "layer.json"))
	if err == nil {
		err = json.Unmarshal(b, &info)
	}
	if err != nil {
		return err
	}
	if f.from, err = os.OpenRoot(dir); err != nil {
		return err
	}
	defer f.from.Close()
	f.seen = map[[2]uint64]string{}
	if f.dirs == nil {
		f.dirs = map[string]fs.FileInfo{}
	}
	err = fs.WalkDir(f.from.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if f.ctx.Err() != nil {
			return f.ctx.Err()
		}
		return f.entry(name, e, slices.Contains(info.Opaque, name))
	})
	if err != nil {
		return err
	}
	for _, name := range info.Removed { // what is above is a folder by now, and no link
		if err := f.to.RemoveAll(name); err != nil {
			return err
		}
	}
	return nil
}

func (f *flattener) entry(name string, e fs.DirEntry, opaque bool) error {
	st, err := e.Info()
	if err != nil {
		return err
	}
	if e.IsDir() {
		return f.folder(name, st, opaque)
	}
	if st.Mode()&fs.ModeDevice != 0 {
		return nil // a whiteout
	}
	if err := f.to.RemoveAll(name); err != nil {
		return err
	}
	sys, _ := st.Sys().(*syscall.Stat_t)
	switch {
	case st.Mode()&fs.ModeSymlink != 0:
		target, err := f.from.Readlink(name)
		if err == nil {
			err = f.to.Symlink(target, name)
		}
		return errors.Join(err, f.own(name, sys))
	case !st.Mode().IsRegular():
		return nil
	}
	if sys != nil && sys.Nlink > 1 {
		key := [2]uint64{uint64(sys.Dev), sys.Ino}
		if first, ok := f.seen[key]; ok {
			return f.to.Link(first, name)
		}
		f.seen[key] = name
	}
	return f.copy(name, st, sys)
}

func (f *flattener) folder(name string, st fs.FileInfo, opaque bool) error {
	f.dirs[name] = st
	now, err := f.to.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case now.IsDir() && !opaque:
		return nil
	case name == ".":
		return f.clear()
	default:
		if err := f.to.RemoveAll(name); err != nil {
			return err
		}
	}
	return f.to.Mkdir(name, 0o700)
}

// clear empties the whole folder, for a layer that hides everything below it.
func (f *flattener) clear() error {
	entries, err := fs.ReadDir(f.to.FS(), ".")
	for _, e := range entries {
		err = errors.Join(err, f.to.RemoveAll(e.Name()))
	}
	return err
}

func (f *flattener) copy(name string, st fs.FileInfo, sys *syscall.Stat_t) error {
	in, err := f.from.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := f.to.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{out}, struct{ io.Reader }{in}, f.buf)
	if err = errors.Join(err, f.own(name, sys)); err == nil {
		err = out.Chmod(st.Mode() & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky))
	}
	if err = errors.Join(err, out.Close()); err == nil {
		err = f.to.Chtimes(name, st.ModTime(), st.ModTime())
	}
	return err
}

func (f *flattener) own(name string, sys *syscall.Stat_t) error {
	if sys == nil || os.Geteuid() != 0 {
		return nil
	}
	return f.to.Lchown(name, int(sys.Uid), int(sys.Gid))
}

// modes gives folders their owners and permissions when nothing is written to them any more, the deepest first.
func (f *flattener) modes() error {
	names := make([]string, 0, len(f.dirs))
	for name := range f.dirs {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return strings.Count(path.Clean(b), "/") - strings.Count(path.Clean(a), "/")
	})
	for _, name := range names {
		now, err := f.to.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || err == nil && !now.IsDir() {
			continue // a higher layer has something else there
		}
		st := f.dirs[name]
		sys, _ := st.Sys().(*syscall.Stat_t)
		if err = errors.Join(err, f.own(name, sys)); err == nil {
			err = f.to.Chmod(name, st.Mode()&(fs.ModePerm|fs.ModeSetgid|fs.ModeSticky))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
