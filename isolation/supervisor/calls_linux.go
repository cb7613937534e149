package supervisor

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"math"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/meros-project/meros/isolation"
)

// A call is one system call of a process that is forked. Its arguments point to what the roll keeps.
type call struct {
	number uintptr
	args   [6]uintptr
	what   string // for people
	kind   callKind
	result uintptr // of mustGive
}

type callKind uint8

const (
	mustWork callKind = iota // or the process has failed
	mustGive                 // result, or the process has failed
	mayFail                  // where the system does not know what is asked for
	letsIn                   // the gate: without a byte the process ends and says nothing
	begets                   // a child that makes the calls that follow, while the process itself stays
	mayRun                   // to execute: where there is no such program, or it is not for this user, the next call may work
)

// A roll is what a process of a container does until it is the program, as a list of system calls. A forked copy of the supervisor's process
// makes them one after the other, and does nothing else: it has one thread of many, and locks that nobody will ever unlock. That saves the time
// that a program of Go needs to start, which is most of what a start takes.
type roll struct {
	list   []call
	after  []call // of a process that stays, when it has begotten the task; they may fail
	keep   []any  // what arguments point to
	copies []int  // descriptors of the supervisor's that only the process is for
	tasks  []*os.File
	into   int // that of the cgroup of version 2 that the process begins in; zero for none
	plan   *isolation.Plan
	argv   []string
	looked bool // the program is looked for in PATH

	// What the process reads from and writes to.
	failure   [9]byte
	status    [2]byte
	waited    uint32
	oldMask   unix.Sigset_t
	allMask   unix.Sigset_t
	noMask    unix.Sigset_t
	noAction  signalAction
	gateByte  [1]byte
	starting  [1]byte
	startedOf [1]byte
	self      [1]byte // what a thread writes to a file that wants the number of one, for its own
	clone     cloneInto
}

// cloneInto is the system's own struct clone_args, as large as it is where it has a cgroup, the last of its fields. Flags are the first.
type cloneInto [11]uint64

const cloneSignal, cloneCgroup = 4, 10

func newRoll(plan *isolation.Plan) *roll {
	r := &roll{plan: plan, starting: [1]byte{aboutToStart[0]}, startedOf: [1]byte{isStarted[0]}, self: [1]byte{'0'}}
	for i := range r.allMask.Val {
		r.allMask.Val[i] = ^r.noMask.Val[i]
	}
	return r
}

// Where a forked process has what it is given, behind its streams. Whatever else it is given follows.
const (
	forkGate   = 3
	forkReport = 4
	forkOthers = 5
)

// failed is what the report of a call that failed begins with: its place in the list and the error follow, four bytes each.
const failed = '!'

// lastSignal is how many signals the system has, of which a set has so many bytes.
const (
	lastSignal = 64
	signalSet  = lastSignal / 8
)

// signalAction is the system's own struct sigaction: handler, flags, restorer, mask. All zero is what programs expect.
type signalAction [4]uint64

func address[T any](p *T) uintptr { return uintptr(unsafe.Pointer(p)) }

func (r *roll) add(kind callKind, number uintptr, what string, args ...uintptr) {
	r.list = append(r.list, newCall(kind, number, what, args...))
}

func (r *roll) addAfter(number uintptr, args ...uintptr) {
	r.after = append(r.after, newCall(mayFail, number, "", args...))
}

func newCall(kind callKind, number uintptr, what string, args ...uintptr) call {
	c := call{number: number, what: what, kind: kind}
	copy(c.args[:], args)
	return c
}

// text is the address of a C string.
func (r *roll) text(s string) (uintptr, error) {
	b, err := syscall.BytePtrFromString(s)
	if err != nil {
		return 0, err
	}
	r.keep = append(r.keep, b)
	return address(b), nil
}

func (r *roll) texts(list []string) (uintptr, error) {
	p, err := syscall.SlicePtrFromStrings(list)
	if err != nil {
		return 0, err
	}
	r.keep = append(r.keep, p)
	return address(&p[0]), nil
}

// signals gives the process the signals that programs expect: none ignored because whoever started the slave, such as nohup, had that done. None
// reaches it yet.
func (r *roll) signals() {
	for sig := uintptr(1); sig <= lastSignal; sig++ {
		r.add(mayFail, unix.SYS_RT_SIGACTION, "signals", sig, address(&r.noAction), 0, signalSet)
	}
}

