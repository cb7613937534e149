package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/isolationtest"
	"github.com/meros-project/meros/isolation/process"
	"github.com/meros-project/meros/offer"
)

// A try is a system call that a stranger's program may make. Its arguments are such that nothing comes of it even if it is let through.
type try struct {
	name    string
	number  uintptr
	args    [4]uintptr
	anybody bool // the system itself refuses it to nobody: only a filter answers EPERM
}

const noDescriptor = ^uintptr(0)

// tries are calls by the list; the other name of one is after a space.
var tries = []try{
	{name: "mount", number: unix.SYS_MOUNT}, {name: "umount2", number: unix.SYS_UMOUNT2}, {name: "pivot_root", number: unix.SYS_PIVOT_ROOT},
	{name: "open_tree", number: unix.SYS_OPEN_TREE, args: [4]uintptr{noDescriptor}, anybody: true},
	{name: "move_mount", number: unix.SYS_MOVE_MOUNT}, {name: "mount_setattr", number: unix.SYS_MOUNT_SETATTR, anybody: true},
	{name: "fsopen", number: unix.SYS_FSOPEN}, {name: "fsconfig", number: unix.SYS_FSCONFIG, args: [4]uintptr{noDescriptor}, anybody: true},
	{name: "fsmount", number: unix.SYS_FSMOUNT}, {name: "fspick", number: unix.SYS_FSPICK}, {name: "chroot", number: unix.SYS_CHROOT, anybody: true},
	{name: "open_by_handle_at", number: unix.SYS_OPEN_BY_HANDLE_AT, args: [4]uintptr{noDescriptor}},
	{name: "swapon", number: unix.SYS_SWAPON}, {name: "swapoff", number: unix.SYS_SWAPOFF},
	{name: "quotactl", number: unix.SYS_QUOTACTL, args: [4]uintptr{noDescriptor, 0, 0, 0}, anybody: true},
	{name: "fanotify_init", number: unix.SYS_FANOTIFY_INIT, args: [4]uintptr{noDescriptor}},
	{name: "unshare user", number: unix.SYS_UNSHARE, args: [4]uintptr{unix.CLONE_NEWUSER}, anybody: true},
	{name: "unshare net", number: unix.SYS_UNSHARE, args: [4]uintptr{unix.CLONE_NEWNET}},
	{name: "setns", number: unix.SYS_SETNS, args: [4]uintptr{noDescriptor}, anybody: true},
	{name: "clone user", number: unix.SYS_CLONE, args: [4]uintptr{unix.CLONE_NEWUSER | unix.CLONE_FS}, anybody: true},
	{name: "clone mounts", number: unix.SYS_CLONE, args: [4]uintptr{unix.CLONE_NEWNS | unix.CLONE_FS}, anybody: true},
	{name: "clone3", number: unix.SYS_CLONE3, anybody: true},
	{name: "sethostname", number: unix.SYS_SETHOSTNAME}, {name: "setdomainname", number: unix.SYS_SETDOMAINNAME},
	{name: "ptrace", number: unix.SYS_PTRACE, args: [4]uintptr{unix.PTRACE_ATTACH, 0x7ffffff0}, anybody: true},
	{name: "process_vm_readv", number: unix.SYS_PROCESS_VM_READV, anybody: true},
	{name: "process_vm_writev", number: unix.SYS_PROCESS_VM_WRITEV, anybody: true},
	{name: "process_madvise", number: unix.SYS_PROCESS_MADVISE, args: [4]uintptr{noDescriptor}, anybody: true},
	{name: "pidfd_getfd", number: unix.SYS_PIDFD_GETFD, args: [4]uintptr{noDescriptor}, anybody: true},
	{name: "kcmp", number: unix.SYS_KCMP, args: [4]uintptr{0x7ffffff0, 0x7ffffff0}, anybody: true},
	{name: "bpf", number: unix.SYS_BPF, args: [4]uintptr{noDescriptor}}, {name: "perf_event_open", number: unix.SYS_PERF_EVENT_OPEN, anybody: true},
	{name: "userfaultfd", number: unix.SYS_USERFAULTFD, args: [4]uintptr{0x7fff}, anybody: true},
	{name: "io_uring_setup", number: unix.SYS_IO_URING_SETUP, anybody: true},
	{name: "io_uring_enter", number: unix.SYS_IO_URING_ENTER, args: [4]uintptr{noDescriptor}, anybody: true},
	{name: "io_uring_register", number: unix.SYS_IO_URING_REGISTER, args: [4]uintptr{noDescriptor}, anybody: true},
	{name: "keyctl", number: unix.SYS_KEYCTL, args: [4]uintptr{9999}, anybody: true}, {name: "add_key", number: unix.SYS_ADD_KEY, anybody: true},
	{name: "request_key", number: unix.SYS_REQUEST_KEY, anybody: true},
	{name: "init_module", number: unix.SYS_INIT_MODULE}, {name: "finit_module", number: unix.SYS_FINIT_MODULE, args: [4]uintptr{noDescriptor}},
	{name: "delete_module", number: unix.SYS_DELETE_MODULE}, {name: "kexec_load", number: unix.SYS_KEXEC_LOAD},
	{name: "kexec_file_load", number: unix.SYS_KEXEC_FILE_LOAD, args: [4]uintptr{noDescriptor, noDescriptor}},
	{name: "reboot", number: unix.SYS_REBOOT}, {name: "syslog", number: unix.SYS_SYSLOG, args: [4]uintptr{99}}, {name: "acct", number: unix.SYS_ACCT, args: [4]uintptr{1}},
	{name: "settimeofday", number: unix.SYS_SETTIMEOFDAY, args: [4]uintptr{1}, anybody: true},
	{name: "clock_settime", number: unix.SYS_CLOCK_SETTIME, args: [4]uintptr{99}, anybody: true},
	{name: "clock_adjtime", number: unix.SYS_CLOCK_ADJTIME, args: [4]uintptr{99}, anybody: true},
	{name: "adjtimex", number: unix.SYS_ADJTIMEX, anybody: true},
	{name: "personality no randomization", number: unix.SYS_PERSONALITY, args: [4]uintptr{0x40000}, anybody: true},
	{name: "socket packet", number: unix.SYS_SOCKET, args: [4]uintptr{unix.AF_PACKET, unix.SOCK_DGRAM}},
	{name: "socket raw", number: unix.SYS_SOCKET, args: [4]uintptr{unix.AF_INET, unix.SOCK_RAW | unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP}},
	{name: "socket raw 6", number: unix.SYS_SOCKET, args: [4]uintptr{unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6}},
	{name: "socket old packet", number: unix.SYS_SOCKET, args: [4]uintptr{unix.AF_INET, unix.SOCK_PACKET}},
	{name: "socket vsock", number: unix.SYS_SOCKET, args: [4]uintptr{unix.AF_VSOCK, 99}, anybody: true},
	{name: "socket crypto", number: unix.SYS_SOCKET, args: [4]uintptr{unix.AF_ALG, 99}, anybody: true},
	{name: "ioctl typing", number: unix.SYS_IOCTL, args: [4]uintptr{noDescriptor, unix.TIOCSTI}, anybody: true},
	{name: "ioctl console", number: unix.SYS_IOCTL, args: [4]uintptr{noDescriptor, unix.TIOCLINUX}, anybody: true},
}

