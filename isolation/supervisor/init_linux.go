package supervisor

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/namespace"
)

// initName is what the first process of a container with namespaces of its own is called.
const initName = "meros-init"

// When memory runs out, the system is to end a process of the task's, and not the container's init, whose end would be that of all and would not
// be told as what it is. Only a privileged slave can have the init spared, and any that the task is looked at first: as if it used a fifth more of
// what there is than it does.
const (
	sparedScore = "-1000"
	moreScore   = 200
	mostScore   = 1000
)

const scoreFile = "/proc/self/oom_score_adj"

// startApart starts the first process of a container with namespaces of its own. It mounts what only a process in there can, begets the task when
// the gate lets it, passes on what signals it gets, reaps whatever ends, and ends when the task has; then the system ends whatever is left. How the
// task ended it tells where it reports, since such a process cannot end by a signal of its own.
//
// The rest of the mounts is made by a thread of the supervisor's that shares the container's namespaces but that for processes, at the same time
// as the slave puts the process under control.
func (b *beginning) startApart(r *roll, files []*os.File, data uintptr) (int, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, os.NewSyscallError("socketpair", err)
	}
	mine, other := pair[0], os.NewFile(uintptr(pair[1]), "room")
	defer other.Close()
	nothing := uintptr(len(files))
	room := nothing + 1
	files = append(files, null, other)
	given := len(files)
	files = append(files, r.cgroups()...)
	err = r.descriptors(files, b.opener)
	if err == nil {
		r.join(given, len(files))
		err = r.initial(b, nothing, room, uintptr(len(files)), data)
	}
	if err != nil {
		return 0, errors.Join(err, unix.Close(mine))
	}
	type outcome struct {
		pid int
		err error
	}
	forked := make(chan outcome)
	b.furnished = make(chan error, 1)
	go inThread(func() {
		defer close(b.furnished)
		defer unix.Close(mine)
		pid, err := r.forkApart(b.plan.Namespaces)
		forked <- outcome{pid, err}
		if err == nil {
			b.furnished <- furnish(b.plan, mine)
		}
	})
	begun := <-forked
	runtime.KeepAlive(files)
	return begun.pid, begun.err
}

// initial adds what the first process does: the descriptors of nothing and of the room's maker are at these numbers, and free is the first number
// that no descriptor has.
func (r *roll) initial(b *beginning, nothing, room, free, data uintptr) error {
	name, err := r.text(initName)
	if err != nil {
		return err
	}
	r.add(mayFail, unix.SYS_PRCTL, "name", unix.PR_SET_NAME, name)
	if err := r.handProcesses(room, free); err != nil {
		return err
	}
	r.add(letsIn, unix.SYS_READ, "gate", forkGate, address(&r.gateByte), 1)
	// It stands still until its child is the task, or is not: so what the child reports comes first.
	clone := cloneArguments(unix.CLONE_VFORK | uintptr(syscall.SIGCHLD))
	r.add(begets, unix.SYS_CLONE, "start", clone[0], clone[1])
	r.add(mustWork, unix.SYS_SETSID, "session")
	prefer, err := r.score(taskScore(), free)
	if err != nil {
		return err
	}
	r.list = append(r.list, prefer...)
	if err := r.become(b, data); err != nil {
		return err
	}
	// The task's output is the task's, so that its end is seen.
	for fd := range uintptr(3) {
		r.addAfter(unix.SYS_DUP3, nothing, fd, 0)
	}
	for fd := uintptr(forkGate); fd < free; fd++ {
		if fd != forkReport {
			r.addAfter(unix.SYS_CLOSE, fd)
		}
	}
	spare, err := r.score(sparedScore, forkGate) // the first number that is free again
	if err != nil {
		return err
	}
	r.after = append(r.after, spare...)
	r.addAfter(unix.SYS_WRITE, forkReport, address(&r.startedOf), 1)
	return nil
}

// taskScore is the score of the task's processes; empty where there is no such thing.
func taskScore() string {
	b, err := os.ReadFile(scoreFile)
	if err != nil {
		return ""
	}
	own, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return ""
	}
	return strconv.Itoa(min(own+moreScore, mostScore))
}

