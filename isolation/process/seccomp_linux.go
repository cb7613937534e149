//go:build linux && (amd64 || arm64)

package process

import (
	"fmt"
	"slices"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/meros-project/meros/isolation"
)

// A rule is about one system call.
type rule struct {
	name   string
	number uint32
	// capability is the one without which the system refuses the call's dangerous uses to everybody, and which lets it through here too.
	capability string
	// test decides by the arguments, and ends every path with an answer; nil means the answer is errno.
	test  []bpf.Instruction
	errno unix.Errno // zero means EPERM
}

// Offsets in what the system shows a filter about a call (struct seccomp_data). Both architectures have the lower half of an argument first.
const (
	atNumber       = 0
	atArchitecture = 4
	atArguments    = 16
)

func argument(i uint32) bpf.Instruction { return bpf.LoadAbsolute{Off: atArguments + 8*i, Size: 4} }

var (
	let    = bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW}
	denied = answer(unix.EPERM)
)

func answer(errno unix.Errno) bpf.Instruction {
	return bpf.RetConstant{Val: unix.SECCOMP_RET_ERRNO | uint32(errno)&unix.SECCOMP_RET_DATA}
}

// newNamespaces are the flags of clone that make namespaces. That of the time namespace is a signal number there, and one of unshare only.
const newNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET

func withoutFlags(flags uint32) []bpf.Instruction {
	return []bpf.Instruction{argument(0), bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: flags, SkipFalse: 1}, denied, let}
}

// oneOf lets the call through if its argument i is one of values, and with otherwise decides about others.
func oneOf(i uint32, otherwise bpf.Instruction, values ...uint32) []bpf.Instruction {
	code := []bpf.Instruction{argument(i)}
	for _, v := range values {
		code = append(code, bpf.JumpIf{Cond: bpf.JumpEqual, Val: v, SkipFalse: 1}, let)
	}
	return append(code, otherwise)
}

func noneOf(i uint32, values ...uint32) []bpf.Instruction {
	code := []bpf.Instruction{argument(i)}
	for _, v := range values {
		code = append(code, bpf.JumpIf{Cond: bpf.JumpEqual, Val: v, SkipFalse: 1}, denied)
	}
	return append(code, let)
}

// sockets lets through those of the local machine and of TCP, UDP and their like, and not those that see or make raw packets: the types
// SOCK_RAW and SOCK_PACKET. The type's upper bits are flags.
var sockets = []bpf.Instruction{
	argument(0),
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.AF_UNIX, SkipFalse: 1}, let,
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.AF_NETLINK, SkipFalse: 1}, let,
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.AF_INET, SkipTrue: 2},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.AF_INET6, SkipTrue: 1},
	denied,
	argument(1), bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0xf},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.SOCK_RAW, SkipFalse: 1}, denied,
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.SOCK_PACKET, SkipFalse: 1}, denied,
	let,
}

