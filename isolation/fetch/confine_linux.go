package fetch

import (
	"fmt"
	"os/signal"
	"runtime/debug"
	"syscall"

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

// confine takes from this process what it does not need. Landlock is a second wall behind the checks of names: a kernel without it has the
// first one only.
func confine(j *job) error {
	signal.Ignore(syscall.SIGXFSZ) // a file that is too large is an error of its own
	debug.SetMemoryLimit(memoryLimit)
	syscall.Umask(0o022)
	for _, l := range []struct {
		name  string
		which int
		most  uint64
	}{{"core", unix.RLIMIT_CORE, 0}, {"nofile", unix.RLIMIT_NOFILE, 512}, {"fsize", unix.RLIMIT_FSIZE, uint64(max(j.MaxBytes, j.MaxUnpacked))},
		{"cpu", unix.RLIMIT_CPU, uint64(j.Timeout.Seconds()) + 1}, {"data", unix.RLIMIT_DATA, dataLimit}} {
		if err := atMost(l.which, l.most); err != nil {
			return fmt.Errorf("limit %s: %w", l.name, err)
		}
	}
	if _, _, errno := psx.Syscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); errno != 0 {
		return fmt.Errorf("ban new privileges: %w", errno)
	}
	rules := []landlock.Rule{landlock.ROFiles(lookups...).IgnoreIfMissing(), landlock.RODirs(certificates...).IgnoreIfMissing(),
		landlock.RODirs(j.Files...)}
	if j.Sandbox != "" {
		rules = append(rules, landlock.RWDirs(j.Sandbox).WithRefer()) // hard links between folders of an archive
	}
	// In one step: a layer that knows nothing of links between folders would forbid them.
	l := landlock.MustConfig(landlock.V9.HandledAccessFS, landlock.V9.Scoped).BestEffort()
	if err := l.Restrict(rules...); err != nil {
		return fmt.Errorf("landlock: %w", err)
	}
	return process.Become(j.User) // last: the way to the sandbox may be closed to the task's user
}

// landlocked reports whether this kernel has Landlock.
func landlocked() bool {
	version, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	return errno == 0 && version > 0
}
