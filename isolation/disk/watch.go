package disk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// found is what a look at a place has found.
type found struct {
	place place
	bytes uint64
	files int
	err   error
}

func (i *Isolator) look(ctx context.Context, p place) found {
	f := found{place: p}
	select {
	case i.scans <- struct{}{}:
		defer func() { <-i.scans }()
		f.bytes, f.files, f.err = measure(ctx, i.pace, p.path, i.cfg.Files)
		if p.root == "" || f.err != nil {
			return f
		}
		bytes, files, err := measure(ctx, i.pace, p.root, i.cfg.Files)
		f.bytes += bytes - min(bytes, p.others)
		f.files, f.err = f.files+files, err
	case <-ctx.Done():
		f.err = ctx.Err()
	}
	return f
}

// Watch implements isolation.Watcher. When ctx has ended it tells what a look has found, but makes none: what a task that has done its work
// leaves is no reason to call it failed.
func (i *Isolator) Watch(ctx context.Context, container string) (isolation.Limitation, error) {
	shortest := max(i.cfg.Every/15, time.Millisecond)
	var before []found
	for wait := shortest; ctx.Err() == nil; {
		sleep(ctx, wait)
		h := i.get(container)
		if h == nil {
			<-ctx.Done()
			return isolation.Limitation{}, ctx.Err()
		}
		now := i.lookAt(ctx, container, h)
		if ctx.Err() != nil {
			break
		}
		if h := i.get(container); h != nil && h.broken != nil {
			return *h.broken, nil
		}
		wait = next(before, now, wait, shortest, i.cfg.Every)
		before = now
	}
	if h := i.get(container); h != nil && h.broken != nil {
		return *h.broken, nil
	}
	return isolation.Limitation{}, ctx.Err()
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// next is how long to wait after a look: twice as long as before it, or shortly if what has come since the one before would break a limit if it
// came once more.
func next(before, now []found, waited, shortest, most time.Duration) time.Duration {
	for n := range now {
		if n >= len(before) || before[n].place.path != now[n].place.path {
			continue
		}
		was, is := before[n].bytes, now[n].bytes
		// The wait is about to double, so that twice as much may come.
		if is > was && is+2*(is-was) > now[n].place.limit {
			return shortest
		}
	}
	return min(2*waited, most)
}

// lookAt looks at all places of a container and notes what it finds.
func (i *Isolator) lookAt(ctx context.Context, container string, h *held) []found {
	var all []found
	for _, p := range i.withRoot(container, h.places) {
		f := i.look(ctx, p)
		if ctx.Err() != nil {
			return nil
		}
		l := f.broken()
		switch {
		case f.err != nil && l == nil:
			i.cfg.Logger.Debug("look at a container's disk", "container", container, "path", p.path, "err", f.err)
		case l != nil && i.cfg.ReportOnly && !h.told[p.path]:
			i.cfg.Logger.Warn("a container has broken its limit of disk", "container", container, "text", l.Message)
		}
		i.note(container, f, l)
		all = append(all, f)
	}
	return all
}

func (i *Isolator) note(container string, f found, l *isolation.Limitation) {
	i.held.With(container, func(h *held) {
		if f.place.of == nil && (f.err == nil || l != nil) {
			h.usage, h.looked = f.bytes, time.Now()
		}
		h.told[f.place.path] = l != nil
		if l != nil && !i.cfg.ReportOnly && h.broken == nil {
			h.broken = l
		}
	})
}

// broken is the limitation if the place holds more than it may, nil otherwise.
func (f *found) broken() *isolation.Limitation {
	if f.place.limit == unlimited {
		return nil
	}
	over := f.bytes > f.place.limit
	if !over && !errors.Is(f.err, errDeep) && !errors.Is(f.err, errMany) {
		return nil
	}
	what := "the sandbox"
	if f.place.root != "" {
		what = "the sandbox, with what was written to the root folder,"
	}
	used := resource.NewScalar(resource.Disk, amountOf(f.bytes))
	if v := f.place.of; v != nil {
		what = fmt.Sprintf("the persistent volume %q", v.Volume.ID)
		amount := used.Scalar
		used = *v
		used.Scalar = amount
	}
	l := &isolation.Limitation{Reason: offer.ReasonContainerLimitationDisk}
	l.Resources, _ = resource.New(used)
	if over {
		l.Message = fmt.Sprintf("disk limit of %s exceeded: %s holds %s in %d files", mebibytes(f.place.limit), what, mebibytes(f.bytes), f.files)
	} else {
		l.Message = fmt.Sprintf("disk limit of %s cannot be enforced: %s holds %s and more in %d files: %v", mebibytes(f.place.limit), what,
			mebibytes(f.bytes), f.files, f.err)
	}
	return l
}

func mebibytes(bytes uint64) string { return fmt.Sprintf("%.1f MiB", float64(bytes)/(1<<20)) }
