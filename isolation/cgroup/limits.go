package cgroup

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"strconv"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

const (
	mebi      = 1 << 20
	unlimited = math.MaxUint64

	sharesPerCPU, sharesPerRevocableCPU, leastShares, mostShares = 1024, 10, 2, 262144
	weightPerCPU, weightPerRevocableCPU, leastWeight, mostWeight = 100, 1, 1, 10000

	period, leastQuota = 100_000, 1000 // microseconds
	mostQuota          = 1 << 40       // more than any machine has, and less than what kernels refuse
	leastMemory        = 32 * mebi
)

// limits are what a container is held to, in the kernel's units.
type limits struct {
	shares, weight uint64
	quota          uint64 // microseconds of each period; unlimited means no bound
	soft, hard     uint64 // bytes; hard may be unlimited
	processes      int    // zero and less mean no bound
	whole          bool   // all ends when memory runs out, not one process
}

// unbounded are the same without what bounds.
func (l limits) unbounded() limits {
	l.quota, l.hard, l.processes = unlimited, unlimited, 0
	return l
}

// limitsIn are those of a container. What is shared with others is not bounded for each.
func (i *Isolator) limitsIn(g group, resources resource.Resources, bounds []offer.Limit) limits {
	l := limitsOf(resources, bounds)
	l.processes = i.cfg.Processes
	if g.shared {
		l = l.unbounded()
	}
	l.whole = true
	return l
}

// limitsOf turns what a container has requested, and its limits, into numbers for the kernel. A request without a limit is the limit.
func limitsOf(resources resource.Resources, bounds []offer.Limit) limits {
	cpus, mem := thousandths(resources.CPUs()), thousandths(resources.Mem())
	revocable := min(thousandths(resources.Revocable().CPUs()), cpus) // which give way to all others
	firm := cpus - revocable
	l := limits{
		shares: clamp((mul(firm, sharesPerCPU)+mul(revocable, sharesPerRevocableCPU))/1000, leastShares, mostShares),
		weight: clamp((mul(firm, weightPerCPU)+mul(revocable, weightPerRevocableCPU))/1000, leastWeight, mostWeight),
		soft:   max(mul(mem, mebi)/1000, leastMemory),
	}
	cpuBound, memBound := cpus, mem
	for _, b := range bounds {
		value := uint64(unlimited)
		if b.Amount != offer.NoLimit {
			value = thousandths(b.Amount)
		}
		switch b.Name {
		case resource.CPUs:
			cpuBound = max(value, cpus)
		case resource.Mem:
			memBound = max(value, mem)
		}
	}
	l.quota, l.hard = unlimited, unlimited
	if cpuBound != unlimited {
		l.quota = max(mul(cpuBound, period)/1000, leastQuota)
	}
	if l.quota > mostQuota {
		l.quota = unlimited
	}
	if memBound != unlimited {
		l.hard = max(mul(memBound, mebi)/1000, l.soft)
	}
	return l
}

func thousandths(s resource.Scalar) uint64 { return uint64(max(s, 0)) }

// mul does not run over: what is too large to be counted is still a bound that holds nobody back.
func mul(a, b uint64) uint64 {
	if a > math.MaxInt64/b {
		return math.MaxInt64
	}
	return a * b
}

func clamp(v, least, most uint64) uint64 { return min(max(v, least), most) }

// set writes limits to a container's cgroups. While it runs, the bound on memory is only raised.
func (i *Isolator) set(g group, l limits, running bool) error {
	if i.cfg.NoQuota {
		l.quota = unlimited
	}
	if dir, h := g.dir(cpu); h != nil {
		if err := i.setCPU(dir, h.version, l); err != nil {
			return err
		}
	}
	if dir, h := g.dir(memory); h != nil {
		if running {
			now, err := readNumber(filepath.Join(dir, memoryFiles[h.version].limit))
			if err != nil {
				return err
			}
			l.hard = max(l.hard, now)
			l.soft = min(l.soft, l.hard)
		}
		if err := i.setMemory(dir, h.version, l); err != nil {
			return err
		}
	}
	if dir, h := g.dir(pids); h != nil {
		value := "max"
		if l.processes > 0 {
			value = strconv.Itoa(l.processes)
		}
		return i.kernel.write(filepath.Join(dir, "pids.max"), value)
	}
	return nil
}