// fine are calls that every program makes, near those that are denied.
var fine = []try{
	{name: "unshare files", number: unix.SYS_UNSHARE, args: [4]uintptr{0}},
	{name: "personality query", number: unix.SYS_PERSONALITY, args: [4]uintptr{0xffffffff}},
	{name: "socket tcp", number: unix.SYS_SOCKET, args: [4]uintptr{unix.AF_INET, unix.SOCK_STREAM | unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK}},
	{name: "socket udp", number: unix.SYS_SOCKET, args: [4]uintptr{unix.AF_INET, unix.SOCK_DGRAM}},
	{name: "socket local", number: unix.SYS_SOCKET, args: [4]uintptr{unix.AF_UNIX, unix.SOCK_SEQPACKET}},
	{name: "socket routes", number: unix.SYS_SOCKET, args: [4]uintptr{unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE}},
	{name: "getpid", number: unix.SYS_GETPID},
}

func init() {
	testFuncs["try"], testFuncs["overwrite"], testFuncs["speak"] = tryCalls, overwrite, speak
}

// tryCalls is a task that makes each call and prints what the system says, as JSON by name.
func tryCalls(context.Context, Task) error {
	got := map[string]int{}
	for _, t := range append(append([]try{}, tries...), fine...) {
		_, _, errno := syscall.Syscall6(t.number, t.args[0], t.args[1], t.args[2], t.args[3], 0, 0)
		got[t.name] = int(errno)
	}
	return json.NewEncoder(os.Stdout).Encode(got)
}

