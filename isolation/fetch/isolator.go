package fetch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/offer"
)

// An Isolator fetches the URIs of commands. It comes after the isolator that decides on the task's user.
type Isolator struct {
	cfg   Config
	cache *cache
	slots chan struct{}

	fetchers atomic.Int64 // so far
}

var (
	_ isolation.Isolator  = (*Isolator)(nil)
	_ isolation.Provider  = (*Isolator)(nil)
	_ isolation.Recoverer = (*Isolator)(nil)
	_ isolation.Enforcer  = (*Isolator)(nil)
	_ isolation.Lacker    = (*Isolator)(nil)
)

// New returns an Isolator. It fails if Config.Validate does.
func New(cfg Config) (*Isolator, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	f := &Isolator{cfg: cfg.withDefaults()}
	f.slots = make(chan struct{}, f.cfg.AtOnce)
	if f.cfg.Cache != "" {
		f.cache = newCache(f.cfg.Cache, f.cfg.CacheBytes)
	}
	return f, nil
}

// Name implements isolation.Isolator.
func (*Isolator) Name() string { return "fetch" }

// Enforces implements isolation.Enforcer.
func (*Isolator) Enforces() []isolation.Feature { return []isolation.Feature{isolation.FeatureURIs} }

// Lacks implements isolation.Lacker.
func (*Isolator) Lacks() []string {
	if landlocked() {
		return nil
	}
	return []string{"no Landlock, so that what fetches URIs is held by its user's rights and by its own checks alone"}
}

// Recover empties the cache: what an earlier run has left may be half a file.
func (f *Isolator) Recover(context.Context, []isolation.Recovered) error {
	if f.cache == nil {
		return nil
	}
	return f.cache.empty()
}

// Prepare refuses what can be refused without looking at it.
func (f *Isolator) Prepare(_ context.Context, spec *isolation.Spec, _ *isolation.Plan) error {
	if spec.Command == nil {
		return nil
	}
	_, err := f.items(spec.Command.URIs)
	return err
}

func (f *Isolator) items(uris []offer.URI) ([]item, error) {
	if err := offer.ValidateURIs(uris); err != nil {
		return nil, err
	}
	items := make([]item, 0, len(uris))
	for i := range uris {
		u := &uris[i]
		name, err := fileName(u)
		if path, local := filePath(u.Value); err == nil && local {
			_, _, err = allowedFile(f.cfg.Files, path)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", show(u.Value), err)
		}
		items = append(items, item{URI: u.Value, Name: name, Extract: u.Extract, Executable: u.Executable})
	}
	return items, nil
}

// Provides implements isolation.Provider.
func (*Isolator) Provides(spec *isolation.Spec) bool {
	return spec.Command != nil && len(spec.Command.URIs) > 0
}

// Provide fetches the URIs into the sandbox. An error names the URI and says what was wrong with it.
func (f *Isolator) Provide(ctx context.Context, spec *isolation.Spec, plan *isolation.Plan) error {
	if !f.Provides(spec) {
		return nil
	}
	items, err := f.items(spec.Command.URIs)
	if err != nil {
		return err
	}
	j := &job{Config: f.cfg, User: plan.User}
	j.Sandbox, j.Items = spec.Sandbox, items
	files, release, err := f.cached(ctx, plan.User, spec.Command.URIs, items)
	defer release()
	if err != nil {
		return err
	}
	return f.work(ctx, j, files, nil)
}

// work waits for its turn.
func (f *Isolator) work(ctx context.Context, j *job, files []*os.File, room func(int64) bool) error {
	select {
	case f.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-f.slots }()
	h, err := NewHold(ctx, f.cfg.Holder, "fetcher", fmt.Sprint("fetch.", f.fetchers.Add(1)), f.cfg.Memory)
	if err != nil {
		return err
	}
	defer h.Release()
	return work(ctx, j, files, room, h)
}

// cached brings what may be cached into the cache, and opens it. What the cache has no room for is left to be downloaded.
func (f *Isolator) cached(ctx context.Context, u *isolation.User, uris []offer.URI, items []item) (files []*os.File, release func(), err error) {
	entries := make([]*entry, len(uris))
	release = func() {
		for _, file := range files {
			_ = file.Close()
		}
		for _, e := range entries {
			if e != nil {
				f.cache.release(e)
			}
		}
	}
	if f.cache == nil {
		return nil, release, nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for i := range uris {
		if !uris[i].Cache {
			continue
		}
		wg.Go(func() {
			var err error
			entries[i], err = f.cache.get(ctx, keyOf(u, uris[i].Value), func(ctx context.Context, into *os.File, room func(int64) bool) error {
				j := &job{Config: f.cfg, User: u}
				j.Items, j.AskRoom = []item{{URI: uris[i].Value, Descriptor: 3}}, true
				return f.work(ctx, j, []*os.File{into}, room)
			})
			if err != nil && !errors.Is(err, errNoRoom) {
				cancel(err) // the first one is told; the others need not go on
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, release, err
	}
	for i, e := range entries {
		if e == nil {
			continue
		}
		if file, err := f.cache.open(e); err == nil {
			files = append(files, file)
			items[i].Descriptor = 2 + len(files)
		}
	}
	return files, release, nil
}

// Attach implements isolation.Isolator; what is fetched is there by then.
func (*Isolator) Attach(context.Context, string, int) error { return nil }

// Cleanup implements isolation.Isolator; what was fetched is the sandbox's.
func (*Isolator) Cleanup(context.Context, string) error { return nil }
