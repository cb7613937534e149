//go:build linux && (amd64 || arm64)

package supervisor

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/process"
)

// A call is one system call of a stage that is forked. Its arguments point to what the list keeps.
type call struct {
	number uintptr
	args   [6]uintptr
	what   string // for people
	kind   callKind
	result uintptr // of mustGive
}

type callKind uint8

const (
	mustWork  callKind = iota // or the stage has failed
	mustGive                  // result, or the stage has failed
	mayFail                   // where the system does not know what is asked for
	letsIn                    // the gate: without a byte the stage ends and says nothing
	mayRun                    // to execute: where there is no such program, or it is not for this user, the next call may work
	exitError = 126
)

// A stageCalls is a stage as a list of system calls. A forked copy of the supervisor's process makes them one after the other, and does
// nothing else: it has one thread of many, and locks that nobody will ever unlock. That saves the time that a program needs to start,
// which is most of what a start takes, and is for plans that need no more than calls.
type stageCalls struct {
	list      []call
	keep      []any // what arguments point to
	copies    []int // descriptors of the supervisor's that only the stage is for
	plan      *isolation.Plan
	argv      []string
	looked    bool // the program is looked for in PATH
	failure   [9]byte
	oldMask   unix.Sigset_t
	allMask   unix.Sigset_t
	noAction  signalAction
	noMask    unix.Sigset_t
	starting  [1]byte
	gateBytes [1]byte
}

// Where a forked stage has what it is given. A function's data are moved to where functions look for them.
const (
	forkGate   = 3
	forkReport = 4
	forkData   = 5
	forkFirst  = 6 // the first number of which nothing is left
)

// failed is what the report of a call that failed begins with: its place in the list and the error follow, four bytes each.
const failed = '!'

// closesRanges reports whether the system can close all of a process's descriptors at once.
var closesRanges = sync.OnceValue(func() bool { return unix.CloseRange(math.MaxInt32, math.MaxInt32, 0) == nil })

// forks reports whether the plan can be carried out by a forked stage.
func forks(plan *isolation.Plan) bool {
	return plan.Namespaces == nil && plan.Rootfs == "" && len(plan.Mounts) == 0 && closesRanges()
}

// forkStage starts a stage by a fork. files are those of a stage without its plan: stdin, stdout, stderr, gate, report and data.
func (s *supervisorState) forkStage(files []*os.File) (int, error) {
	sc := &stageCalls{plan: s.order.Plan, starting: [1]byte{aboutToStart[0]}}
	defer sc.close()
	function := s.order.Spec.Function
	if err := sc.descriptors(files, function != ""); err != nil {
		return 0, err
	}
	sc.add(letsIn, unix.SYS_READ, "gate", forkGate, address(&sc.gateBytes), 1)
	sc.add(mustWork, unix.SYS_UMASK, "umask", uintptr(sc.plan.Umask))
	dir, err := sc.text(sc.plan.Directory)
	if err != nil {
		return 0, fmt.Errorf("sandbox: %w", err)
	}
	sc.add(mustWork, unix.SYS_CHDIR, "sandbox", dir)
	for _, l := range sc.plan.Rlimits {
		if err := sc.limit(l); err != nil {
			return 0, fmt.Errorf("limit %s: %w", l.Name, err)
		}
	}
	if function != "" {
		sc.add(mustWork, unix.SYS_DUP3, "data", forkData, dataDescriptor, 0)
		sc.add(mustWork, unix.SYS_CLOSE, "data", forkData)
	}
	if err := sc.confine(); err != nil {
		return 0, err
	}
	for sig := uintptr(1); sig <= lastSignal; sig++ {
		sc.add(mayFail, unix.SYS_RT_SIGACTION, "signals", sig, address(&sc.noAction), 0, unsafe.Sizeof(sc.noAction.mask))
	}
	sc.add(mustWork, unix.SYS_RT_SIGPROCMASK, "signals", unix.SIG_SETMASK, address(&sc.noMask), 0, unsafe.Sizeof(sc.noAction.mask))
	sc.add(mustWork, unix.SYS_WRITE, "report", forkReport, address(&sc.starting), 1)
	if err := sc.execute(function); err != nil {
		return 0, err
	}
	pid, err := sc.fork()
	runtime.KeepAlive(files)
	if err != nil {
		return 0, fmt.Errorf("start: %w", err)
	}
	s.explain = sc.explain
	return pid, nil
}

func (sc *stageCalls) close() {
	for _, fd := range sc.copies {
		_ = unix.Close(fd)
	}
}

func address[T any](p *T) uintptr { return uintptr(unsafe.Pointer(p)) }

func (sc *stageCalls) add(kind callKind, number uintptr, what string, args ...uintptr) {
	c := call{number: number, what: what, kind: kind}
	copy(c.args[:], args)
	sc.list = append(sc.list, c)
}

