package lab

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/meros-project/meros/offer"
)

// An entry is one line of a framework's ledger: what it has decided, before it says so, and what it was told, before it acknowledges.
type entry struct {
	Time   time.Time     `json:"time"`
	What   string        `json:"what"` // start, framework, launch, state, kill or stranger
	ID     string        `json:"id,omitempty"`
	Slot   string        `json:"slot,omitempty"` // of a long task; short ones have none
	Leased bool          `json:"leased,omitempty"`
	Slave  offer.SlaveID `json:"slave,omitempty"`
	Host   string        `json:"host,omitempty"`
	State  string        `json:"state,omitempty"`
	Reason string        `json:"reason,omitempty"`
	Detail string        `json:"detail,omitempty"`
}

// A record is all that a ledger says of one task.
type record struct {
	id       string
	slot     string
	leased   bool
	slave    offer.SlaveID
	host     string
	life     int // the process of the framework that has launched it
	launched time.Time
	state    string // the latest; empty before the first
	reason   string
	detail   string
	at       time.Time // of state
	killed   bool      // on the framework's request
	replaced bool      // out of reach, so that the slot has another
}

func (r *record) ended() bool {
	var s offer.State
	return r.state != "" && s.UnmarshalText([]byte(r.state)) == nil && s.Terminal()
}

// A book is what a ledger comes to.
type book struct {
	framework offer.FrameworkID
	lives     int
	tasks     map[string]*record
	order     []*record
	slots     map[string]*record // the latest of each
	strangers []string
	shorts    int // ever launched
}

func newBook() *book { return &book{tasks: map[string]*record{}, slots: map[string]*record{}} }

func (b *book) add(e entry) {
	r := b.tasks[e.ID]
	switch e.What {
	case "start":
		b.lives++
	case "framework":
		b.framework = offer.FrameworkID(e.ID)
	case "launch":
		r = &record{id: e.ID, slot: e.Slot, leased: e.Leased, slave: e.Slave, host: e.Host, life: b.lives, launched: e.Time}
		b.tasks[e.ID] = r
		b.order = append(b.order, r)
		if e.Slot != "" {
			b.slots[e.Slot] = r
		} else {
			b.shorts++
		}
	case "state":
		r.state, r.reason, r.detail, r.at = e.State, e.Reason, e.Detail, e.Time
		if e.State == offer.Unreachable.String() && !r.leased {
			r.replaced = true
		}
	case "kill":
		r.killed = true
	case "stranger":
		b.strangers = append(b.strangers, e.ID)
	}
}

// A ledger is the file of a book.
type ledger struct {
	file *os.File
	book *book
}

// openLedger reads what is there, and appends from then on. A process that was killed may have left half a line, which it has not acted on.
func openLedger(path string) (*ledger, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	l := &ledger{file: f, book: newBook()}
	whole, err := readEntries(f, l.book)
	if err == nil {
		err = f.Truncate(whole)
	}
	if err == nil {
		_, err = f.Seek(whole, io.SeekStart)
	}
	return l, err
}

// readEntries adds whole lines to a book, and returns how many bytes they were.
func readEntries(r io.Reader, b *book) (whole int64, err error) {
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return whole, nil
		}
		if err != nil {
			return whole, err
		}
		var e entry
		if err := json.Unmarshal(bytes.TrimSpace(line), &e); err != nil {
			return whole, fmt.Errorf("ledger: %q: %w", line, err)
		}
		b.add(e)
		whole += int64(len(line))
	}
}

// write adds a line and takes it into the book.
func (l *ledger) write(e entry) error {
	e.Time = time.Now()
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if _, err := l.file.Write(append(line, '\n')); err != nil {
		return err
	}
	l.book.add(e)
	return nil
}
