package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Empty removes everything in a folder, however deep it is, with two descriptors and by turns that leave half a processor to others. It
// follows no link, and touches nothing that is mounted below: that, and what it is mounted on, stays and is an error. The folder must be the
// caller's own: what is nested is moved up into it, under names that nothing else uses.
func Empty(ctx context.Context, dir string) error {
	f, err := os.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	e := &emptying{ctx: ctx, pace: newPace(), top: int(f.Fd()), device: uint64(st.Dev)}
	for {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		removed := e.removed
		err := e.folder(f, true)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil && e.left == 0 {
			return nil
		}
		if e.removed == removed {
			return fmt.Errorf("%s: %d entries cannot be removed: %w", dir, e.left, errors.Join(err, e.why))
		}
		e.left, e.why = 0, nil
	}
}

type emptying struct {
	ctx     context.Context
	pace    *pace
	top     int
	device  uint64
	moved   int
	removed int   // or moved up
	left    int   // what is still there after a pass
	why     error // the first reason for that
}

// folder removes what is in an open folder but other folders, which are emptied at the top, and moved up to it elsewhere.
func (e *emptying) folder(f *os.File, top bool) error {
	for {
		names, err := f.Readdirnames(turnFiles)
		if len(names) == 0 {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		since, err := e.pace.take(e.ctx)
		if err != nil {
			return err
		}
		var folders []string
		for _, name := range names {
			err := unix.Unlinkat(int(f.Fd()), name, 0)
			switch {
			case err == nil:
				e.removed++
			case errors.Is(err, unix.ENOENT):
			case top:
				folders = append(folders, name)
			default:
				e.up(int(f.Fd()), name)
			}
		}
		e.pace.give(since)
		for _, name := range folders {
			if err := e.below(name); err != nil {
				return err
			}
		}
	}
}

// below empties a folder at the top and removes it.
func (e *emptying) below(name string) error {
	if unix.Unlinkat(e.top, name, unix.AT_REMOVEDIR) == nil {
		e.removed++
		return nil
	}
	fd, err := openBelow(e.top, name, e.device)
	if errors.Is(err, unix.EACCES) {
		_ = unix.Fchmodat(e.top, name, 0o700, 0)
		fd, err = openBelow(e.top, name, e.device)
	}
	if err != nil {
		e.keep(name, err)
		return nil
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	_ = unix.Fchmod(fd, 0o700) // what is in it can be removed only then, where the slave is not root
	if err := e.folder(f, false); err != nil {
		return err
	}
	if err := unix.Unlinkat(e.top, name, unix.AT_REMOVEDIR); err != nil {
		e.keep(name, err)
		return nil
	}
	e.removed++
	return nil
}

// up moves a folder to the top. A folder that somebody has mounted something on cannot be moved.
func (e *emptying) up(dir int, name string) {
	e.moved++
	to := ".moved-" + strconv.Itoa(os.Getpid()) + "-" + strconv.Itoa(e.moved)
	err := unix.Renameat(dir, name, e.top, to)
	if errors.Is(err, unix.EACCES) { // of a folder that moves, the entry for the one above is written
		_ = unix.Fchmodat(dir, name, 0o700, 0)
		err = unix.Renameat(dir, name, e.top, to)
	}
	if err != nil {
		e.keep(name, err)
		return
	}
	e.removed++
	e.left++
}

func (e *emptying) keep(name string, err error) {
	if e.left++; e.why == nil {
		e.why = fmt.Errorf("%q: %w", name, err)
	}
}