// runCalls runs tryCalls with the isolator.
func runCalls(t *testing.T, cfg process.Config) map[string]int {
	b := newBench(t)
	b.openProcess(cfg)
	s := b.spec("calls", "")
	s.Function = "try"
	b.r.Start(s, false)
	b.started("calls")
	require.True(t, b.exited("calls").Exit.Success(), b.output("calls", "stderr"))
	got := map[string]int{}
	require.NoError(t, json.Unmarshal([]byte(b.output("calls", "stdout")), &got))
	return got
}

// openProcess starts a runner with a process isolator of its own.
func (b *bench) openProcess(cfg process.Config) {
	require.NoError(b.t, b.r.Close())
	b.r = New(Config{Dir: b.runtime, Isolation: chainOf(cfg)})
	require.NoError(b.t, b.r.Open(nil, func(ev isolation.Event) { b.events <- ev }))
}

func TestCallsThatNoOrdinaryProgramNeedsAreDenied(t *testing.T) {
	configs := map[string]process.Config{"by default": {}, "of tasks that may gain privileges": {AllowPrivileges: true}, "of root": {User: "root", AllowRoot: true}}
	if os.Geteuid() != 0 {
		configs = map[string]process.Config{"by default": {}}
	}
	for name, cfg := range configs {
		t.Run(name, func(t *testing.T) {
			got := runCalls(t, cfg)
			for _, c := range tries {
				want := syscall.EPERM
				if c.name == "clone3" {
					want = syscall.ENOSYS
				}
				require.Equal(t, int(want), got[c.name], "%s: %v", c.name, syscall.Errno(got[c.name]))
			}
			for _, c := range fine {
				require.Zero(t, got[c.name], "%s: %v", c.name, syscall.Errno(got[c.name]))
			}
		})
	}
	tried := map[string]bool{}
	for _, c := range tries {
		name, _, _ := strings.Cut(c.name, " ")
		tried[name] = true
	}
	for _, name := range process.DeniedCalls() {
		switch name {
		case "open_tree_attr", "quotactl_fd", "lsm_set_self_attr", "vhangup", "lookup_dcookie", "nfsservctl", // newer or older than some systems
			"iopl", "ioperm", "modify_ldt", "uselib", "ustat", "sysfs", "_sysctl", "create_module", "get_kernel_syms", "query_module": // amd64 only
		default:
			require.True(t, tried[name], "%s is on the list and is not tried", name)
		}
	}
}

func TestTheFilterDeniesAndNotTheSystem(t *testing.T) {
	got := runCalls(t, process.Config{AllowCalls: []string{process.AllCalls}})
	for _, c := range tries {
		if c.anybody {
			require.NotEqual(t, int(syscall.EPERM), got[c.name], "%s: without the filter it fails for another reason", c.name)
		}
	}
	got = runCalls(t, process.Config{AllowCalls: []string{"ptrace", "io_uring_setup"}})
	require.NotEqual(t, int(syscall.EPERM), got["ptrace"])
	require.NotEqual(t, int(syscall.EPERM), got["io_uring_setup"])
	require.Equal(t, int(syscall.EPERM), got["io_uring_enter"], "only what is named")
}

