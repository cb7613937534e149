package electiontest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/meros-project/meros/election"
)

// A Ledger is a state machine that keeps every entry it applied and counts the openings. Its zero value is ready, and its methods
// are safe for concurrent use.
type Ledger struct {
	mu    sync.Mutex
	state ledgerState
	last  uint64
}

type ledgerState struct {
	Reign   uint64
	Entries []string
}

const opening = "open a reign"

// Opening returns the entry that opens a reign, as Env.Opening does.
func (l *Ledger) Opening() []byte { return []byte(opening) }

// Apply implements election.StateMachine; the result is the number of entries, and of an opening the reign.
func (l *Ledger) Apply(index uint64, entry []byte) (any, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if index <= l.last {
		return nil, fmt.Errorf("electiontest: entry %d came after entry %d", index, l.last)
	}
	l.last = index
	if string(entry) == opening {
		l.state.Reign++
		return l.state.Reign, nil
	}
	l.state.Entries = append(l.state.Entries, string(entry))
	return len(l.state.Entries), nil
}

// Entries returns what was applied, without the openings.
func (l *Ledger) Entries() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.state.Entries)
}

type ledgerSnapshot ledgerState

// Snapshot implements election.StateMachine.
func (l *Ledger) Snapshot() (election.Snapshot, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return ledgerSnapshot{l.state.Reign, slices.Clone(l.state.Entries)}, nil
}

func (s ledgerSnapshot) WriteTo(w io.Writer) (int64, error) {
	b, err := json.Marshal(s)
	if err != nil {
		return 0, err
	}
	n, err := w.Write(b)
	return int64(n), err
}

func (ledgerSnapshot) Release() {}

// Restore implements election.StateMachine.
func (l *Ledger) Restore(r io.Reader) error {
	var s ledgerState
	if err := json.NewDecoder(r).Decode(&s); err != nil {
		return errors.Join(errors.New("electiontest: snapshot is damaged"), err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state, l.last = s, 0
	return nil
}
