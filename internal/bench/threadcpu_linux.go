package main

import (
	"fmt"
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

// processCPU is the processor time, user and system, that a process has used.
func processCPU(pid int) (time.Duration, error) {
	const scheduled = 2 // of the clocks of a process, the exact one, as the kernel's clock_getcpuclockid counts them
	var at unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduled), &at); err != nil {
		return 0, fmt.Errorf("processor time of process %d: %w", pid, err)
	}
	return time.Duration(at.Nano()), nil
}
