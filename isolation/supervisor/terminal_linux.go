package supervisor

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/meros-project/meros/offer"
)

// openTerminal makes a terminal: master is whoever types and reads, slave the program's side.
func openTerminal(size offer.TerminalSize) (master, slave *os.File, err error) {
	// Not blocking, so that closing it ends whoever waits for it.
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, &os.PathError{Op: "open", Path: "/dev/ptmx", Err: err}
	}
	master = os.NewFile(uintptr(fd), "/dev/ptmx")
	err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	if err == nil {
		err = resizeTerminal(master, size)
	}
	if err == nil {
		// By the master and not by a name, which could be another's in another folder of devices.
		peer, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
		if errno == 0 {
			return master, os.NewFile(peer, "tty"), nil
		}
		err = errno
	}
	_ = master.Close()
	return nil, nil, fmt.Errorf("make a terminal: %w", err)
}

func resizeTerminal(master *os.File, size offer.TerminalSize) error {
	raw, err := master.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: size.Rows, Col: size.Columns})
	})
	if err != nil {
		return err
	}
	return failed
}
