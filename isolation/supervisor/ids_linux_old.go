//go:build linux && (386 || arm)

package supervisor

import "golang.org/x/sys/unix"

// The calls about users whose numbers have 32 bits, where there were others before.
const (
	sysSetgroups = unix.SYS_SETGROUPS32
	sysSetresgid = unix.SYS_SETRESGID32
	sysSetresuid = unix.SYS_SETRESUID32
	sysGetegid   = unix.SYS_GETEGID32
	sysGeteuid   = unix.SYS_GETEUID32
)
