package raft

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/meros-project/meros/election"
)

const (
	guardFile = "guard"
	maxGuard  = 64 << 10
)

// A mark is how far a node's disk is known to have come: its term, and an entry that it holds and that is committed. Neither ever
// goes down on a sound disk: terms only rise, and committed entries are never removed but by a snapshot that covers them.
type mark struct {
	Term  uint64 `json:"term"`
	Index uint64 `json:"index"`
}

func (m mark) String() string { return fmt.Sprintf("term %d, entry %d", m.Term, m.Index) }

func (m mark) behind(o mark) bool { return m.Term < o.Term || m.Index < o.Index }

func (m mark) max(o mark) mark { return mark{max(m.Term, o.Term), max(m.Index, o.Index)} }

// A memory is what is known of another node: the highest mark of its present run and of those before.
type memory struct {
	mark
	// Run is drawn at random at each start of the node. A mark is compared when a new one shows up: the node's opening mark must
	// not be behind what its earlier runs had.
	Run string `json:"run"`
}

// A guard remembers marks outside of the log's file, this node's and the others', so that a file restored from a copy stands out.
type guard struct {
	path string

	mu    sync.Mutex
	dirty bool
	self  mark
	peers map[string]memory
}

type guardJSON struct {
	Self  mark              `json:"self"`
	Peers map[string]memory `json:"peers"`
}

func openGuard(dir string) (*guard, error) {
	g := &guard{path: filepath.Join(dir, guardFile), peers: map[string]memory{}}
	b, err := os.ReadFile(g.path)
	if errors.Is(err, fs.ErrNotExist) {
		return g, nil
	}
	if err != nil {
		return nil, fmt.Errorf("raft: read guard: %w", err)
	}
	var j guardJSON
	if len(b) > maxGuard {
		return nil, fmt.Errorf("raft: guard %s has %d bytes, at most %d are allowed", g.path, len(b), maxGuard)
	}
	if err := json.Unmarshal(b, &j); err != nil {
		return nil, fmt.Errorf("raft: guard %s: %w", g.path, err)
	}
	g.self = j.Self
	for id, m := range j.Peers {
		g.peers[id] = m
	}
	return g, nil
}

// check compares what the log's file holds with what this node once had.
func (g *guard) check(found mark, accept bool) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if found.behind(g.self) && !accept {
		return fmt.Errorf("%w: its log ends at %v, this node was at %v", ErrRolledBack, found, g.self)
	}
	if accept {
		g.self = found
		g.dirty = true
	}
	return nil
}

// reached notes this node's own mark.
func (g *guard) reached(m mark) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if up := g.self.max(m); up != g.self {
		g.self, g.dirty = up, true
	}
}

// met compares the opening mark of another node with what is remembered of it.
func (g *guard) met(id, run string, opening mark, accept bool) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	m, known := g.peers[id]
	if known && m.Run == run {
		return nil
	}
	if known && opening.behind(m.mark) && !accept {
		return fmt.Errorf("%w: node %s started at %v, it was seen at %v", ErrRolledBack, id, opening, m.mark)
	}
	g.peers[id], g.dirty = memory{mark: opening, Run: run}, true
	return nil
}

// saw notes what another node has confirmed to hold.
func (g *guard) saw(id string, has mark) {
	g.mu.Lock()
	defer g.mu.Unlock()
	m, known := g.peers[id]
	if up := m.mark.max(has); known && up != m.mark {
		m.mark = up
		g.peers[id], g.dirty = m, true
	}
}

// configured forgets the nodes that a committed configuration has left out: one that is added again under its old id may begin with an
// empty folder. What is remembered of later entries than that stays, when old configurations are applied once more after a start.
func (g *guard) configured(index uint64, in func(id string) bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for id, m := range g.peers {
		if m.Index < index && !in(id) {
			delete(g.peers, id)
			g.dirty = true
		}
	}
}

// confirmed tells the highest committed entry that another node is known to hold.
func (g *guard) confirmed(id string) uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.peers[id].Index
}

// save writes the guard if it has changed, without the nodes that keep refuses.
func (g *guard) save(keep func(id string) bool) error {
	g.mu.Lock()
	for id := range g.peers {
		if !keep(id) {
			delete(g.peers, id)
			g.dirty = true
		}
	}
	if !g.dirty {
		g.mu.Unlock()
		return nil
	}
	g.dirty = false
	b, err := json.Marshal(guardJSON{Self: g.self, Peers: g.peers})
	g.mu.Unlock()
	if err != nil {
		return fmt.Errorf("raft: write guard: %w", err)
	}
	return election.WriteFileDurably(g.path, b)
}
