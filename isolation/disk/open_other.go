//go:build !linux

package disk

import "golang.org/x/sys/unix"

// openBelow opens a folder in another one: no link, and nothing of another device, which is EXDEV.
func openBelow(dir int, name string, device uint64) (int, error) {
	return openSameDevice(dir, name, device, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC)
}
