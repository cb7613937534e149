package supervisor

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// An alarm is a timer by process.Clock: it goes off at once when a machine wakes that was suspended beyond it.
type alarm struct {
	fd int
	f  *os.File
}

func newAlarm() (*alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_BOOTTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	return &alarm{fd: fd, f: os.NewFile(uintptr(fd), "lease")}, nil
}

// set replaces the time at which the alarm goes off.
func (a *alarm) set(at time.Duration) error {
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(max(int64(at), 1))}
	return os.NewSyscallError("timerfd_settime", unix.TimerfdSettime(a.fd, unix.TFD_TIMER_ABSTIME, &spec, nil))
}

// wait returns when the alarm has gone off, or sooner.
func (a *alarm) wait() {
	var times [8]byte
	if _, err := a.f.Read(times[:]); err != nil {
		time.Sleep(100 * time.Millisecond)
	}
}
