package namespace

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Detect says in a line why containers can have no namespaces of their own on this machine; nil if they can. It tries, in a thread that ends
// with what it has made.
func Detect() error {
	if uid := os.Geteuid(); uid != 0 {
		return fmt.Errorf("namespace: needs root, and the slave runs as user %d", uid)
	}
	result := make(chan error, 1)
	go inThread(func() { result <- probe() })
	if err := <-result; err != nil {
		return fmt.Errorf("namespace: this system does not do it: %w", err)
	}
	return nil
}

// inThread runs f in a thread that ends with it. It is not the one that stands for the process.
func inThread(f func()) {
	runtime.LockOSThread()
	if unix.Gettid() != unix.Getpid() {
		f()
		return
	}
	done := make(chan struct{})
	go func() { // somewhere else: this thread is taken
		defer close(done)
		inThread(f)
	}()
	<-done
	runtime.UnlockOSThread()
}

// probe does once what needs a kernel that has it: Linux 5.12 does.
func probe() error {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("new namespaces: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("mounts apart from the machine's: %w", err)
	}
	root, err := unix.Openat2(unix.AT_FDCWD, "/", &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT})
	if err != nil {
		return fmt.Errorf("openat2: %w", err)
	}
	defer unix.Close(root)
	tree, err := clone(root, true)
	if err != nil {
		return fmt.Errorf("open_tree: %w", err)
	}
	defer unix.Close(tree)
	if err := restrict(tree, unix.MOUNT_ATTR_RDONLY); err != nil {
		return fmt.Errorf("mount_setattr: %w", err)
	}
	for _, kind := range []string{"proc", "sysfs"} {
		fd, err := newMount(kind, harmless)
		if err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		_ = unix.Close(fd)
	}
	made, err := newMount("tmpfs", unix.MOUNT_ATTR_NOSUID, option{"mode", "0755"})
	if err != nil {
		return fmt.Errorf("tmpfs: %w", err)
	}
	defer unix.Close(made)
	return attach(made, root)
}
