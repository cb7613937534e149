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
	"syscall"
	"time"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/process"
)

// Join moves a process to where another one is, in every hierarchy of the machine in which they are apart: it is held by whatever holds the
// other. It needs no Isolator, and does nothing where there are no cgroups.
func Join(pid, like int) error { return join(realKernel{}, "/proc", pid, like) }

func join(k kernel, proc string, pid, like int) error {
	table, err := os.ReadFile(filepath.Join(proc, "self", "mountinfo"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cgroup: %w", err)
	}
	want, err := membership(proc, like)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(filepath.Join(proc, "self", "cgroup")); err != nil {
			return nil // a kernel without
		}
	}
	if err != nil {
		return fmt.Errorf("cgroup: %w", err)
	}
	have, err := membership(proc, pid)
	if err != nil {
		return fmt.Errorf("cgroup: %w", err)
	}
	for controllers, path := range want {
		if have[controllers] == path {
			continue
		}
		dir := whereMounted(string(table), controllers, path)
		if dir == "" {
			return fmt.Errorf("cgroup: %s of %q is not mounted", path, controllers)
		}
		if err := k.write(filepath.Join(dir, "cgroup.procs"), strconv.Itoa(pid)); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("cgroup: join: %w", err)
		}
	}
	return nil
}

// invite has the container's first process join by itself. The kernel lets whoever moves another process wait until all processors have been idle or
// elsewhere for a moment, and meanwhile everybody else who wants to change cgroups.
func (i *Isolator) invite(g group, plan *isolation.Plan) {
	if plan == nil || plan.Cgroups == nil {
		return
	}
	c := plan.Cgroups
	for _, h := range i.hierarchies {
		if h.version == 2 {
			c.Folder = g.in(h)
		} else {
			c.Tasks = append(c.Tasks, filepath.Join(g.in(h), "tasks"))
		}
	}
	i.mu.Lock()
	i.invited[g.name] = true
	i.mu.Unlock()
}

// joinTries is how often it is looked whether a process has joined by itself, which it does right when it begins to run.
const joinTries = 10

// hasJoined reports whether a process is in all of the container's cgroups, or soon is.
func (i *Isolator) hasJoined(g group, pid int) bool {
	i.mu.Lock()
	invited := i.invited[g.name]
	i.mu.Unlock()
	if !invited {
		return false
	}
	wait := 100 * time.Microsecond
	for try := 1; ; try++ {
		is, err := i.isIn(g, pid)
		if is || err != nil || try == joinTries {
			return is
		}
		time.Sleep(wait)
		wait *= 2
	}
}

// isIn reports whether a process is in all of the container's cgroups.
func (i *Isolator) isIn(g group, pid int) (bool, error) {
	have, err := membership("/proc", pid)
	if err != nil {
		return false, err
	}
	end := "/" + filepath.Join(i.cfg.Root, g.path(), g.name)
	in := 0
	for _, h := range i.hierarchies {
		for controllers, path := range have {
			same := h.version == 2 && controllers == ""
			if h.version == 1 && len(h.has) > 0 {
				same = slices.Contains(strings.Split(controllers, ","), h.has[0])
			}
			if same && strings.HasSuffix(path, end) {
				in++
			}
		}
	}
	return in == len(i.hierarchies), nil
}

// membership is where a process is, by the list of controllers, which is empty for version 2.
func membership(proc string, pid int) (map[string]string, error) {
	b, err := process.ReadFile(filepath.Join(proc, strconv.Itoa(pid), "cgroup"))
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for line := range strings.Lines(string(b)) {
		if f := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3); len(f) == 3 {
			found[f[1]] = f[2]
		}
	}
	return found, nil
}

// whereMounted is the folder of a cgroup, empty if none of the mounts shows it.
func whereMounted(table, controllers, path string) string {
	for line := range strings.Lines(table) {
		m, ok := parseMount(strings.TrimSuffix(line, "\n"))
		if !ok || m.readOnly || (controllers == "") != (m.kind == "cgroup2") {
			continue
		}
		if missing := slices.ContainsFunc(strings.Split(controllers, ","), func(c string) bool { return !slices.Contains(m.options, c) }); missing && controllers != "" {
			continue
		}
		root := unescape(strings.Fields(line)[3]) // what of the hierarchy the mount shows
		if root == "/" {
			root = ""
		}
		if rest, ok := strings.CutPrefix(path, root); ok && (rest == "" || rest[0] == '/') {
			return filepath.Join(m.path, rest)
		}
	}
	return ""
}
