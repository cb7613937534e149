package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// A fake is a tree of cgroups made of plain files, with what a kernel does that matters here: controllers reach a cgroup only when they are
// handed down, which is refused where processes are, a cgroup with processes or others in it cannot be removed, and cgroup.kill
// empties it.
type fake struct {
	t      *testing.T
	mounts string // the file with the table of mounts

	mu      sync.Mutex
	version map[string]int // by mount
	without []string       // files that this kernel does not have
	old     []string       // controllers of version 1, by mount, in the order of firsts
	firsts  []string
	never   bool // processes do not end when they are killed
	within  bool // what is mounted of version 2 is not the machine's root, which alone may have processes and hand down
	writes  []string
}

func newFake(t *testing.T) *fake {
	return &fake{t: t, mounts: filepath.Join(t.TempDir(), "mountinfo"), version: map[string]int{}}
}

// mount adds a hierarchy: of version 1 with these controllers, or of version 2 that has them.
func (f *fake) mount(version int, options string, names ...string) string {
	dir := filepath.Join(f.t.TempDir(), "a mount", strings.Join(append(names, fmt.Sprint(version)), ","))
	require.NoError(f.t, os.MkdirAll(dir, 0o755))
	f.version[dir] = version
	kind, super := "cgroup2", "rw"
	if version == 1 {
		kind, super = "cgroup", "rw,"+strings.Join(names, ",")
		f.firsts, f.old = append(f.firsts, dir), append(f.old, strings.Join(names, " "))
	}
	f.populate(dir, strings.Join(names, " "))
	line := fmt.Sprintf("30 25 0:26 / %s %s shared:4 - %s %s %s\n", strings.ReplaceAll(dir, " ", `\040`), options, kind, kind, super)
	table, _ := os.ReadFile(f.mounts)
	require.NoError(f.t, os.WriteFile(f.mounts, append(table, line...), 0o644))
	return dir
}

