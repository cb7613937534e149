//go:build linux

package lab

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const nameOf = "meros-lab-" // followed by the process id, in the names of everything that a lab makes

const cgroupsDir = "/sys/fs/cgroup"

// A claim is the folder of one lab, and by its name everything else that the lab makes. The lab holds a lock in it as long as it lives.
type claim struct {
	name string
	dir  string
	lock *os.File
}

func (c claim) prefix() string { return c.name + "-" }

// newClaim makes this process's folder.
func newClaim() (*claim, error) {
	c := claimOf(os.Getpid())
	if err := os.Mkdir(c.dir, 0o755); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(c.dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		err = unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	c.lock = lock
	return &c, err
}

func claimOf(pid int) claim {
	name := nameOf + strconv.Itoa(pid)
	return claim{name: name, dir: filepath.Join(os.TempDir(), name)}
}

// stale reports whether the lab of this name was interrupted: its process has ended, or another has its id.
func (c claim) stale(pid int) bool {
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return true
	}
	st, err := os.Stat(c.dir)
	if err == nil && time.Since(st.ModTime()) < time.Minute {
		return false // it may be about to take the lock
	}
	lock, err := os.Open(filepath.Join(c.dir, "lock"))
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	defer lock.Close()
	return unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil
}

// Sweep removes what interrupted labs have left.
func Sweep() error {
	pids := map[int]bool{}
	for _, place := range append([]string{spacesDir, os.TempDir()}, cgroupRoots()...) {
		entries, _ := os.ReadDir(place)
		for _, e := range entries {
			rest, ours := strings.CutPrefix(e.Name(), nameOf)
			number, _, _ := strings.Cut(rest, "-")
			if pid, err := strconv.Atoi(number); ours && err == nil && pid != os.Getpid() {
				pids[pid] = true
			}
		}
	}
	var errs []error
	for pid := range pids {
		if c := claimOf(pid); c.stale(pid) {
			errs = append(errs, c.remove())
		}
	}
	return errors.Join(errs...)
}

func (c claim) spaces() []space {
	var all []space
	entries, _ := os.ReadDir(spacesDir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), c.prefix()) {
			all = append(all, space(e.Name()))
		}
	}
	return all
}

// processes are those in the lab's namespaces, and those that have its folder in their arguments or run in it.
func (c claim) processes() []int {
	var all []int
	for _, s := range c.spaces() {
		all = append(all, s.processes()...)
	}
	all = append(all, processesWhere(func(dir string) bool {
		args, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		cwd, _ := os.Readlink(filepath.Join(dir, "cwd"))
		return bytes.Contains(args, []byte(c.dir+"/")) || strings.HasPrefix(cwd, c.dir+"/")
	})...)
	slices.Sort(all)
	return slices.Compact(all)
}

// mounts are those below the folder, the latest first.
func (c claim) mounts() []string {
	text, _ := os.ReadFile("/proc/self/mountinfo")
	var all []string
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], c.dir+"/") {
			all = append(all, f[4])
		}
	}
	slices.Reverse(all)
	return all
}

// cgroupRoots are where cgroups are mounted: one place in version 2, one for each controller in version 1.
func cgroupRoots() []string {
	roots := []string{cgroupsDir}
	entries, _ := os.ReadDir(cgroupsDir)
	for _, e := range entries {
		if e.IsDir() {
			roots = append(roots, filepath.Join(cgroupsDir, e.Name()))
		}
	}
	return roots
}

// cgroups are those of the lab's tasks, the innermost first.
func (c claim) cgroups() []string {
	var all []string
	for _, root := range cgroupRoots() {
		_ = filepath.WalkDir(filepath.Join(root, c.name), func(p string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				all = append(all, p)
			}
			return nil
		})
	}
	slices.Reverse(all)
	return all
}

// left names everything of the lab that is still there.
func (c claim) left() []string {
	var all []string
	for _, pid := range c.processes() {
		args, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		all = append(all, fmt.Sprintf("process %d: %s", pid, bytes.ReplaceAll(args, []byte{0}, []byte(" "))))
	}
	for _, s := range c.spaces() {
		all = append(all, "namespace "+string(s))
	}
	for _, m := range c.mounts() {
		all = append(all, "mount "+m)
	}
	for _, g := range c.cgroups() {
		all = append(all, "cgroup "+g)
	}
	if _, err := os.Lstat(c.dir); err == nil {
		all = append(all, "folder "+c.dir)
	}
	return all
}

// remove ends and removes everything, as often as it takes: what was killed needs a moment to be gone.
func (c claim) remove() error {
	var err error
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if err = c.removeOnce(); err == nil && len(c.left()) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return errors.Join(err, fmt.Errorf("lab: cannot be removed: %s", strings.Join(c.left(), "; ")))
		}
	}
}

func (c claim) removeOnce() error {
	for _, pid := range c.processes() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	if len(c.processes()) > 0 {
		return errors.New("lab: processes are still ending")
	}
	for _, s := range c.spaces() {
		if err := tool("", "ip", "netns", "del", string(s)); err != nil {
			return err
		}
	}
	for _, m := range c.mounts() {
		if err := unix.Unmount(m, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", m, err)
		}
	}
	for _, g := range c.cgroups() {
		if err := os.Remove(g); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return os.RemoveAll(c.dir)
}
