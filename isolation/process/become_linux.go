package process

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/meros-project/meros/isolation"
)

// BecomeThread is Become for the calling thread alone, which must be locked, and for what it starts. Nil means to stay.
func BecomeThread(u *isolation.User) error {
	if u == nil {
		return nil
	}
	groups := make([]uint32, len(u.Groups)+1) // one more than needed, so that there is an address
	for i, g := range u.Groups {
		groups[i] = uint32(g)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(u.Groups)), uintptr(unsafe.Pointer(&groups[0])), 0); errno != 0 {
		return fmt.Errorf("user %s: set groups: %w", u.Name, errno)
	}
	gid, uid := uintptr(u.GID), uintptr(u.UID)
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESGID, gid, gid, gid); errno != 0 {
		return fmt.Errorf("user %s: set group: %w", u.Name, errno)
	}
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uid, uid, uid); errno != 0 {
		return fmt.Errorf("user %s: set user: %w", u.Name, errno)
	}
	if unix.Geteuid() != u.UID || unix.Getegid() != u.GID {
		return fmt.Errorf("user %s: has not become it", u.Name)
	}
	return nil
}
