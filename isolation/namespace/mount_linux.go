package namespace

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// An option is one of a new mount; one without a value is a flag.
type option struct{ name, value string }

// newMount makes a file system that is mounted nowhere yet.
func newMount(kind string, attributes int, options ...option) (int, error) {
	fs, err := unix.Fsopen(kind, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, err
	}
	defer unix.Close(fs)
	for _, o := range options {
		if o.value == "" {
			err = unix.FsconfigSetFlag(fs, o.name)
		} else {
			err = unix.FsconfigSetString(fs, o.name, o.value)
		}
		if err != nil {
			return -1, fmt.Errorf("%s=%s: %w", o.name, o.value, err)
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, err
	}
	return unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, attributes)
}

// clone is a second mount of what is open at fd, with all that is mounted below it if so asked, mounted nowhere yet.
func clone(fd int, recursive bool) (int, error) {
	flags := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC | unix.AT_EMPTY_PATH)
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	return unix.OpenTree(fd, "", flags)
}

// restrict sets attributes of the mount at fd, and of all below it.
func restrict(fd int, attributes uint64) error {
	return unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: attributes})
}

// attach mounts what is mounted nowhere yet on what is open at fd.
func attach(mount, fd int) error {
	return unix.MoveMount(mount, "", fd, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}

// isMount reports whether what is open at fd is where something is mounted.
func isMount(fd int) bool {
	var st unix.Statx_t
	err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, 0, &st)
	return err == nil && st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}

func isFolder(fd int) (bool, error) {
	var st unix.Stat_t
	err := unix.Fstat(fd, &st)
	return st.Mode&unix.S_IFMT == unix.S_IFDIR, err
}

// A view is a folder in which paths are looked up, so that they lead nowhere else.
type view struct {
	fd      int
	resolve uint64
	makes   bool // what is missing may be made
}

// Ways to look up paths: where links may be, as in an image, they lead to what they would lead to if the folder were the root; where they
// have no business, as in a sandbox, they are refused.
const (
	asRoot    = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS
	withLinks = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS
	noLinks   = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS
)

// open opens what is at path in the view, to be mounted or mounted on. The caller closes it.
func (v view) open(name string) (int, error) {
	name = strings.TrimPrefix(name, "/")
	if name == "" {
		name = "."
	}
	fd, err := unix.Openat2(v.fd, name, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: v.resolve})
	for try := 0; errors.Is(err, unix.EAGAIN) && try < 100; try++ { // something was renamed meanwhile
		fd, err = unix.Openat2(v.fd, name, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: v.resolve})
	}
	return fd, explain(err)
}

// explain says what the system says with a number that means something else to most.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.ELOOP):
		return errors.New("is or passes a link (allowed: a path without)")
	case errors.Is(err, unix.EXDEV):
		return errors.New("leads out of the folder that it is to stay in")
	}
	return err
}

// ensure opens what is at path in the view, made as a folder or an empty file where it is missing, with the folders above. A folder that it
// makes is given to owner; zero is root.
func (v view) ensure(name string, folder bool, owner int) (int, error) {
	fd, err := v.open(name)
	if err == nil || !errors.Is(err, unix.ENOENT) || !v.makes {
		return fd, err
	}
	name = strings.Trim(name, "/")
	above, err := v.ensure(path.Dir("/"+name), true, owner)
	if err != nil {
		return -1, err
	}
	defer unix.Close(above)
	base := path.Base(name)
	if folder {
		if err = unix.Mkdirat(above, base, 0o755); err == nil && owner != 0 {
			err = unix.Fchownat(above, base, owner, -1, unix.AT_SYMLINK_NOFOLLOW)
		}
	} else {
		var file int
		file, err = unix.Openat(above, base, unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_WRONLY|unix.O_CLOEXEC, 0o644)
		if err == nil {
			_ = unix.Close(file)
		}
	}
	if err != nil && !errors.Is(err, unix.EEXIST) {
		return -1, err
	}
	return v.open(name)
}
