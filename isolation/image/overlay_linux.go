package image

import (
	"errors"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// overlayWhiteout says in the form of overlayfs that lower layers do not have name.
func overlayWhiteout(root *os.Root, name string) error {
	dir, err := root.Open(path.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(unix.Mknodat(int(dir.Fd()), path.Base(name), unix.S_IFCHR, 0), dir.Close())
}

// overlayOpaque says in the form of overlayfs that a folder hides those of lower layers.
func overlayOpaque(root *os.Root, name string) error {
	dir, err := root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(unix.Fsetxattr(int(dir.Fd()), "trusted.overlay.opaque", []byte("y"), 0), dir.Close())
}

// syncAll brings what was written below dir to the disk, before anything says that it is there.
func syncAll(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(d.Fd())), d.Close())
}
