package isolation

import (
	"context"
	"errors"
	"fmt"
)

// A Killer can end everything in a container for sure: also what ignores signals, has left its session, or starts processes faster than
// they can be killed one by one.
type Killer interface {
	// Kill ends everything in the container and returns when nothing of it runs any more; it is quick where nothing does. The error says
	// what could not be ended within a bounded time. It may be called at any time after Prepare, beside every other method but Cleanup,
	// more than once, and for a container that is not known, which is no error.
	Kill(ctx context.Context, container string) error
}

// Kill implements Killer. An error does not keep the other isolators from their turn.
func (c Chain) Kill(ctx context.Context, container string) error {
	var errs []error
	for _, iso := range c {
		if k, ok := iso.(Killer); ok {
			if err := k.Kill(ctx, container); err != nil {
				errs = append(errs, fmt.Errorf("isolator %s: kill: %w", iso.Name(), err))
			}
		}
	}
	return errors.Join(errs...)
}
