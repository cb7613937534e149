package raft

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	hraft "github.com/hashicorp/raft"
	"github.com/meros-project/meros/election"
)

// A term is one reign of this master. Two goroutines carry its entries: one hands them to the library in order and blocks when
// MaxInFlight are there, the other collects the outcomes in the same order.
type term struct {
	e        *Elector
	reign    uint64
	raftTerm uint64
	ended    chan struct{}

	mu     sync.Mutex
	over   bool
	queue  []proposal
	wake   chan struct{}
	flight chan *flying
	finish sync.WaitGroup

	flyMu   sync.Mutex
	flying  map[*flying]struct{}
	dropped bool // abandon was called

	finished atomic.Bool // every outcome was handed out
}

type proposal struct {
	entry []byte
	done  func(uint64, any, error)
}

// A flying entry is answered once, by its outcome or by abandon.
type flying struct {
	future hraft.ApplyFuture
	done   func(uint64, any, error)
}

func newTerm(e *Elector, reign, raftTerm uint64) *term {
	t := &term{
		e: e, reign: reign, raftTerm: raftTerm, ended: make(chan struct{}), wake: make(chan struct{}, 1),
		flight: make(chan *flying, e.cfg.MaxInFlight), flying: map[*flying]struct{}{},
	}
	t.finish.Go(t.propose)
	t.finish.Go(t.collect)
	return t
}

// Reign implements election.Term.
func (t *term) Reign() uint64 { return t.reign }

// Done implements election.Term.
func (t *term) Done() <-chan struct{} { return t.ended }

// Propose implements election.Term.
func (t *term) Propose(entry []byte, done func(uint64, any, error)) {
	if len(entry) > election.MaxEntry {
		go done(0, nil, election.ErrTooLarge)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		go done(0, nil, election.ErrDeposed)
		return
	}
	t.queue = append(t.queue, proposal{entry, done})
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// Resign implements election.Term.
func (t *term) Resign(ctx context.Context) error {
	t.end()
	t.e.poke()
	if t.e.voters() < 2 {
		return nil
	}
	return t.e.transfer(ctx, func(r *hraft.Raft) hraft.Future { return r.LeadershipTransfer() })
}

// end ends the reign: what is queued is refused, what is in flight gets its outcome from the library.
func (t *term) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.over {
		t.over = true
		close(t.ended)
	}
}

func (t *term) isOver() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.over
}

func (t *term) propose() {
	defer close(t.flight)
	for {
		select {
		case <-t.wake:
		case <-t.ended:
		}
		t.mu.Lock()
		queue, over := t.queue, t.over
		t.queue = nil
		t.mu.Unlock()
		for _, p := range queue {
			select {
			case <-t.ended:
				p.done(0, nil, election.ErrDeposed)
				continue
			default:
			}
			f := &flying{done: p.done}
			t.flyMu.Lock()
			if t.dropped {
				t.flyMu.Unlock()
				p.done(0, nil, election.ErrDeposed)
				continue
			}
			t.flying[f] = struct{}{}
			t.flyMu.Unlock()
			f.future = t.e.raft.Apply(p.entry, 0)
			t.flight <- f
		}
		if over && len(queue) == 0 {
			return
		}
	}
}

func (t *term) collect() {
	defer t.finished.Store(true)
	for f := range t.flight {
		err := f.future.Error()
		if !t.land(f) {
			continue
		}
		switch {
		case errors.Is(err, hraft.ErrNotLeader), errors.Is(err, hraft.ErrEnqueueTimeout), errors.Is(err, hraft.ErrRaftShutdown),
			errors.Is(err, hraft.ErrLeadershipTransferInProgress):
			f.done(0, nil, election.ErrDeposed)
		case err != nil:
			f.done(0, nil, election.ErrUnknown)
		default:
			o, ok := f.future.Response().(outcome)
			if !ok || o.err != nil {
				f.done(0, nil, election.ErrUnknown)
				continue
			}
			f.done(f.future.Index(), o.result, nil)
		}
	}
}

func (t *term) land(f *flying) bool {
	t.flyMu.Lock()
	defer t.flyMu.Unlock()
	_, ok := t.flying[f]
	delete(t.flying, f)
	return ok
}

// abandon answers what is in flight when the library never will: its disk hangs.
func (t *term) abandon() {
	t.end()
	t.flyMu.Lock()
	t.dropped = true
	left := t.flying
	t.flying = map[*flying]struct{}{}
	t.flyMu.Unlock()
	for f := range left {
		f.done(0, nil, election.ErrUnknown)
	}
	t.mu.Lock()
	queue := t.queue
	t.queue = nil
	t.mu.Unlock()
	for _, p := range queue {
		p.done(0, nil, election.ErrDeposed)
	}
}
