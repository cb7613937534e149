package supervisor

import (
	"fmt"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// rooms are the namespaces that a command enters with the container, in this order: what comes after the mounts would not find its way.
var rooms = []struct {
	name string
	flag int
}{{"net", unix.CLONE_NEWNET}, {"ipc", unix.CLONE_NEWIPC}, {"uts", unix.CLONE_NEWUTS}, {"cgroup", unix.CLONE_NEWCGROUP}, {"mnt", unix.CLONE_NEWNS}}

// namespaces are those of a container that the supervisor does not share.
type namespaces struct {
	names []string   // of those that a command enters by itself
	files []*os.File // of the same
	pid   *os.File   // what it must be started in; nil if that is shared
}

// openNamespaces looks at those of the container's first process, whose number must be its own.
func openNamespaces(pid int) (*namespaces, error) {
	n := &namespaces{}
	if os.Geteuid() != 0 {
		return n, nil // who cannot make namespaces has none to enter, and may not look
	}
	for _, name := range []string{"user", "pid", "net", "ipc", "uts", "cgroup", "mnt"} {
		f, err := otherNamespace(pid, name)
		switch {
		case err != nil:
			n.close()
			return nil, err
		case f == nil:
		case name == "pid":
			n.pid = f
		case name == "user":
			_ = f.Close()
			n.close()
			return nil, fmt.Errorf("the container has users of its own, which nobody can enter")
		default:
			n.names, n.files = append(n.names, name), append(n.files, f)
		}
	}
	return n, nil
}

// otherNamespace opens a namespace unless it is the caller's own, too.
func otherNamespace(pid int, name string) (*os.File, error) {
	path := "/proc/" + strconv.Itoa(pid) + "/ns/" + name
	theirs, err := os.Readlink(path)
	if err != nil {
		return nil, err
	}
	if own, err := os.Readlink("/proc/self/ns/" + name); err == nil && own == theirs {
		return nil, nil
	}
	return os.Open(path)
}

func (n *namespaces) close() {
	for _, f := range append(n.files, n.pid) {
		if f != nil {
			_ = f.Close()
		}
	}
}

// fork starts a process in the container's processes: only a thread's later children are in a namespace that it enters. The thread is not used
// for anything else again.
func (n *namespaces) fork(r *roll) (pid int, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if err = unix.Setns(int(n.pid.Fd()), unix.CLONE_NEWPID); err == nil {
			pid, err = r.fork(0)
		}
	}()
	<-done
	return pid, err
}

// roomFlag is what a namespace is called by the system.
func roomFlag(name string) uintptr {
	for _, r := range rooms {
		if r.name == name {
			return uintptr(r.flag)
		}
	}
	return 0
}
