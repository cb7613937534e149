package process

import (
	"time"

	"golang.org/x/sys/unix"
)

// Clock reads the machine's clock that nobody can set and that goes on while the machine is suspended: the time since some moment of its
// boot, the same for all processes. It is what leases are measured by. It panics on a system without such a clock, which none that a
// slave runs on is.
func Clock() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(clock, &now); err != nil {
		panic("process: read the clock since boot: " + err.Error())
	}
	return time.Duration(now.Nano())
}
