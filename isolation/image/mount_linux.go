package image

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

	"golang.org/x/sys/unix"
)

// mountLayers mounts an image's layers in a container's folder, with what is written on top. It names folders by descriptors: a page must hold
// the names of all layers, and a path may hold the characters that stand between them.
func mountLayers(layers []string, dir string, setuid bool) (err error) {
	var open []int
	defer func() {
		for _, fd := range open {
			_ = unix.Close(fd)
		}
	}()
	name := func(path string) string {
		if err != nil {
			return ""
		}
		var fd int
		if fd, err = unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0); err != nil {
			err = &os.PathError{Op: "open", Path: path, Err: err}
			return ""
		}
		open = append(open, fd)
		return "/proc/self/fd/" + strconv.Itoa(fd)
	}
	upper, work := filepath.Join(dir, upperName), filepath.Join(dir, workName)
	if err := errors.Join(makeOpen(upper), os.Mkdir(work, 0o700)); err != nil {
		return err
	}
	if len(layers) == 0 { // overlayfs wants one
		empty := filepath.Join(dir, "empty")
		if err := makeOpen(empty); err != nil {
			return err
		}
		layers = []string{empty}
	}
	var lower []string
	for _, l := range slices.Backward(layers) {
		lower = append(lower, name(l))
	}
	options := "lowerdir=" + strings.Join(lower, ":") + ",upperdir=" + name(upper) + ",workdir=" + name(work)
	if err != nil {
		return err
	}
	flags := uintptr(unix.MS_NODEV)
	if !setuid {
		flags |= unix.MS_NOSUID
	}
	if err := unix.Mount("overlay", rootOf(dir), "overlay", flags, options); err != nil {
		return fmt.Errorf("mount an overlay of %d layers: %w", len(layers), err)
	}
	return nil
}

// probe finds out whether overlayfs works in the store's file system, by using it. An error says that mounts do not work at all.
func (i *Isolator) probe() (why string, err error) {
	dir := i.store.path("roots", "probe")
	if err := removeRoot(dir); err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, removeRoot(dir)) }()
	lower := filepath.Join(dir, "lower")
	if err := errors.Join(os.MkdirAll(lower, 0o700), os.Mkdir(rootOf(dir), 0o755)); err != nil {
		return "", err
	}
	bad := mountLayers([]string{lower}, dir, false)
	if bad == nil {
		bad = os.WriteFile(filepath.Join(rootOf(dir), "file"), nil, 0o600)
	}
	if bad == nil {
		return "", nil
	}
	if err := unix.Mount(lower, lower, "", unix.MS_BIND, ""); err != nil {
		return "", fmt.Errorf("nothing can be mounted here: %w", err)
	}
	return bad.Error(), nil
}

// maxMounts bounds how often what is mounted is looked for: each time one layer of mounts above each other is gone.
const maxMounts = 64

// unmountBelow takes away whatever is mounted at dir or below it, also what is in use.
func unmountBelow(dir string) error {
	for range maxMounts {
		found, err := mountsBelow(dir)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return nil
		}
		for _, at := range slices.Backward(found) { // what was mounted last is on top
			err := unix.Unmount(at, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
			if err != nil && err != unix.EINVAL && err != unix.ENOENT { // gone with another one
				return fmt.Errorf("unmount %s: %w", at, err)
			}
		}
	}
	return fmt.Errorf("unmount %s: there is always something more", dir)
}

// mountsBelow lists what is mounted at dir or below it, in the order in which it was mounted.
func mountsBelow(dir string) ([]string, error) {
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var found []string
	for line := range strings.Lines(string(b)) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		if at := unescape(fields[4]); at == dir || strings.HasPrefix(at, dir+"/") {
			found = append(found, at)
		}
	}
	return found, nil
}

// unescape reads a path as the list of mounts has it.
var unescape = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`, `\043`, "#").Replace

// blocks is how much of the disk a file takes, in bytes.
func blocks(st fs.FileInfo) uint64 {
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		return uint64(sys.Blocks) * 512
	}
	return uint64(st.Size())
}

// openIn opens a path as a process sees it that has root as its root folder: no link leads out.
func openIn(root *os.File, path string, flags int) (*os.File, error) {
	fd, err := unix.Openat2(int(root.Fd()), path, &unix.OpenHow{Flags: uint64(flags) | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

const (
	readOnly   = unix.O_RDONLY | unix.O_NONBLOCK | unix.O_NOCTTY
	folderOnly = unix.O_RDONLY | unix.O_DIRECTORY
)

// makeIn makes a folder that is missing, with those above it, in the same way. They belong to root.
func makeIn(root *os.File, path string) error {
	made := "/"
	for part := range strings.SplitSeq(path, "/") {
		parent, err := openIn(root, made, folderOnly)
		if err != nil {
			return err
		}
		made = filepath.Join(made, part)
		if part != "" && part != "." && part != ".." {
			if err = unix.Mkdirat(int(parent.Fd()), part, 0o755); errors.Is(err, fs.ErrExist) {
				err = nil
			}
		}
		if err = errors.Join(err, parent.Close()); err != nil {
			return &os.PathError{Op: "mkdir", Path: made, Err: err}
		}
	}
	last, err := openIn(root, path, folderOnly)
	if err != nil {
		return err
	}
	return last.Close()
}
