package master

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"io"
	"sync"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/internal/wire"
)

// fsm is the registry as the elector drives it. Entries come from one goroutine at a time; view is asked by others.
type fsm struct {
	mu      sync.Mutex
	state   *registry.State
	applied uint64 // index of the last entry that was applied here
}

func newFSM() *fsm { return &fsm{state: registry.New()} }

func (f *fsm) view() *registry.View {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state.View()
}

// at is the registry after the entry index.
func (f *fsm) at() (view *registry.View, index uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.state.View(), f.applied
}

// Apply implements election.StateMachine. The result is the reign of an entry that opens one, else []registry.Result.
func (f *fsm) Apply(index uint64, entry []byte) (any, error) {
	e, err := wire.DecodeEntry(entry)
	if err != nil {
		return nil, fmt.Errorf("registry entry %d: %w", index, err)
	}
	f.mu.Lock()
	results := f.state.Apply(e)
	f.applied = index
	f.mu.Unlock()
	if len(e.Commands) > 0 {
		if _, opens := e.Commands[0].Op.(*registry.Open); opens {
			if results[0].Err != nil {
				return nil, fmt.Errorf("registry entry %d: %w", index, results[0].Err)
			}
			return results[0].Reign, nil
		}
	}
	return results, nil
}

// Snapshot implements election.StateMachine.
func (f *fsm) Snapshot() (election.Snapshot, error) { return snapshot{f.view()}, nil }

// Restore implements election.StateMachine.
func (f *fsm) Restore(r io.Reader) error {
	state, err := registry.Import(wire.ReadSnapshot(bufio.NewReaderSize(r, 64<<10)))
	if err != nil {
		return err
	}
	f.mu.Lock()
	f.state = state
	f.mu.Unlock()
	return nil
}

type snapshot struct{ view *registry.View }

// WriteTo streams the view; it needs the memory of one record.
func (s snapshot) WriteTo(w io.Writer) (int64, error) {
	b := bufio.NewWriterSize(w, 64<<10)
	n, err := wire.WriteSnapshot(b, s.view.Export())
	if err != nil {
		return n, err
	}
	return n, b.Flush()
}

// Release implements election.Snapshot.
func (snapshot) Release() {}

// randomKey makes an idempotency key for what the shell itself proposes.
func randomKey() (k registry.Key) {
	_, _ = rand.Read(k[:]) // never fails, see its documentation
	return k
}