// descriptors gives the process its files and nothing else. opener is the supervisor's end of the gate, which it must not keep, so that it
// ends with the supervisor.
func (r *roll) descriptors(files []*os.File, opener *os.File) error {
	for to, f := range files {
		from := f.Fd()
		if from < uintptr(len(files)) { // or it would be overwritten before its turn
			fd, err := unix.FcntlInt(from, unix.F_DUPFD_CLOEXEC, aboveFiles)
			if err != nil {
				return err
			}
			from = uintptr(fd)
			r.copies = append(r.copies, fd)
		}
		flags := uintptr(0)
		if to >= forkGate {
			flags = unix.O_CLOEXEC
		}
		r.add(mustWork, unix.SYS_DUP3, f.Name(), from, uintptr(to), flags)
	}
	if fd := opener.Fd(); fd >= uintptr(len(files)) {
		r.add(mustWork, unix.SYS_CLOSE, "gate", fd)
	}
	// Before Linux 5.9 there is no such call; then the program's execution closes them.
	r.add(mayFail, unix.SYS_CLOSE_RANGE, "descriptors", uintptr(len(files)), math.MaxUint32, 0)
	return nil
}

// cgroups opens what the process joins by itself. What cannot be opened, it is moved to.
func (r *roll) cgroups() []*os.File {
	c := r.plan.Cgroups
	if c == nil {
		return nil
	}
	for _, path := range c.Tasks {
		if fd, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0); err == nil {
			r.tasks = append(r.tasks, os.NewFile(uintptr(fd), path))
		}
	}
	if c.Folder != "" {
		if fd, err := unix.Open(c.Folder, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err == nil {
			r.copies = append(r.copies, fd)
			r.into = fd
		}
	}
	return r.tasks
}

// join has the process join the cgroups whose files are its descriptors from first to before end.
func (r *roll) join(first, end int) {
	for fd := first; fd < end; fd++ {
		r.add(mayFail, unix.SYS_WRITE, "cgroup", uintptr(fd), address(&r.self), 1)
	}
}

// close gives back what only the process was to have.
func (r *roll) close() {
	for _, fd := range r.copies {
		_ = unix.Close(fd)
	}
	for _, f := range r.tasks {
		_ = f.Close()
	}
}

// explain says in words why the process did not become the program.
func (r *roll) explain(report []byte) string {
	if len(report) < len(r.failure) || report[0] != failed {
		return string(report)
	}
	place, errno := int(binary.LittleEndian.Uint32(report[1:])), syscall.Errno(binary.LittleEndian.Uint32(report[5:]))
	switch {
	case place >= len(r.list):
		if r.looked {
			err := fs.ErrNotExist
			if errno == syscall.EACCES {
				err = fs.ErrPermission
			}
			return fmt.Sprintf("%.200s: %v in PATH %.1000s", programOf(r.plan), err, r.plan.Getenv("PATH"))
		}
	case r.list[place].kind == mustGive:
		return r.list[place].what
	case r.list[place].kind != mayRun:
		return fmt.Sprintf("%s: %v", r.list[place].what, errno)
	}
	if errno == syscall.E2BIG {
		return fmt.Sprintf("%.200s: %v", r.argv[0], tooBig(r.argv, r.plan.Environment))
	}
	return fmt.Sprintf("%.200s: %v", r.argv[0], errno)
}

func programOf(p *isolation.Plan) string {
	if p.Program != "" {
		return p.Program
	}
	return p.Argv[0]
}

// fork starts the process with these flags of clone beside those of every fork, in the namespaces of the calling thread. No signal reaches it
// before it has given up this program's handlers, which would not work in it.
func (r *roll) fork(flags uintptr) (int, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &r.allMask, &r.oldMask); err != nil {
		return 0, err
	}
	pid, errno := uintptr(0), syscall.ENOSYS
	if r.into > 0 {
		r.clone = cloneInto{0: uint64(flags) | unix.CLONE_INTO_CGROUP, cloneSignal: uint64(syscall.SIGCHLD), cloneCgroup: uint64(r.into)}
		pid, errno = forkAndCall(unix.SYS_CLONE3, [2]uintptr{address(&r.clone), unsafe.Sizeof(r.clone)}, r)
	}
	if errno != 0 { // then it is moved there, or that says what is wrong
		pid, errno = forkAndCall(unix.SYS_CLONE, cloneArguments(flags|uintptr(syscall.SIGCHLD)), r)
	}
	err := unix.PthreadSigmask(unix.SIG_SETMASK, &r.oldMask, nil)
	runtime.KeepAlive(r)
	if errno != 0 {
		return 0, fmt.Errorf("start: %w", errno)
	}
	return int(pid), err
}

