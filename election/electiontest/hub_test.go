package electiontest

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/meros-project/meros/election"
)

// A hub is what the electors of a cluster in one process agree by: its log is committed as soon as it is appended to. With fault set its
// electors break the promise that the fault is named after.
type hub struct {
	fault   string
	timeout time.Duration // with "resignation is waited out": how long

	mu      sync.Mutex
	changed chan struct{} // closed at each change
	log     []hubEntry
	queue   []*hubElector // of those that run: the first leads
	snap    []byte
	snapAt  int
	calls   int  // of Propose
	rest    bool // nobody may lead
	held    []hubEntry
}

type hubEntry struct {
	data []byte
	by   *hubTerm
	done func(uint64, any, error)
}

func newHub(fault string) *hub { return &hub{fault: fault, changed: make(chan struct{})} }

func (h *hub) signal() {
	close(h.changed)
	h.changed = make(chan struct{})
}

type hubElector struct {
	h       *hub
	address string
	terms   chan election.Term
	started bool
	term    *hubTerm // the present one
	applied int
	last    any // result of the last entry
	skewed  bool
	machine election.StateMachine
	waiters sync.WaitGroup
}

type hubTerm struct {
	e     *hubElector
	reign uint64
	ended chan struct{}
	over  bool
	open  bool // its opening entry is applied
}

func (h *hub) elector(address string) election.Elector {
	return &hubElector{h: h, address: address, terms: make(chan election.Term)}
}

func (e *hubElector) Terms() <-chan election.Term { return e.terms }

func (e *hubElector) Leader() (election.Peer, bool) {
	e.h.mu.Lock()
	defer e.h.mu.Unlock()
	if len(e.h.queue) == 0 || e.h.queue[0].term == nil || !slices.Contains(e.h.queue, e) {
		return election.Peer{}, false
	}
	return election.Peer{ID: e.h.queue[0].address, Address: e.h.queue[0].address}, true
}

func (e *hubElector) LeaderChanged() <-chan struct{} {
	e.h.mu.Lock()
	defer e.h.mu.Unlock()
	return e.h.changed
}

func (e *hubElector) Run(ctx context.Context, env election.Env) error {
	h := e.h
	h.mu.Lock()
	defer h.mu.Unlock()
	if e.started {
		return errors.New("hub: Run was called twice")
	}
	e.started, e.machine = true, env.StateMachine
	h.queue = append(h.queue, e)
	h.signal()
	var err error
	for ctx.Err() == nil && err == nil {
		if leads := h.queue[0] == e || h.fault == "two lead" && h.queue[min(1, len(h.queue)-1)] == e; leads && e.term == nil && !h.rest {
			e.term = &hubTerm{e: e, ended: make(chan struct{})}
			h.log = append(h.log, hubEntry{data: env.Opening(), by: e.term})
			h.signal()
		}
		if err = e.apply(env.StateMachine); err == nil {
			h.wait(ctx)
		}
	}
	e.end()
	if h.queue = slices.DeleteFunc(h.queue, func(o *hubElector) bool { return o == e }); len(h.queue) == 0 && h.fault == "forgets" {
		h.log = h.log[:len(h.log)-1]
	}
	h.signal()
	h.mu.Unlock()
	e.waiters.Wait()
	close(e.terms)
	h.mu.Lock()
	return err
}

func (h *hub) wait(ctx context.Context) {
	changed := h.changed
	h.mu.Unlock()
	defer h.mu.Lock()
	select {
	case <-changed:
	case <-ctx.Done():
	}
}

// apply applies what is new.
func (e *hubElector) apply(m election.StateMachine) error {
	h := e.h
	if e.applied == 0 && h.snapAt > 0 {
		if err := m.Restore(bytes.NewReader(h.snap)); err != nil {
			return err
		}
		if e.applied = h.snapAt; h.fault == "snapshot loses" {
			e.applied++
		}
	}
	for e.applied < len(h.log) {
		at := e.applied
		if e.skewed {
			e.skewed, at = false, at-1
		} else if h.fault == "other order" && h.queue[0] != e && at+1 < len(h.log) {
			e.skewed, at = true, at+1
		}
		entry := h.log[at]
		result, err := m.Apply(uint64(e.applied+1), entry.data)
		if err != nil {
			return err
		}
		e.applied++
		if t := entry.by; t.e == e && entry.done == nil && !t.open {
			e.opened(t, result.(uint64))
		} else if t.e == e && entry.done != nil && !t.over {
			answer := result
			if _, text := result.(string); text && h.fault == "stale results" {
				answer = e.last
			}
			e.last = result
			go1(h, entry.done, uint64(at+1), answer, nil)
		}
	}
	return nil
}

