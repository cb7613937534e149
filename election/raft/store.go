package raft

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	hraft "github.com/hashicorp/raft"
	"github.com/meros-project/meros/election"
)

// A logStore is what the library needs of a disk.
type logStore interface {
	hraft.LogStore
	hraft.StableStore
	Close() error
}

var (
	keyTerm     = "CurrentTerm"
	errDiskDead = errors.New("raft: the log store failed before and is not used again")
)

// A watchedStore measures how long writes take and stops trusting the disk after the first that fails: what an fsync that failed
// has left on the disk is unknown, and one that succeeds afterwards proves nothing.
type watchedStore struct {
	logStore
	failed func(error) // called once, with the first failure
	voted  func(term uint64)
	// The library writes its term once before it starts goroutines of its own: starting is set before that, inside from then on.
	starting, inside atomic.Bool

	mu     sync.Mutex
	writes map[uint64]time.Time // in flight, by ticket
	ticket uint64
	dead   bool
}

func newWatchedStore(s logStore, failed func(error), voted func(uint64)) *watchedStore {
	return &watchedStore{logStore: s, failed: failed, voted: voted, writes: map[uint64]time.Time{}}
}

// oldest tells how long the write that is in flight longest has taken.
func (w *watchedStore) oldest(now time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	var d time.Duration
	for _, began := range w.writes {
		d = max(d, now.Sub(began))
	}
	return d
}

func (w *watchedStore) write(f func() error) error {
	w.mu.Lock()
	if w.dead {
		w.mu.Unlock()
		return errDiskDead
	}
	w.ticket++
	ticket := w.ticket
	w.writes[ticket] = time.Now()
	w.mu.Unlock()

	err := f()

	w.mu.Lock()
	delete(w.writes, ticket)
	first := err != nil && !w.dead
	w.dead = w.dead || err != nil
	w.mu.Unlock()
	if first {
		w.failed(err)
	}
	return err
}

func (w *watchedStore) StoreLog(l *hraft.Log) error {
	return w.write(func() error { return w.logStore.StoreLog(l) })
}

func (w *watchedStore) StoreLogs(l []*hraft.Log) error {
	return w.write(func() error { return w.logStore.StoreLogs(l) })
}

func (w *watchedStore) DeleteRange(first, last uint64) error {
	return w.write(func() error { return w.logStore.DeleteRange(first, last) })
}

func (w *watchedStore) Set(k, v []byte) error {
	return w.write(func() error { return w.logStore.Set(k, v) })
}

func (w *watchedStore) SetUint64(k []byte, v uint64) error {
	err := w.write(func() error { return w.logStore.SetUint64(k, v) })
	if string(k) != keyTerm {
		return err
	}
	if err != nil {
		// The library answers an error here with a panic, which would take the host program down. Run has been told; the goroutine
		// that cannot go on without its term ends.
		if w.inside.Load() {
			runtime.Goexit()
		}
		return err
	}
	w.inside.Store(w.starting.Load())
	w.voted(v)
	return nil
}

// watch calls slow with true when a write has taken longer than soft and with false when it is over, and dead once when one has taken
// longer than hard. It returns when stop is closed or after dead.
func (w *watchedStore) watch(stop <-chan struct{}, soft, hard time.Duration, slow func(bool), dead func(error)) {
	ticker := time.NewTicker(max(min(soft/20, 250*time.Millisecond), time.Millisecond))
	defer ticker.Stop()
	was := false
	for {
		select {
		case <-stop:
			return
		case now := <-ticker.C:
			d := w.oldest(now)
			if is := d > soft; is != was {
				was = is
				slow(is)
			}
			if d > hard {
				dead(election.ErrDiskStalled)
				return
			}
		}
	}
}
