package main

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meros-project/meros/isolation/cgroup"
	"github.com/meros-project/meros/isolation/disk"
	listeners "github.com/meros-project/meros/isolation/ports"
	"github.com/meros-project/meros/slave"
)

// isolationFlags say what tasks are held by.
type isolationFlags struct {
	names      []string
	cgroupRoot string // empty means the default
	processes  int    // zero means no bound

	diskEnforce, portsEnforce bool
	hostPaths                 []string
	disk                      int64 // in MB, of a task that asks for none; zero means no bound
}

func (f *isolationFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&f.names, "isolation", nil, "`NAMES` of what tasks are held by, with commas: process (user, rights, descriptors; must be there), "+
		"cgroup (cpu, memory, processes, devices; Linux as root), namespace (own processes, mounts, shared memory and, if asked for, network; volumes;\nLinux as root), image (root folders of their own; Linux as root, with namespace), disk (sandboxes and volumes) and ports (Linux); by default all that work on this machine")
	cmd.Flags().StringArrayVar(&f.hostPaths, "host-volumes", nil, "`folder` of this machine that volumes of tasks may show, with what is in it; may be repeated; none by default; needs the isolator namespace")
	cmd.Flags().BoolVar(&f.diskEnforce, "disk-enforce", true, "kill tasks whose sandbox or volume is over its disk; false only logs it; needs the isolator disk")
	cmd.Flags().Int64Var(&f.disk, "task-disk", 1024, "`MB` of disk for a task that asks for none, 0 for no bound; needs the isolator disk")
	cmd.Flags().BoolVar(&f.portsEnforce, "ports-enforce", false, "kill tasks that listen on a port that is not theirs; false only logs it; needs the isolator ports")
}

func (f *isolationFlags) config(cfg *slave.Config) error {
	for i, name := range f.names {
		switch {
		case !slices.Contains(slave.Isolators(), name):
			return badFlag("isolation", strings.Join(f.names, ","), "must be of "+strings.Join(slave.Isolators(), ", ")+", with commas")
		case slices.Contains(f.names[:i], name):
			return badFlag("isolation", strings.Join(f.names, ","), "must not hold a name twice")
		}
	}
	if len(f.names) > 0 && !slices.Contains(f.names, "process") {
		return badFlag("isolation", strings.Join(f.names, ","), "must hold process, which says what to start")
	}
	cfg.Isolators = f.names
	cfg.Cgroup = cgroup.Config{Root: f.cgroupRoot, Processes: f.processes}
	for _, folder := range f.hostPaths {
		abs, err := filepath.Abs(folder)
		if err != nil {
			return err
		}
		if st, err := os.Stat(abs); err != nil || !st.IsDir() {
			return badFlag("host-volumes", folder, "must be a folder that exists")
		}
		cfg.Namespace.HostPaths = append(cfg.Namespace.HostPaths, abs)
	}
	cfg.Ports = listeners.Config{Enforce: f.portsEnforce}
	cfg.Disk = disk.Config{ReportOnly: !f.diskEnforce, Unasked: f.disk << 20}
	switch {
	case f.disk < 0 || f.disk > 1<<30:
		return badFlag("task-disk", strconv.FormatInt(f.disk, 10), "must be 0 or more, and at most 1073741824")
	case f.disk == 0:
		cfg.Disk.Unasked = -1
	}
	switch {
	case f.processes < 0:
		return badFlag("task-processes", strconv.Itoa(f.processes), "must be zero or more")
	case f.processes == 0:
		cfg.Cgroup.Processes = -1
	}
	if err := (cgroup.Config{Slave: "any", Root: f.cgroupRoot}).Validate(); err != nil {
		return badFlag("cgroup-root", f.cgroupRoot, "must be a path below where cgroups are mounted, as in meros or system.slice/meros")
	}
	return nil
}
