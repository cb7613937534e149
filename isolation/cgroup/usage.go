package cgroup

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/meros-project/meros/isolation"
)

// Usage implements isolation.Meter. Threads counts processes too, each of which has at least one.
func (i *Isolator) Usage(_ context.Context, container string) (isolation.Usage, error) {
	var u isolation.Usage
	g := i.group(container)
	list, err := g.processes()
	if err != nil {
		return u, err
	}
	u.Processes = len(list)
	if err := i.cpuUsageNow(g, &u); err != nil {
		return u, fmt.Errorf("cpu time: %w", err)
	}
	if err := i.memoryUsage(g, &u); err != nil {
		return u, fmt.Errorf("memory: %w", err)
	}
	if dir, h := g.dir(pids); h != nil {
		n, err := readNumber(filepath.Join(dir, "pids.current"))
		if err != nil {
			return u, fmt.Errorf("threads: %w", err)
		}
		u.Threads = int(n)
	}
	return u, nil
}

// isUnlimited reports whether a bound on memory is none. Version 1 says so by a number near the highest.
func isUnlimited(bytes uint64, version int) bool {
	return bytes == unlimited || version == 1 && bytes > 1<<62
}

// How close to each other the cpu time and the moment that it is of are read, and how often that is tried where something comes between.
const (
	momentTime  = time.Millisecond
	momentTries = 10
)

// cpuUsageNow reads the cpu time and when that was, halfway at worst.
func (i *Isolator) cpuUsageNow(g group, u *isolation.Usage) error {
	for try := 1; ; try++ {
		before := time.Now()
		if err := i.cpuUsage(g, u); err != nil {
			return err
		}
		if took := time.Since(before); took <= momentTime || try == momentTries {
			u.At = before.Add(took / 2)
			return nil
		}
	}
}

func (i *Isolator) cpuUsage(g group, u *isolation.Usage) error {
	if dir, h := g.dir(cpuacct); h != nil {
		user, err := readNumber(filepath.Join(dir, "cpuacct.usage_user"))
		if err != nil {
			return err
		}
		system, err := readNumber(filepath.Join(dir, "cpuacct.usage_sys"))
		u.CPUUser, u.CPUSystem = float64(user)/1e9, float64(system)/1e9
		return err
	}
	for _, h := range i.hierarchies {
		if h.version == 2 {
			t, err := readTable(filepath.Join(g.in(h), "cpu.stat"))
			u.CPUUser, u.CPUSystem = float64(t["user_usec"])/1e6, float64(t["system_usec"])/1e6
			return err
		}
	}
	return nil
}

func (i *Isolator) memoryUsage(g group, u *isolation.Usage) error {
	dir, h := g.dir(memory)
	if h == nil {
		return nil
	}
	name := memoryFiles[h.version]
	var err error
	if u.MemoryBytes, err = readNumber(filepath.Join(dir, name.usage)); err != nil {
		return err
	}
	bounded := dir
	if g.shared {
		bounded = filepath.Dir(dir)
	}
	if u.MemoryLimit, err = readNumber(filepath.Join(bounded, name.limit)); err != nil {
		return err
	}
	if isUnlimited(u.MemoryLimit, h.version) {
		u.MemoryLimit = 0
	}
	t, err := readTable(filepath.Join(dir, "memory.stat"))
	u.RSS = t[map[int]string{1: "rss", 2: "anon"}[h.version]]
	return err
}
