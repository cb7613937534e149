package zookeeper

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A dialer opens the connections of one session, reads off them what the client library does not tell (for how long the ensemble keeps
// the session), bounds what it leaves unbounded (a server that accepts and says nothing), and can end them all.
type dialer struct {
	dial       func(ctx context.Context, address string) (net.Conn, error)
	secure     *tls.Config // nil for plain text
	handshake  time.Duration
	negotiated atomic.Int64 // nanoseconds; zero before the first handshake
	watching   atomic.Bool  // there are watches, which the library will set again on each new connection

	mu     sync.Mutex
	closed bool
	conns  map[*conn]struct{}
	why    error // the last connection came to nothing
}

func newDialer(dial func(context.Context, string) (net.Conn, error), secure *tls.Config, handshake time.Duration) *dialer {
	if dial == nil {
		dial = func(ctx context.Context, address string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", address)
		}
	}
	return &dialer{dial: dial, secure: secure, handshake: handshake, conns: map[*conn]struct{}{}}
}

func (d *dialer) open(_, address string, timeout time.Duration) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), min(timeout, d.handshake))
	defer cancel()
	d.mu.Lock()
	closed := d.closed
	d.mu.Unlock()
	if closed {
		return nil, net.ErrClosed
	}
	nc, err := d.dial(ctx, address)
	if err == nil && d.secure != nil {
		nc, err = d.encrypt(ctx, nc, address)
	}
	if err != nil {
		d.failed(address, err)
		return nil, err
	}
	c := &conn{Conn: nc, d: d, address: address, gone: make(chan struct{})}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.watching.Load() {
		c.gate = make(chan struct{})
	}
	if d.closed {
		_ = nc.Close()
		return nil, net.ErrClosed
	}
	d.conns[c] = struct{}{}
	return c, nil
}

// encrypt makes a connection one of TLS, or closes it.
func (d *dialer) encrypt(ctx context.Context, nc net.Conn, address string) (net.Conn, error) {
	config := d.secure.Clone()
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(address)
	}
	c := tls.Client(nc, config)
	if err := c.HandshakeContext(ctx); err != nil {
		_ = nc.Close()
		if !strings.HasPrefix(err.Error(), "tls: ") {
			err = fmt.Errorf("tls: %w", err)
		}
		return nil, err
	}
	return c, nil
}

// failed notes why a server was of no use; nil says that one was.
func (d *dialer) failed(address string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.why = err; err != nil {
		d.why = fmt.Errorf("server %s: %w", address, err)
	}
}

func (d *dialer) trouble() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.why
}

// cut closes what is open, so that the library tries the next server.
func (d *dialer) cut(forGood bool) {
	d.mu.Lock()
	d.closed = d.closed || forGood
	var open []*conn
	for c := range d.conns {
		open = append(open, c)
	}
	d.mu.Unlock()
	for _, c := range open {
		_ = c.Close()
	}
}

const maxHandshake = 1024

var errHandshake = errors.New("zookeeper: what answers is not a ZooKeeper server")

// A conn looks at the first answer of the server: its length, the protocol's version, the session's timeout in milliseconds.
//
// A connection that takes the place of another has a gate. The library sets its watches again when it is connected again, for what has
// changed since the last answer that it had. It reads which one that was while answers may come in already: one that overtakes it moves
// the mark, and what changed in between is never told. So answers that move the mark wait until the watches are on their way.
type conn struct {
	net.Conn
	d       *dialer
	address string
	head    [12]byte
	seen    int // bytes of the first answer
	size    int // of the first answer; zero while it is not known

	gate  chan struct{} // closed when the watches are on their way; nil if there are none to be set again
	held  []byte        // of an answer that was read whole
	once  sync.Once
	close sync.Once
	gone  chan struct{} // closed by Close
}

func (c *conn) shaken() bool { return c.size > 0 && c.seen >= c.size }

func (c *conn) Read(p []byte) (int, error) {
	if c.shaken() {
		return c.gated(p)
	}
	n, err := c.Conn.Read(p)
	if c.seen < len(c.head) {
		copy(c.head[c.seen:], p[:n])
	}
	c.seen += n
	if c.seen >= len(c.head) && c.size == 0 {
		length := binary.BigEndian.Uint32(c.head[:])
		if length < 16 || length > maxHandshake {
			c.d.failed(c.address, errHandshake)
			return 0, errHandshake
		}
		c.size = 4 + int(length)
		c.d.failed(c.address, nil)
		c.d.negotiated.Store(int64(time.Duration(binary.BigEndian.Uint32(c.head[8:])) * time.Millisecond))
	}
	if err != nil && !c.shaken() {
		c.d.failed(c.address, err)
	}
	return n, err
}

const (
	frameHead    = 4 + 4 + 8 // of an answer: its length, the number of the question, the mark
	opSetWatches = 101
)

// gated reads what follows the handshake.
func (c *conn) gated(p []byte) (int, error) {
	if len(c.held) == 0 {
		if c.gate == nil {
			return c.Conn.Read(p)
		}
		select {
		case <-c.gate:
			return c.Conn.Read(p)
		default:
		}
		if err := c.hold(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.held)
	c.held = c.held[n:]
	return n, nil
}

// hold reads the next answer and waits at the gate if it moves the mark.
func (c *conn) hold() error {
	head := make([]byte, frameHead)
	if _, err := io.ReadFull(c.Conn, head); err != nil {
		return err
	}
	length := binary.BigEndian.Uint32(head)
	if length < frameHead-4 || length > maxPacket {
		return errHandshake
	}
	frame := append(head, make([]byte, int(length)-(frameHead-4))...)
	if _, err := io.ReadFull(c.Conn, frame[frameHead:]); err != nil {
		return err
	}
	if asked, mark := int32(binary.BigEndian.Uint32(head[4:])), int64(binary.BigEndian.Uint64(head[8:])); asked >= 0 && mark > 0 {
		timer := time.NewTimer(c.d.handshake / 2) // the library has dropped its watches: the session has expired
		defer timer.Stop()
		select {
		case <-c.gate:
		case <-c.gone:
			return net.ErrClosed
		case <-timer.C:
			c.pass()
		}
	}
	c.held = frame
	return nil
}

func (c *conn) pass() { c.once.Do(func() { close(c.gate) }) }

// Write looks for the watches. The library writes each request at once: its length, number and kind.
func (c *conn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if c.gate != nil && err == nil && len(p) >= 12 && binary.BigEndian.Uint32(p[8:]) == opSetWatches {
		c.pass()
	}
	return n, err
}

func (c *conn) SetReadDeadline(t time.Time) error {
	if !c.shaken() {
		if limit := time.Now().Add(c.d.handshake); t.IsZero() || t.After(limit) {
			t = limit
		}
	}
	return c.Conn.SetReadDeadline(t)
}

func (c *conn) Close() error {
	c.d.mu.Lock()
	delete(c.d.conns, c)
	c.d.mu.Unlock()
	c.close.Do(func() { close(c.gone) })
	return c.Conn.Close()
}

// servers hands out the addresses round and round from a random one on. Names are resolved when they are dialed, so that a server may
// move.
type servers struct {
	mu    sync.Mutex
	list  []string
	next  int
	tries int // since the last that answered
}

func (s *servers) Init(list []string) error {
	s.list, s.next = list, rand.IntN(len(list))
	return nil
}

func (s *servers) Len() int { return len(s.list) }

func (s *servers) Next() (server string, all bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	server = s.list[s.next%len(s.list)]
	all = s.tries > 0 && s.tries%len(s.list) == 0
	s.next++
	s.tries++
	return server, all
}

func (s *servers) Connected() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tries = 0
}
