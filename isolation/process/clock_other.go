//go:build !linux

package process

import "golang.org/x/sys/unix"

// clock goes on during sleep on these systems.
const clock = unix.CLOCK_MONOTONIC
