package fetch

import (
	"context"
	"fmt"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// A Holder holds fetchers to what they may use, as it holds containers. Isolator cgroup is one.
type Holder interface {
	isolation.Isolator
	isolation.Watcher
}

// A hold is what one fetcher is held by. It has a container of its own, and not the task's: what unpacks an archive needs memory and cpu time
// that a small task has not asked for, and what one has in the cache others wait for.
type hold struct {
	by        Holder // nil: it is not held
	container string
}

// hold makes what a fetcher is put into.
func (f *Isolator) hold(ctx context.Context) (*hold, error) {
	h := &hold{by: f.cfg.Holder, container: fmt.Sprint("fetch.", f.fetchers.Add(1))}
	if h.by == nil {
		return h, nil
	}
	mem := resource.Scalar(f.cfg.Memory >> 20 * 1000)
	rs, err := resource.New(resource.NewScalar(resource.CPUs, 1000), resource.NewScalar(resource.Mem, mem))
	if err == nil {
		err = h.by.Prepare(ctx, &isolation.Spec{Container: h.container, Resources: rs}, &isolation.Plan{})
	}
	if err != nil {
		h.release()
		return nil, fmt.Errorf("hold the fetcher: %w", err)
	}
	return h, nil
}

// attach puts the fetcher in, which has not been told yet what to do.
func (h *hold) attach(ctx context.Context, pid int) error {
	if h.by == nil {
		return nil
	}
	if err := h.by.Attach(ctx, h.container, pid); err != nil {
		return fmt.Errorf("hold the fetcher: %w", err)
	}
	return nil
}

// broken tells the limit that a fetcher was killed for, nil if it was for none.
func (h *hold) broken() error {
	if h.by == nil {
		return nil
	}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	l, err := h.by.Watch(over, h.container)
	if err != nil {
		return nil
	}
	return offer.Refuse(l.Reason, "the fetcher: "+l.Message)
}

// release removes what was made. What cannot be removed, the holder tries again.
func (h *hold) release() {
	if h.by != nil {
		_ = h.by.Cleanup(context.Background(), h.container)
	}
}
