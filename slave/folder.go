package slave

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/meros-project/meros/isolation/process"
)

// A folder is the slave's WorkDir while this process holds it:
//
//	lock                                          the process that holds the folder
//	meta/journal                                  what the slave must remember
//	slaves/SLAVE/frameworks/F/tasks/T             sandboxes of tasks,
//	slaves/SLAVE/frameworks/F/executors/E         of executors,
//	slaves/SLAVE/frameworks/F/old/...             and of earlier runs under the same id
//	slaves/.deleted/...                           and those that are being deleted
//	volumes/roles/ROLE/VOLUME                     persistent volumes,
//	volumes/deleted/...                           and those that were destroyed
//	run/...                                       supervisors and sockets, as far as they are not in memory
type folder struct {
	dir  string
	lock *os.File
}

// openFolder makes the folder and takes it for this process.
func openFolder(ctx context.Context, dir string) (*folder, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("slave: WorkDir: %w", err)
	}
	// Tasks of other users must be able to reach their sandbox, but not to look around.
	if err := makeDirs(dir); err != nil {
		return nil, fmt.Errorf("slave: WorkDir: %w", err)
	}
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("slave: WorkDir: %w", err)
	}
	if err := takeLock(ctx, f); err != nil {
		holder, _ := os.ReadFile(path)
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("slave: WorkDir %s is in use by process %s (allowed: one slave a folder)", dir, strings.TrimSpace(string(holder)))
		}
		return nil, fmt.Errorf("slave: WorkDir: lock %s: %w", path, err)
	}
	fd := &folder{dir: dir, lock: f}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err == nil {
		err = os.MkdirAll(filepath.Join(dir, "meta"), 0o700)
	}
	if err != nil {
		_ = fd.close()
		return nil, fmt.Errorf("slave: WorkDir: %w", err)
	}
	return fd, nil
}

// takeLock locks the file. A slave that is killed while it starts a process leaves the lock to that one until it runs the other program,
// so that a dead holder is waited for, for a moment.
func takeLock(ctx context.Context, f *os.File) error {
	for range 400 {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return err
		}
		b := make([]byte, 32)
		n, _ := f.ReadAt(b, 0)
		pid, _ := strconv.Atoi(strings.TrimSpace(string(b[:n])))
		if _, err := process.Identify(pid); pid > 0 && err == nil {
			return syscall.EWOULDBLOCK
		}
		if pause(ctx, 5*time.Millisecond); ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return syscall.EWOULDBLOCK
}

func (f *folder) journal() string { return filepath.Join(f.dir, "meta", "journal") }

// close gives the folder back. The file stays: another process may wait for the same lock already.
func (f *folder) close() error { return f.lock.Close() }

// makeDirs makes a folder and what is missing above it, open to those who pass through whatever the process's umask is.
func makeDirs(dir string) error {
	err := os.Mkdir(dir, 0o711)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeDirs(filepath.Dir(dir)); err == nil {
			err = os.Mkdir(dir, 0o711)
		}
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err == nil {
		err = os.Chmod(dir, 0o711)
	}
	return err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
