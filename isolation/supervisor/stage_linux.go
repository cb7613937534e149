package supervisor

import (
	"fmt"
	"math"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

var rlimits = map[string]int{"core": unix.RLIMIT_CORE, "nofile": unix.RLIMIT_NOFILE, "nproc": unix.RLIMIT_NPROC, "stack": unix.RLIMIT_STACK,
	"fsize": unix.RLIMIT_FSIZE, "memlock": unix.RLIMIT_MEMLOCK}

func closeDescriptors(from int) {
	_ = unix.CloseRange(uint(from), math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) // Go's own are close-on-exec where the kernel is too old
}

func banPrivileges() error { return unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }

func duplicate(from, to int) error { return unix.Dup3(from, to, 0) }

// What the system's SIG_DFL and SIG_IGN are, and how many signals it has.
const (
	defaultAction = 0
	ignoreAction  = 1
	lastSignal    = 64
)

// signalAction is the system's own struct sigaction, of which only the first field matters here.
type signalAction struct{ handler, flags, restorer, mask uint64 }

// resetSignals gives the calling thread's program the signals that programs expect: none blocked, and none ignored because whoever started
// the slave, such as nohup, had that done. What the Go runtime handles, the system sets back by itself.
func resetSignals() error {
	for sig := uintptr(1); sig <= lastSignal; sig++ {
		var a signalAction
		_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, sig, 0, uintptr(unsafe.Pointer(&a)), unsafe.Sizeof(a.mask), 0, 0)
		if errno != 0 || a.handler != ignoreAction {
			continue
		}
		a = signalAction{handler: defaultAction}
		if _, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, sig, uintptr(unsafe.Pointer(&a)), 0, unsafe.Sizeof(a.mask), 0, 0); errno != 0 {
			return errno
		}
	}
	return unix.PthreadSigmask(unix.SIG_SETMASK, &unix.Sigset_t{}, nil)
}

// argumentLimits says how much execve takes: a quarter of the stack's limit but at most 6 MiB, and of one string 32 pages.
func argumentLimits() string {
	total := uint64(6 << 20)
	var stack syscall.Rlimit
	if syscall.Getrlimit(unix.RLIMIT_STACK, &stack) == nil {
		total = min(total, max(stack.Cur/4, 128<<10))
	}
	return fmt.Sprintf("%d, and for one %d", total, 32*unix.Getpagesize())
}
