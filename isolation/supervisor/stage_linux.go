package supervisor

import (
	"math"

	"golang.org/x/sys/unix"
)

var rlimits = map[string]int{"core": unix.RLIMIT_CORE, "nofile": unix.RLIMIT_NOFILE, "nproc": unix.RLIMIT_NPROC, "stack": unix.RLIMIT_STACK,
	"fsize": unix.RLIMIT_FSIZE, "memlock": unix.RLIMIT_MEMLOCK}

func closeDescriptors(from int) {
	_ = unix.CloseRange(uint(from), math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) // Go's own are close-on-exec where the kernel is too old
}

// dropCapabilities empties the bounding set, so that no program the task starts can have any.
func dropCapabilities() {
	for c := range uintptr(64) {
		if unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0) != nil {
			return // past the last one, or not allowed to
		}
	}
}

func banPrivileges() error { return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }

func duplicate(from, to int) error { return unix.Dup3(from, to, 0) }
