package isolation

import "sync"

// Held is what an isolator knows of the containers that it holds, by their ids. It is safe for concurrent use; the zero value is empty.
type Held[T any] struct {
	mu sync.Mutex
	of map[string]*T
}

// Put notes a container, in the place of what was known of it.
func (h *Held[T]) Put(container string, v *T) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.of == nil {
		h.of = map[string]*T{}
	}
	h.of[container] = v
}

// Drop forgets a container, which need not be known.
func (h *Held[T]) Drop(container string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.of, container)
}

// With calls f with what is known of a container, unless that is nothing, and reports whether it did. While f runs nobody else looks at any
// container: it must be quick, and must not keep what it is given.
func (h *Held[T]) With(container string, f func(*T)) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	v := h.of[container]
	if v == nil {
		return false
	}
	f(v)
	return true
}
