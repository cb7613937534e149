package disk

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// An Isolator is the disk isolator. What it knows of a container follows from its Spec; it makes nothing that would have to be removed.
type Isolator struct {
	cfg   Config
	pace  *pace
	scans chan struct{} // looks at once, each of which may have many folders open
	held  isolation.Held[held]
}

// maxScans bounds how many descriptors looks have open.
const maxScans = 8

var (
	_ isolation.Isolator  = (*Isolator)(nil)
	_ isolation.Recoverer = (*Isolator)(nil)
	_ isolation.Updater   = (*Isolator)(nil)
	_ isolation.Watcher   = (*Isolator)(nil)
	_ isolation.Meter     = (*Isolator)(nil)
)

// New returns a disk isolator.
func New(cfg Config) (*Isolator, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Isolator{cfg: cfg.withDefaults(), pace: newPace(), scans: make(chan struct{}, maxScans)}, nil
}

// held is a container, or what is known of it. Places and what is in them are replaced, not changed.
type held struct {
	sandbox string
	places  []place
	broken  *isolation.Limitation // found, and perhaps not told yet
	told    map[string]bool       // places whose broken limit was logged
	usage   uint64                // of the sandbox, in bytes
	looked  time.Time
}

// A place is a folder that may hold so much.
type place struct {
	path  string
	limit uint64             // bytes
	of    *resource.Resource // the volume; nil for the sandbox

	root   string // a second folder that counts too; empty if there is none
	others uint64 // bytes of it that do not count
}

// withRoot adds to the sandbox, the first place, where the container writes to its root folder. That is there only once the container is.
func (i *Isolator) withRoot(container string, places []place) []place {
	if i.cfg.Root == nil {
		return places
	}
	places = slices.Clone(places)
	places[0].root, places[0].others = i.cfg.Root(container)
	return places
}

// unlimited is the limit of a place that may hold anything.
const unlimited = ^uint64(0)

// Name implements isolation.Isolator.
func (*Isolator) Name() string { return "disk" }

// Prepare implements isolation.Isolator. A persistent volume that the slave cannot find is an error.
func (i *Isolator) Prepare(_ context.Context, spec *isolation.Spec, _ *isolation.Plan) error {
	places, err := i.places(spec.Sandbox, spec.Resources)
	if err != nil {
		return err
	}
	i.held.Put(spec.Container, &held{sandbox: spec.Sandbox, places: places, told: map[string]bool{}})
	return nil
}

// places are the folders of a container with what they may hold, the sandbox first.
func (i *Isolator) places(sandbox string, rs resource.Resources) ([]place, error) {
	list := []place{{path: sandbox}}
	asked := resource.Scalar(0)
	for _, r := range rs {
		switch {
		case r.Name != resource.Disk:
		case r.Volume == nil:
			asked += r.Scalar
		case r.Volume.ContainerPath != "" && i.cfg.Volume != nil:
			path, err := i.cfg.Volume(r)
			if err != nil {
				return nil, fmt.Errorf("volume %q: %w", r.Volume.ID, err)
			}
			list = append(list, place{path: path, limit: bytesOf(r.Scalar), of: &r})
		}
	}
	switch {
	case asked > 0:
		list[0].limit = bytesOf(asked)
	case i.cfg.Unasked < 0:
		list[0].limit = unlimited
	default:
		list[0].limit = uint64(i.cfg.Unasked)
	}
	return list, nil
}

// bytesOf turns thousandths of MiB into bytes.
func bytesOf(s resource.Scalar) uint64 {
	if s <= 0 {
		return 0
	}
	whole, part := uint64(s)/1000, uint64(s)%1000
	return whole<<20 + part<<20/1000
}

// amountOf turns bytes into thousandths of MiB, rounded up.
func amountOf(bytes uint64) resource.Scalar {
	whole, part := bytes>>20, bytes&(1<<20-1)
	return resource.Scalar(whole*1000 + (part*1000+1<<20-1)>>20)
}

// Attach implements isolation.Isolator; it is folders that are held to a size, not processes.
func (*Isolator) Attach(context.Context, string, int) error { return nil }

// Cleanup implements isolation.Isolator.
func (i *Isolator) Cleanup(_ context.Context, container string) error {
	i.held.Drop(container)
	return nil
}

// Recover implements isolation.Recoverer. A container whose Spec cannot be read any more is not held, which is logged.
func (i *Isolator) Recover(ctx context.Context, running []isolation.Recovered) error {
	for _, r := range running {
		var err error
		if r.Spec.Sandbox == "" {
			err = fmt.Errorf("its sandbox is not known any more")
		} else {
			err = i.Prepare(ctx, r.Spec, nil)
		}
		if err != nil {
			i.cfg.Logger.Warn("a container's disk is not limited", "container", r.Spec.Container, "err", err)
		}
	}
	return nil
}

// Update implements isolation.Updater.
func (i *Isolator) Update(_ context.Context, container string, resources resource.Resources, _ []offer.Limit) (err error) {
	i.held.With(container, func(h *held) { // it may have ended meanwhile
		var places []place
		if places, err = i.places(h.sandbox, resources); err == nil {
			h.places = places
		}
	})
	return err
}

// get returns a copy of what is known of a container, nil if that is nothing.
func (i *Isolator) get(container string) (c *held) {
	i.held.With(container, func(h *held) {
		own := *h
		own.told = maps.Clone(h.told)
		own.places = slices.Clone(h.places)
		c = &own
	})
	return c
}

// Usage implements isolation.Meter: what the sandbox held at the last look, which is made now if there was none.
func (i *Isolator) Usage(ctx context.Context, container string) (isolation.Usage, error) {
	h := i.get(container)
	if h == nil {
		return isolation.Usage{}, nil
	}
	u := isolation.Usage{DiskBytes: h.usage}
	if limit := h.places[0].limit; limit != unlimited {
		u.DiskLimit = limit
	}
	if !h.looked.IsZero() {
		return u, nil
	}
	f := i.look(ctx, i.withRoot(container, h.places)[0])
	if f.err != nil {
		return isolation.Usage{}, fmt.Errorf("sandbox: %w", f.err)
	}
	u.DiskBytes = f.bytes
	i.held.With(container, func(h *held) {
		if h.looked.IsZero() {
			h.usage, h.looked = f.bytes, time.Now()
		}
	})
	return u, nil
}
