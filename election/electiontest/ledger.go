package electiontest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/meros-project/meros/election"
)

// A Ledger is a state machine that keeps every entry it applied and counts the openings. Its zero value is ready, and its methods
// are safe for concurrent use.
type Ledger struct {
	mu       sync.Mutex
	state    ledgerState
	last     uint64
	restored int
}

type ledgerState struct {
	Reign   uint64
	Entries []string          // with the openings, as openingLine
	Values  map[string]string // what was last swapped in under each key
}

const (
	opening     = "open a reign"
	openingLine = "\x00reign "
	swapPrefix  = "swap "
)

// Opening returns the entry that opens a reign, as Env.Opening does.
func (l *Ledger) Opening() []byte { return []byte(opening) }

// Apply implements election.StateMachine. The result is the number of entries; of an opening the reign as a uint64; and of an entry
// "swap KEY VALUE ..." the value that was there before, "" at first.
func (l *Ledger) Apply(index uint64, entry []byte) (any, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if index <= l.last {
		return nil, fmt.Errorf("electiontest: entry %d came after entry %d", index, l.last)
	}
	l.last = index
	text := string(entry)
	if text == opening {
		l.state.Reign++
		l.state.Entries = append(l.state.Entries, openingLine+strconv.FormatUint(l.state.Reign, 10))
		return l.state.Reign, nil
	}
	l.state.Entries = append(l.state.Entries, text)
	if fields := strings.Fields(text); len(fields) > 2 && strings.HasPrefix(text, swapPrefix) {
		if l.state.Values == nil {
			l.state.Values = map[string]string{}
		}
		before := l.state.Values[fields[1]]
		l.state.Values[fields[1]] = fields[2]
		return before, nil
	}
	return len(l.state.Entries) - int(l.state.Reign), nil
}

// Entries returns what was applied, without the openings.
func (l *Ledger) Entries() []string {
	return slices.DeleteFunc(l.log(), func(s string) bool { return strings.HasPrefix(s, openingLine) })
}

// log returns what was applied, with the openings.
func (l *Ledger) log() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.state.Entries)
}

// restores counts the snapshots that were taken over.
func (l *Ledger) restores() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.restored
}

// endsWith tells whether entry is the last one, without the openings.
func (l *Ledger) endsWith(entry string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range slices.Backward(l.state.Entries) {
		if !strings.HasPrefix(e, openingLine) {
			return e == entry
		}
	}
	return false
}

type ledgerSnapshot ledgerState

// Snapshot implements election.StateMachine.
func (l *Ledger) Snapshot() (election.Snapshot, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return ledgerSnapshot{l.state.Reign, slices.Clone(l.state.Entries), maps.Clone(l.state.Values)}, nil
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
	l.restored++
	return nil
}