// cloneArguments are those of clone that makes a copy of the process: one system has them the other way round.
func cloneArguments(flags uintptr) [2]uintptr {
	if runtime.GOARCH == "s390x" {
		return [2]uintptr{0, flags}
	}
	return [2]uintptr{flags, 0}
}

// forkAndCall forks, and in the new process makes the calls. There it neither grows its stack nor lets itself be scheduled, allocates
// nothing and takes no lock: what it calls is the same.
//
//go:nosplit
//go:norace
//go:nocheckptr
func forkAndCall(number uintptr, clone [2]uintptr, r *roll) (pid uintptr, errno syscall.Errno) {
	pid, _, errno = syscall.RawSyscall6(number, clone[0], clone[1], 0, 0, 0, 0)
	if errno != 0 || pid != 0 {
		return pid, errno
	}
	place, why := uintptr(len(r.list)), syscall.ENOENT
	for i := range r.list {
		c := &r.list[i]
		n, _, e := syscall.RawSyscall6(c.number, c.args[0], c.args[1], c.args[2], c.args[3], c.args[4], c.args[5])
		if c.kind == mayFail || c.kind == mustWork && e == 0 || c.kind == mustGive && e == 0 && n == c.result || c.kind == letsIn && n == 1 && e == 0 {
			continue
		}
		if c.kind == begets && e == 0 {
			if n != 0 {
				stay(n, r)
			}
			continue
		}
		if c.kind == letsIn {
			syscall.RawSyscall6(unix.SYS_EXIT_GROUP, exitError, 0, 0, 0, 0, 0)
		}
		if c.kind == mayRun && (e == syscall.ENOENT || e == syscall.ENOTDIR || e == syscall.EACCES || e == syscall.ENAMETOOLONG) {
			if why != syscall.EACCES {
				why = e
			}
			continue
		}
		place, why = uintptr(i), e
		break
	}
	r.failure[0] = failed
	r.failure[1], r.failure[2], r.failure[3], r.failure[4] = byte(place), byte(place>>8), byte(place>>16), byte(place>>24)
	r.failure[5], r.failure[6] = byte(why), byte(why>>8)
	syscall.RawSyscall6(unix.SYS_WRITE, forkReport, uintptr(unsafe.Pointer(&r.failure)), unsafe.Sizeof(r.failure), 0, 0, 0)
	for {
		syscall.RawSyscall6(unix.SYS_EXIT_GROUP, exitError, 0, 0, 0, 0, 0)
	}
}

// stay is what is left for a process that has begotten the task: all signals are blocked, and taken one at a time. It reaps what has ended, passes
// on what is for the task's process group, and ends when the task has. As in forkAndCall, there is nothing here but system calls.
//
//go:nosplit
//go:norace
//go:nocheckptr
func stay(task uintptr, r *roll) {
	for i := range r.after {
		c := &r.after[i]
		syscall.RawSyscall6(c.number, c.args[0], c.args[1], c.args[2], c.args[3], c.args[4], c.args[5])
	}
	for {
		sig, _, e := syscall.RawSyscall6(unix.SYS_RT_SIGTIMEDWAIT, uintptr(unsafe.Pointer(&r.allMask)), 0, 0, signalSet, 0, 0)
		if e != 0 {
			if e == syscall.EINTR || e == syscall.EAGAIN {
				continue
			}
			break
		}
		switch syscall.Signal(sig) {
		case syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2:
			syscall.RawSyscall6(unix.SYS_KILL, -task, sig, 0, 0, 0, 0)
		case syscall.SIGCHLD:
			for {
				pid, _, e := syscall.RawSyscall6(unix.SYS_WAIT4, ^uintptr(0), uintptr(unsafe.Pointer(&r.waited)), unix.WNOHANG, 0, 0, 0)
				if e != 0 || pid == 0 {
					break
				}
				if pid == task {
					r.status[0], r.status[1] = byte(r.waited), byte(r.waited>>8)
					syscall.RawSyscall6(unix.SYS_WRITE, forkReport, uintptr(unsafe.Pointer(&r.status)), unsafe.Sizeof(r.status), 0, 0, 0)
					syscall.RawSyscall6(unix.SYS_EXIT_GROUP, 0, 0, 0, 0, 0, 0)
				}
			}
		}
	}
	for {
		syscall.RawSyscall6(unix.SYS_EXIT_GROUP, exitError, 0, 0, 0, 0, 0)
	}
}