func (e *hubElector) TakeSnapshot(context.Context) error {
	e.h.mu.Lock()
	defer e.h.mu.Unlock()
	s, err := e.machine.Snapshot()
	if err != nil {
		return err
	}
	defer s.Release()
	var b bytes.Buffer
	_, err = s.WriteTo(&b)
	e.h.snap, e.h.snapAt = b.Bytes(), e.applied
	return err
}

// go1 tells an outcome, in order, without the lock.
func go1(h *hub, done func(uint64, any, error), index uint64, result any, err error) {
	h.mu.Unlock()
	defer h.mu.Lock()
	done(index, result, err)
	if h.fault == "told twice" {
		done(index, result, err)
	}
}

func (e *hubElector) opened(t *hubTerm, reign uint64) {
	t.open, t.reign = true, reign
	if e.h.fault == "one number" {
		t.reign = 7
	}
	if t.over {
		return
	}
	e.waiters.Go(func() {
		select {
		case e.terms <- t:
		case <-t.ended:
		}
	})
}

// end ends the reign and tells its outcomes: all that it appended is committed, but not applied here.
func (e *hubElector) end() {
	t := e.term
	if t == nil {
		return
	}
	e.term, t.over = nil, true
	close(t.ended)
	for _, entry := range e.h.log[min(e.applied, len(e.h.log)):] {
		if entry.by == t && entry.done != nil {
			go entry.done(0, nil, election.ErrUnknown)
		}
	}
	e.h.signal()
}

func (t *hubTerm) Reign() uint64         { return t.reign }
func (t *hubTerm) Done() <-chan struct{} { return t.ended }

func (t *hubTerm) Propose(entry []byte, done func(uint64, any, error)) {
	h := t.e.h
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls++
	switch {
	case len(entry) > election.MaxEntry && h.fault != "too large is taken":
		go done(0, nil, election.ErrTooLarge)
	case t.over && h.fault == "deposed still writes":
		h.log = append(h.log, hubEntry{data: entry, by: t})
		h.signal()
		go done(0, nil, election.ErrDeposed)
	case t.over && h.fault == "deposed still leads":
		h.log = append(h.log, hubEntry{data: entry, by: t})
		h.signal()
		go done(uint64(len(h.log)), "", nil)
	case t.over:
		go done(0, nil, election.ErrDeposed)
	case h.fault == "success is a lie" && h.calls%10 == 5:
		go done(uint64(len(h.log)), "", nil)
	case h.fault == "deposed is a lie" && h.calls%10 == 5:
		h.log = append(h.log, hubEntry{data: entry, by: t, done: func(uint64, any, error) {}})
		h.signal()
		go done(0, nil, election.ErrDeposed)
	case h.fault == "never told" && h.calls%10 == 5:
		h.log = append(h.log, hubEntry{data: entry, by: t, done: func(uint64, any, error) {}})
	case h.fault == "out of order" && len(h.held) == 0:
		h.held = []hubEntry{{data: entry, by: t, done: done}}
	default:
		h.log = append(append(h.log, hubEntry{data: entry, by: t, done: done}), h.held...)
		h.held = nil
		h.signal()
	}
}

func (t *hubTerm) Resign(context.Context) error {
	t.e.h.mu.Lock()
	defer t.e.h.mu.Unlock()
	t.resign("")
	return nil
}

// resign goes to the end of the queue, and brings the heir to its head.
func (t *hubTerm) resign(heir string) {
	h := t.e.h
	if t.over {
		return
	}
	t.e.end()
	h.queue = append(slices.DeleteFunc(h.queue, func(o *hubElector) bool { return o == t.e }), t.e)
	if at := slices.IndexFunc(h.queue, func(o *hubElector) bool { return o.address == heir }); at > 0 {
		h.queue[0], h.queue[at] = h.queue[at], h.queue[0]
	}
	switch h.fault {
	case "nobody follows":
		h.queue = append([]*hubElector{{h: h}}, h.queue...)
	case "resignation is waited out":
		h.rest = true
		time.AfterFunc(h.timeout, func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.rest = false
			h.signal()
		})
	}
	h.signal()
}

// Transfer implements election.Transferer.
func (e *hubElector) Transfer(_ context.Context, id string) error {
	h := e.h
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case e.term == nil && h.fault != "anybody hands over":
		return election.ErrDeposed
	case !slices.ContainsFunc(h.queue, func(o *hubElector) bool { return o.address == id }) && h.fault != "hands over to nobody":
		return errors.New("hub: no such master")
	case e.term != nil && h.fault == "hands over to whoever is next":
		e.term.resign("")
	case e.term != nil:
		e.term.resign(id)
	}
	return nil
}