// score returns the calls that give the process a score, as far as it may have that. fd is the number that its next descriptor has.
func (r *roll) score(value string, fd uintptr) ([]call, error) {
	file, err := r.text(scoreFile)
	if err != nil {
		return nil, err
	}
	text, err := r.text(value)
	if err != nil {
		return nil, err
	}
	at := int64(unix.AT_FDCWD)
	return []call{
		newCall(mayFail, unix.SYS_OPENAT, "score", uintptr(at), file, unix.O_WRONLY|unix.O_CLOEXEC),
		newCall(mayFail, unix.SYS_WRITE, "score", fd, text, uintptr(len(value))),
		newCall(mayFail, unix.SYS_CLOSE, "score", fd),
	}, nil
}

// handProcesses mounts the container's processes, nowhere yet, and hands them to whoever makes the room.
func (r *roll) handProcesses(room, free uintptr) error {
	kind, err := r.text("proc")
	if err != nil {
		return err
	}
	fs, mount := free, free+1
	r.add(mustGive, unix.SYS_FSOPEN, "/proc: cannot be made", kind, unix.FSOPEN_CLOEXEC)
	r.list[len(r.list)-1].result = fs
	r.add(mustWork, unix.SYS_FSCONFIG, "/proc", fs, unix.FSCONFIG_CMD_CREATE)
	r.add(mustGive, unix.SYS_FSMOUNT, "/proc: cannot be mounted", fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
	r.list[len(r.list)-1].result = mount
	control := unix.UnixRights(int(mount))
	message := &unix.Msghdr{Iov: &unix.Iovec{Base: &r.starting[0]}, Iovlen: 1, Control: &control[0]}
	message.Iov.SetLen(1)
	message.SetControllen(len(control))
	r.keep = append(r.keep, message)
	r.add(mustWork, unix.SYS_SENDMSG, "/proc: hand over", room, address(message), 0)
	r.add(mustWork, unix.SYS_CLOSE, "/proc", fs)
	r.add(mustWork, unix.SYS_CLOSE, "/proc", mount)
	return nil
}

// forkApart makes new namespaces of the calling thread, which is locked and used for nothing else again, and starts the process in them.
func (r *roll) forkApart(n *isolation.Namespaces) (int, error) {
	flags := unix.CLONE_NEWNS | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS
	if n.Network {
		flags |= unix.CLONE_NEWNET
	}
	if err := unix.Unshare(flags); err != nil {
		return 0, fmt.Errorf("new namespaces: %w", err)
	}
	return r.fork(unix.CLONE_NEWPID)
}

// furnish makes the namespaces of the calling thread what the plan says. The first process hands over its mount of the container's processes.
func furnish(p *isolation.Plan, from int) error {
	processes, err := receiveDescriptor(from)
	if err != nil {
		return fmt.Errorf("/proc: %w", err)
	}
	if p.Namespaces.Network {
		if err := raiseLoopback(); err != nil {
			return errors.Join(fmt.Errorf("network: loopback: %w", err), unix.Close(processes))
		}
	}
	return namespace.Furnish(p, processes)
}

func receiveDescriptor(from int) (int, error) {
	var one [1]byte
	control := make([]byte, unix.CmsgSpace(4))
	n, length, _, _, err := 0, 0, 0, unix.Sockaddr(nil), error(unix.EINTR)
	for errors.Is(err, unix.EINTR) {
		n, length, _, _, err = unix.Recvmsg(from, one[:], control, unix.MSG_CMSG_CLOEXEC)
	}
	if err != nil {
		return -1, err
	}
	messages, err := unix.ParseSocketControlMessage(control[:length])
	if err == nil && n == 1 && len(messages) == 1 {
		if fds, err := unix.ParseUnixRights(&messages[0]); err == nil && len(fds) == 1 {
			return fds[0], nil
		}
	}
	return -1, errors.New("the first process has not handed it over")
}

func raiseLoopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr)
}

// inThread runs f in a thread that ends with it, and is not the one that stands for the process.
func inThread(f func()) {
	runtime.LockOSThread()
	if unix.Gettid() != unix.Getpid() {
		f()
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		inThread(f)
	}()
	<-done
	runtime.UnlockOSThread()
}
