//go:build linux

package process

import "golang.org/x/sys/unix"

const (
	architecture = unix.AUDIT_ARCH_AARCH64
	foreignFrom  = 0 // there are no others
)

// ownRules are about calls that only this architecture has.
var ownRules []rule
