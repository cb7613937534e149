//go:build !linux && !darwin

package process

import (
	"errors"
	"syscall"
)

// BootID names the machine's current boot; empty where the operating system does not tell.
func BootID() string { return "" }

// Identify returns the ID of a running process, or ErrGone. The start time is not known here.
func Identify(pid int) (ID, error) {
	if err := syscall.Kill(pid, 0); err != nil && !errors.Is(err, syscall.EPERM) {
		return ID{}, ErrGone
	}
	return ID{PID: pid}, nil
}

// Signal sends a signal to this process, or returns ErrGone.
func (id ID) Signal(sig syscall.Signal) error {
	err := syscall.Kill(id.PID, sig)
	if errors.Is(err, syscall.ESRCH) {
		return ErrGone
	}
	return err
}

func snapshot() table { return table{} }

func hasEnvironment(int, string) bool { return false }

// Reaps says that BecomeReaper works: whoever has called it and has no child left has no descendant left either.
const Reaps = false

// BecomeReaper does nothing here.
func BecomeReaper() error { return nil }

// AwaitChild returns at once: here nothing can wait for a child without reaping it.
func AwaitChild() error { return nil }
