package disk

import (
	"errors"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// plainOpen is set where the kernel has no openat2, or whoever confines the slave does not let it through.
var plainOpen atomic.Bool

// openBelow opens a folder in another one: no link, and nothing that is mounted there, which is EXDEV, also if it is of the same device.
func openBelow(dir int, name string, device uint64) (int, error) {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	if !plainOpen.Load() {
		fd, err := unix.Openat2(dir, name, &unix.OpenHow{Flags: flags, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV})
		if !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EPERM) {
			return fd, err
		}
		plainOpen.Store(true)
	}
	return openSameDevice(dir, name, device, flags)
}