// rules is the default list, of what both architectures have.
var rules = []rule{
	// Mounts and the root folder.
	{name: "mount", number: unix.SYS_MOUNT, capability: "sys_admin"},
	{name: "umount2", number: unix.SYS_UMOUNT2, capability: "sys_admin"},
	{name: "pivot_root", number: unix.SYS_PIVOT_ROOT, capability: "sys_admin"},
	{name: "open_tree", number: unix.SYS_OPEN_TREE, capability: "sys_admin"},
	{name: "open_tree_attr", number: unix.SYS_OPEN_TREE_ATTR, capability: "sys_admin"},
	{name: "move_mount", number: unix.SYS_MOVE_MOUNT, capability: "sys_admin"},
	{name: "mount_setattr", number: unix.SYS_MOUNT_SETATTR, capability: "sys_admin"},
	{name: "fsopen", number: unix.SYS_FSOPEN, capability: "sys_admin"},
	{name: "fsconfig", number: unix.SYS_FSCONFIG, capability: "sys_admin"},
	{name: "fsmount", number: unix.SYS_FSMOUNT, capability: "sys_admin"},
	{name: "fspick", number: unix.SYS_FSPICK, capability: "sys_admin"},
	{name: "chroot", number: unix.SYS_CHROOT, capability: "sys_chroot"},
	{name: "open_by_handle_at", number: unix.SYS_OPEN_BY_HANDLE_AT, capability: "dac_read_search"},
	{name: "swapon", number: unix.SYS_SWAPON, capability: "sys_admin"},
	{name: "swapoff", number: unix.SYS_SWAPOFF, capability: "sys_admin"},
	{name: "quotactl", number: unix.SYS_QUOTACTL, capability: "sys_admin"},
	{name: "quotactl_fd", number: unix.SYS_QUOTACTL_FD, capability: "sys_admin"},
	{name: "fanotify_init", number: unix.SYS_FANOTIFY_INIT, capability: "sys_admin"},
	// Namespaces, in which the system's less trodden paths open to everybody. A libc that is told that clone3 does not exist uses clone,
	// whose flags can be seen from here.
	{name: "unshare", number: unix.SYS_UNSHARE, capability: "sys_admin", test: withoutFlags(newNamespaces | unix.CLONE_NEWTIME)},
	{name: "setns", number: unix.SYS_SETNS, capability: "sys_admin"},
	{name: "clone", number: unix.SYS_CLONE, capability: "sys_admin", test: withoutFlags(newNamespaces)},
	{name: "clone3", number: unix.SYS_CLONE3, capability: "sys_admin", errno: unix.ENOSYS},
	{name: "sethostname", number: unix.SYS_SETHOSTNAME, capability: "sys_admin"},
	{name: "setdomainname", number: unix.SYS_SETDOMAINNAME, capability: "sys_admin"},
	// Other processes.
	{name: "ptrace", number: unix.SYS_PTRACE, capability: "sys_ptrace"},
	{name: "process_vm_readv", number: unix.SYS_PROCESS_VM_READV, capability: "sys_ptrace"},
	{name: "process_vm_writev", number: unix.SYS_PROCESS_VM_WRITEV, capability: "sys_ptrace"},
	{name: "process_madvise", number: unix.SYS_PROCESS_MADVISE, capability: "sys_ptrace"},
	{name: "pidfd_getfd", number: unix.SYS_PIDFD_GETFD, capability: "sys_ptrace"},
	{name: "kcmp", number: unix.SYS_KCMP, capability: "sys_ptrace"},
	{name: "lsm_set_self_attr", number: unix.SYS_LSM_SET_SELF_ATTR},
	// The kernel, and the parts of it that are broken into most.
	{name: "bpf", number: unix.SYS_BPF, capability: "bpf"},
	{name: "perf_event_open", number: unix.SYS_PERF_EVENT_OPEN, capability: "perfmon"},
	{name: "userfaultfd", number: unix.SYS_USERFAULTFD},
	{name: "io_uring_setup", number: unix.SYS_IO_URING_SETUP},
	{name: "io_uring_enter", number: unix.SYS_IO_URING_ENTER},
	{name: "io_uring_register", number: unix.SYS_IO_URING_REGISTER},
	{name: "keyctl", number: unix.SYS_KEYCTL},
	{name: "add_key", number: unix.SYS_ADD_KEY},
	{name: "request_key", number: unix.SYS_REQUEST_KEY},
	{name: "init_module", number: unix.SYS_INIT_MODULE, capability: "sys_module"},
	{name: "finit_module", number: unix.SYS_FINIT_MODULE, capability: "sys_module"},
	{name: "delete_module", number: unix.SYS_DELETE_MODULE, capability: "sys_module"},
	{name: "kexec_load", number: unix.SYS_KEXEC_LOAD, capability: "sys_boot"},
	{name: "kexec_file_load", number: unix.SYS_KEXEC_FILE_LOAD, capability: "sys_boot"},
	{name: "reboot", number: unix.SYS_REBOOT, capability: "sys_boot"},
	{name: "syslog", number: unix.SYS_SYSLOG, capability: "syslog"},
	{name: "acct", number: unix.SYS_ACCT, capability: "sys_pacct"},
	{name: "vhangup", number: unix.SYS_VHANGUP, capability: "sys_tty_config"},
	{name: "lookup_dcookie", number: unix.SYS_LOOKUP_DCOOKIE, capability: "sys_admin"},
	{name: "nfsservctl", number: unix.SYS_NFSSERVCTL, capability: "sys_admin"},
	// The clock.
	{name: "settimeofday", number: unix.SYS_SETTIMEOFDAY, capability: "sys_time"},
	{name: "clock_settime", number: unix.SYS_CLOCK_SETTIME, capability: "sys_time"},
	{name: "clock_adjtime", number: unix.SYS_CLOCK_ADJTIME, capability: "sys_time"},
	{name: "adjtimex", number: unix.SYS_ADJTIMEX, capability: "sys_time"},
	// Linux, and what `uname -m` and old programs ask for; neither turns off what makes attacks harder.
	{name: "personality", number: unix.SYS_PERSONALITY, test: oneOf(0, denied, 0, 8, 0x20000, 0x20008, 0xffffffff)},
	{name: "socket", number: unix.SYS_SOCKET, capability: "net_raw", test: sockets},
	// Typing into the terminal of whoever started the slave.
	{name: "ioctl", number: unix.SYS_IOCTL, test: noneOf(1, unix.TIOCSTI, unix.TIOCLINUX)},
}

