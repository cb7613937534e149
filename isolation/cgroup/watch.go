package cgroup

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// lookEvery is how often the kernel's counter is read. It matters only where the kernel neither tells by itself nor ends the whole
// container.
const lookEvery = 5 * time.Second

// Watch implements isolation.Watcher: it finds out that a process of the container was killed because memory ran out.
func (i *Isolator) Watch(ctx context.Context, container string) (isolation.Limitation, error) {
	g := i.group(container)
	dir, h := g.dir(memory)
	if h == nil {
		<-ctx.Done()
		return isolation.Limitation{}, ctx.Err()
	}
	m := &memoryOf{dir: dir, version: h.version, shared: g.shared}
	for ctx.Err() == nil {
		if l, broken := m.ranOut(false); broken {
			return l, nil
		}
		m.await(ctx)
		if !m.shared || !m.counts() {
			break
		}
		m.settle(ctx)
	}
	// The kernel tells all that share, before it has decided which of them to kill.
	certain := ctx.Err() == nil
	if l, broken := m.ranOut(certain); broken {
		return l, nil
	}
	<-ctx.Done()
	return isolation.Limitation{}, ctx.Err()
}

// memoryOf is the memory of one container.
type memoryOf struct {
	dir     string
	version int
	shared  bool // the cgroup above holds it, with others
}

// bounded is the cgroup whose bound holds the container.
func (m *memoryOf) bounded() string {
	if m.shared {
		return filepath.Dir(m.dir)
	}
	return m.dir
}

// notifyAfter is when the kernel is first asked to tell. Most containers that do not live longer have no reason to be told of: what happened to those
// that do is seen then, or when they end.
const notifyAfter = 20 * time.Millisecond

// pause waits; it reports false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// await returns when ctx has ended or the memory of a container, or of those that it shares with, has run out.
func (m *memoryOf) await(ctx context.Context) {
	var told <-chan struct{}
	if m.version == 1 {
		if m.counts() && !pause(ctx, notifyAfter) {
			return
		}
		var stop func()
		told, stop = notify(m.dir) // nil where the kernel does not tell
		defer stop()
		if _, broken := m.ranOut(false); broken {
			return
		}
	}
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		select {
		case <-told:
			// The kernel also tells when the cgroup is removed.
			if _, err := os.Lstat(m.dir); err == nil {
				return
			}
			told = nil
		case <-t.C:
			if _, broken := m.ranOut(false); broken {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// settle waits a moment for the kernel to count whom it kills, which it says only later than that it will. What is counted later still, the next
// look finds.
func (m *memoryOf) settle(ctx context.Context) {
	for end := time.Now().Add(time.Second); time.Now().Before(end) && ctx.Err() == nil; {
		if _, broken := m.ranOut(false); broken {
			return
		}
		t := time.NewTimer(5 * time.Millisecond)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
		}
	}
}

// counts reports whether the kernel counts whom it has killed. Old ones of version 1 do not.
func (m *memoryOf) counts() bool {
	if m.version == 2 {
		return true
	}
	t, err := readTable(filepath.Join(m.dir, "memory.oom_control"))
	_, has := t["oom_kill"]
	return err != nil || has
}

// kills are how many processes of the container the kernel has killed for memory.
func (m *memoryOf) kills() (uint64, error) {
	t, err := readTable(filepath.Join(m.dir, map[int]string{1: "memory.oom_control", 2: "memory.events"}[m.version]))
	return t["oom_kill"], err
}

// ownBound reports whether it was the bound that holds the container that was reached.
func (m *memoryOf) ownBound() (bool, error) {
	if m.version == 1 {
		// Kernels of today do not count failures in memory.failcnt any more.
		failed, _ := readNumber(filepath.Join(m.bounded(), "memory.failcnt"))
		limit, _, peak := m.figures(m.bounded())
		return failed > 0 || peak >= limit-min(limit, mebi), nil
	}
	t, err := readTable(filepath.Join(m.bounded(), "memory.events"))
	return t["oom"] > 0, err
}

// ranOut reads whether memory has run out in a container. With certain, the kernel has told so already, though it may not have counted
// anything yet.
func (m *memoryOf) ranOut(certain bool) (isolation.Limitation, bool) {
	kills, err := m.kills()
	if err != nil || kills == 0 && !certain {
		return isolation.Limitation{}, false
	}
	own, err := m.ownBound()
	if err != nil {
		return isolation.Limitation{}, false
	}
	limit, usage, peak := m.figures(m.bounded())
	what, of := "memory limit of "+amount(limit, m.version)+" exceeded", ""
	if m.shared {
		_, mine, most := m.figures(m.dir)
		what = "memory limit of " + amount(limit, m.version) + ", which the group shares, exceeded"
		of = fmt.Sprintf(", of which this task usage %s, maximum usage %s", amount(mine, m.version), amount(most, m.version))
	}
	if !own && !certain {
		what = "memory ran out on the machine, or above the container, whose limit is " + amount(limit, m.version)
	}
	exceeded, _ := resource.New(resource.NewScalar(resource.Mem, resource.Scalar(mul(peak/1024, 1000)/1024)))
	return isolation.Limitation{Reason: offer.ReasonContainerLimitationMemory, Resources: exceeded,
		Message: fmt.Sprintf("%s: usage %s, maximum usage %s%s, processes killed by the kernel %d", what, amount(usage, m.version),
			amount(peak, m.version), of, kills)}, true
}

// figures are the bound of a cgroup, what it uses and the most that it has used.
func (m *memoryOf) figures(dir string) (limit, usage, peak uint64) {
	name := memoryFiles[m.version]
	read := func(file string) uint64 {
		n, _ := readNumber(filepath.Join(dir, file))
		return n
	}
	limit, usage = read(name.limit), read(name.usage)
	return limit, usage, max(read(name.peak), usage)
}

// amount is bytes for people.
func amount(bytes uint64, version int) string {
	if isUnlimited(bytes, version) {
		return "none"
	}
	return fmt.Sprintf("%.1f MiB", float64(bytes)/mebi)
}