func TestOrdinaryProgramsRunUnderTheFilter(t *testing.T) {
	b := newBench(t)
	lines := []string{
		"seq 1 1000 > n && gzip -k n && gzip -dc n.gz | cmp - n && tar cf - n | tar tf - | sort | head -1",
		"(sleep 0.01 & sleep 0.02 & wait) && trap 'exit 0' USR1 && kill -USR1 $$; sleep 1; exit 1",
		"set -e; uname -a; id; date; df . >/dev/null; nice -n 5 true; timeout 5 true; mkfifo f; (echo x > f) & read y < f; test $y = x",
	}
	for _, python := range []string{"/usr/bin/python3", "/usr/local/bin/python3"} {
		if st, err := os.Stat(python); err == nil && st.Mode()&0o001 != 0 {
			lines = append(lines, python+` -c 'import threading, subprocess, socket, mmap
t = threading.Thread(target=lambda: None); t.start(); t.join()
assert subprocess.run(["true"]).returncode == 0
s = socket.create_server(("127.0.0.1", 0)); c = socket.create_connection(s.getsockname()); c.close(); s.close()
socket.getaddrinfo("localhost", 80); mmap.mmap(-1, 4096)'`)
		}
	}
	for i, line := range lines {
		id := strconv.Itoa(i)
		b.r.Start(b.spec(id, line), false)
		b.started(id)
		require.Equal(t, offer.Exit{}, b.exited(id).Exit, "%s\n%s%s", line, b.output(id, "stdout"), b.output(id, "stderr"))
	}
	s := b.spec("go", "")
	s.Function, s.Data = "greet", []byte("world")
	b.r.Start(s, false)
	b.started("go")
	require.True(t, b.exited("go").Exit.Success(), b.output("go", "stderr"))
}

// status are the lines of /proc/self/status that a task of the isolator sees.
func status(t *testing.T, cfg process.Config) map[string]string {
	b := newBench(t)
	b.openProcess(cfg)
	b.r.Start(b.spec("a", "cat /proc/self/status"), false)
	b.started("a")
	require.True(t, b.exited("a").Exit.Success())
	lines := map[string]string{}
	for _, l := range strings.Split(b.output("a", "stdout"), "\n") {
		name, value, _ := strings.Cut(l, ":")
		lines[name] = strings.TrimSpace(value)
	}
	return lines
}

func TestATaskHasNoCapabilities(t *testing.T) {
	const none = "0000000000000000"
	configs := []process.Config{{}, {AllowPrivileges: true}}
	sets := []string{"CapInh", "CapPrm", "CapEff", "CapAmb"}
	if os.Geteuid() == 0 {
		configs = append(configs, process.Config{User: "root", AllowRoot: true})
		sets = append(sets, "CapBnd") // which only a privileged slave can lower
	}
	for _, cfg := range configs {
		got := status(t, cfg)
		for _, set := range sets {
			require.Equal(t, none, got[set], "%s of %+v", set, cfg)
		}
		want := "1"
		if cfg.AllowPrivileges {
			want = "0"
		}
		require.Equal(t, want, got["NoNewPrivs"])
		if os.Geteuid() == 0 || !cfg.AllowPrivileges {
			require.Equal(t, "2", got["Seccomp"])
		}
	}
}

func TestCapabilitiesThatAreGrantedAreThere(t *testing.T) {
	const bind = "0000000000000400"
	cfg := process.Config{Capabilities: []string{"CAP_NET_BIND_SERVICE"}}
	if os.Geteuid() != 0 {
		b := newBench(t)
		b.openProcess(cfg)
		b.r.Start(b.spec("a", "true"), false)
		ev := b.next()
		require.Equal(t, isolation.StartFailed, ev.Kind, "%+v", ev)
		require.Contains(t, ev.Message, "the slave cannot grant net_bind_service")
		return
	}
	for _, cfg := range []process.Config{cfg, {Capabilities: cfg.Capabilities, User: "root", AllowRoot: true}} {
		got := status(t, cfg)
		for _, set := range []string{"CapInh", "CapPrm", "CapEff", "CapAmb", "CapBnd"} {
			require.Equal(t, bind, got[set], "%s of %+v", set, cfg)
		}
	}
	got := runCalls(t, process.Config{Capabilities: []string{"net_raw"}})
	require.Zero(t, got["socket raw"], "a capability's calls are let through with it")
	require.Equal(t, int(syscall.EPERM), got["mount"])
}

