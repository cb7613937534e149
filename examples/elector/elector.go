// Package elector is an elector of one's own: masters elect whoever holds a lease in a store that they share, and keep the log there.
//
// store.go is what stands for the store, and elector.go is the elector.
package elector

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/meros-project/meros/election"
)

const (
	ttl  = time.Second           // after which a leader of whom nothing is heard is one no more
	rest = 50 * time.Millisecond // for others to take a lease that was given up
)

// An Elector is one master's part.
type Elector struct {
	s       *Store
	self    election.Peer
	terms   chan election.Term
	started atomic.Bool
	running bool
	ready   time.Time // when it may lead again
	applied int
}

// New makes the elector of the master with this address.
func New(s *Store, address string) *Elector {
	return &Elector{s: s, self: election.Peer{ID: address, Address: address}, terms: make(chan election.Term)}
}

// Terms implements election.Elector, as do LeaderChanged, Leader and Run.
func (e *Elector) Terms() <-chan election.Term { return e.terms }

func (e *Elector) LeaderChanged() <-chan struct{} {
	e.s.mu.Lock()
	defer e.s.mu.Unlock()
	return e.s.changed
}

func (e *Elector) Leader() (leader election.Peer, known bool) {
	e.s.mu.Lock()
	defer e.s.mu.Unlock()
	if known = e.running && e.s.holder != nil; known {
		leader = e.s.holder.e.self
	}
	return leader, known
}

func (e *Elector) Run(ctx context.Context, env election.Env) (err error) {
	if e.started.Swap(true) {
		return errors.New("elector: Run was called twice")
	}
	defer close(e.terms)
	t := &term{}                   // the present reign of this master, or the one before
	var offer chan<- election.Term // nil if there is none to be announced
	for over := false; !over; {
		over = ctx.Err() != nil || err != nil
		e.s.mu.Lock()
		now := time.Now()
		switch e.running = !over; {
		case over:
			e.s.release(t)
		case e.s.holder == t:
			e.s.expires = now.Add(ttl)
		case now.After(e.ready) && (e.s.holder == nil || now.After(e.s.expires)):
			e.s.release(e.s.holder)
			t, offer = &term{e: e, ended: make(chan struct{})}, nil
			e.s.holder, e.s.expires = t, now.Add(ttl)
			e.s.append(record{env.Opening(), t, func(_ uint64, result any, _ error) {
				if reign, ok := result.(uint64); ok {
					t.reign, offer = reign, e.terms
				}
			}})
		default:
			offer = nil
		}
		fresh, changed := e.s.log[e.applied:], e.s.changed
		e.s.mu.Unlock()
		for _, r := range fresh {
			var result any
			if e.applied++; err == nil {
				result, err = env.StateMachine.Apply(uint64(e.applied), r.entry)
			}
			if r.by.e == e && err == nil {
				r.done(uint64(e.applied), result, nil)
			} else if r.by.e == e {
				r.done(0, nil, election.ErrUnknown)
			}
		}
		select {
		case offer <- t:
			offer = nil
		case <-changed:
		case <-time.After(rest):
		case <-ctx.Done():
		}
	}
	return err
}

// A term is one reign: the present one while it has the lease.
type term struct {
	e     *Elector
	reign uint64
	ended chan struct{}
}

func (t *term) Reign() uint64         { return t.reign }
func (t *term) Done() <-chan struct{} { return t.ended }

func (t *term) Propose(entry []byte, done func(uint64, any, error)) {
	t.e.s.mu.Lock()
	defer t.e.s.mu.Unlock()
	switch {
	case len(entry) > election.MaxEntry:
		go done(0, nil, election.ErrTooLarge)
	case t.e.s.holder != t:
		go done(0, nil, election.ErrDeposed)
	default:
		t.e.s.append(record{entry, t, done})
	}
}

func (t *term) Resign(context.Context) error {
	t.e.s.mu.Lock()
	defer t.e.s.mu.Unlock()
	t.e.ready = time.Now().Add(rest)
	t.e.s.release(t)
	return nil
}