var fakeFiles = map[int]map[string]map[string]string{
	1: {"": {}, cpu: {"cpu.shares": "1024", "cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "100000"}, cpuacct: {"cpuacct.usage_user": "0", "cpuacct.usage_sys": "0"},
		memory: {"memory.limit_in_bytes": "9223372036854771712", "memory.soft_limit_in_bytes": "9223372036854771712", "memory.usage_in_bytes": "0",
			"memory.max_usage_in_bytes": "0", "memory.memsw.limit_in_bytes": "9223372036854771712", "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n",
			"memory.use_hierarchy": "0", "memory.failcnt": "0", "memory.stat": ""},
		pids: {"pids.max": "max", "pids.current": "0"}, freezer: {"freezer.state": "THAWED"}, devices: {"devices.deny": "", "devices.allow": ""}},
	2: {"": {"cgroup.subtree_control": "", "cgroup.kill": "", "cgroup.freeze": "0", "cgroup.events": "populated 0\nfrozen 0\n", "cpu.stat": "usage_usec 0\nuser_usec 0\nsystem_usec 0\n"},
		cpu: {"cpu.weight": "100", "cpu.max": "max 100000"}, pids: {"pids.max": "max", "pids.current": "0"},
		memory: {"memory.max": "max", "memory.low": "0", "memory.current": "0", "memory.peak": "0", "memory.swap.max": "max", "memory.oom.group": "0",
			"memory.events": "oom 0\noom_kill 0\n", "memory.stat": "anon 0\n"}},
}

func (f *fake) hierarchy(path string) (dir string, version int) {
	for dir, version := range f.version {
		if path == dir || strings.HasPrefix(path, dir+"/") {
			return dir, version
		}
	}
	f.t.Errorf("%s is outside of every hierarchy", path)
	return "", 0
}

// populate puts the kernel's files into a new cgroup, or those of controllers that it has just got.
func (f *fake) populate(dir, names string) {
	_, version := f.hierarchy(dir)
	put := func(name, value string) {
		path := filepath.Join(dir, name)
		if _, err := os.Lstat(path); err != nil && !slices.Contains(f.without, name) {
			require.NoError(f.t, os.WriteFile(path, []byte(value), 0o644))
		}
	}
	for _, c := range append(strings.Fields(names), "") {
		for name, value := range fakeFiles[version][c] {
			put(name, value)
		}
	}
	put("cgroup.procs", "")
	if version == 2 {
		require.NoError(f.t, os.WriteFile(filepath.Join(dir, "cgroup.controllers"), []byte(names), 0o644))
	}
}

func (f *fake) mkdir(path string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	dir, version := f.hierarchy(path)
	if err := os.Mkdir(path, 0o755); err != nil {
		return err
	}
	f.writes = append(f.writes, "mkdir "+strings.TrimPrefix(path, dir+"/"))
	names := ""
	if version == 2 {
		b, err := os.ReadFile(filepath.Join(filepath.Dir(path), "cgroup.subtree_control"))
		require.NoError(f.t, err)
		names = string(b)
	} else {
		names = f.old[slices.Index(f.firsts, dir)]
	}
	f.populate(path, names)
	return nil
}

func (f *fake) rmdir(path string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	list, err := readProcesses(path)
	if err == nil && (len(list) > 0 || len(subdirectories(path)) > 0) {
		return &fs.PathError{Op: "rmdir", Path: path, Err: syscall.EBUSY}
	}
	if _, err := os.Lstat(path); err != nil {
		return err
	}
	dir, _ := f.hierarchy(path)
	f.writes = append(f.writes, "rmdir "+strings.TrimPrefix(path, dir+"/"))
	return os.RemoveAll(path)
}

func (f *fake) write(path, value string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	dir, name := filepath.Split(path)
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	root, version := f.hierarchy(path)
	f.writes = append(f.writes, strings.TrimPrefix(path, root+"/")+" "+value)
	if version == 2 && !takes(name, value) {
		return syscall.EINVAL
	}
	replace := func(value string) error { return os.WriteFile(path, []byte(value), 0o644) }
	list, _ := readProcesses(filepath.Clean(dir))
	switch name {
	case "cgroup.procs":
		if version == 2 && filepath.Clean(dir) != root {
			if b, _ := os.ReadFile(filepath.Join(dir, "cgroup.subtree_control")); len(b) > 0 {
				return syscall.EBUSY
			}
		}
		for p := range f.version { // it leaves the cgroup where it was
			if r, _ := f.hierarchy(p); r == root {
				f.leave(root, value)
			}
		}
		now, _ := os.ReadFile(path)
		return replace(string(now) + value + "\n")
	case "cgroup.kill":
		if !f.never {
			for _, pid := range list {
				f.leave(root, fmt.Sprint(pid))
			}
		}
		return nil
	case "cgroup.freeze":
		return errors.Join(replace(value), os.WriteFile(filepath.Join(dir, "cgroup.events"), []byte("frozen "+value+"\n"), 0o644))
	case "freezer.state":
		return replace(value + "\n")
	case "cgroup.subtree_control":
		c := strings.TrimPrefix(value, "+")
		b, _ := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
		if own, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs")); len(own) > 0 && (f.within || filepath.Clean(dir) != root) {
			return syscall.EBUSY
		}
		if !slices.Contains(strings.Fields(string(b)), c) {
			return syscall.ENOENT
		}
		names := strings.TrimSpace(string(old) + " " + c)
		for _, sub := range subdirectories(filepath.Clean(dir)) {
			f.populate(sub, names)
		}
		return replace(names)
	}
	return replace(value)
}

// takes reports whether a kernel takes a value, as its documentation of version 2 says.
func takes(file, value string) bool {
	number := func(s string, least, most uint64) bool {
		n, err := strconv.ParseUint(s, 10, 64)
		return err == nil && least <= n && n <= most
	}
	switch file {
	case "cpu.weight":
		return number(value, 1, 10_000)
	case "cpu.max": // at least a millisecond, at most what its arithmetic bears
		quota, every, ok := strings.Cut(value, " ")
		return ok && (quota == "max" || number(quota, 1000, 1<<44-1)) && number(every, 1000, 1_000_000)
	case "memory.max", "memory.low", "memory.swap.max", "pids.max":
		return value == "max" || number(value, 0, 1<<63-1)
	case "memory.oom.group", "cgroup.freeze":
		return value == "0" || value == "1"
	case "cgroup.kill":
		return value == "1"
	case "cgroup.procs":
		return number(value, 1, 1<<22+1<<16)
	case "cgroup.subtree_control":
		return len(value) > 1 && value[0] == '+'
	}
	return false
}

// leave takes a process out of every cgroup of a hierarchy.
func (f *fake) leave(root, pid string) {
	require.NoError(f.t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "cgroup.procs" {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rest := slices.DeleteFunc(strings.Fields(string(b)), func(s string) bool { return s == pid })
		text := ""
		if len(rest) > 0 {
			text = strings.Join(rest, "\n") + "\n"
		}
		return os.WriteFile(path, []byte(text), 0o644)
	}))
}

// put sets a file as the kernel would.
func (f *fake) put(path, value string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	require.NoError(f.t, os.WriteFile(path, []byte(value), 0o644))
}

func (f *fake) taken() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.writes
	f.writes = nil
	return w
}
