//go:build !linux

package image

import (
	"errors"
	"os"
	"syscall"
)

var errNoOverlay = errors.New("there is no overlayfs on this system")

func overlayWhiteout(*os.Root, string) error { return errNoOverlay }

func overlayOpaque(*os.Root, string) error { return errNoOverlay }

// syncAll brings what was written to the disk, before anything says that it is there.
func syncAll(string) error { return syscall.Sync() }