func TestSignalsAreAsProgramsExpect(t *testing.T) {
	if os.Getenv("MEROS_TEST_SIGNALS") == "" {
		cmd := exec.Command("env", "--block-signal=USR1,USR2", "--ignore-signal=HUP,INT,PIPE,WINCH", os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), "MEROS_TEST_SIGNALS=1")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), "--- PASS: "+t.Name())
		return
	}
	own, err := os.ReadFile("/proc/thread-self/status")
	require.NoError(t, err)
	require.NotContains(t, string(own), "SigBlk:\t0000000000000000", "this process has signals blocked, or the test says nothing")
	require.NotContains(t, string(own), "SigIgn:\t0000000000000000")
	got := status(t, process.Config{})
	require.Equal(t, "0000000000000000", got["SigBlk"])
	require.Equal(t, "0000000000000000", got["SigIgn"])
}

func TestTheSameHoldsForASlaveWithoutRights(t *testing.T) {
	isolationtest.NeedsRoot(t)
	dir, err := os.MkdirTemp("/tmp", "mr")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755))
	binary := filepath.Join(dir, "test")
	copyFile(t, os.Args[0], binary)
	names := []string{"TestCallsThatNoOrdinaryProgramNeedsAreDenied", "TestTheFilterDeniesAndNotTheSystem", "TestOrdinaryProgramsRunUnderTheFilter",
		"TestATaskHasNoCapabilities", "TestCapabilitiesThatAreGrantedAreThere", "TestNobodyCanWriteToWhatASupervisorRunsFrom"}
	cmd := exec.Command(binary, "-test.v", "-test.run=^("+strings.Join(names, "|")+")$")
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	for _, name := range names {
		require.Contains(t, string(out), "--- PASS: "+name+" ")
	}
}

func copyFile(t *testing.T, from, to string) {
	b, err := os.ReadFile(from)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to, b, 0o755))
}

// overwrite is a task that tries to write to the program that it, its supervisor or the slave runs from, and prints what it was told.
func overwrite(_ context.Context, task Task) error {
	for _, pid := range []string{"self", strconv.Itoa(os.Getppid())} {
		path := "/proc/" + pid + "/exe"
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err == nil {
			_, err = f.Write([]byte("x"))
			_ = f.Close()
		}
		fmt.Printf("%v\n", err != nil)
		link, _ := os.Readlink(path)
		fmt.Fprintln(os.Stderr, path, link, err)
	}
	// The memory and the descriptors of the supervisor are as good as its program.
	for _, path := range []string{"mem", "fd/3", "environ"} {
		_, err := os.OpenFile(fmt.Sprintf("/proc/%d/%s", os.Getppid(), path), os.O_RDONLY, 0)
		fmt.Printf("%v\n", err != nil)
		fmt.Fprintln(os.Stderr, path, err)
	}
	return nil
}

func TestNobodyCanWriteToWhatASupervisorRunsFrom(t *testing.T) {
	configs := []process.Config{{}, {AllowCalls: []string{process.AllCalls}}}
	if os.Geteuid() == 0 {
		configs = append(configs, process.Config{User: "root", AllowRoot: true})
	}
	for _, cfg := range configs {
		b := newBench(t)
		b.openProcess(cfg)
		s := b.spec("a", "")
		s.Function = "overwrite"
		b.r.Start(s, false)
		b.started("a")
		require.True(t, b.exited("a").Exit.Success())
		require.Equal(t, strings.Repeat("true\n", 5), b.output("a", "stdout"), b.output("a", "stderr"))
		require.Contains(t, b.output("a", "stderr"), "/proc/self/exe /memfd:meros (deleted) ", "it is the copy in memory")
	}
	// Whoever has every right finds it sealed.
	path, err := sealedProgram()
	require.NoError(t, err)
	if f, err := os.OpenFile(path, os.O_WRONLY, 0); err == nil {
		_, err = f.Write([]byte("x"))
		require.ErrorIs(t, err, syscall.EPERM)
		require.ErrorIs(t, f.Truncate(0), syscall.EPERM)
		require.NoError(t, f.Close())
	}
}

