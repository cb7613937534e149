package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-zookeeper/zk"
	"github.com/meros-project/meros/election"
)

// An heir is the master that a leader hands over to.
type heir struct {
	node string     // its name in the queue
	done chan error // has what became of the hand-over
}

// Transfer implements election.Transferer. The master must run and stand in the queue; those between are sent to its end, in one step with
// the leader itself, so that nobody leads for as long as after a resignation, and no longer. It returns when that master leads, and an error
// that says who does if another was first.
func (e *Elector) Transfer(ctx context.Context, id string) error {
	e.mu.Lock()
	t := e.term
	e.mu.Unlock()
	if t == nil {
		return election.ErrDeposed
	}
	if id == e.self.ID {
		return nil
	}
	h := &heir{done: make(chan error, 1)}
	found := make(chan error, 1)
	t.s.help(func() {
		node, err := e.placeOf(t.s, id)
		h.node = node
		found <- err
	})
	var err error
	select {
	case err = <-found:
	case <-t.ended:
		return election.ErrDeposed
	case <-ctx.Done():
		return ctx.Err()
	}
	if err != nil {
		return err
	}
	if !t.resignTo(h) {
		return election.ErrDeposed
	}
	select {
	case err = <-h.done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("zookeeper: transfer leadership to master %q: %w", id, err)
	}
	return e.awaitLeader(ctx, id)
}

// placeOf finds a master's place in the queue.
func (e *Elector) placeOf(s *session, id string) (string, error) {
	if err := checkName("transfer leadership to a master whose id", id); err != nil {
		return "", err
	}
	path := e.base() + "/masters/" + id
	_, master, err := s.get(path)
	if errors.Is(err, zk.ErrNoNode) {
		return "", fmt.Errorf("zookeeper: transfer leadership to master %q: it does not run", id)
	}
	if err != nil {
		return "", s.explain(path, err)
	}
	names, err := s.children(e.candidates())
	if err != nil {
		return "", s.explain(e.candidates(), err)
	}
	for _, name := range numbered(names, "c-") {
		_, stat, err := s.get(e.candidates() + "/" + name)
		if err == nil && stat.EphemeralOwner == master.EphemeralOwner {
			return name, nil
		}
		if err != nil && !errors.Is(err, zk.ErrNoNode) {
			return "", s.explain(e.candidates(), err)
		}
	}
	return "", fmt.Errorf("zookeeper: transfer leadership to master %q: it is not among the candidates yet", id)
}

// awaitLeader returns when somebody leads.
func (e *Elector) awaitLeader(ctx context.Context, id string) error {
	for {
		changed := e.LeaderChanged()
		leader, ok := e.Leader()
		switch {
		case ok && leader.ID == id:
			return nil
		case ok:
			return fmt.Errorf("zookeeper: transfer leadership to master %q: %q at %s leads", id, leader.ID, leader.Address)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

var errHeirGone = errors.New("it is gone: whoever is next leads")

// leave takes this master, which has resigned, from the head of the queue.
func (e *Elector) leave(s *session, own string, t *term) error {
	if h := t.heir; h != nil {
		err := e.bringForward(s, own, t, h)
		if err == nil {
			return nil
		}
		h.done <- err
	}
	path := e.candidates() + "/" + own
	return s.explain(path, s.remove(path))
}

// bringForward removes everybody before the heir from the queue, this master among them, if the heir is there and nobody else has led. Those
// who run find themselves gone and queue again.
func (e *Elector) bringForward(s *session, own string, t *term, h *heir) error {
	for {
		names, err := s.children(e.candidates())
		if err != nil {
			return err
		}
		list := numbered(names, "c-")
		at := slices.Index(list, h.node)
		switch {
		case at < 0:
			return errHeirGone
		case !slices.Contains(list, own): // an earlier try got through
			return nil
		}
		ops := []any{&zk.CheckVersionRequest{Path: e.termPath(), Version: t.version},
			&zk.CheckVersionRequest{Path: e.candidates() + "/" + h.node, Version: -1}}
		for _, name := range list[:at] {
			ops = append(ops, &zk.DeleteRequest{Path: e.candidates() + "/" + name, Version: -1})
		}
		err = s.retry(func() error { return s.multi(ops...) })
		if !errors.Is(err, zk.ErrNoNode) { // somebody has gone meanwhile
			return err
		}
	}
}

// resignTo ends the reign in favour of the heir, unless it is over.
func (t *term) resignTo(h *heir) bool {
	t.mu.Lock()
	over := t.over
	if !over {
		t.resigned, t.heir = true, h
	}
	t.mu.Unlock()
	if !over {
		t.end()
	}
	return !over
}

// wasResigned tells whether there was a reign and it was resigned.
func (t *term) wasResigned() bool {
	if t == nil {
		return false
	}
	_, resigned := t.state()
	return resigned
}

// handedOver tells who waits for it what became of a transfer.
func (t *term) handedOver(err error) {
	if t != nil && t.heir != nil {
		select {
		case t.heir.done <- err:
		default: // it was told why not
		}
	}
}
