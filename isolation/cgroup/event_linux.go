package cgroup

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// notify has the kernel tell when memory runs out in a cgroup of version 1. The channel is nil where it does not; stop frees what was used.
func notify(dir string) (told <-chan struct{}, stop func()) {
	nothing := func() {}
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, nothing
	}
	event := os.NewFile(uintptr(fd), "out of memory")
	control, err := os.Open(filepath.Join(dir, "memory.oom_control"))
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "cgroup.event_control"), fmt.Appendf(nil, "%d %d", fd, control.Fd()), 0)
		_ = control.Close()
	}
	if err != nil {
		_ = event.Close()
		return nil, nothing
	}
	ch := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		var count [8]byte
		if _, err := event.Read(count[:]); err == nil {
			close(ch)
		}
	})
	return ch, func() {
		_ = event.Close()
		wg.Wait()
	}
}
