package elector

import (
	"sync"
	"time"
)

// A Store is what the masters share. Here it is memory, for masters in one process; with etcd, Consul or a database what is done under its
// lock is a transaction, and changed a watch. That only the holder of the lease appends is seen to by the store, and not by anybody's clock.
type Store struct {
	mu      sync.Mutex
	log     []record
	holder  *term // of the lease; nil if nobody leads
	expires time.Time
	changed chan struct{} // closed at each change
}

// A record is an entry, by whom it was proposed, and who waits for its outcome.
type record struct {
	entry []byte
	by    *term
	done  func(uint64, any, error)
}

// NewStore makes an empty store.
func NewStore() *Store { return &Store{changed: make(chan struct{})} }

// append is called with the lock, as is release, which ends the reign t if it is the present one.
func (s *Store) append(r ...record) {
	s.log = append(s.log, r...)
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Store) release(t *term) {
	if t != nil && s.holder == t {
		close(t.ended)
		s.holder = nil
	}
	s.append()
}
