package cgroup

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
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

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// An Isolator is the cgroup isolator. All that it knows of a container it reads from the kernel, so that it needs no memory of its own
// across restarts.
type Isolator struct {
	cfg         Config
	kernel      kernel
	hierarchies []*hierarchy
	lacks       []string
	swap        bool // can be limited
	bandwidth   bool // cpu time can be bounded

	making sync.Mutex // Root, and what is in it for groups, is not removed while something is made in it; before mu
	pods   map[string]*pod

	// By the name of a container's cgroup.
	mu     sync.Mutex
	stuck  map[string]bool  // could not be removed so far
	loose  map[string]bool  // run since before there was this isolator, and are not held
	nested map[string]place // of members of groups

	invited map[string]bool // their first processes join by themselves
}

var (
	_ isolation.Isolator  = (*Isolator)(nil)
	_ isolation.Recoverer = (*Isolator)(nil)
	_ isolation.Updater   = (*Isolator)(nil)
	_ isolation.Watcher   = (*Isolator)(nil)
	_ isolation.Meter     = (*Isolator)(nil)
	_ isolation.Killer    = (*Isolator)(nil)
	_ isolation.Enforcer  = (*Isolator)(nil)
	_ isolation.Lacker    = (*Isolator)(nil)
)

// New looks for the machine's cgroups and tries whether they can be used, by making one and removing it. The error says, in a line, why
// they cannot.
func New(cfg Config) (*Isolator, error) { return newOn(cfg, realKernel{}) }

func newOn(cfg Config, k kernel) (*Isolator, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	table, err := os.ReadFile(cfg.Mounts)
	if err != nil {
		return nil, fmt.Errorf("cgroup: this system has none: %w", err)
	}
	i := &Isolator{cfg: cfg, kernel: k, stuck: map[string]bool{}, loose: map[string]bool{}, nested: map[string]place{}, invited: map[string]bool{}, pods: map[string]*pod{}}
	var why []string
	i.hierarchies, why = findHierarchies(table)
	if i.with(cpu) == nil && i.with(memory) == nil {
		text := "neither cpu nor memory controller is mounted"
		if len(why) > 0 {
			text += " and writable: " + strings.Join(why, ", ")
		}
		return nil, fmt.Errorf("cgroup: %s", text)
	}
	if err := i.probe(); err != nil {
		return nil, fmt.Errorf("cgroup: cannot be used: %w", err)
	}
	return i, nil
}

// with is the hierarchy that has a controller, nil if none has.
func (i *Isolator) with(controller string) *hierarchy {
	for _, h := range i.hierarchies {
		if slices.Contains(h.has, controller) {
			return h
		}
	}
	return nil
}

// probe makes the cgroups of a container that there is not, to see what they are good for.
func (i *Isolator) probe() error {
	g := group{i: i, name: i.cfg.Slave + ".probe-" + strconv.Itoa(os.Getpid())}
	err := i.make(g)
	if err == nil {
		i.look(g)
		err = i.setDevices(g)
	}
	return errors.Join(err, i.remove(context.Background(), g))
}

// look notes what the kernel cannot do.
func (i *Isolator) look(g group) {
	there := func(controller, v1, v2 string) bool {
		dir, h := g.dir(controller)
		if h == nil {
			return false
		}
		_, err := os.Lstat(filepath.Join(dir, map[int]string{1: v1, 2: v2}[h.version]))
		return err == nil
	}
	lack := func(format string, args ...any) { i.lacks = append(i.lacks, fmt.Sprintf(format, args...)) }
	i.bandwidth = there(cpu, "cpu.cfs_quota_us", "cpu.max")
	i.swap = there(memory, memoryFiles[1].swap, memoryFiles[2].swap)
	switch {
	case i.with(cpu) == nil:
		lack("no cpu controller, so that cpu time is not limited")
	case !i.bandwidth:
		lack("the kernel bounds no cpu time, so that it is shared by weight only")
	}
	switch {
	case i.with(memory) == nil:
		lack("no memory controller, so that memory is not limited")
	case !i.swap:
		lack("the kernel does not count swap, so that it is not limited")
	}
	if i.with(pids) == nil {
		lack("no pids controller, so that the number of processes is not limited")
	}
	switch h := i.with(devices); {
	case h == nil && slices.ContainsFunc(i.hierarchies, func(h *hierarchy) bool { return h.version == 2 }):
		lack("devices are not restricted with version 2")
	case h == nil:
		lack("no devices controller, so that devices are not restricted")
	}
}

// Name implements isolation.Isolator.
func (*Isolator) Name() string { return "cgroup" }

// Enforces implements isolation.Enforcer: limits above the request, where both cpu time and memory can be bounded.
func (i *Isolator) Enforces() []isolation.Feature {
	if i.bandwidth && i.with(memory) != nil {
		return []isolation.Feature{isolation.FeatureLimits}
	}
	return nil
}

// Lacks implements isolation.Lacker.
func (i *Isolator) Lacks() []string { return slices.Clone(i.lacks) }

// A group is the cgroups of one container, one in each hierarchy.
type group struct {
	i    *Isolator
	name string
	place
}

// group names a container's cgroups.
func (i *Isolator) group(container string) group { return i.named(i.name(container)) }

func (i *Isolator) named(name string) group {
	i.mu.Lock()
	defer i.mu.Unlock()
	return group{i: i, name: name, place: i.nested[name]}
}

func (i *Isolator) name(container string) string { return i.cfg.Slave + "." + plain(container) }

