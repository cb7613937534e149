package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

var boot = sync.OnceValue(func() string {
	b, _ := ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b))
})

// BootID names the machine's current boot; empty where the operating system does not tell.
func BootID() string { return boot() }

// Identify returns the ID of a running process, or ErrGone.
func Identify(pid int) (ID, error) {
	e, err := readStat(pid)
	return e.id, err
}

// Signal sends a signal to exactly this process, or returns ErrGone.
func (id ID) Signal(sig syscall.Signal) error {
	fd, err := unix.PidfdOpen(id.PID, 0)
	if err != nil {
		return ErrGone
	}
	defer unix.Close(fd)
	// The descriptor holds on to whatever process has the number now; if that is the right one, it stays so.
	if !id.Alive() {
		return ErrGone
	}
	err = unix.PidfdSendSignal(fd, sig, nil, 0)
	if errors.Is(err, unix.ESRCH) {
		return ErrGone
	}
	return err
}

// readStat parses /proc/pid/stat. The name in brackets may hold anything, so that fields are counted from the last bracket.
func readStat(pid int) (entry, error) {
	b, err := ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return entry{}, ErrGone
	}
	i := bytes.LastIndexByte(b, ')')
	if i < 0 {
		return entry{}, fmt.Errorf("process %d: stat has no name", pid)
	}
	f := strings.Fields(string(b[i+1:]))
	if len(f) < 20 {
		return entry{}, fmt.Errorf("process %d: stat has %d fields", pid, len(f))
	}
	if f[0] == "Z" || f[0] == "X" {
		return entry{}, ErrGone
	}
	parent, _ := strconv.Atoi(f[1])
	session, _ := strconv.Atoi(f[3])
	start, err := strconv.ParseUint(f[19], 10, 64)
	if err != nil {
		return entry{}, fmt.Errorf("process %d: start time %q", pid, f[19])
	}
	return entry{id: ID{PID: pid, Start: start, Boot: boot()}, parent: parent, session: session}, nil
}

func snapshot() table {
	t := table{}
	d, err := os.Open("/proc")
	if err != nil {
		return t
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	for _, n := range names {
		pid, err := strconv.Atoi(n)
		if err != nil {
			continue
		}
		if e, err := readStat(pid); err == nil {
			t[pid] = e
		}
	}
	return t
}

func hasEnvironment(pid int, mark string) bool {
	b, err := ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return false
	}
	for _, e := range bytes.Split(b, []byte{0}) {
		if string(e) == mark {
			return true
		}
	}
	return false
}

// Reaps says that BecomeReaper works: whoever has called it and has no child left has no descendant left either.
const Reaps = true

// BecomeReaper makes orphans among the caller's descendants the caller's own children, so that none escapes.
func BecomeReaper() error { return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// AwaitChild waits until a child of the caller has ended, and leaves it to be reaped: until then nothing else gets its number.
func AwaitChild() error {
	for {
		err := unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
