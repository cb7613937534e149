package discovery

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// A State says how a member is, as far as this one knows.
type State string

// The states of a member.
const (
	Alive  State = "alive"
	Left   State = "left"   // it said so
	Failed State = "failed" // it stopped answering
)

// A Member is one participant in the gossip.
type Member struct {
	Name    string
	Address string // of its gossip, host:port; see TagAddress for that of its service
	Tags    map[string]string
	State   State
	Since   time.Time // when this member saw State begin
}

func (m Member) clone() Member {
	m.Tags = maps.Clone(m.Tags)
	return m
}

// A Kind says what an Event is about.
type Kind string

// The kinds of events.
const (
	Joined  Kind = "joined"
	Updated Kind = "updated" // its tags or address changed
	Gone    Kind = "gone"    // Member.State says whether it left or failed
	// Resync carries the whole table: it is a watcher's first event, and the next one after it fell behind.
	Resync Kind = "resync"
)

// An Event is one change of the table.
type Event struct {
	Kind    Kind
	Member  Member   // of all kinds but Resync
	Members []Member // of a Resync, in the order of names
}

const (
	maxEvents   = 256  // queued for one watcher; beyond, it gets a Resync
	maxDeparted = 1024 // listed that left or failed
	maxMembers  = 1 << 14
)

// A table is what this member knows. The gossip library calls it under a lock of its own, so it never blocks.
type table struct {
	forget time.Duration

	mu       sync.Mutex
	members  map[string]*entry
	changed  chan struct{}
	watchers map[*Watcher]struct{}
}

type entry struct {
	Member
	leaving bool
}

func newTable(forget time.Duration) *table {
	return &table{forget: forget, members: map[string]*entry{}, changed: make(chan struct{}), watchers: map[*Watcher]struct{}{}}
}

func (t *table) put(now time.Time, name, address string, meta []byte) {
	tags, leaving, err := decodeMeta(meta)
	if err != nil {
		tags = map[string]string{}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	e, known := t.members[name]
	kind := Updated
	if !known || e.State != Alive {
		kind = Joined
		e = &entry{Member: Member{Name: name, State: Alive, Since: now}}
		t.members[name] = e
	}
	e.Address, e.Tags, e.leaving = address, tags, leaving
	t.tell(Event{Kind: kind, Member: e.Member})
}

// hasRoom tells whether a member of this name may be put.
func (t *table) hasRoom(name string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, known := t.members[name]
	return known || len(t.members) < maxMembers+maxDeparted
}

func (t *table) gone(now time.Time, name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e, known := t.members[name]
	if !known || e.State != Alive {
		return
	}
	e.State, e.Since = Failed, now
	if e.leaving {
		e.State = Left
	}
	t.tell(Event{Kind: Gone, Member: e.Member})
	t.prune(now)
}

// prune forgets who departed long ago, and the first to depart when there are too many.
func (t *table) prune(now time.Time) {
	var departed []*entry
	for name, e := range t.members {
		switch {
		case e.State == Alive:
		case now.Sub(e.Since) > t.forget:
			delete(t.members, name)
		default:
			departed = append(departed, e)
		}
	}
	if over := len(departed) - maxDeparted; over > 0 {
		slices.SortFunc(departed, func(a, b *entry) int { return a.Since.Compare(b.Since) })
		for _, e := range departed[:over] {
			delete(t.members, e.Name)
		}
	}
}

func (t *table) tell(e Event) {
	close(t.changed)
	t.changed = make(chan struct{})
	for w := range t.watchers {
		switch {
		case w.resync:
		case len(w.queue) >= maxEvents:
			w.queue, w.resync = nil, true
		default:
			queued := e
			queued.Member = e.Member.clone()
			w.queue = append(w.queue, queued)
		}
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

func (t *table) list() []Member {
	var out []Member
	for _, e := range t.members {
		out = append(out, e.Member.clone())
	}
	slices.SortFunc(out, func(a, b Member) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func (t *table) snapshot(now time.Time) ([]Member, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.prune(now)
	return t.list(), t.changed
}

// A Watcher sees every change of the table, in order. One that is slow is given the whole table instead of what it missed, so it
// costs bounded memory. Close it after use.
type Watcher struct {
	t      *table
	queue  []Event
	resync bool
	wake   chan struct{}
}

func (t *table) watch() *Watcher {
	w := &Watcher{t: t, resync: true, wake: make(chan struct{}, 1)}
	w.wake <- struct{}{}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.watchers[w] = struct{}{}
	return w
}

// Next waits for the next event, the first of which is a Resync, or for ctx.
func (w *Watcher) Next(ctx context.Context) (Event, error) {
	for {
		if e, ok := w.take(); ok {
			return e, nil
		}
		select {
		case <-w.wake:
		case <-ctx.Done():
			return Event{}, ctx.Err()
		}
	}
}

func (w *Watcher) take() (Event, bool) {
	w.t.mu.Lock()
	defer w.t.mu.Unlock()
	if w.resync {
		w.resync = false
		return Event{Kind: Resync, Members: w.t.list()}, true
	}
	if len(w.queue) == 0 {
		return Event{}, false
	}
	e := w.queue[0]
	if w.queue = w.queue[1:]; len(w.queue) == 0 {
		w.queue = nil
	}
	return e, true
}

// Close ends the watch.
func (w *Watcher) Close() {
	w.t.mu.Lock()
	defer w.t.mu.Unlock()
	delete(w.t.watchers, w)
}
