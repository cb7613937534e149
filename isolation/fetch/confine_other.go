//go:build !linux

package fetch

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/meros-project/meros/isolation/process"
)

// confine does what Confine says, as far as the system can.
func confine(c Confinement) error {
	signal.Ignore(syscall.SIGXFSZ) // a file that is too large is an error of its own
	syscall.Umask(0o022)
	for _, l := range []struct {
		name  string
		which int
		most  uint64
	}{{"core", syscall.RLIMIT_CORE, 0}, {"nofile", syscall.RLIMIT_NOFILE, 512}, {"fsize", syscall.RLIMIT_FSIZE, uint64(c.FileBytes)},
		{"cpu", syscall.RLIMIT_CPU, uint64(c.CPU.Seconds()) + 1}} {
		if err := atMost(l.which, l.most); err != nil {
			return fmt.Errorf("limit %s: %w", l.name, err)
		}
	}
	return process.Become(c.User)
}

// self is the host program.
var self = os.Executable

func landlocked() bool { return false }
