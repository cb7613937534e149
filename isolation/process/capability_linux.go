package process

import (
	"fmt"

	"github.com/moby/sys/capability"
	"golang.org/x/sys/unix"
)

// Capabilities are the capabilities of a task by number.
type Capabilities struct {
	Keep []int  // those that are granted
	Bits uint64 // the same as a set
	Drop []int  // what the bounding set loses; empty where the caller may not lower that
}

// CapabilityBits returns the named capabilities as the system takes them.
func CapabilityBits(names []string) (Capabilities, error) {
	var out Capabilities
	for _, name := range names {
		c, ok := findCapability(name)
		if !ok {
			return out, fmt.Errorf("capabilities: %q is not known", name)
		}
		out.Keep = append(out.Keep, int(c))
		out.Bits |= 1 << c
	}
	last, err := capability.LastCap()
	if err != nil {
		return out, fmt.Errorf("capabilities: %w", err)
	}
	var mine [2]unix.CapUserData
	if err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &mine[0]); err != nil {
		return out, fmt.Errorf("capabilities: %w", err)
	}
	for c := 0; c <= int(last) && mine[0].Effective&(1<<unix.CAP_SETPCAP) != 0; c++ {
		if out.Bits&(1<<c) == 0 {
			out.Drop = append(out.Drop, c)
		}
	}
	return out, nil
}
