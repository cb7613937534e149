package image

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/offer"
)

// Config is the configuration of the image isolator. Only Store.Dir is required.
type Config struct {
	// Store says which images there may be, and where they are kept. The root folders of containers are in its Dir too, which is required.
	// Defaults to what StoreConfig says otherwise.
	Store StoreConfig
	// AllowRoot lets the user that an image, or a task with an image, names be user 0 or in group 0. Defaults to false.
	AllowRoot bool
	// Copy gives each container a copy of its image even where overlayfs works. Defaults to false.
	Copy bool
	// AtOnce bounds how many root folders are made at the same time. Defaults to 8.
	AtOnce int
}

// Validate reports the first field that cannot be used.
func (c Config) Validate() error {
	if c.AtOnce < 0 {
		return fmt.Errorf("image: config: AtOnce is %d (allowed: more than zero)", c.AtOnce)
	}
	return c.Store.Validate()
}

// An Isolator makes the root folders of containers that have an image. It comes after the isolator that decides what is run as whom, and
// before those that work as that user. It does not make the folder the container's root: the plan names it.
type Isolator struct {
	cfg   Config
	store *Store
	slots chan struct{}
	copy  string // why there is no overlayfs; empty where there is
}

var (
	_ isolation.Isolator  = (*Isolator)(nil)
	_ isolation.Provider  = (*Isolator)(nil)
	_ isolation.Recoverer = (*Isolator)(nil)
	_ isolation.Enforcer  = (*Isolator)(nil)
	_ isolation.Lacker    = (*Isolator)(nil)
)

// New returns an Isolator. It fails where root folders cannot be made: on other systems than Linux, and without root.
func New(cfg Config) (*Isolator, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.AtOnce == 0 {
		cfg.AtOnce = 8
	}
	switch {
	case runtime.GOOS != "linux":
		return nil, fmt.Errorf("image: there are no root folders of containers on %s", runtime.GOOS)
	case os.Geteuid() != 0:
		return nil, fmt.Errorf("image: root folders of containers need root, and this is user %d", os.Geteuid())
	}
	if err := os.MkdirAll(cfg.Store.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("image: %w", err)
	}
	real, err := filepath.EvalSymlinks(cfg.Store.Dir) // as the list of mounts has it
	if err != nil {
		return nil, fmt.Errorf("image: %w", err)
	}
	cfg.Store.Dir = real
	i := &Isolator{cfg: cfg, slots: make(chan struct{}, cfg.AtOnce)}
	if i.store, err = NewStore(cfg.Store); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(i.store.path("roots"), 0o700); err != nil {
		return nil, fmt.Errorf("image: %w", err)
	}
	if cfg.Copy {
		return i, nil
	}
	if i.copy, err = i.probe(); err != nil {
		return nil, fmt.Errorf("image: %w", err)
	}
	return i, nil
}

// Name implements isolation.Isolator.
func (*Isolator) Name() string { return "image" }

// Enforces implements isolation.Enforcer.
func (*Isolator) Enforces() []isolation.Feature { return []isolation.Feature{isolation.FeatureImage} }

// Lacks implements isolation.Lacker.
func (i *Isolator) Lacks() []string {
	if i.copy != "" {
		return []string{"no overlayfs (" + i.copy + "), so that each container gets a copy of its image"}
	}
	return nil
}

// Recover implements isolation.Recoverer: what was made for containers that are not known any more is removed.
func (i *Isolator) Recover(_ context.Context, running []isolation.Recovered) error {
	var known []string
	keep := map[string]bool{}
	for _, r := range running {
		known = append(known, r.Spec.Container)
		keep[filepath.Base(i.dir(r.Spec.Container))] = true
	}
	entries, err := os.ReadDir(i.store.path("roots"))
	if err != nil {
		return fmt.Errorf("image: %w", err)
	}
	var errs []error
	for _, e := range entries {
		if !keep[e.Name()] {
			errs = append(errs, removeRoot(i.store.path("roots", e.Name())))
		}
	}
	return errors.Join(errors.Join(errs...), i.store.Recover(known))
}

// Prepare refuses what can be refused without looking at it.
func (i *Isolator) Prepare(_ context.Context, spec *isolation.Spec, _ *isolation.Plan) error {
	if spec.Image == nil {
		return nil
	}
	if err := offer.ValidateImage(spec.Image); err != nil {
		return offer.Refuse(offer.ReasonInvalidField, err.Error())
	}
	_, err := parse(i.store.cfg, spec.Image.Reference)
	if err == nil {
		return nil
	}
	reason := offer.ReasonInvalidField
	if no := notAllowed(""); errors.As(err, &no) {
		reason = offer.ReasonForbidden
	}
	return offer.Refuse(reason, fmt.Sprintf("image %.200s: %v", spec.Image.Reference, err))
}

// Provides implements isolation.Provider.
func (*Isolator) Provides(spec *isolation.Spec) bool { return spec.Image != nil }

// Provide brings the image and makes the root folder from it. An error names the image and says what was wrong with it.
func (i *Isolator) Provide(ctx context.Context, spec *isolation.Spec, plan *isolation.Plan) error {
	if spec.Image == nil {
		return nil
	}
	select {
	case i.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-i.slots }()
	u, err := i.store.Get(ctx, spec.Container, spec.Image.Reference)
	if err != nil {
		return err
	}
	dir := i.dir(spec.Container)
	if err := removeRoot(dir); err != nil { // of an attempt that was cut off
		return err
	}
	if err := i.provision(ctx, u, dir); err != nil {
		return err
	}
	if err := i.settle(spec, plan, &u.Config, rootOf(dir)); err != nil {
		return fmt.Errorf("image %.200s: %w", spec.Image.Reference, err)
	}
	plan.Rootfs = rootOf(dir)
	return nil
}

// Attach implements isolation.Isolator; the root folder is there by then.
func (*Isolator) Attach(context.Context, string, int) error { return nil }

// Cleanup implements isolation.Isolator.
func (i *Isolator) Cleanup(_ context.Context, container string) error {
	if err := removeRoot(i.dir(container)); err != nil {
		return err
	}
	return i.store.Release(container)
}

// Collect throws out the images that nobody has used for so long. Those in use stay.
func (i *Isolator) Collect(age time.Duration) error { return i.store.CollectOlder(age) }

// Written is the folder that takes what a container writes to its root, and how many bytes of it are the image's. It is empty for a container
// that has no root folder here.
func (i *Isolator) Written(container string) (dir string, images uint64) {
	return written(i.dir(container))
}

// dir is where everything is that is made for a container.
func (i *Isolator) dir(container string) string { return i.store.path("roots", nameOf(container)) }
