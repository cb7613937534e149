package memtransport

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// bufferSize is how much may be on its way in one direction.
const bufferSize = 64 << 10

// A link is one connection with its two ends.
type link struct {
	network *Network
	ends    pair
	mu      sync.Mutex // of both directions
	flows   [2]flow
	held    bool
	open    int // ends that are not closed
}

// A flow is one direction: from the end with the same index to the other.
type flow struct {
	cond   sync.Cond
	buf    []byte
	ended  bool // the sender has closed its side
	broken bool // the connection was reset, or the receiver has closed
}

// A conn is one end of a link.
type conn struct {
	link          *link
	end           int
	local, remote address
	read, write   deadline
	closed        bool
}

// A deadline of reads or writes. Its timer wakes those that wait.
type deadline struct {
	at    time.Time
	timer *time.Timer
}

func newLink(n *Network, ends pair, dialer, listener address) (k *link, dialing, listening *conn) {
	k = &link{network: n, ends: ends, open: 2}
	for i := range k.flows {
		k.flows[i].cond.L = &k.mu
	}
	return k, &conn{link: k, end: 0, local: dialer, remote: listener}, &conn{link: k, end: 1, local: listener, remote: dialer}
}

func (k *link) wake() {
	for i := range k.flows {
		k.flows[i].cond.Broadcast()
	}
}

func (k *link) hold(on bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.held = on
	k.wake()
}

func (k *link) reset() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range k.flows {
		k.flows[i].broken = true
		k.flows[i].buf = nil
	}
	k.wake()
}

func (d *deadline) passed() bool { return !d.at.IsZero() && !time.Now().Before(d.at) }

func (d *deadline) set(at time.Time, wake func()) {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.at = at
	if wait := time.Until(at); !at.IsZero() && wait > 0 {
		d.timer = time.AfterFunc(wait, wake)
	}
}

// Read waits for what the other end has written.
func (c *conn) Read(b []byte) (int, error) {
	k, in := c.link, &c.link.flows[1-c.end]
	k.mu.Lock()
	defer k.mu.Unlock()
	for {
		switch {
		case c.closed:
			return 0, net.ErrClosed
		case c.read.passed():
			return 0, os.ErrDeadlineExceeded
		case in.broken:
			return 0, errReset
		case k.held:
		case len(in.buf) > 0:
			n := copy(b, in.buf)
			if in.buf = in.buf[n:]; len(in.buf) == 0 {
				in.buf = nil
			}
			in.cond.Broadcast()
			return n, nil
		case in.ended:
			return 0, io.EOF
		}
		in.cond.Wait()
	}
}

// Write waits for room in the buffer.
func (c *conn) Write(b []byte) (int, error) {
	k, out := c.link, &c.link.flows[c.end]
	k.mu.Lock()
	defer k.mu.Unlock()
	written := 0
	for {
		switch {
		case c.closed, out.ended:
			return written, net.ErrClosed
		case c.write.passed():
			return written, os.ErrDeadlineExceeded
		case out.broken:
			return written, errReset
		case len(b) == 0:
			return written, nil
		}
		if n := min(len(b), bufferSize-len(out.buf)); n > 0 {
			out.buf = append(out.buf, b[:n]...)
			b = b[n:]
			written += n
			out.cond.Broadcast()
			continue
		}
		out.cond.Wait()
	}
}

// CloseWrite ends our side; the other end reads what is on its way, then io.EOF.
func (c *conn) CloseWrite() error {
	k := c.link
	k.mu.Lock()
	defer k.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	k.flows[c.end].ended = true
	k.wake()
	return nil
}

// Close ends both sides. What the other end has written and we have not read is lost, and its next write fails.
func (c *conn) Close() error {
	k := c.link
	k.mu.Lock()
	if c.closed {
		k.mu.Unlock()
		return net.ErrClosed
	}
	c.closed = true
	k.flows[c.end].ended = true
	k.flows[1-c.end].broken = true
	k.flows[1-c.end].buf = nil
	c.read.set(time.Time{}, nil)
	c.write.set(time.Time{}, nil)
	k.open--
	last := k.open == 0
	k.wake()
	k.mu.Unlock()
	if last {
		k.network.drop(k)
	}
	return nil
}

// LocalAddr is the address of this end.
func (c *conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr is the address of the other end.
func (c *conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline sets both deadlines.
func (c *conn) SetDeadline(t time.Time) error { return c.setDeadline(t, true, true) }

// SetReadDeadline makes reads fail with os.ErrDeadlineExceeded from t on; the zero time means never.
func (c *conn) SetReadDeadline(t time.Time) error { return c.setDeadline(t, true, false) }

// SetWriteDeadline makes writes fail with os.ErrDeadlineExceeded from t on; the zero time means never.
func (c *conn) SetWriteDeadline(t time.Time) error { return c.setDeadline(t, false, true) }

func (c *conn) setDeadline(t time.Time, read, write bool) error {
	k := c.link
	k.mu.Lock()
	defer k.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	wake := func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.wake()
	}
	if read {
		c.read.set(t, wake)
	}
	if write {
		c.write.set(t, wake)
	}
	k.wake()
	return nil
}
