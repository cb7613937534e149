package fetch

import (
	"context"
	"fmt"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// A Holder holds processes that the slave starts for its own ends to what they may use, as it holds containers. Isolator cgroup is one.
type Holder interface {
	isolation.Isolator
	isolation.Watcher
}

// A Hold is what one Child is held by. It has a container of its own, and not the task's: what unpacks an archive needs memory and cpu time
// that a small task has not asked for, and what one has in the cache others wait for.
type Hold struct {
	by        Holder // nil: it is not held
	what      string
	container string
}

// NewHold makes what a Child is put into that may use one processor and so many bytes of memory. what is what errors call it, and container is
// no other's. Without a Holder nothing is held. The caller releases it.
func NewHold(ctx context.Context, by Holder, what, container string, memory int64) (*Hold, error) {
	h := &Hold{by: by, what: what, container: container}
	if h.by == nil {
		return h, nil
	}
	mem := resource.Scalar(memory >> 20 * 1000)
	rs, err := resource.New(resource.NewScalar(resource.CPUs, 1000), resource.NewScalar(resource.Mem, mem))
	if err == nil {
		err = h.by.Prepare(ctx, &isolation.Spec{Container: h.container, Resources: rs}, &isolation.Plan{})
	}
	if err != nil {
		h.Release()
		return nil, fmt.Errorf("hold the %s: %w", what, err)
	}
	return h, nil
}

// Attach puts the Child in, which has not been told yet what to do.
func (h *Hold) Attach(ctx context.Context, c *Child) error {
	if h.by == nil {
		return nil
	}
	if err := h.by.Attach(ctx, h.container, c.cmd.Process.Pid); err != nil {
		return fmt.Errorf("hold the %s: %w", h.what, err)
	}
	return nil
}

// Broken tells the limit that the Child was killed for, an *offer.Refusal, nil if it was for none.
func (h *Hold) Broken() error {
	if h.by == nil {
		return nil
	}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	l, err := h.by.Watch(over, h.container)
	if err != nil {
		return nil
	}
	return offer.Refuse(l.Reason, "the "+h.what+": "+l.Message)
}

// Release removes what was made. What cannot be removed, the holder tries again.
func (h *Hold) Release() {
	if h.by != nil {
		_ = h.by.Cleanup(context.Background(), h.container)
	}
}
