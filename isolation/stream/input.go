package stream

import (
	"errors"
	"io"
	"sync"
)

// InputWindow is how many bytes of Stdin may be on the way.
const InputWindow = 8 * MaxData

// ErrClosed says that what an Input or Credit belongs to is over.
var ErrClosed = errors.New("stream: is closed")

// An Input keeps the Stdin that has arrived until its reader takes it: at most InputWindow bytes.
type Input struct {
	mu     sync.Mutex
	change sync.Cond
	wait   []byte
	ended  bool // no more will come
	closed bool // nobody wants more
}

// NewInput returns an Input that nothing has arrived at.
func NewInput() *Input {
	in := &Input{}
	in.change.L = &in.mu
	return in
}

// Put takes the body of a Stdin without blocking; an empty one is the end. It fails if the sender sends more than it may.
func (in *Input) Put(body []byte) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if len(in.wait)+len(body) > InputWindow || in.ended && len(body) > 0 {
		return errors.New("stream: more input than the window has room for, or after its end")
	}
	in.ended = in.ended || len(body) == 0
	if !in.closed {
		in.wait = append(in.wait, body...)
	}
	in.change.Signal()
	return nil
}

// Close ends Copy; what arrives from then on is thrown away.
func (in *Input) Close() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed, in.wait = true, nil
	in.change.Signal()
}

// Copy writes what arrives to w until its end, and says after each write how many bytes were used. It returns nil at the end of the input, and
// the error with which w has refused more.
func (in *Input) Copy(w io.Writer, used func(int) error) error {
	var b []byte
	for {
		in.mu.Lock()
		for len(in.wait) == 0 && !in.ended && !in.closed {
			in.change.Wait()
		}
		if in.closed || len(in.wait) == 0 {
			closed := in.closed
			in.mu.Unlock()
			if closed {
				return ErrClosed
			}
			return nil
		}
		b = append(b[:0], in.wait[:min(len(in.wait), MaxData)]...)
		in.wait = in.wait[:copy(in.wait, in.wait[len(b):])]
		in.mu.Unlock()
		if _, err := w.Write(b); err != nil {
			return err
		}
		if err := used(len(b)); err != nil {
			return err
		}
	}
}

// A Credit is how many bytes of Stdin its owner may still send.
type Credit struct {
	mu     sync.Mutex
	change sync.Cond
	left   int
	closed bool
}

// NewCredit returns a Credit of InputWindow bytes.
func NewCredit() *Credit {
	c := &Credit{left: InputWindow}
	c.change.L = &c.mu
	return c
}

// Take waits until something may be sent, and takes at most n bytes of the credit. It returns zero once the Credit is closed.
func (c *Credit) Take(n int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.left == 0 && !c.closed {
		c.change.Wait()
	}
	if c.closed {
		return 0
	}
	n = min(n, c.left, MaxData)
	c.left -= n
	return n
}

// Add gives back what the other side has used. More than was taken counts for nothing.
func (c *Credit) Add(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left = min(c.left+max(n, 0), InputWindow)
	c.change.Broadcast()
}

// Close ends every Take.
func (c *Credit) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.change.Broadcast()
}
