//go:build !linux

package cgroup

// notify is for Linux.
func notify(string) (told <-chan struct{}, stop func()) { return nil, func() {} }
