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
	dir, h := i.group(container).dir(memory)
	if h == nil {
		<-ctx.Done()
		return isolation.Limitation{}, ctx.Err()
	}
	if ctx.Err() == nil {
		if l, broken := i.outOfMemory(dir, h.version, false); broken {
			return l, nil
		}
		i.await(ctx, dir, h.version)
	}
	if l, broken := i.outOfMemory(dir, h.version, ctx.Err() == nil); broken {
		return l, nil
	}
	<-ctx.Done()
	return isolation.Limitation{}, ctx.Err()
}

// await returns when ctx has ended or the memory of a container has run out.
func (i *Isolator) await(ctx context.Context, dir string, version int) {
	var told <-chan struct{}
	if version == 1 {
		var stop func()
		told, stop = notify(dir) // nil where the kernel does not tell
		defer stop()
	}
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		select {
		case <-told:
			// The kernel also tells when the cgroup is removed.
			if _, err := os.Lstat(dir); err == nil {
				return
			}
			told = nil
		case <-t.C:
			if _, broken := i.outOfMemory(dir, version, false); broken {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// outOfMemory reads whether memory has run out in a container. With certain, the kernel has told so already, though it may not have counted
// anything yet.
func (i *Isolator) outOfMemory(dir string, version int, certain bool) (isolation.Limitation, bool) {
	var kills, own uint64
	if version == 2 {
		t, err := readTable(filepath.Join(dir, "memory.events"))
		if err != nil {
			return isolation.Limitation{}, false
		}
		kills, own = t["oom_kill"], t["oom"]
	} else {
		t, err := readTable(filepath.Join(dir, "memory.oom_control"))
		if err != nil {
			return isolation.Limitation{}, false
		}
		kills = t["oom_kill"]
		own, _ = readNumber(filepath.Join(dir, "memory.failcnt"))
	}
	if kills == 0 && !certain {
		return isolation.Limitation{}, false
	}
	name := memoryFiles[version]
	read := func(file string) uint64 {
		n, _ := readNumber(filepath.Join(dir, file))
		return n
	}
	limit, usage := read(name.limit), read(name.usage)
	peak := max(read(name.peak), usage)
	what := "memory limit of " + amount(limit, version) + " exceeded"
	if own == 0 && !certain {
		what = "memory ran out on the machine, or above the container, whose limit is " + amount(limit, version)
	}
	exceeded, _ := resource.New(resource.NewScalar(resource.Mem, resource.Scalar(mul(peak/1024, 1000)/1024)))
	return isolation.Limitation{Reason: offer.ReasonContainerLimitationMemory, Resources: exceeded,
		Message: fmt.Sprintf("%s: usage %s, maximum usage %s, processes killed by the kernel %d", what, amount(usage, version), amount(peak, version), kills)}, true
}

// amount is bytes for people. Version 1 says "no limit" by a number near the highest.
func amount(bytes uint64, version int) string {
	if bytes == unlimited || version == 1 && bytes > 1<<62 {
		return "none"
	}
	return fmt.Sprintf("%.1f MiB", float64(bytes)/mebi)
}
