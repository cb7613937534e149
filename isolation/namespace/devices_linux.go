package namespace

import (
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/sys/unix"
)

// devices are what every program finds in /dev.
var devices = []struct {
	name         string
	major, minor uint32
}{{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}}

var links = [][2]string{{"/proc/self/fd", "fd"}, {"/proc/self/fd/0", "stdin"}, {"/proc/self/fd/1", "stdout"}, {"/proc/self/fd/2", "stderr"}, {"pts/ptmx", "ptmx"}}

// devices gives the container a /dev/shm of its own, and with a root folder of its own all of /dev.
func (r *room) devices() error {
	if r.plan.Rootfs != "" {
		if err := r.makeDevices(); err != nil {
			return err
		}
	}
	err := r.putNew("tmpfs", "/dev/shm", harmless, option{"mode", "1777"}, option{"size", strconv.FormatInt(r.plan.Namespaces.ShmBytes, 10)})
	if r.plan.Rootfs == "" && errors.Is(err, unix.ENOENT) { // a machine without has no shared memory to keep apart
		return nil
	}
	return err
}

func (r *room) makeDevices() error {
	dev, err := newMount("tmpfs", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC, option{"mode", "0755"}, option{"size", "64k"})
	if err != nil {
		return err
	}
	defer unix.Close(dev)
	before := unix.Umask(0)
	defer unix.Umask(before)
	for _, d := range devices {
		if err := unix.Mknodat(dev, d.name, unix.S_IFCHR|0o666, int(unix.Mkdev(d.major, d.minor))); err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
	}
	for _, l := range links {
		if err := unix.Symlinkat(l[0], dev, l[1]); err != nil {
			return fmt.Errorf("%s: %w", l[1], err)
		}
	}
	for _, name := range []string{"pts", "shm"} {
		if err := unix.Mkdirat(dev, name, 0o755); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	second, err := unix.Dup(dev)
	if err != nil {
		return err
	}
	unix.CloseOnExec(second)
	if err := r.put(second, "/dev", true); err != nil {
		return err
	}
	return r.putNew("devpts", "/dev/pts", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC, option{"newinstance", ""}, option{"ptmxmode", "0666"},
		option{"mode", "0620"}, option{"gid", "5"})
}
