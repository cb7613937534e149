package raft

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"

	hraft "github.com/hashicorp/raft"
	"github.com/meros-project/meros/election"
)

var errStopped = errors.New("raft: an entry before this one could not be applied")

// An outcome is what applying an entry gave, as the proposer's future carries it.
type outcome struct {
	result any
	term   uint64 // that the entry was appended in
	err    error
}

// An fsm hands committed entries to the state machine, until one cannot be applied.
type fsm struct {
	sm      election.StateMachine
	fatal   func(error)
	members func(index uint64, in func(id string) bool) // told each committed configuration
	applied atomic.Uint64
	dead    bool // owned by the goroutine that applies
}

func (f *fsm) Apply(l *hraft.Log) any {
	if f.dead {
		return outcome{err: errStopped}
	}
	result, err := f.sm.Apply(l.Index, l.Data)
	if err != nil {
		f.dead = true
		err = fmt.Errorf("raft: apply entry %d: %w", l.Index, err)
		f.fatal(err)
		return outcome{err: err}
	}
	f.applied.Store(l.Index)
	return outcome{result: result, term: l.Term}
}

// StoreConfiguration implements the library's ConfigurationStore.
func (f *fsm) StoreConfiguration(index uint64, c hraft.Configuration) {
	f.members(index, func(id string) bool {
		return slices.ContainsFunc(c.Servers, func(s hraft.Server) bool { return string(s.ID) == id })
	})
}

func (f *fsm) Snapshot() (hraft.FSMSnapshot, error) {
	if f.dead {
		return nil, errStopped
	}
	s, err := f.sm.Snapshot()
	if err != nil {
		return nil, err
	}
	return fsmSnapshot{s}, nil
}

func (f *fsm) Restore(r io.ReadCloser) error {
	defer r.Close()
	return f.sm.Restore(r)
}

type fsmSnapshot struct{ s election.Snapshot }

func (s fsmSnapshot) Persist(sink hraft.SnapshotSink) error {
	if _, err := s.s.WriteTo(sink); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}

func (s fsmSnapshot) Release() { s.s.Release() }
