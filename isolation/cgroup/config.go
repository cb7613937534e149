package cgroup

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"regexp"
	"sync"
	"time"
)

// Config is the configuration of the cgroup isolator.
type Config struct {
	// Slave tells the containers of this slave from those of others on the machine. It must be the same whenever the slave is started,
	// and of no other: what carries this name and is not known to the slave is ended. Letters, digits, '-' and '_', at most 64. Required.
	Slave string
	// Root is the cgroup in which those of the containers are made, as a path below where a hierarchy is mounted. It is made when it is
	// missing and removed when it is empty. Defaults to "meros".
	Root string
	// Processes bounds the processes and threads in a container. Negative means no bound. Defaults to 4,096.
	Processes int
	// NoQuota leaves out the bound on cpu time: containers then share the processors by what they have requested. Defaults to false.
	NoQuota bool
	// Swap lets containers use swap beside their memory. Defaults to false.
	Swap bool
	// Devices are devices that containers may use beside the harmless ones, as the kernel writes them: "c 10:229 rwm". Defaults to none.
	Devices []string
	// KillTimeout bounds how long the processes of a container, once killed, may take to end. Defaults to 10 s.
	KillTimeout time.Duration
	// Mounts is the path of the table of mounts. Defaults to /proc/self/mountinfo.
	Mounts string
	// Logger is told of what could not be removed. Defaults to none.
	Logger *slog.Logger
}

// device is compiled when it is first used: a program that embeds a slave is started once more for each task.
var device = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[abc] ([0-9]+|\*):([0-9]+|\*) [rwm]{1,3}$`) })

// isName reports whether s has 1 to most letters, digits, dashes and bars, and, but for its first, dots where those are allowed.
func isName(s string, most int, dots bool) bool {
	for i, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-', c == '.' && dots && i > 0:
		default:
			return false
		}
	}
	return len(s) > 0 && len(s) <= most
}

// Validate reports the first field that cannot be used.
func (c Config) Validate() error {
	bad := func(field, format string, args ...any) error {
		return fmt.Errorf("cgroup: config: %s %s", field, fmt.Sprintf(format, args...))
	}
	switch {
	case !isName(c.Slave, 64, false):
		return bad("Slave", "is %q (allowed: 1 to 64 letters, digits, '-' and '_')", c.Slave)
	case c.Root != "" && (!filepath.IsLocal(c.Root) || filepath.Clean(c.Root) != c.Root || c.Root == "."):
		return bad("Root", "is %q (allowed: a path below where a hierarchy is mounted, as in meros)", c.Root)
	case c.KillTimeout < 0:
		return bad("KillTimeout", "is %v (allowed: more than zero)", c.KillTimeout)
	}
	for i, d := range c.Devices {
		if !device().MatchString(d) {
			return bad(fmt.Sprintf("Devices[%d]", i), "is %q (allowed: a kind, a number and rights, as in \"c 10:229 rwm\")", d)
		}
	}
	return nil
}

func (c Config) withDefaults() Config {
	if c.Root == "" {
		c.Root = "meros"
	}
	if c.Processes == 0 {
		c.Processes = 4096
	}
	if c.KillTimeout == 0 {
		c.KillTimeout = 10 * time.Second
	}
	if c.Mounts == "" {
		c.Mounts = "/proc/self/mountinfo"
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}
