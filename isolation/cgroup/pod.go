package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// sharedName is the cgroup in that of a group which holds the members that share. No container's cgroup is called so.
const sharedName = "shared"

// A place is what the cgroups of a container are nested in: those of its group, or of the group's members that share. The zero value is Root.
type place struct {
	pod    string // below Root; empty for a container that is alone
	shared bool
}

func (p place) path() string {
	if p.shared {
		return filepath.Join(p.pod, sharedName)
	}
	return p.pod
}

// levels are the cgroups that must exist before those of a container that is nested there, from the top.
func (p place) levels() []string {
	switch {
	case p.pod == "":
		return nil
	case p.shared:
		return []string{p.pod, p.path()}
	}
	return []string{p.pod}
}

// A pod is what is known of a group. Isolator.making guards it.
type pod struct {
	own     resource.Resources
	members map[string]member // by the name of the container's cgroup
	fresh   bool              // the cgroup of those that share has no limits yet
}

type member struct {
	resources resource.Resources
	limits    []offer.Limit
	shared    bool
}

// isPod reports whether a cgroup below Root is that of a group of this slave: a name that no container's has.
func (i *Isolator) isPod(name string) bool { return strings.HasPrefix(name, i.cfg.Slave+".+") }

// enter notes that there is a container, or is about to be, and where its cgroups are.
func (i *Isolator) enter(spec *isolation.Spec) group {
	g := group{i: i, name: i.name(spec.Container)}
	if spec.Group != nil {
		g.place = place{pod: i.cfg.Slave + ".+" + plain(spec.Group.ID), shared: spec.Group.Shared}
		i.making.Lock()
		i.join(g, spec)
		i.making.Unlock()
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	delete(i.loose, g.name)
	if g.pod != "" {
		i.nested[g.name] = g.place
	} else {
		delete(i.nested, g.name)
	}
	return g
}

// join counts a container among those of its group. The caller holds making.
func (i *Isolator) join(g group, spec *isolation.Spec) {
	p := i.pods[g.pod]
	if p == nil {
		p = &pod{members: map[string]member{}}
		i.pods[g.pod] = p
	}
	if spec.Group != nil {
		p.own = spec.Group.Resources
	}
	p.members[g.name] = member{resources: spec.Resources, limits: spec.Limits, shared: g.shared}
}

// makeLevels makes what a container's cgroup is nested in, in one hierarchy. The caller holds making.
func (i *Isolator) makeLevels(h *hierarchy, g group) error {
	for _, level := range g.levels() {
		dir := filepath.Join(h.mount, i.cfg.Root, level)
		err := i.kernel.mkdir(dir)
		if err == nil && level == g.path() && g.shared && h == i.with(memory) {
			i.pods[g.pod].fresh = true
		}
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := i.handDown(h, dir); err != nil {
			return err
		}
	}
	return nil
}

// sums are what the members of a group have asked for, and those of them that share, with the bounds of the latter.
func (p *pod) sums() (all, sharing resource.Resources, bounds []offer.Limit, share bool) {
	all, sharing = p.own, p.own
	for _, m := range p.members {
		all = all.Add(m.resources)
		if m.shared {
			share = true
			sharing = sharing.Add(m.resources)
		}
	}
	for _, name := range [...]string{resource.CPUs, resource.Mem} {
		if b, is := p.bound(name); is {
			bounds = append(bounds, b)
		}
	}
	return all, sharing, bounds, share
}

// bound is what those that share may use of a resource together, if any of them may use more than it has asked for.
func (p *pod) bound(name string) (offer.Limit, bool) {
	sum, is := p.own.Scalar(name), false
	for _, m := range p.members {
		if !m.shared {
			continue
		}
		most := m.resources.Scalar(name)
		for _, l := range m.limits {
			switch {
			case l.Name != name:
			case l.Amount == offer.NoLimit, l.Amount > noBound:
				return offer.Limit{Name: name, Amount: offer.NoLimit}, true
			default:
				most, is = max(l.Amount, most), true
			}
		}
		sum += most
	}
	return offer.Limit{Name: name, Amount: sum}, is
}

// noBound is an amount that no machine has, so that sums do not run over.
const noBound resource.Scalar = 1 << 40

// setPod holds a group to what its members have asked for by now. The group as a whole has only its part when there is not enough for
// all: what a member may use at most bounds the member, or those that share. The caller holds making.
func (i *Isolator) setPod(name string, p *pod) error {
	all, sharing, bounds, share := p.sums()
	if err := i.set(group{i: i, name: name}, limitsOf(all, nil).unbounded(), false); err != nil {
		return err
	}
	if !share {
		return nil
	}
	l := limitsOf(sharing, bounds)
	l.processes = i.cfg.Processes
	if err := i.set(i.sharing(name), l, !p.fresh); err != nil {
		return err
	}
	p.fresh = false
	return nil
}

// sharing is the cgroup of those members of a group that share.
func (i *Isolator) sharing(pod string) group {
	return group{i: i, name: sharedName, place: place{pod: pod}}
}

// leave forgets a container, whose own cgroups are removed, as one of its group, and removes what was only there for it. The caller holds
// making.
func (i *Isolator) leave(g group) error {
	p := i.pods[g.pod]
	if p == nil {
		return i.removePod(g.pod)
	}
	delete(p.members, g.name)
	if len(p.members) == 0 {
		delete(i.pods, g.pod)
		return i.removePod(g.pod)
	}
	if _, _, _, share := p.sums(); !share {
		for _, h := range i.hierarchies {
			_ = i.kernel.rmdir(i.sharing(g.pod).in(h)) // it goes with the group at the latest
		}
	}
	if err := i.setPod(g.pod, p); err != nil {
		i.cfg.Logger.Warn("a group is still held to what it was with a member that has ended", "name", g.pod, "err", err)
	}
	return nil
}

// removePod removes the cgroups of a group that nobody is in.
func (i *Isolator) removePod(name string) error {
	var errs []error
	for _, h := range i.hierarchies {
		for _, level := range []string{filepath.Join(name, sharedName), name} {
			if err := i.kernel.rmdir(filepath.Join(h.mount, i.cfg.Root, level)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// findNested looks for containers of an earlier run in the cgroups of groups, and returns the names of those.
func (i *Isolator) findNested() (pods map[string]bool, err error) {
	pods = map[string]bool{}
	for _, h := range i.hierarchies {
		root := filepath.Join(h.mount, i.cfg.Root)
		tops, err := folders(root)
		if err != nil {
			return nil, err
		}
		for _, top := range tops {
			if !i.isPod(top) {
				continue
			}
			pods[top] = true
			for _, at := range []place{{pod: top}, {pod: top, shared: true}} {
				names, err := folders(filepath.Join(root, at.path()))
				if err != nil {
					return nil, err
				}
				i.mu.Lock()
				for _, name := range names {
					if name != sharedName {
						i.nested[name] = at
					}
				}
				i.mu.Unlock()
			}
		}
	}
	return pods, nil
}

// folders are the names of the cgroups right below one, which may be missing.
func folders(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// resumePods holds the groups of an earlier run to what those members of them have asked for that are left.
func (i *Isolator) resumePods(onDisk map[string]bool) {
	i.making.Lock()
	defer i.making.Unlock()
	for name, p := range i.pods {
		if dir, h := i.sharing(name).dir(memory); h != nil {
			n, err := readNumber(filepath.Join(dir, memoryFiles[h.version].limit))
			p.fresh = err == nil && isUnlimited(n, h.version) // the slave may have ended before it had set any
		}
		if err := i.setPod(name, p); err != nil {
			i.cfg.Logger.Warn("a group is held to what it was", "name", name, "err", err)
		}
	}
	for name := range onDisk {
		if i.pods[name] != nil {
			continue
		}
		if err := i.removePod(name); err != nil {
			i.cfg.Logger.Error("remove the cgroup of a group, which is tried again at the next start", "name", name, "err", err)
		}
	}
}

// update changes what a member of a group has asked for.
func (i *Isolator) update(g group, resources resource.Resources, bounds []offer.Limit) error {
	i.making.Lock()
	defer i.making.Unlock()
	p := i.pods[g.pod]
	if p == nil {
		return fmt.Errorf("%s: %w", g.pod, fs.ErrNotExist)
	}
	if _, is := p.members[g.name]; !is {
		return fmt.Errorf("%s: %w", g.name, fs.ErrNotExist)
	}
	p.members[g.name] = member{resources: resources, limits: bounds, shared: g.shared}
	return i.setPod(g.pod, p)
}