func allRules() []rule { return append(slices.Clip(rules), ownRules...) }

// DeniedCalls names the system calls on the default list, of which some are denied only with arguments that ordinary programs do not use.
// Empty where there is no filter.
func DeniedCalls() []string {
	var names []string
	for _, r := range allRules() {
		names = append(names, r.name)
	}
	return names
}

// callsOf are the calls that the capabilities would be of no use without.
func callsOf(capabilities []string) []string {
	var names []string
	for _, r := range allRules() {
		if r.capability != "" && slices.Contains(capabilities, r.capability) {
			names = append(names, r.name)
		}
	}
	return names
}

// filterLacks says why there is no filter here; empty means that there is one.
func filterLacks(privileges bool) string {
	action := uint32(unix.SECCOMP_RET_KILL_PROCESS)
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_GET_ACTION_AVAIL, 0, uintptr(unsafe.Pointer(&action)))
	switch {
	case errno != 0:
		return "no filter of system calls, which this system does not have"
	case privileges && unix.Geteuid() != 0:
		return "no filter of system calls, which only root can impose on tasks that may gain privileges"
	}
	return ""
}

// compile makes the program that the system runs for each call. It remembers the calls that are let through whatever their arguments, so
// that a list costs ordinary calls nothing.
func compile(f isolation.Seccomp) []bpf.Instruction {
	code := []bpf.Instruction{
		// Programs of another architecture have other numbers, which a list of these ones would mistake.
		bpf.LoadAbsolute{Off: atArchitecture, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: architecture, SkipTrue: 1},
		bpf.RetConstant{Val: unix.SECCOMP_RET_KILL_PROCESS},
		bpf.LoadAbsolute{Off: atNumber, Size: 4},
	}
	if foreignFrom > 0 {
		code = append(code, bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: foreignFrom, SkipFalse: 1}, denied)
	}
	for _, r := range allRules() {
		if slices.Contains(f.Allow, r.name) {
			continue
		}
		body := r.test
		if body == nil {
			body = []bpf.Instruction{denied}
			if r.errno != 0 {
				body = []bpf.Instruction{answer(r.errno)}
			}
		}
		code = append(code, bpf.JumpIf{Cond: bpf.JumpEqual, Val: r.number, SkipFalse: uint8(len(body))})
		code = append(code, body...)
	}
	return append(code, let)
}

// CompileFilter returns the filter as the system takes it. Whoever imposes it on itself must have given up gaining privileges, or be privileged.
func CompileFilter(f isolation.Seccomp) (*unix.SockFprog, error) {
	raw, err := bpf.Assemble(compile(f))
	if err != nil {
		return nil, fmt.Errorf("filter of system calls: %w", err)
	}
	filter := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		filter[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	return &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}, nil
}
