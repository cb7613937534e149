package process

import (
	"time"

	"golang.org/x/sys/unix"
)

// Ending returns a func that waits until this process has ended with all of its threads, at most for so long; it is called once. A process
// that is the first in a namespace of processes has not ended before all others there have.
func (id ID) Ending() (wait func(atMost time.Duration)) {
	fd, err := unix.PidfdOpen(id.PID, 0)
	if err != nil {
		return func(time.Duration) {}
	}
	same := id.Alive()
	return func(atMost time.Duration) {
		defer unix.Close(fd)
		for until := time.Now().Add(atMost); same; {
			left := time.Until(until)
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(max(left, 0).Milliseconds())+1) // below zero it would wait for ever
			if err != unix.EINTR && (err != nil || n > 0) || left <= 0 {
				return
			}
		}
	}
}
