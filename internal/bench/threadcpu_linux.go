package main

import (
	"time"

	"golang.org/x/sys/unix"
)

// threadCPU is how long this thread has computed, which does not count the time for which others had the processor.
func threadCPU() (time.Duration, bool) {
	var at unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &at); err != nil {
		return 0, false
	}
	return time.Duration(at.Nano()), true
}
