//go:build !386 && !arm

package supervisor

import "golang.org/x/sys/unix"

// The calls about users whose numbers have 32 bits.
const (
	sysSetgroups = unix.SYS_SETGROUPS
	sysSetresgid = unix.SYS_SETRESGID
	sysSetresuid = unix.SYS_SETRESUID
	sysGetegid   = unix.SYS_GETEGID
	sysGeteuid   = unix.SYS_GETEUID
)
