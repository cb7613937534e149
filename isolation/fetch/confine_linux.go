package fetch

import (
	"fmt"
	"os/signal"
	"runtime/debug"
	"syscall"
	"unsafe"

	"github.com/landlock-lsm/go-landlock/landlock"
	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/psx"

	"github.com/meros-project/meros/isolation/process"
)

const (
	dataLimit   = 1 << 30 // bytes of memory
	memoryLimit = 256 << 20
)

// lookups are the files that host names and certificates are looked up in.
var lookups = []string{"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/services", "/etc/protocols", "/dev/null"}

var certificates = []string{"/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/etc/pki/tls", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates",
	"/usr/share/pki", "/var/lib/ca-certificates"}

// confine does what Confine says. Landlock is a second wall behind the checks of names: a kernel without it has the first one only.
func confine(c Confinement) error {
	signal.Ignore(syscall.SIGXFSZ) // a file that is too large is an error of its own
	debug.SetMemoryLimit(memoryLimit)
	syscall.Umask(0o022)
	for _, l := range []struct {
		name  string
		which int
		most  uint64
	}{{"core", unix.RLIMIT_CORE, 0}, {"nofile", unix.RLIMIT_NOFILE, 512}, {"fsize", unix.RLIMIT_FSIZE, uint64(c.FileBytes)},
		{"cpu", unix.RLIMIT_CPU, uint64(c.CPU.Seconds()) + 1}, {"data", unix.RLIMIT_DATA, dataLimit}} {
		if err := atMost(l.which, l.most); err != nil {
			return fmt.Errorf("limit %s: %w", l.name, err)
		}
	}
	if _, _, errno := psx.Syscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); errno != 0 {
		return fmt.Errorf("ban new privileges: %w", errno)
	}
	rules := []landlock.Rule{landlock.ROFiles(lookups...).IgnoreIfMissing(), landlock.RODirs(certificates...).IgnoreIfMissing(),
		landlock.RODirs(c.Read...).IgnoreIfMissing(), landlock.ROFiles(c.ReadFiles...).IgnoreIfMissing()}
	if c.Write != "" {
		rules = append(rules, landlock.RWDirs(c.Write).WithRefer()) // hard links between folders of an archive
	}
	// In one step: a layer that knows nothing of links between folders would forbid them.
	l := landlock.MustConfig(landlock.V9.HandledAccessFS, landlock.V9.Scoped).BestEffort()
	if err := l.Restrict(rules...); err != nil {
		return fmt.Errorf("landlock: %w", err)
	}
	if c.Owners {
		return onlyOwners()
	}
	return process.Become(c.User) // last: the way to the sandbox may be closed to the task's user
}

// onlyOwners leaves root the rights that files of other owners take, in all threads.
func onlyOwners() error {
	if unix.Geteuid() != 0 {
		return nil
	}
	const keep = 1<<unix.CAP_CHOWN | 1<<unix.CAP_DAC_OVERRIDE | 1<<unix.CAP_FOWNER | 1<<unix.CAP_FSETID
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := [2]unix.CapUserData{{Effective: keep, Permitted: keep}}
	_, _, errno := psx.Syscall3(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&data[0])), 0)
	if errno != 0 {
		return fmt.Errorf("give up the rights of root: %w", errno)
	}
	return nil
}

// landlocked reports whether this kernel has Landlock.
func landlocked() bool {
	version, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	return errno == 0 && version > 0
}
