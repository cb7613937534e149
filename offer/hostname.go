package offer

import (
	"fmt"
	"strings"
)

// MaxHostname is how many bytes a host name may have: what Linux keeps of one.
const MaxHostname = 64

// ValidateHostname checks the host name of a container, which may be empty: labels of letters, digits and inner dashes, of at most 63 bytes each,
// with single dots between them (RFC 1123). The error names the field, the value and what is allowed.
func ValidateHostname(name string) error {
	if name == "" {
		return nil
	}
	if len(name) > MaxHostname {
		return fmt.Errorf("hostname: has %d bytes (allowed: at most %d)", len(name), MaxHostname)
	}
	for label := range strings.SplitSeq(name, ".") {
		if len(label) == 0 || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' || strings.ContainsFunc(label, notOfLabel) {
			return fmt.Errorf("hostname %q: the label %q (allowed: 1 to 63 letters, digits and inner dashes)", name, label)
		}
	}
	return nil
}

func notOfLabel(c rune) bool {
	return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-')
}
