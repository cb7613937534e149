//go:build !linux

package process

// KillBelow kills what is in the session; the rest is for Linux.
func KillBelow(_ int, _ string, session int) int { return KillTree(0, session) }
