package slavecore

import (
	"time"

	"github.com/meros-project/meros/offer"
)

// A stream holds updates of one subject, of a task or of an operation, until they are acknowledged: in order, the first one in flight
// (T3, T4). It is sent only once it is on disk, and again until it is acknowledged.
type stream[T any] struct {
	entries []entry[T]
	room    [2]entry[T] // for the first entries: most streams never have more at once
	epoch   uint64      // the registration under which the first one was last sent; zero: it was not
	tries   int         // how often the first one was sent
	wait    time.Duration
}

type entry[T any] struct {
	value   T
	uuid    offer.UUID
	durable bool
}

func (s *stream[T]) push(v T, uuid offer.UUID) {
	if len(s.entries) == 0 {
		s.entries = s.room[:0]
	}
	s.entries = append(s.entries, entry[T]{value: v, uuid: uuid})
}

func (s *stream[T]) head() *entry[T] {
	if len(s.entries) == 0 {
		return nil
	}
	return &s.entries[0]
}

// find looks from the end, where new entries are.
func (s *stream[T]) find(uuid offer.UUID) *entry[T] {
	for i := len(s.entries) - 1; i >= 0; i-- {
		if s.entries[i].uuid == uuid {
			return &s.entries[i]
		}
	}
	return nil
}

// durable marks an entry as being on disk.
func (s *stream[T]) durable(uuid offer.UUID) {
	if e := s.find(uuid); e != nil {
		e.durable = true
	}
}

// ready reports whether the first entry is to be sent now under this registration.
func (s *stream[T]) ready(epoch uint64) bool {
	h := s.head()
	return h != nil && h.durable && s.epoch != epoch
}

// sent notes that the first entry was sent, and returns after what time it is to be sent again.
func (s *stream[T]) sent(epoch uint64, first, most time.Duration) time.Duration {
	if s.epoch != epoch || s.wait == 0 {
		s.wait = first
	} else {
		s.wait = min(s.wait*2, most)
	}
	s.epoch = epoch
	s.tries++
	return s.wait
}

// ack takes the first entry off if it has this uuid and is on disk.
func (s *stream[T]) ack(uuid offer.UUID) (v T, ok bool) {
	h := s.head()
	if h == nil || !h.durable || h.uuid != uuid || uuid.IsZero() {
		return v, false
	}
	v = h.value
	s.entries[0] = entry[T]{}
	s.entries = s.entries[1:]
	s.epoch, s.tries, s.wait = 0, 0, 0
	return v, true
}
