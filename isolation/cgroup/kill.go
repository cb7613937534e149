package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/process"
)

// Kill implements isolation.Killer. No process can be started in the container from the first moment on; then all are killed while they
// stand still, or by the kernel itself. It waits until they have ended, at most Config.KillTimeout.
func (i *Isolator) Kill(ctx context.Context, container string) error {
	return i.kill(ctx, i.group(container))
}

func (i *Isolator) kill(ctx context.Context, g group) error {
	left, err := g.processes()
	if err != nil || len(left) == 0 {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, i.cfg.KillTimeout)
	defer cancel()
	if dir, h := g.dir(pids); h != nil {
		_ = i.kernel.write(filepath.Join(dir, "pids.max"), "0")
	}
	if dir, h := g.dir(cpu); h != nil && i.bandwidth { // to end takes cpu time, too
		_ = i.setQuota(dir, h.version, unlimited)
		if g.shared {
			_ = i.setQuota(filepath.Dir(dir), h.version, unlimited)
			defer i.boundAgain(g)
		}
	}
	for {
		i.strike(ctx, g)
		for wait := time.Millisecond; wait <= 64*time.Millisecond; wait *= 2 {
			if left, err = g.processes(); err != nil || len(left) == 0 {
				return err
			}
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return fmt.Errorf("%d processes do not end, such as %v, in cgroup %s", len(left), left[:min(len(left), 5)], g.name)
			}
		}
	}
}

// boundAgain bounds the cpu time of those that share with a container that was killed.
func (i *Isolator) boundAgain(g group) {
	i.making.Lock()
	defer i.making.Unlock()
	if p := i.pods[g.pod]; p != nil {
		_ = i.setPod(g.pod, p)
	}
}

