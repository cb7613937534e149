package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// What is in the folder of a container.
const (
	rootName  = "root"  // its root folder: the mount, or the copy
	upperName = "upper" // what overlayfs keeps of what was written
	workName  = "work"  // of overlayfs
	copyName  = "copy"  // a file that says how large the copy was; with overlayfs there is none
)

func rootOf(dir string) string { return filepath.Join(dir, rootName) }

// provision makes a root folder from an image. After an error the caller removes what is there.
func (i *Isolator) provision(ctx context.Context, u *Unpacked, dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	root := rootOf(dir)
	if err := makeOpen(root); err != nil {
		return err
	}
	if !i.cfg.Copy && i.copy == "" && u.Overlay {
		return mountLayers(u.Layers, dir, i.cfg.Store.Setuid)
	}
	if err := Flatten(ctx, u, root); err != nil {
		return err
	}
	// As with overlayfs, whatever the image says: a root folder that is closed to its user is of use to nobody.
	if err := errors.Join(os.Chmod(root, 0o755), os.Lchown(root, 0, 0)); err != nil {
		return err
	}
	size, err := blocksOf(ctx, root)
	if err != nil {
		return err
	}
	b, err := json.Marshal(size)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, copyName), b, 0o600)
}

// makeOpen makes a folder that others can look into, whatever the slave's mask is.
func makeOpen(dir string) error { return errors.Join(os.Mkdir(dir, 0o700), os.Chmod(dir, 0o755)) }

// blocksOf is how much of the disk the files and folders below dir take, in bytes.
func blocksOf(ctx context.Context, dir string) (n uint64, err error) {
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil || path == dir {
			return err
		}
		st, err := e.Info()
		if err == nil {
			n += blocks(st)
		}
		return err
	})
	return n, err
}

// written is where a container's own files are.
func written(dir string) (string, uint64) {
	upper := filepath.Join(dir, upperName)
	if _, err := os.Lstat(upper); err == nil {
		return upper, 0
	}
	var size uint64
	b, err := os.ReadFile(filepath.Join(dir, copyName))
	if err != nil || json.Unmarshal(b, &size) != nil {
		return "", 0
	}
	return rootOf(dir), size
}

// removeRoot removes everything that was made for a container, also half of it and nothing. What is mounted there is not entered.
func removeRoot(dir string) error {
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := unmountBelow(dir); err != nil {
		return err
	}
	if err := removeTree(dir); err != nil {
		return fmt.Errorf("remove a root folder: %w", err)
	}
	return nil
}