func (i *Isolator) setCPU(dir string, version int, l limits) error {
	file, value := "cpu.shares", l.shares
	if version == 2 {
		file, value = "cpu.weight", l.weight
	}
	if err := i.kernel.write(filepath.Join(dir, file), number(value)); err != nil {
		return err
	}
	if !i.bandwidth {
		return nil // the kernel was built without it, as Lacks tells
	}
	return i.setQuota(dir, version, l.quota)
}

func (i *Isolator) setQuota(dir string, version int, quota uint64) error {
	text := map[int]string{1: "-1", 2: "max"}[version]
	if quota != unlimited {
		text = number(quota)
	}
	if version == 2 {
		return i.kernel.write(filepath.Join(dir, "cpu.max"), text+" "+strconv.Itoa(period))
	}
	if err := i.kernel.write(filepath.Join(dir, "cpu.cfs_period_us"), strconv.Itoa(period)); err != nil {
		return err
	}
	return i.kernel.write(filepath.Join(dir, "cpu.cfs_quota_us"), text)
}

// memoryFiles are the names of files with the same meaning in each version.
var memoryFiles = map[int]struct{ limit, soft, usage, peak, swap string }{
	1: {"memory.limit_in_bytes", "memory.soft_limit_in_bytes", "memory.usage_in_bytes", "memory.max_usage_in_bytes", "memory.memsw.limit_in_bytes"},
	2: {"memory.max", "memory.low", "memory.current", "memory.peak", "memory.swap.max"},
}

func (i *Isolator) setMemory(dir string, version int, l limits) error {
	name := memoryFiles[version]
	write := func(file string, value uint64) error {
		text := number(value)
		if value == unlimited {
			text = map[int]string{1: "-1", 2: "max"}[version]
		}
		return i.kernel.write(filepath.Join(dir, file), text)
	}
	if err := write(name.soft, l.soft); err != nil {
		return err
	}
	swap := i.swap && !i.cfg.Swap
	if swap && version == 1 {
		_ = write(name.swap, l.hard) // first where it is raised, since it may not be below the other; refused where that is still higher
	}
	if err := write(name.limit, l.hard); err != nil {
		return err
	}
	if version == 2 && l.whole {
		// All of the container ends, not one process of it. Old kernels do not have this.
		if err := i.kernel.write(filepath.Join(dir, "memory.oom.group"), "1"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	switch {
	case !swap:
		return nil
	case version == 1:
		return write(name.swap, l.hard) // memory and swap together
	default:
		return write(name.swap, 0)
	}
}

func number(n uint64) string { return strconv.FormatUint(n, 10) }

// defaultDevices are those that a program may expect anywhere and can harm nobody with: null, zero, full, random, urandom, tty, ptmx
// and the terminals behind it. Nodes of any kind may be made, but not opened.
var defaultDevices = []string{"c *:* m", "b *:* m", "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm", "c 1:9 rwm", "c 5:0 rwm", "c 5:2 rwm",
	"c 136:* rwm"}

func (i *Isolator) setDevices(g group) error {
	dir, h := g.dir(devices)
	if h == nil || h.version != 1 {
		return nil
	}
	if err := i.kernel.write(filepath.Join(dir, "devices.deny"), "a"); err != nil {
		return err
	}
	allowed := append(defaultDevices[:len(defaultDevices):len(defaultDevices)], i.cfg.Devices...)
	if err := writeAll(i.kernel, filepath.Join(dir, "devices.allow"), allowed...); err != nil {
		return fmt.Errorf("device %w", err)
	}
	return nil
}