// processes are all that is in any of the container's cgroups.
func (g group) processes() ([]int, error) {
	var all []int
	for _, h := range g.i.hierarchies {
		list, err := readProcesses(g.in(h))
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// strike kills everything once.
func (i *Isolator) strike(ctx context.Context, g group) {
	thaw := i.freeze(ctx, g)
	defer thaw()
	for _, h := range i.hierarchies {
		if h.version == 2 && i.kernel.write(filepath.Join(g.in(h), "cgroup.kill"), "1") == nil {
			continue
		}
		i.strikeIn(g.in(h))
	}
}

// strikeIn kills what is in a cgroup now. A number that is read may have become another process's before it is hit, so that each is looked up
// again once it is held on to.
func (i *Isolator) strikeIn(dir string) {
	seen, err := readProcesses(dir)
	if err != nil || len(seen) == 0 {
		return
	}
	ids := make([]process.ID, 0, len(seen))
	for _, pid := range seen {
		if id, err := process.Identify(pid); err == nil && pid > 1 && pid != os.Getpid() {
			ids = append(ids, id)
		}
	}
	still, _ := readProcesses(dir)
	slices.Sort(still)
	for _, id := range ids {
		if _, in := slices.BinarySearch(still, id.PID); in {
			_ = id.Signal(syscall.SIGKILL)
		}
	}
}

// freezeTimeout is how long processes may take to stand still. Those that are deep in the kernel do not, and start no others there either.
const freezeTimeout = time.Second

// freeze makes a container's processes stand still where that is possible, and returns what lets them go on.
func (i *Isolator) freeze(ctx context.Context, g group) (thaw func()) {
	file, frozen, on, off := g.freezer()
	if file == "" || i.kernel.write(file, on) != nil {
		return func() {}
	}
	for end := time.Now().Add(freezeTimeout); time.Now().Before(end) && ctx.Err() == nil && !frozen(); {
		time.Sleep(time.Millisecond)
	}
	return func() { _ = i.kernel.write(file, off) }
}

// freezer is the file that stops and resumes a container, what to write to it, and whether all have stopped. It is not needed where the
// kernel kills at a word.
func (g group) freezer() (file string, frozen func() bool, on, off string) {
	if dir, h := g.dir(freezer); h != nil && h.version == 1 {
		file = filepath.Join(dir, "freezer.state")
		return file, func() bool {
			b, err := os.ReadFile(file)
			return err != nil || strings.TrimSpace(string(b)) == "FROZEN"
		}, "FROZEN", "THAWED"
	}
	for _, h := range g.i.hierarchies {
		if h.version != 2 {
			continue
		}
		if _, err := os.Lstat(filepath.Join(g.in(h), "cgroup.kill")); err == nil {
			return "", nil, "", ""
		}
		events := filepath.Join(g.in(h), "cgroup.events")
		return filepath.Join(g.in(h), "cgroup.freeze"), func() bool {
			t, err := readTable(events)
			return err != nil || t["frozen"] == 1
		}, "1", "0"
	}
	return "", nil, "", ""
}

// remove empties and removes a container's cgroups, and Root when nothing else is in it.
func (i *Isolator) remove(ctx context.Context, g group) error {
	ctx, cancel := context.WithTimeout(ctx, i.cfg.KillTimeout)
	defer cancel()
	var errs []error
	for _, h := range i.hierarchies {
		for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
			err := i.removeTree(g.in(h))
			if err == nil {
				break
			}
			if !errors.Is(err, syscall.EBUSY) && !errors.Is(err, syscall.ENOTEMPTY) {
				errs = append(errs, err)
				break
			}
			killed := i.kill(ctx, g)
			if killed == nil && i.removeTree(g.in(h)) == nil {
				break
			}
			if ctx.Err() != nil {
				errs = append(errs, err, killed)
				break
			}
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
		}
	}
	i.making.Lock()
	defer i.making.Unlock()
	if g.pod != "" && len(errs) == 0 {
		errs = append(errs, i.leave(g))
	}
	for _, h := range i.hierarchies {
		_ = i.kernel.rmdir(filepath.Join(h.mount, i.cfg.Root)) // refused while others are in it
	}
	return errors.Join(errs...)
}

// removeTree removes a cgroup and those below it. One that is not there is no error.
func (i *Isolator) removeTree(dir string) error {
	err := i.kernel.rmdir(dir)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, sub := range subdirectories(dir) {
		if err := i.removeTree(sub); err != nil {
			return err
		}
	}
	if err = i.kernel.rmdir(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Recover ends and removes what this slave has made for containers that it does not know, and lets go on what a slave that was killed in the
// middle of a sure kill has left standing still. What cannot be removed is logged and tried again later: it does not keep the slave from
// starting.
func (i *Isolator) Recover(ctx context.Context, running []isolation.Recovered) error {
	known := map[string]bool{}
	pods, err := i.findNested()
	if err != nil {
		return err
	}
	for _, r := range running {
		g := i.group(r.Spec.Container)
		known[g.name] = true
		if !g.exists() {
			// It was started without this isolator, or not at all. Its first process alone is not worth holding.
			i.cfg.Logger.Warn("a container has no cgroup and is not held to its limits", "container", r.Spec.Container)
			i.mu.Lock()
			i.loose[g.name] = true
			i.mu.Unlock()
			continue
		}
		if g.pod != "" {
			i.making.Lock()
			i.join(g, r.Spec)
			i.making.Unlock()
		}
		i.resume(g, r.Spec)
	}
	orphans, err := i.orphans(known)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, i.cfg.KillTimeout)
	defer cancel()
	for name := range orphans {
		g := i.named(name)
		i.cfg.Logger.Warn("remove the cgroup of a container that the slave does not know", "name", name)
		err := i.kill(ctx, g)
		if err = errors.Join(err, i.discard(ctx, g)); err != nil {
			i.cfg.Logger.Error("remove a cgroup, which is tried again later", "name", name, "err", err)
		}
	}
	i.resumePods(pods)
	return nil
}

// orphans are the names of the cgroups of this slave's containers that are not known.
func (i *Isolator) orphans(known map[string]bool) (map[string]bool, error) {
	orphans := map[string]bool{}
	for _, h := range i.hierarchies {
		names, err := folders(filepath.Join(h.mount, i.cfg.Root))
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			if strings.HasPrefix(name, i.cfg.Slave+".") && !i.isPod(name) && !known[name] {
				orphans[name] = true
			}
		}
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	for name := range i.nested {
		if !known[name] {
			orphans[name] = true
		}
	}
	return orphans, nil
}

// exists reports whether the container has a cgroup in every hierarchy.
func (g group) exists() bool {
	for _, h := range g.i.hierarchies {
		if _, err := os.Lstat(g.in(h)); err != nil {
			return false
		}
	}
	return true
}

// resume undoes the beginning of a kill.
func (i *Isolator) resume(g group, spec *isolation.Spec) {
	if file, _, _, off := g.freezer(); file != "" {
		_ = i.kernel.write(file, off)
	}
	if dir, h := g.dir(pids); h != nil {
		if most, err := readNumber(filepath.Join(dir, "pids.max")); err == nil && most == 0 {
			_ = i.set(g, i.limitsIn(g, spec.Resources, spec.Limits), true)
		}
	}
}
