package zookeeper

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A dialer opens the connections of one session, reads off them what the client library does not tell (for how long the ensemble keeps
// the session), bounds what it leaves unbounded (a server that accepts and says nothing), and can end them all.
type dialer struct {
	dial       func(ctx context.Context, address string) (net.Conn, error)
	handshake  time.Duration
	negotiated atomic.Int64 // nanoseconds; zero before the first handshake

	mu     sync.Mutex
	closed bool
	conns  map[*conn]struct{}
}

func newDialer(dial func(context.Context, string) (net.Conn, error), handshake time.Duration) *dialer {
	if dial == nil {
		dial = func(ctx context.Context, address string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", address)
		}
	}
	return &dialer{dial: dial, handshake: handshake, conns: map[*conn]struct{}{}}
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
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: nc, d: d}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		_ = nc.Close()
		return nil, net.ErrClosed
	}
	d.conns[c] = struct{}{}
	return c, nil
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
type conn struct {
	net.Conn
	d    *dialer
	head [12]byte
	seen int // bytes of the first answer
	size int // of the first answer; zero while it is not known
}

func (c *conn) shaken() bool { return c.size > 0 && c.seen >= c.size }

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.shaken() {
		return n, err
	}
	if c.seen < len(c.head) {
		copy(c.head[c.seen:], p[:n])
	}
	c.seen += n
	if c.seen >= len(c.head) && c.size == 0 {
		length := binary.BigEndian.Uint32(c.head[:])
		if length < 16 || length > maxHandshake {
			return 0, errHandshake
		}
		c.size = 4 + int(length)
		c.d.negotiated.Store(int64(time.Duration(binary.BigEndian.Uint32(c.head[8:])) * time.Millisecond))
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
