package namespace

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/meros-project/meros/isolation"
)

// A room is a container while it is furnished.
type room struct {
	plan     *isolation.Plan
	root     view
	procs    int   // the container's processes, mounted nowhere yet
	procsPut bool  // they are mounted, and closed
	open     []int // descriptors to close at the end
}

// Furnish makes the mounts of a container, and its root folder its root. The calling thread, which is locked, is alone in the container's namespaces
// with its first process, and has what it has of the machine's rights; both have their root and working directory changed. processes is a file system
// of the container's processes, which only one of them can make; it is closed.
func Furnish(p *isolation.Plan, processes int) error {
	r := &room{plan: p, procs: processes}
	defer r.close()
	// What the machine unmounts must not be kept busy; what is mounted here the machine must not see.
	if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("mounts: %w", err)
	}
	if err := r.findRoot(); err != nil {
		return fmt.Errorf("root folder: %w", err)
	}
	sources, err := r.sources()
	if err != nil {
		return err
	}
	for _, step := range []struct {
		name string
		do   func() error
	}{{"/dev", r.devices}, {"/sys", r.system}, {"/proc", r.processes}, {"masked paths", r.mask}, {"host name", r.name}, {"/etc", r.settings}} {
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	sandbox, err := r.sandbox()
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	for i := range p.Mounts {
		if err := r.mount(&p.Mounts[i], sources[i], sandbox); err != nil {
			return fmt.Errorf("%s: %w", p.Mounts[i].Field, err)
		}
	}
	if p.Rootfs == "" {
		return nil
	}
	return r.enter()
}

func (r *room) keep(fd int) int {
	r.open = append(r.open, fd)
	return fd
}

func (r *room) close() {
	if !r.procsPut {
		_ = unix.Close(r.procs)
	}
	for _, fd := range r.open {
		_ = unix.Close(fd)
	}
}

// findRoot opens the folder that paths of the container are looked up in. In the machine's root nothing is made.
func (r *room) findRoot() error {
	name := "/"
	r.root = view{resolve: asRoot}
	if r.plan.Rootfs != "" {
		name, r.root.makes = r.plan.Rootfs, true
		if err := unix.Mount(name, name, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return err
		}
	}
	fd, err := unix.Open(name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	r.root.fd = r.keep(fd)
	return nil
}

// enter makes the root folder the root of this process, and forgets the machine's.
func (r *room) enter() error {
	if err := unix.Fchdir(r.root.fd); err != nil {
		return fmt.Errorf("root folder: %w", err)
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("root folder: change to it: %w", err)
	}
	// Both are mounted at the same place now, the machine's on top.
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("root folder: forget the machine's: %w", err)
	}
	return unix.Chdir("/")
}

