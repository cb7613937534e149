package slave

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// dialWithin connects to an address in the network of a process. A socket belongs to the network that its thread is in when it is made, so
// that for a network that is not the slave's own a thread enters it, and is not used for anything else again.
func dialWithin(ctx context.Context, pid int, address string) (net.Conn, error) {
	network, err := networkOf(pid)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoFault, err)
	}
	if network == nil {
		return (&net.Dialer{}).DialContext(ctx, "tcp4", address)
	}
	defer network.Close()
	var conn net.Conn
	onThread(func() {
		if err = unix.Setns(int(network.Fd()), unix.CLONE_NEWNET); err != nil {
			err = fmt.Errorf("%w: enter the network of process %d: %w", errNoFault, pid, err)
			return
		}
		conn, err = (&net.Dialer{}).DialContext(ctx, "tcp4", address) // one address: the socket is made on this thread
	})
	return conn, err
}

// onThread calls f on a thread that ends afterwards. That is never the process's first, which would stay, and be what others take for the
// process.
func onThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		if unix.Gettid() != unix.Getpid() {
			f()
			return
		}
		onThread(f)
		runtime.UnlockOSThread()
	}()
	<-done
}

// networkOf opens the network of a process, nil if it is the slave's own. Who may not enter one has none to enter, and may not look either.
func networkOf(pid int) (*os.File, error) {
	path := "/proc/" + strconv.Itoa(pid) + "/ns/net"
	theirs, err := os.Readlink(path)
	if err != nil {
		if os.Geteuid() != 0 {
			return nil, nil
		}
		return nil, err
	}
	own, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		return nil, err
	}
	if own == theirs {
		return nil, nil
	}
	return os.Open(path)
}
