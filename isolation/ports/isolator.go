package ports

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/process"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// An Isolator is the ports isolator. What it knows of a container follows from its Spec and its first process.
type Isolator struct {
	cfg   Config
	begin time.Time
	now   machine
	held  isolation.Held[held]
}

var (
	_ isolation.Isolator  = (*Isolator)(nil)
	_ isolation.Recoverer = (*Isolator)(nil)
	_ isolation.Updater   = (*Isolator)(nil)
	_ isolation.Watcher   = (*Isolator)(nil)
)

// New returns a ports isolator. It fails where the system does not tell which process listens on which port.
func New(cfg Config) (*Isolator, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := supported(); err != nil {
		return nil, fmt.Errorf("ports: %w", err)
	}
	return &Isolator{cfg: cfg.withDefaults(), begin: time.Now()}, nil
}

// held is a container.
type held struct {
	given  resource.Ranges
	roots  []process.ID // what all its processes descend from, or are
	rounds int
	told   map[uint16]bool
	broken *isolation.Limitation // found, and perhaps not told yet
}

// A listener is a process of a container that listens on a port which the container was not given.
type listener struct {
	port uint16
	pid  int
	name string
}

// Name implements isolation.Isolator.
func (*Isolator) Name() string { return "ports" }

// Prepare implements isolation.Isolator.
func (i *Isolator) Prepare(_ context.Context, spec *isolation.Spec, _ *isolation.Plan) error {
	i.held.Put(spec.Container, &held{given: spec.Resources.Ports(), told: map[uint16]bool{}})
	return nil
}

// Attach notes the container's first process and its supervisor.
func (i *Isolator) Attach(_ context.Context, container string, pid int) error {
	roots := rootsOf(pid)
	i.held.With(container, func(h *held) { h.roots = roots })
	return nil
}

// Cleanup implements isolation.Isolator.
func (i *Isolator) Cleanup(_ context.Context, container string) error {
	i.held.Drop(container)
	return nil
}

// Recover implements isolation.Recoverer. A container whose Spec cannot be read any more is left alone: which ports it was given is not known.
func (i *Isolator) Recover(ctx context.Context, running []isolation.Recovered) error {
	for _, r := range running {
		if r.Spec.Sandbox == "" {
			i.cfg.Logger.Warn("a container's ports are not known any more", "container", r.Spec.Container)
			continue
		}
		_ = i.Prepare(ctx, r.Spec, nil)
	}
	return nil
}

// Update implements isolation.Updater.
func (i *Isolator) Update(_ context.Context, container string, resources resource.Resources, _ []offer.Limit) error {
	i.held.With(container, func(h *held) { h.given = resources.Ports() })
	return nil
}

// Watch implements isolation.Watcher. When ctx has ended it tells what a look has found, but makes none: nothing listens any more.
func (i *Isolator) Watch(ctx context.Context, container string) (isolation.Limitation, error) {
	for ctx.Err() == nil {
		t := time.NewTimer(i.cfg.Every - time.Since(i.begin)%i.cfg.Every)
		select {
		case <-t.C:
			i.lookAt(container)
		case <-ctx.Done():
			t.Stop()
		}
		if l := i.found(container); l != nil {
			return *l, nil
		}
	}
	if l := i.found(container); l != nil {
		return *l, nil
	}
	return isolation.Limitation{}, ctx.Err()
}

func (i *Isolator) found(container string) (l *isolation.Limitation) {
	i.held.With(container, func(h *held) { l = h.broken })
	return l
}

// lookAt looks at one container, and tells what it finds or notes it to be told.
func (i *Isolator) lookAt(container string) {
	var given resource.Ranges
	var roots []process.ID
	round := 0
	i.held.With(container, func(h *held) {
		if len(h.roots) > 0 {
			h.rounds++
			given, roots, round = h.given, h.roots, h.rounds
		}
	})
	if len(roots) == 0 {
		return
	}
	all := i.now.listeners(min(time.Second, i.cfg.Every/2), given, roots, round)
	if len(all) == 0 {
		return
	}
	slices.SortFunc(all, func(a, b listener) int { return int(a.port) - int(b.port) })
	i.held.With(container, func(h *held) {
		fresh := all[:0:0]
		for _, l := range all {
			if !h.told[l.port] && !h.given.Has(uint64(l.port)) {
				h.told[l.port] = true
				fresh = append(fresh, l)
			}
		}
		if len(fresh) == 0 {
			return
		}
		l := limitation(fresh, h.given)
		if i.cfg.Enforce {
			h.broken = &l
		} else {
			i.cfg.Logger.Warn("a container listens on ports that it was not given", "container", container, "text", l.Message)
		}
	})
}

// mostNamed bounds how many ports a message names.
const mostNamed = 8

func limitation(all []listener, given resource.Ranges) isolation.Limitation {
	var used resource.Ranges
	var named []string
	for n, l := range all {
		used = append(used, resource.Range{Begin: uint64(l.port), End: uint64(l.port)})
		if n < mostNamed {
			named = append(named, fmt.Sprintf("%d (process %d, %q)", l.port, l.pid, l.name))
		}
	}
	if more := len(all) - mostNamed; more > 0 {
		named = append(named, fmt.Sprintf("and %d more", more))
	}
	has := "none"
	if len(given) > 0 {
		has = given.String()
	}
	out := isolation.Limitation{Reason: offer.ReasonContainerLimitation,
		Message: fmt.Sprintf("listens on TCP ports that it was not given: %s; given: %s", strings.Join(named, ", "), has)}
	out.Resources, _ = resource.New(resource.NewRanges(resource.Ports, used.Normalize()...))
	return out
}
