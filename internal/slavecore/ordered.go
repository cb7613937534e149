package slavecore

// ordered is a map that iterates in the order of insertion. All operations are O(1).
type ordered[K comparable, V any] struct {
	nodes       map[K]*node[K, V]
	first, last *node[K, V]
}

type node[K comparable, V any] struct {
	key        K
	value      V
	prev, next *node[K, V]
}

func (o *ordered[K, V]) len() int { return len(o.nodes) }

func (o *ordered[K, V]) get(k K) (v V) {
	if n := o.nodes[k]; n != nil {
		return n.value
	}
	return v
}

// put inserts at the end; k must be new.
func (o *ordered[K, V]) put(k K, v V) {
	if o.nodes == nil {
		o.nodes = map[K]*node[K, V]{}
	}
	n := &node[K, V]{key: k, value: v, prev: o.last}
	if o.last != nil {
		o.last.next = n
	} else {
		o.first = n
	}
	o.last = n
	o.nodes[k] = n
}

func (o *ordered[K, V]) remove(k K) {
	n := o.nodes[k]
	if n == nil {
		return
	}
	delete(o.nodes, k)
	if n.prev != nil {
		n.prev.next = n.next
	} else {
		o.first = n.next
	}
	if n.next != nil {
		n.next.prev = n.prev
	} else {
		o.last = n.prev
	}
}

// all iterates; what is removed meanwhile is skipped if it lies ahead, and the entry at hand may be removed.
func (o *ordered[K, V]) all(yield func(V) bool) {
	for n := o.first; n != nil; {
		if cur, ok := o.nodes[n.key]; ok && cur == n {
			if !yield(n.value) {
				return
			}
		}
		n = n.next
	}
}
