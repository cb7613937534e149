package process

import (
	"fmt"
	"strings"

	"github.com/moby/sys/capability"
	"golang.org/x/sys/unix"
)

// A Grant is what is left of the capabilities of the calling thread, and of the program that it executes then.
type Grant struct {
	caps  capability.Capabilities
	names []string
}

// BoundCapabilities lowers the bounding set to the named capabilities, where the caller is privileged to, and keeps them from getting lost when
// the calling thread becomes another user. The thread must be locked; it becomes that user, and then calls Apply.
func BoundCapabilities(names []string) (*Grant, error) {
	caps, err := capability.NewPid2(0)
	if err != nil {
		return nil, fmt.Errorf("capabilities: %w", err)
	}
	g := &Grant{caps: caps, names: names}
	for _, name := range names {
		c, ok := findCapability(name)
		if !ok {
			return nil, fmt.Errorf("capabilities: %q is not known", name)
		}
		caps.Set(capability.CAPS|capability.BOUNDING|capability.AMBIENT, c)
	}
	if err := caps.Apply(capability.BOUNDS); err != nil {
		return nil, fmt.Errorf("capabilities: bound: %w", err)
	}
	if len(names) > 0 {
		if err := unix.Prctl(unix.PR_SET_KEEPCAPS, 1, 0, 0, 0); err != nil {
			return nil, fmt.Errorf("capabilities: keep: %w", err)
		}
	}
	return g, nil
}

// Apply leaves the granted capabilities, and no other, in all sets of the calling thread.
func (g *Grant) Apply() error {
	if err := g.caps.Apply(capability.CAPS | capability.AMBS); err != nil {
		return fmt.Errorf("capabilities: the slave cannot grant %s, which it does not have itself: %w", strings.Join(g.names, ","), err)
	}
	return nil
}

// Capabilities are the capabilities of a task by number.
type Capabilities struct {
	Keep []int  // those that are granted
	Bits uint64 // the same as a set
	Drop []int  // what the bounding set loses; empty where the caller may not lower that
}

// CapabilityBits returns the named capabilities, for whoever lowers those of a process without the help of this package.
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
