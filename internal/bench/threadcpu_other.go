//go:build !linux

package main

import (
	"errors"
	"time"
)

// threadCPU is known on Linux only.
func threadCPU() (time.Duration, bool) { return 0, false }

// processCPU is known on Linux only.
func processCPU(int) (time.Duration, error) {
	return 0, errors.New("the processor time of another process is known on Linux only")
}
