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