// speak is a task that tries to talk to its supervisor, to enter its folder, and to come by one of its descriptors.
func speak(context.Context, Task) error {
	dir := os.Getenv(markName)
	_, err := net.Dial("unix", filepath.Join(dir, socketFile))
	fmt.Println(errors.Is(err, fs.ErrPermission))
	_, err = os.ReadDir(dir)
	fmt.Println(errors.Is(err, fs.ErrPermission))
	_, err = os.ReadDir(filepath.Dir(dir))
	fmt.Println(errors.Is(err, fs.ErrPermission))
	_, err = os.ReadDir(fmt.Sprintf("/proc/%d/fd", os.Getppid()))
	fmt.Println(errors.Is(err, fs.ErrPermission))
	return nil
}

func TestATaskCannotSpeakToItsSupervisor(t *testing.T) {
	isolationtest.NeedsRoot(t) // a task of the slave's own user can do what the slave can
	b := newBench(t)
	s := b.spec("a", "")
	s.Function = "speak"
	b.r.Start(s, false)
	b.started("a")
	require.True(t, b.exited("a").Exit.Success())
	require.Equal(t, strings.Repeat("true\n", 4), b.output("a", "stdout"))
}

func TestLimitsAreThoseOfTheConfig(t *testing.T) {
	limits := func(cfg process.Config) string {
		b := newBench(t)
		b.openProcess(cfg)
		b.r.Start(b.spec("a", "cat /proc/self/limits"), false)
		b.started("a")
		require.True(t, b.exited("a").Exit.Success())
		return strings.Join(strings.Fields(b.output("a", "stdout")), " ")
	}
	out := limits(process.Config{})
	require.Contains(t, out, "Max core file size 0 ")
	require.Contains(t, out, "Max stack size 8388608 ")
	out = limits(process.Config{CoreBytes: 4096, OpenFiles: 100, FileBytes: 1 << 20, LockedBytes: 65536, StackBytes: 1 << 20, Processes: 500})
	for _, want := range []string{"Max core file size 4096 ", "Max open files 100 100 ", "Max file size 1048576 1048576 ", "Max locked memory 65536 65536 ",
		"Max stack size 1048576 ", "Max processes 500 500 "} {
		require.Contains(t, out, want)
	}
}

func TestASupervisorRunsFromTheFileWhereMemoryCannotBeExecuted(t *testing.T) {
	usual := sealedProgram
	t.Cleanup(func() { sealedProgram = usual })
	for _, answer := range []func() (string, error){
		func() (string, error) { return "/dev/null", nil }, // which may not be executed either
		func() (string, error) { return "", errors.ErrUnsupported },
	} {
		sealedProgram = answer
		b := newBench(t)
		b.r.Start(b.spec("a", "readlink /proc/$PPID/exe; exit 3"), false)
		b.started("a")
		require.Equal(t, offer.Exit{Code: 3}, b.exited("a").Exit)
		require.NotContains(t, b.output("a", "stdout"), "memfd")
	}
}

func TestNoDescriptorIsLeftOfContainersThatAreOver(t *testing.T) {
	b := newBench(t)
	run := func(from, to int) {
		for i := from; i < to; i++ {
			id := strconv.Itoa(i)
			b.r.Start(b.spec(id, "true"), false)
			b.started(id)
			require.True(t, b.exited(id).Exit.Success())
			b.r.Forget(id)
		}
	}
	count := func() int {
		fds, err := os.ReadDir("/proc/self/fd")
		require.NoError(t, err)
		return len(fds)
	}
	run(0, 3)
	before := count()
	run(3, 13)
	eventually(t, "as many descriptors as before", func() bool { return count() <= before })
}