// plain is an id that makes a good file name, or a hash of one that does not.
func plain(id string) string {
	if isName(id, 128, true) {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return "~" + hex.EncodeToString(sum[:16])
}

func (g group) in(h *hierarchy) string { return filepath.Join(h.mount, g.i.cfg.Root, g.path(), g.name) }

// dir is where a controller holds the container; the hierarchy is nil if there is no such controller.
func (g group) dir(controller string) (string, *hierarchy) {
	h := g.i.with(controller)
	if h == nil {
		return "", nil
	}
	return g.in(h), h
}

// Prepare makes the container's cgroups and sets its limits.
func (i *Isolator) Prepare(_ context.Context, spec *isolation.Spec, plan *isolation.Plan) error {
	g := i.enter(spec)
	l := i.limitsIn(g, spec.Resources, spec.Limits)
	// Another slave on the machine may remove Root when it has just become empty.
	err := error(fs.ErrNotExist)
	for try := 0; try < 5 && errors.Is(err, fs.ErrNotExist); try++ {
		if err = i.make(g); err == nil {
			err = i.set(g, l, false)
		}
	}
	if err == nil {
		err = i.setDevices(g)
	}
	if err == nil {
		i.invite(g, plan)
	}
	return err
}

// make makes a container's cgroups, and what they are in where that is missing. The limits of its group are those with it from then on.
func (i *Isolator) make(g group) error {
	i.making.Lock()
	defer i.making.Unlock()
	for _, h := range i.hierarchies {
		err := fs.ErrNotExist
		if h.version == 1 {
			err = i.kernel.mkdir(g.in(h))
		}
		if errors.Is(err, fs.ErrNotExist) {
			if err = i.makeRoot(h); err == nil {
				err = i.makeLevels(h, g)
			}
			if err == nil {
				err = i.kernel.mkdir(g.in(h))
			}
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
	if g.pod != "" {
		return i.setPod(g.pod, i.pods[g.pod])
	}
	return nil
}

// makeRoot makes what is missing of Root. With version 2, controllers reach a cgroup only if all those above hand them down.
func (i *Isolator) makeRoot(h *hierarchy) error {
	dir := h.mount
	for _, name := range strings.Split(i.cfg.Root, "/") {
		if err := i.handDown(h, dir); err != nil {
			return err
		}
		dir = filepath.Join(dir, name)
		if err := i.kernel.mkdir(dir); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if h.version == 1 && slices.Contains(h.has, memory) {
			// Long ago, limits did not reach what is below unless this was said.
			if n, err := readNumber(filepath.Join(dir, "memory.use_hierarchy")); err == nil && n == 0 {
				_ = i.kernel.write(filepath.Join(dir, "memory.use_hierarchy"), "1")
			}
		}
	}
	if h.version == 2 && slices.Contains(h.has, memory) {
		// What containers have requested is kept for them only if there is something to share out.
		_ = i.kernel.write(filepath.Join(dir, "memory.low"), "max")
	}
	return i.handDown(h, dir)
}

func (i *Isolator) handDown(h *hierarchy, dir string) error {
	if h.version == 1 || len(h.has) == 0 {
		return nil
	}
	file := filepath.Join(dir, "cgroup.subtree_control")
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	active := strings.Fields(string(b))
	for _, name := range h.has {
		if slices.Contains(active, name) {
			continue
		}
		if err := i.kernel.write(file, "+"+name); err != nil {
			if errors.Is(err, syscall.EBUSY) {
				return fmt.Errorf("%s holds processes, so that it cannot hand down %s (move them to a cgroup of their own): %w", dir, name, err)
			}
			return err
		}
	}
	return nil
}

// Attach moves the first process into the container's cgroups. One that has ended already is nobody's any more: how it has ended, its
// supervisor tells.
func (i *Isolator) Attach(_ context.Context, container string, pid int) error {
	g := i.group(container)
	i.mu.Lock()
	loose := i.loose[g.name]
	i.mu.Unlock()
	if loose {
		return nil
	}
	if i.hasJoined(g, pid) {
		return nil
	}
	for _, h := range i.hierarchies {
		err := i.kernel.write(filepath.Join(g.in(h), "cgroup.procs"), strconv.Itoa(pid))
		if errors.Is(err, syscall.ESRCH) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Update implements isolation.Updater. The limits replace the earlier ones; the bound on memory is only raised.
func (i *Isolator) Update(_ context.Context, container string, resources resource.Resources, bounds []offer.Limit) error {
	g := i.group(container)
	err := error(nil)
	if g.pod != "" {
		err = i.update(g, resources, bounds)
	}
	if err == nil {
		err = i.set(g, i.limitsIn(g, resources, bounds), true)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it has ended meanwhile, or was never known
	}
	return err
}

// Cleanup kills what is left and removes the container's cgroups. What cannot be removed in time is an error, and is tried again with every
// later call and by Recover.
func (i *Isolator) Cleanup(ctx context.Context, container string) error {
	i.retry()
	return i.discard(ctx, i.group(container))
}

// discard removes a container's cgroups, or remembers that it could not.
func (i *Isolator) discard(ctx context.Context, g group) error {
	err := i.remove(ctx, g)
	i.mu.Lock()
	defer i.mu.Unlock()
	if err != nil {
		i.stuck[g.name] = true
	} else {
		delete(i.stuck, g.name)
		delete(i.loose, g.name)
		delete(i.nested, g.name)
		delete(i.invited, g.name)
	}
	return err
}

// retry looks once at what could not be removed before.
func (i *Isolator) retry() {
	i.mu.Lock()
	names := make([]string, 0, len(i.stuck))
	for name := range i.stuck {
		names = append(names, name)
	}
	i.mu.Unlock()
	over, cancel := context.WithCancel(context.Background())
	cancel()
	for _, name := range names {
		if i.discard(over, i.named(name)) == nil {
			i.cfg.Logger.Info("a cgroup that was stuck is removed", "name", name)
		}
	}
}
