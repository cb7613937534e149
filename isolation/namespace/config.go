package namespace

import (
	"fmt"
	"path/filepath"
)

// Config is the configuration of the namespace isolator.
type Config struct {
	// HostPaths are absolute paths of folders of the machine: volumes of tasks may show what is in them, and themselves. Links in them
	// that lead out of them are not followed. Defaults to none, so that no task sees a path of the machine as a volume.
	HostPaths []string
	// ShmBytes bounds the files in a container's /dev/shm, which count as its memory too. Defaults to 64 MiB.
	ShmBytes int64
}

// Validate reports the first field that cannot be used.
func (c Config) Validate() error {
	for i, p := range c.HostPaths {
		if !filepath.IsAbs(p) || filepath.Clean(p) != p {
			return fmt.Errorf("namespace: config: HostPaths[%d] is %q (allowed: an absolute path without '.' and '..')", i, p)
		}
	}
	if c.ShmBytes < 0 {
		return fmt.Errorf("namespace: config: ShmBytes is %d (allowed: zero or more)", c.ShmBytes)
	}
	return nil
}

// masked are files and folders that tell about the kernel or change it, and that no ordinary program looks at.
var masked = []string{"/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/key-users", "/proc/latency_stats", "/proc/sched_debug",
	"/proc/scsi", "/proc/sysrq-trigger", "/proc/timer_list", "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware"}

// readOnly is what changes the machine for everybody.
var readOnly = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys"}
