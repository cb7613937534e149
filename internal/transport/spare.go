package transport

import (
	"sync"

	"github.com/meros-project/meros/internal/message"
)

// A Spare lends slices to what fills and empties one again and again, such as with the messages of one frame after the other. A short slice
// stays with its owner; a long one, which a process with thousands of connections cannot keep for each, goes round among all that use the same
// Spare. The zero value is ready. It is safe for concurrent use.
type Spare[T any] struct{ long sync.Pool }

const (
	keptItems  = 1024 // a slice with more room does not stay with its owner
	spareItems = 64 << 10
)

// Room returns s, or a copy that has its elements and, where one is at hand, room for n more.
func (p *Spare[T]) Room(s []T, n int) []T {
	if n <= cap(s)-len(s) || len(s)+n <= keptItems {
		return s
	}
	if l, ok := p.long.Get().(*[]T); ok {
		return append((*l)[:0], s...)
	}
	return s
}

// Emptied takes the elements out of s, which nobody else may use any more, and returns it to be filled again, or nil.
func (p *Spare[T]) Emptied(s []T) []T {
	if cap(s) > spareItems {
		return nil
	}
	clear(s)
	s = s[:0]
	if cap(s) > keptItems {
		long := s // so that only this one is allocated
		p.long.Put(&long)
		return nil
	}
	return s
}

// Envelopes is the Spare of what Receive returns.
var Envelopes Spare[message.Envelope]

// likely is how many messages a frame has, about, if they are small.
func likely(frame []byte) int { return len(frame) / 64 }