// put mounts what is mounted nowhere yet at a path of the container.
func (r *room) put(mount int, at string, folder bool) error {
	defer unix.Close(mount)
	fd, err := r.root.ensure(at, folder, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	defer unix.Close(fd)
	if err := attach(mount, fd); err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	return nil
}

// putNew mounts a new file system at a folder of the container.
func (r *room) putNew(kind, at string, attributes int, options ...option) error {
	mount, err := newMount(kind, attributes, options...)
	if err != nil {
		return fmt.Errorf("%s: %w", at, err)
	}
	return r.put(mount, at, true)
}

const harmless = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC

func (r *room) processes() error {
	r.procsPut = true
	return r.put(r.procs, "/proc", true)
}

// system is what the container sees of the machine's parts: all of it, read-only; with a network of its own, those of that network.
func (r *room) system() error {
	if r.plan.Namespaces.Network {
		return r.putNew("sysfs", "/sys", harmless|unix.MOUNT_ATTR_RDONLY)
	}
	fd, err := unix.Open("/sys", unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if r.plan.Rootfs == "" && isMount(fd) {
		return restrict(fd, harmless|unix.MOUNT_ATTR_RDONLY)
	}
	tree, err := clone(fd, true)
	if err != nil {
		return err
	}
	if err := restrict(tree, harmless|unix.MOUNT_ATTR_RDONLY); err != nil {
		_ = unix.Close(tree)
		return err
	}
	return r.put(tree, "/sys", true)
}

// mask hides what a container is not to see, and makes read-only what it is not to change. What is missing is passed over.
func (r *room) mask() error {
	paths := view{fd: r.root.fd, resolve: asRoot}
	nothing := -1
	for _, name := range r.plan.Namespaces.Masked {
		fd, err := paths.open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		r.keep(fd)
		folder, err := isFolder(fd)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		var cover int
		if !folder {
			cover, err = unix.OpenTree(unix.AT_FDCWD, "/dev/null", unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		} else {
			if nothing < 0 {
				if nothing, err = newMount("tmpfs", harmless|unix.MOUNT_ATTR_RDONLY, option{"size", "4k"}, option{"mode", "0555"}); err != nil {
					return err
				}
				r.keep(nothing)
			}
			cover, err = clone(nothing, false)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := attach(r.keep(cover), fd); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	for _, name := range r.plan.Namespaces.ReadOnly {
		fd, err := paths.open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		tree, err := clone(r.keep(fd), true)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := restrict(r.keep(tree), unix.MOUNT_ATTR_RDONLY); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := attach(tree, fd); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// settings shows the container with a root folder of its own how the machine finds others by name.
func (r *room) settings() error {
	if r.plan.Rootfs == "" {
		return nil
	}
	files := []string{"/etc/hosts", "/etc/resolv.conf"}
	if r.plan.Namespaces.Network {
		files = files[:1]
	}
	if name := r.plan.Namespaces.Hostname; name != "" {
		files = files[1:]
		if err := r.sayName(name); err != nil {
			return err
		}
	}
	for _, name := range files {
		tree, err := unix.OpenTree(unix.AT_FDCWD, name, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		if err := restrict(tree, harmless|unix.MOUNT_ATTR_RDONLY); err != nil {
			_ = unix.Close(tree)
			return err
		}
		if err := r.put(tree, name, false); err != nil {
			return err
		}
	}
	return nil
}

// name gives the container its host name.
func (r *room) name() error {
	if r.plan.Namespaces.Hostname == "" {
		return nil
	}
	return unix.Sethostname([]byte(r.plan.Namespaces.Hostname))
}

// mostHosts bounds what is read of the machine's /etc/hosts, in bytes.
const mostHosts = 1 << 20

// sayName shows the container its host name in files. It leads to an address of the loopback that is not localhost's; the rest of /etc/hosts is the
// machine's.
func (r *room) sayName(name string) error {
	hosts := []byte("127.0.1.1\t" + name)
	if short, _, long := strings.Cut(name, "."); long {
		hosts = append(hosts, " "+short...)
	}
	hosts = append(hosts, '\n')
	f, err := os.Open("/etc/hosts")
	if err == nil {
		var rest []byte
		rest, err = io.ReadAll(io.LimitReader(f, mostHosts))
		hosts = append(hosts, rest...)
		_ = f.Close()
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for at, content := range map[string][]byte{"/etc/hostname": []byte(name + "\n"), "/etc/hosts": hosts} {
		tree, err := newFile(content, 0, 0, 0o444)
		if err != nil {
			return err
		}
		if err := restrict(tree, harmless|unix.MOUNT_ATTR_RDONLY); err != nil {
			_ = unix.Close(tree)
			return err
		}
		if err := r.put(tree, at, false); err != nil {
			return err
		}
	}
	return nil
}

// sandbox is where the container's sandbox is looked up, mounted in its own root folder if it has one.
func (r *room) sandbox() (view, error) {
	v := view{resolve: noLinks, makes: true}
	from, err := unix.Open(r.plan.Namespaces.Sandbox, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return v, err
	}
	v.fd = r.keep(from)
	if r.plan.Rootfs == "" {
		return v, nil
	}
	tree, err := clone(from, false)
	if err != nil {
		return v, err
	}
	if err := restrict(tree, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV); err != nil {
		_ = unix.Close(tree)
		return v, err
	}
	if err := r.put(tree, isolation.SandboxPath, true); err != nil {
		return v, err
	}
	inside, err := r.root.open(isolation.SandboxPath)
	if err == nil {
		v.fd = r.keep(inside)
	}
	return v, err
}

// exists reports whether the source of a mount is there, or what is wrong with its path.
func exists(m isolation.Mount) error {
	fd, err := openSource(m, 0)
	if err == nil {
		_ = unix.Close(fd)
	}
	return err
}

// openSource opens what a mount shows.
func openSource(m isolation.Mount, owner int) (int, error) {
	if m.Within == "" {
		return unix.Open(m.Source, unix.O_PATH|unix.O_CLOEXEC, 0)
	}
	within, err := unix.Open(m.Within, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	rest, err := filepath.Rel(m.Within, m.Source)
	if err != nil || rest == "." {
		return within, err
	}
	defer unix.Close(within)
	v := view{fd: within, resolve: withLinks, makes: m.Make}
	if m.Make { // in a sandbox, where others than the slave's owner make links
		v.resolve = noLinks
	}
	return v.ensure(rest, true, owner)
}

// sources opens what the volumes show, while the machine's root is still the root.
func (r *room) sources() ([]int, error) {
	all := make([]int, len(r.plan.Mounts))
	for i, m := range r.plan.Mounts {
		tree, err := -1, error(nil)
		if m.Secret != nil {
			tree, err = r.secret(m.Secret)
		} else {
			var fd int
			if fd, err = openSource(m, r.owner()); err == nil {
				tree, err = clone(r.keep(fd), true)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.Field, err)
		}
		all[i] = r.keep(tree)
		attributes := uint64(unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV)
		if m.ReadOnly {
			attributes |= unix.MOUNT_ATTR_RDONLY
		}
		if err := restrict(tree, attributes); err != nil {
			return nil, fmt.Errorf("%s: %w", m.Field, err)
		}
	}
	return all, nil
}

func (r *room) owner() int {
	if u := r.plan.User; u != nil {
		return u.UID
	}
	return 0
}

// secret makes a file that only the task's user can read.
func (r *room) secret(content []byte) (int, error) {
	uid, gid := 0, 0
	if u := r.plan.User; u != nil {
		uid, gid = u.UID, u.GID
	}
	return newFile(content, uid, gid, 0o400)
}

// newFile makes a file in memory, and a mount of it alone that is mounted nowhere yet.
func newFile(content []byte, uid, gid int, mode uint32) (int, error) {
	memory, err := newMount("tmpfs", harmless, option{"mode", "0700"}, option{"noswap", ""})
	if err != nil { // before Linux 6.4
		memory, err = newMount("tmpfs", harmless, option{"mode", "0700"})
	}
	if err != nil {
		return -1, err
	}
	defer unix.Close(memory)
	const name = "file"
	fd, err := unix.Openat(memory, name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o400)
	if err != nil {
		return -1, err
	}
	defer unix.Close(fd)
	if n, err := unix.Write(fd, content); err != nil || n != len(content) {
		return -1, fmt.Errorf("write %d bytes: %d, %w", len(content), n, err)
	}
	if err := unix.Fchown(fd, uid, gid); err != nil {
		return -1, err
	}
	if err := unix.Fchmod(fd, mode); err != nil {
		return -1, err
	}
	return unix.OpenTree(memory, name, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
}

// mount shows the container one of its volumes.
func (r *room) mount(m *isolation.Mount, source int, sandbox view) error {
	folder, err := isFolder(source)
	if err != nil {
		return err
	}
	where, owner := r.root, 0
	if !filepath.IsAbs(m.Target) {
		where, owner = sandbox, r.owner()
	} else if r.plan.Rootfs == "" {
		where.resolve = noLinks // which could be another task's
	}
	fd, err := where.ensure(m.Target, folder, owner)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("containerPath %.80q: does not exist (allowed: one that does, where the container has the machine's root folder)", m.Target)
	case err != nil:
		return fmt.Errorf("containerPath %.80q: %w", m.Target, err)
	}
	defer unix.Close(fd)
	there, err := isFolder(fd)
	switch {
	case err != nil:
		return err
	case isMount(fd):
		return fmt.Errorf("containerPath %.80q: something is mounted there (allowed: a path where nothing is)", m.Target)
	case folder && !there:
		return fmt.Errorf("containerPath %.80q: is a file, and the volume a folder", m.Target)
	case there && !folder:
		return fmt.Errorf("containerPath %.80q: is a folder, and the volume a file", m.Target)
	}
	if err := attach(source, fd); err != nil {
		return fmt.Errorf("containerPath %.80q: %w", m.Target, err)
	}
	return nil
}
