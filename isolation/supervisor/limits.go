package supervisor

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/meros-project/meros/isolation"
)

var rlimits = map[string]int{"core": unix.RLIMIT_CORE, "nofile": unix.RLIMIT_NOFILE, "nproc": unix.RLIMIT_NPROC, "stack": unix.RLIMIT_STACK,
	"fsize": unix.RLIMIT_FSIZE, "memlock": unix.RLIMIT_MEMLOCK}

// limitOf is the limit that a process with the limits of the calling one is to have.
func limitOf(l isolation.Rlimit) (which int, want *syscall.Rlimit, err error) {
	which, ok := rlimits[l.Name]
	if !ok {
		return 0, nil, errors.New("is not known here")
	}
	want = &syscall.Rlimit{Cur: l.Soft, Max: l.Hard}
	if l.AtMost {
		var now syscall.Rlimit
		if err := syscall.Getrlimit(which, &now); err != nil {
			return 0, nil, err
		}
		want.Max = min(want.Max, now.Max)
		want.Cur = min(want.Cur, want.Max)
	}
	return which, want, nil
}