// text is the address of a C string.
func (sc *stageCalls) text(s string) (uintptr, error) {
	b, err := syscall.BytePtrFromString(s)
	if err != nil {
		return 0, err
	}
	sc.keep = append(sc.keep, b)
	return address(b), nil
}

func (sc *stageCalls) texts(list []string) (uintptr, error) {
	p, err := syscall.SlicePtrFromStrings(list)
	if err != nil {
		return 0, err
	}
	sc.keep = append(sc.keep, p)
	return address(&p[0]), nil
}

// descriptors gives the stage its files and nothing else, in a session of its own.
func (sc *stageCalls) descriptors(files []*os.File, data bool) error {
	sc.add(mustWork, unix.SYS_SETSID, "session")
	if !data {
		files = files[:forkData]
	}
	for to, f := range files {
		from := f.Fd()
		if from < forkFirst { // or it would be overwritten before its turn
			fd, err := unix.FcntlInt(from, unix.F_DUPFD_CLOEXEC, aboveFiles)
			if err != nil {
				return err
			}
			from = uintptr(fd)
			sc.copies = append(sc.copies, fd)
		}
		flags := uintptr(0)
		if to >= forkGate {
			flags = unix.O_CLOEXEC
		}
		sc.add(mustWork, unix.SYS_DUP3, f.Name(), from, uintptr(to), flags)
	}
	// The supervisor's end of the gate among them, so that the stage ends with the supervisor.
	sc.add(mustWork, unix.SYS_CLOSE_RANGE, "descriptors", uintptr(len(files)), math.MaxUint32, 0)
	return nil
}

func (sc *stageCalls) limit(l isolation.Rlimit) error {
	which, want, err := limitOf(l)
	if err != nil {
		return err
	}
	sc.keep = append(sc.keep, want)
	sc.add(mustWork, unix.SYS_PRLIMIT64, "limit "+l.Name, 0, uintptr(which), address(want), 0)
	return nil
}

// confine takes away the stage's rights, as confine of this package does.
func (sc *stageCalls) confine() error {
	p := sc.plan
	if p.NoNewPrivileges {
		sc.add(mustWork, unix.SYS_PRCTL, "ban new privileges", unix.PR_SET_NO_NEW_PRIVS, 1)
	}
	if p.Seccomp != nil {
		prog, err := process.CompileFilter(*p.Seccomp)
		if err != nil {
			return err
		}
		sc.keep = append(sc.keep, prog)
		sc.add(mustWork, unix.SYS_SECCOMP, "filter of system calls", unix.SECCOMP_SET_MODE_FILTER, 0, address(prog))
	}
	caps, err := process.CapabilityBits(p.Capabilities)
	if err != nil {
		return err
	}
	for _, c := range caps.Drop {
		sc.add(mayFail, unix.SYS_PRCTL, "capabilities: bound", unix.PR_CAPBSET_DROP, uintptr(c))
	}
	if len(caps.Keep) > 0 {
		sc.add(mustWork, unix.SYS_PRCTL, "capabilities: keep", unix.PR_SET_KEEPCAPS, 1)
	}
	sc.become(p.User)
	header := &unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := &[2]unix.CapUserData{}
	for i := range data {
		bits := uint32(caps.Bits >> (32 * i))
		data[i] = unix.CapUserData{Effective: bits, Permitted: bits, Inheritable: bits}
	}
	sc.keep = append(sc.keep, header, data)
	grant := fmt.Sprintf("capabilities: the slave cannot grant %s, which it does not have itself", strings.Join(p.Capabilities, ","))
	sc.add(mustWork, unix.SYS_CAPSET, grant, address(header), address(data))
	sc.add(mayFail, unix.SYS_PRCTL, "capabilities", unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL)
	for _, c := range caps.Keep {
		sc.add(mayFail, unix.SYS_PRCTL, "capabilities", unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, uintptr(c))
	}
	return nil
}

func (sc *stageCalls) become(u *isolation.User) {
	if u == nil {
		return
	}
	groups := make([]uint32, len(u.Groups)+1) // one more than needed, so that there is an address
	for i, g := range u.Groups {
		groups[i] = uint32(g)
	}
	sc.keep = append(sc.keep, groups)
	gid, uid, name := uintptr(u.GID), uintptr(u.UID), "user "+u.Name
	sc.add(mustWork, unix.SYS_SETGROUPS, name+": set groups", uintptr(len(u.Groups)), address(&groups[0]))
	sc.add(mustWork, unix.SYS_SETRESGID, name+": set group", gid, gid, gid)
	sc.add(mustWork, unix.SYS_SETRESUID, name+": set user", uid, uid, uid)
	for _, check := range []call{{number: unix.SYS_GETEGID, result: gid}, {number: unix.SYS_GETEUID, result: uid}} {
		check.kind, check.what = mustGive, name+": has not become it"
		sc.list = append(sc.list, check)
	}
}

