package isolation

import (
	"context"
	"errors"
	"fmt"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// A Chain is isolators in order. It is an Isolator itself, with every optional part: Prepare, Attach and Update go through it from
// the front, Cleanup from the back.
type Chain []Isolator

var (
	_ Isolator  = Chain(nil)
	_ Recoverer = Chain(nil)
	_ Updater   = Chain(nil)
	_ Watcher   = Chain(nil)
	_ Meter     = Chain(nil)
	_ Killer    = Chain(nil)
	_ Enforcer  = Chain(nil)
	_ Lacker    = Chain(nil)
	_ Provider  = Chain(nil)
)

// Name implements Isolator.
func (c Chain) Name() string { return "chain" }

// Validate reports an isolator that is nil or whose name is empty or taken.
func (c Chain) Validate() error {
	seen := map[string]bool{}
	for i, iso := range c {
		switch {
		case iso == nil:
			return fmt.Errorf("isolation[%d]: is nil", i)
		case iso.Name() == "":
			return fmt.Errorf("isolation[%d]: has no name", i)
		case seen[iso.Name()]:
			return fmt.Errorf("isolation[%d]: a second isolator named %q", i, iso.Name())
		}
		seen[iso.Name()] = true
	}
	return nil
}

// Recover implements Recoverer.
func (c Chain) Recover(ctx context.Context, running []Recovered) error {
	for _, iso := range c {
		if r, ok := iso.(Recoverer); ok {
			if err := r.Recover(ctx, running); err != nil {
				return fmt.Errorf("isolator %s: recover: %w", iso.Name(), err)
			}
		}
	}
	return nil
}

// Prepare prepares in order. When one fails, it and those before it are cleaned up, from the last to the first, even if ctx has ended.
// A container that needs what no isolator enforces is refused with an offer.Refusal before anything is made.
func (c Chain) Prepare(ctx context.Context, spec *Spec, plan *Plan) error {
	if err := c.refuse(spec); err != nil {
		return err
	}
	for i, iso := range c {
		err := iso.Prepare(ctx, spec, plan)
		if err == nil {
			continue
		}
		err = fmt.Errorf("isolator %s: %w", iso.Name(), err)
		return errors.Join(err, c[:i+1].Cleanup(context.WithoutCancel(ctx), spec.Container))
	}
	return nil
}

// Provides reports whether any isolator of the chain has something to bring for the container.
func (c Chain) Provides(spec *Spec) bool {
	for _, iso := range c {
		if p, ok := iso.(Provider); ok && p.Provides(spec) {
			return true
		}
	}
	return false
}

// Provide implements Provider, in order; it stops at the first error.
func (c Chain) Provide(ctx context.Context, spec *Spec, plan *Plan) error {
	for _, iso := range c {
		if p, ok := iso.(Provider); ok && p.Provides(spec) {
			if err := p.Provide(ctx, spec, plan); err != nil {
				return fmt.Errorf("isolator %s: %w", iso.Name(), err)
			}
		}
	}
	return nil
}

// Attach attaches in order and stops at the first error; the caller then kills the process and calls Cleanup.
func (c Chain) Attach(ctx context.Context, container string, pid int) error {
	for _, iso := range c {
		if err := iso.Attach(ctx, container, pid); err != nil {
			return fmt.Errorf("isolator %s: attach: %w", iso.Name(), err)
		}
	}
	return nil
}

// Update implements Updater.
func (c Chain) Update(ctx context.Context, container string, resources resource.Resources, limits []offer.Limit) error {
	for _, iso := range c {
		if u, ok := iso.(Updater); ok {
			if err := u.Update(ctx, container, resources, limits); err != nil {
				return fmt.Errorf("isolator %s: update: %w", iso.Name(), err)
			}
		}
	}
	return nil
}

// Watch returns the first limitation that any isolator reports. An isolator whose watch fails is no longer waited for.
func (c Chain) Watch(ctx context.Context, container string) (Limitation, error) {
	var watchers []Watcher
	for _, iso := range c {
		if w, ok := iso.(Watcher); ok {
			watchers = append(watchers, w)
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	found := make(chan Limitation, len(watchers))
	ended := make(chan struct{}, len(watchers))
	for _, w := range watchers {
		go func() {
			defer func() { ended <- struct{}{} }()
			if l, err := w.Watch(ctx, container); err == nil {
				found <- l
			}
		}()
	}
	var first *Limitation
	running := len(watchers)
	for running > 0 {
		select {
		case l := <-found:
			if first == nil {
				first = &l
				cancel()
			}
		case <-ended:
			running--
		}
	}
	if first == nil && len(found) > 0 {
		l := <-found
		first = &l
	}
	if first != nil {
		cancel()
		return *first, nil
	}
	<-ctx.Done()
	cancel()
	return Limitation{}, ctx.Err()
}

// Watches reports whether any isolator of the chain is a Watcher.
func (c Chain) Watches() bool {
	for _, iso := range c {
		if _, ok := iso.(Watcher); ok {
			return true
		}
	}
	return false
}

// Usage merges what the isolators measure: of each figure, the first that is not zero.
func (c Chain) Usage(ctx context.Context, container string) (Usage, error) {
	var u Usage
	var errs []error
	for _, iso := range c {
		m, ok := iso.(Meter)
		if !ok {
			continue
		}
		v, err := m.Usage(ctx, container)
		if err != nil {
			errs = append(errs, fmt.Errorf("isolator %s: usage: %w", iso.Name(), err))
			continue
		}
		u = u.merge(v)
	}
	return u, errors.Join(errs...)
}

func (u Usage) merge(v Usage) Usage {
	if u.CPUUser == 0 && u.CPUSystem == 0 {
		u.At = v.At
	}
	first(&u.CPUUser, v.CPUUser)
	first(&u.CPUSystem, v.CPUSystem)
	first(&u.MemoryBytes, v.MemoryBytes)
	first(&u.RSS, v.RSS)
	first(&u.MemoryLimit, v.MemoryLimit)
	first(&u.Processes, v.Processes)
	first(&u.Threads, v.Threads)
	first(&u.DiskBytes, v.DiskBytes)
	first(&u.DiskLimit, v.DiskLimit)
	return u
}

func first[T comparable](dst *T, v T) {
	var zero T
	if *dst == zero {
		*dst = v
	}
}

// Cleanup cleans up from the last to the first. An error does not keep the others from their turn.
func (c Chain) Cleanup(ctx context.Context, container string) error {
	var errs []error
	for i := len(c) - 1; i >= 0; i-- {
		if err := c[i].Cleanup(ctx, container); err != nil {
			errs = append(errs, fmt.Errorf("isolator %s: clean up: %w", c[i].Name(), err))
		}
	}
	return errors.Join(errs...)
}
