package zookeeper

import (
	"context"
	"sync"

	"github.com/meros-project/meros/election"
)

// A term is one reign of this master.
type term struct {
	s       *session
	version int32 // of the term's node
	reign   uint64
	ended   chan struct{}
	gone    chan struct{} // closed when Run is done with it
	wake    chan struct{} // has a token when queue has grown or the reign has ended

	mu       sync.Mutex
	over     bool
	resigned bool
	heir     *heir // who is to lead next; nil for whoever is next in the queue
	queue    []proposal
}

type proposal struct {
	entry []byte
	done  func(uint64, any, error)
}

func newTerm(s *session, version int32) *term {
	return &term{s: s, version: version, ended: make(chan struct{}), gone: make(chan struct{}), wake: make(chan struct{}, 1)}
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
	if t.over || !t.s.valid() {
		go done(0, nil, election.ErrDeposed)
		return
	}
	t.queue = append(t.queue, proposal{entry, done})
	t.poke()
}

// Resign implements election.Term. This master goes to the end of the queue of candidates.
func (t *term) Resign(ctx context.Context) error {
	t.mu.Lock()
	t.resigned = t.resigned || !t.over
	t.mu.Unlock()
	t.end()
	select {
	case <-t.gone:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t *term) poke() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// end ends the reign: what is queued is refused by Run, what is being written gets its outcome.
func (t *term) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.over {
		t.over = true
		close(t.ended)
		t.poke()
	}
}

// state tells whether the reign is over and was resigned.
func (t *term) state() (over, resigned bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.over, t.resigned
}

// take cuts the next batch off the queue.
func (t *term) take() []proposal {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, bytes := 0, 0
	for n < len(t.queue) && n < batchEntries && (n == 0 || bytes+len(t.queue[n].entry)+4 <= batchBytes) {
		bytes += len(t.queue[n].entry) + 4
		n++
	}
	batch := t.queue[:n:n]
	if t.queue = t.queue[n:]; len(t.queue) == 0 {
		t.queue = nil
	}
	return batch
}
