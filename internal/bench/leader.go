package main

import (
	"context"
	"sync"
	"time"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/internal/transport"
)

// A compass knows who leads, for all light slaves of a process together: ten thousand slaves that share a host's gossip would do likewise.
type compass struct {
	detector *transport.AddressDetector

	mu      sync.Mutex
	leader  election.Peer
	changes int // counts what Detect has returned
	changed chan struct{}
}

func newCompass(masters []string) *compass {
	return &compass{detector: transport.Addresses(masters, transport.Dialer{}, nil), changed: make(chan struct{})}
}

// run follows the leader until ctx ends. While somebody is lost it asks anew, because the leader may be the same master again.
func (c *compass) run(ctx context.Context) {
	defer c.detector.Close()
	var last election.Peer
	for {
		next, err := c.detector.Detect(ctx, last)
		if err != nil {
			return
		}
		last = next
		c.mu.Lock()
		c.leader = next
		c.changes++
		close(c.changed)
		c.changed = make(chan struct{})
		c.mu.Unlock()
	}
}

// next returns the leader's address once it is known and newer than what seen stands for, or after patience whatever is known then.
func (c *compass) next(ctx context.Context, seen int, patience time.Duration) (address string, changes int, err error) {
	var timeout <-chan time.Time
	for {
		c.mu.Lock()
		leader, n, changed := c.leader, c.changes, c.changed
		c.mu.Unlock()
		if leader.Address != "" && n != seen {
			return leader.Address, n, nil
		}
		if timeout == nil {
			timer := time.NewTimer(patience)
			defer timer.Stop()
			timeout = timer.C
		}
		select {
		case <-changed:
		case <-timeout:
			if seen = -1; leader.Address == "" {
				timeout = nil
			}
		case <-ctx.Done():
			return "", n, ctx.Err()
		}
	}
}
