//go:build !linux

package supervisor

import (
	"syscall"

	"golang.org/x/sys/unix"
)

var rlimits = map[string]int{"core": unix.RLIMIT_CORE, "nofile": unix.RLIMIT_NOFILE, "nproc": unix.RLIMIT_NPROC, "stack": unix.RLIMIT_STACK,
	"fsize": unix.RLIMIT_FSIZE, "memlock": unix.RLIMIT_MEMLOCK}

func closeDescriptors(from int) {
	for fd := from; fd < 256; fd++ {
		syscall.CloseOnExec(fd)
	}
}

func banPrivileges() error { return nil }

func duplicate(from, to int) error { return syscall.Dup2(from, to) }

func resetSignals() error { return nil }

func argumentLimits() string { return "what the system takes" }
