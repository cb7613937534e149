// Package elector is an elector of one's own: masters on one machine elect whoever holds the lock of a shared folder, and keep the log in
// a file there. The kernel takes the lock from a master that dies, and only the one that has it writes.
package elector

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/meros-project/meros/election"
)

const tick = 5 * time.Millisecond // how soon a master sees what the leader wrote, and that the lock is free

// An Elector is one master's part. Its log is a line of JSON for each entry.
type Elector struct {
	dir, address string
	terms        chan election.Term
	offset       int64  // of the first line that is not applied
	index        uint64 // of the last entry that is
	rest         time.Time

	mu      sync.Mutex
	started bool
	leader  election.Peer
	changed chan struct{}
}

// New makes the elector of the master with this address in a folder that all masters share.
func New(dir, address string) *Elector {
	return &Elector{dir: dir, address: address, terms: make(chan election.Term), changed: make(chan struct{})}
}

// Terms implements election.Elector, as do Leader, LeaderChanged and Run.
func (e *Elector) Terms() <-chan election.Term { return e.terms }

func (e *Elector) Leader() (election.Peer, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.leader, e.leader.Address != ""
}

func (e *Elector) LeaderChanged() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.changed
}

func (e *Elector) setLeader(address string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if address != e.leader.Address {
		e.leader = election.Peer{ID: address, Address: address}
		close(e.changed)
		e.changed = make(chan struct{})
	}
}

func (e *Elector) Run(ctx context.Context, env election.Env) error {
	e.mu.Lock()
	again := e.started
	e.started = true
	e.mu.Unlock()
	if again {
		return errors.New("elector: Run was called twice")
	}
	defer close(e.terms)
	defer e.setLeader("")
	lock, err := os.OpenFile(filepath.Join(e.dir, "leader"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	log, err := os.OpenFile(filepath.Join(e.dir, "log"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	for ctx.Err() == nil {
		if err := e.replay(log, env.StateMachine); err != nil {
			return err
		}
		if time.Now().After(e.rest) && syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			err := e.lead(ctx, lock, log, env)
			e.setLeader("")
			if err = errors.Join(err, lock.Truncate(0), syscall.Flock(int(lock.Fd()), syscall.LOCK_UN)); err != nil {
				return err
			}
			e.rest = time.Now().Add(10 * tick) // the others first
		}
		var who [128]byte
		n, _ := lock.ReadAt(who[:], 0)
		e.setLeader(string(who[:n]))
		time.Sleep(tick)
	}
	return nil
}

// replay applies the lines that are new. One without an end is being written, or was when its writer died.
func (e *Elector) replay(log *os.File, m election.StateMachine) error {
	lines := bufio.NewReader(io.NewSectionReader(log, e.offset, 1<<62))
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return nil
		}
		var entry []byte
		if err == nil {
			err = json.Unmarshal(line, &entry)
		}
		if err != nil {
			return fmt.Errorf("elector: entry %d: %w", e.index+1, err)
		}
		if _, err := m.Apply(e.index+1, entry); err != nil {
			return fmt.Errorf("elector: entry %d: %w", e.index+1, err)
		}
		e.index++
		e.offset += int64(len(line))
	}
}

// lead is one reign: this master has the lock, and nobody else writes.
func (e *Elector) lead(ctx context.Context, lock, log *os.File, env election.Env) error {
	if err := errors.Join(e.replay(log, env.StateMachine), log.Truncate(e.offset), lock.Truncate(0)); err != nil {
		return err
	}
	t := &term{ended: make(chan struct{}), wake: make(chan struct{}, 1)}
	t.queue = []proposal{{env.Opening(), func(_ uint64, result any, _ error) { t.reign, _ = result.(uint64) }}}
	if err := e.write(log, env.StateMachine, t); err != nil {
		return err
	}
	if _, err := lock.WriteAt([]byte(e.address), 0); err != nil {
		return err
	}
	e.setLeader(e.address)
	defer t.refuse()
	terms := e.terms
	for {
		select {
		case terms <- t:
			terms = nil
		case <-t.wake:
			if err := e.write(log, env.StateMachine, t); err != nil {
				return err
			}
		case <-t.ended:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

// write makes what is queued durable, and then applies it.
func (e *Elector) write(log *os.File, m election.StateMachine, t *term) error {
	t.mu.Lock()
	batch := t.queue
	t.queue = nil
	t.mu.Unlock()
	var lines []byte
	for _, p := range batch {
		line, _ := json.Marshal(p.entry) // cannot fail for bytes
		lines = append(append(lines, line...), '\n')
	}
	_, err := log.WriteAt(lines, e.offset)
	err = errors.Join(err, log.Sync())
	e.offset += int64(len(lines))
	for _, p := range batch {
		var result any
		if err == nil {
			result, err = m.Apply(e.index+1, p.entry)
		}
		if err != nil {
			p.done(0, nil, election.ErrUnknown)
			continue
		}
		e.index++
		p.done(e.index, result, nil)
	}
	return err
}

// A term is one reign.
type term struct {
	reign uint64
	ended chan struct{}
	wake  chan struct{}
	mu    sync.Mutex
	over  bool
	queue []proposal
}

type proposal struct {
	entry []byte
	done  func(uint64, any, error)
}

func (t *term) Reign() uint64         { return t.reign }
func (t *term) Done() <-chan struct{} { return t.ended }

func (t *term) Propose(entry []byte, done func(uint64, any, error)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case len(entry) > election.MaxEntry:
		go done(0, nil, election.ErrTooLarge)
	case t.over:
		go done(0, nil, election.ErrDeposed)
	default:
		t.queue = append(t.queue, proposal{entry, done})
		select {
		case t.wake <- struct{}{}:
		default:
		}
	}
}

func (t *term) Resign(context.Context) error {
	t.end()
	return nil
}

func (t *term) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.over {
		t.over = true
		close(t.ended)
	}
}

// refuse ends the reign and answers what was not written.
func (t *term) refuse() {
	t.end()
	for _, p := range t.queue {
		p.done(0, nil, election.ErrDeposed)
	}
}
