//go:build !linux

package process

import "github.com/meros-project/meros/isolation"

// BecomeThread is Become, where threads have no user of their own.
func BecomeThread(u *isolation.User) error { return Become(u) }
