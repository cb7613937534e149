package frameworkcore

// fifo is a queue that uses its memory again. Its zero value is empty; every operation takes constant time, on average.
type fifo[T any] struct {
	items []T
	head  int // of the first; what is before it is zero
}

func (q *fifo[T]) len() int { return len(q.items) - q.head }

// at returns the i-th from the front. It is valid until the next push or pop.
func (q *fifo[T]) at(i int) *T { return &q.items[q.head+i] }

func (q *fifo[T]) push(v T) { q.items = append(q.items, v) }

func (q *fifo[T]) pop() (v T) {
	var zero T
	v, q.items[q.head] = q.items[q.head], zero
	q.head++
	if 2*q.head >= len(q.items) {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	return v
}