// execute adds the calls of which the first that works is the last that the stage makes.
func (sc *stageCalls) execute(function string) error {
	p := sc.plan
	program, argv := p.Program, p.Argv
	if function != "" {
		path, err := self()
		if err != nil {
			return err
		}
		p.Setenv(roleVariable, functionName)
		program, argv = path, []string{functionName, function}
	}
	if len(argv) == 0 {
		return errors.New("the plan names no program")
	}
	sc.argv = argv
	if program == "" {
		program = argv[0]
	}
	args, err := sc.texts(argv)
	if err != nil {
		return fmt.Errorf("arguments: %w", err)
	}
	environment, err := sc.texts(p.Environment)
	if err != nil {
		return fmt.Errorf("environment: %w", err)
	}
	paths := []string{program}
	if sc.looked = !strings.Contains(program, "/"); sc.looked {
		paths = nil
		for _, dir := range filepath.SplitList(p.Getenv("PATH")) {
			if dir == "" {
				dir = "."
			}
			full := filepath.Join(dir, program)
			if !strings.Contains(full, "/") {
				full = "./" + full
			}
			paths = append(paths, full)
		}
	}
	for _, path := range paths {
		file, err := sc.text(path)
		if err != nil {
			return fmt.Errorf("program: %w", err)
		}
		sc.add(mayRun, unix.SYS_EXECVE, program, file, args, environment)
	}
	return nil
}

// explain says in words why the stage did not become the task.
func (sc *stageCalls) explain(report []byte) string {
	if len(report) != len(sc.failure) || report[0] != failed {
		return string(report)
	}
	place, errno := int(binary.NativeEndian.Uint32(report[1:])), syscall.Errno(binary.NativeEndian.Uint32(report[5:]))
	switch {
	case place >= len(sc.list):
		if sc.looked {
			err := fs.ErrNotExist
			if errno == syscall.EACCES {
				err = fs.ErrPermission
			}
			return fmt.Sprintf("%.200s: %v in PATH %.1000s", programOf(sc.plan), err, sc.plan.Getenv("PATH"))
		}
	case sc.list[place].kind == mustGive:
		return sc.list[place].what
	case sc.list[place].kind != mayRun:
		return fmt.Sprintf("%s: %v", sc.list[place].what, errno)
	}
	if errno == syscall.E2BIG {
		return fmt.Sprintf("%.200s: %v", sc.argv[0], tooBig(sc.argv, sc.plan.Environment))
	}
	return fmt.Sprintf("%.200s: %v", sc.argv[0], errno)
}

func programOf(p *isolation.Plan) string {
	if p.Program != "" {
		return p.Program
	}
	return p.Argv[0]
}

// fork starts the stage. No signal reaches it before it has given up this program's handlers, which would not work in it.
func (sc *stageCalls) fork() (int, error) {
	for i := range sc.allMask.Val {
		sc.allMask.Val[i] = math.MaxUint64
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &sc.allMask, &sc.oldMask); err != nil {
		return 0, err
	}
	pid, errno := forkAndCall(sc.list, &sc.failure)
	err := unix.PthreadSigmask(unix.SIG_SETMASK, &sc.oldMask, nil)
	runtime.KeepAlive(sc)
	if errno != 0 {
		return 0, errno
	}
	return int(pid), err
}

// forkAndCall forks, and in the new process makes the calls. There it neither grows its stack nor lets itself be scheduled, allocates
// nothing and takes no lock: what it calls is the same.
//
//go:nosplit
//go:norace
//go:nocheckptr
func forkAndCall(list []call, failure *[9]byte) (pid uintptr, errno syscall.Errno) {
	pid, _, errno = syscall.RawSyscall6(unix.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 || pid != 0 {
		return pid, errno
	}
	place, why := uintptr(len(list)), syscall.ENOENT
	for i := range list {
		c := &list[i]
		r, _, e := syscall.RawSyscall6(c.number, c.args[0], c.args[1], c.args[2], c.args[3], c.args[4], c.args[5])
		if c.kind == mayFail || c.kind == mustWork && e == 0 || c.kind == mustGive && r == c.result || c.kind == letsIn && r == 1 && e == 0 {
			continue
		}
		if c.kind == letsIn {
			syscall.RawSyscall6(unix.SYS_EXIT_GROUP, exitError, 0, 0, 0, 0, 0)
		}
		if c.kind == mayRun && (e == syscall.ENOENT || e == syscall.ENOTDIR || e == syscall.EACCES) {
			if why != syscall.EACCES {
				why = e
			}
			continue
		}
		place, why = uintptr(i), e
		break
	}
	failure[0] = failed
	failure[1], failure[2], failure[3], failure[4] = byte(place), byte(place>>8), byte(place>>16), byte(place>>24)
	failure[5], failure[6] = byte(why), byte(why>>8)
	syscall.RawSyscall6(unix.SYS_WRITE, forkReport, uintptr(unsafe.Pointer(failure)), 9, 0, 0, 0)
	for {
		syscall.RawSyscall6(unix.SYS_EXIT_GROUP, exitError, 0, 0, 0, 0, 0)
	}
}
