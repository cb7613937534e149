package master

import (
	"context"
	"errors"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
)

// Books checks every invariant of the leading core and prints its state. It runs where the core does: as the answer of a call that changes
// nothing.
func (m *Master) Books(ctx context.Context) (state string, err error) {
	r := m.current.Load()
	if r == nil {
		return "", errors.New("this master does not lead")
	}
	done := make(chan struct{})
	r.operate(ctx, "", message.Operate{Verb: message.VerbReactivate, Slave: "nobody"}, func(*offer.Refusal) {
		defer close(done)
		if err = r.core.Check(); err == nil {
			state = r.core.Describe()
		}
	})
	select {
	case <-done:
		return state, err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// Connections returns how many node connections there are.
func (m *Master) Connections() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.conns)
}
