package process

import (
	"errors"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

var boot = sync.OnceValue(func() string {
	tv, err := unix.SysctlTimeval("kern.boottime")
	if err != nil {
		return ""
	}
	return strconv.FormatInt(tv.Sec, 10)
})

// BootID names the machine's current boot; empty where the operating system does not tell.
func BootID() string { return boot() }

// Identify returns the ID of a running process, or ErrGone.
func Identify(pid int) (ID, error) {
	k, err := unix.SysctlKinfoProc("kern.proc.pid", pid)
	if err != nil || int(k.Proc.P_pid) != pid || k.Proc.P_stat == zombie {
		return ID{}, ErrGone
	}
	return identity(k), nil
}

const zombie = 5 // SZOMB of <sys/proc.h>

func identity(k *unix.KinfoProc) ID {
	at := k.Proc.P_starttime
	return ID{PID: int(k.Proc.P_pid), Start: uint64(at.Sec)*1e6 + uint64(at.Usec), Boot: boot()}
}

// Signal sends a signal to this process, or returns ErrGone.
func (id ID) Signal(sig syscall.Signal) error {
	if !id.Alive() {
		return ErrGone
	}
	err := syscall.Kill(id.PID, sig)
	if errors.Is(err, syscall.ESRCH) {
		return ErrGone
	}
	return err
}

func snapshot() table {
	t := table{}
	all, err := unix.SysctlKinfoProcSlice("kern.proc.all")
	if err != nil {
		return t
	}
	for i := range all {
		k := &all[i]
		if k.Proc.P_stat == zombie {
			continue
		}
		pid := int(k.Proc.P_pid)
		session, err := unix.Getsid(pid)
		if err != nil {
			session = 0
		}
		t[pid] = entry{id: identity(k), parent: int(k.Eproc.Ppid), session: session}
	}
	return t
}

// hasEnvironment reports false: macOS does not show the environment of others.
func hasEnvironment(int, string) bool { return false }

// Reaps says that BecomeReaper works: whoever has called it and has no child left has no descendant left either.
const Reaps = false

// BecomeReaper does nothing: macOS has no such thing. What a task detaches is found by its session only.
func BecomeReaper() error { return nil }

// AwaitChild returns at once: here nothing can wait for a child without reaping it.
func AwaitChild() error { return nil }
