package main

import (
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/meros-project/meros/isolation/cgroup"
	"github.com/meros-project/meros/slave"
)

// isolationFlags say what tasks are held by.
type isolationFlags struct {
	names      []string
	cgroupRoot string // empty means the default
	processes  int    // zero means no bound
}

func (f *isolationFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&f.names, "isolation", nil, "`NAMES` of what tasks are held by, with commas: process (user, rights, descriptors; must be there) "+
		"and cgroup (cpu, memory, processes, devices; Linux as root); by default all that work on this machine")
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
