package process

import (
	"strings"

	"github.com/moby/sys/capability"
)

// capabilityName is how a Plan names a capability: "net_raw" for "CAP_NET_RAW".
func capabilityName(name string) string { return strings.TrimPrefix(strings.ToLower(name), "cap_") }

func knownCapability(name string) bool {
	_, ok := findCapability(name)
	return ok
}

func findCapability(name string) (capability.Cap, bool) {
	for _, c := range capability.ListKnown() {
		if c.String() == name {
			return c, true
		}
	}
	return 0, false
}
