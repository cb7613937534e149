package process

import "golang.org/x/sys/unix"

// clock is not CLOCK_MONOTONIC, which stands still while the machine is suspended.
const clock = unix.CLOCK_BOOTTIME
