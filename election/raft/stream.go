package raft

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	hraft "github.com/hashicorp/raft"
)

const (
	handshakeTimeout = 5 * time.Second
	dialTimeout      = 2 * time.Second
	maxHandshakes    = 64 // at once; further connections are closed
	maxPerPeer       = 16 // connections from one master; the library keeps about three
)

var errStreamClosed = errors.New("raft: the elector has stopped")

// A stream is the library's network: connections that have passed the gate, scanned both ways.
type stream struct {
	self        hraft.ServerAddress
	listener    net.Listener
	dialer      func(ctx context.Context, address string) (net.Conn, error)
	gate        *gate
	maxSnapshot int64
	log         *slog.Logger
	unwanted    func(error) // another master says that this node's folder is older than it was, or of a cluster that is no more

	ctx      context.Context
	cancel   context.CancelFunc
	accepted chan net.Conn
	tasks    sync.WaitGroup // the accept loop, handshakes, and handlers of accepted connections
	slots    chan struct{}

	mu      sync.Mutex
	closed  bool
	conns   map[net.Conn]struct{}
	inbound map[string]int // accepted connections by node
}

func newStream(self string, l net.Listener, dial func(context.Context, string) (net.Conn, error), g *gate,
	maxSnapshot int64, log *slog.Logger, unwanted func(error)) *stream {
	ctx, cancel := context.WithCancel(context.Background())
	s := &stream{
		self: hraft.ServerAddress(self), listener: l, dialer: dial, gate: g, maxSnapshot: maxSnapshot, log: log, unwanted: unwanted,
		ctx: ctx, cancel: cancel, accepted: make(chan net.Conn), slots: make(chan struct{}, maxHandshakes),
		conns: map[net.Conn]struct{}{}, inbound: map[string]int{},
	}
	if l != nil {
		s.tasks.Go(s.listen)
	}
	return s
}

// listen accepts until the listener or the stream is closed.
func (s *stream) listen() {
	pause := 5 * time.Millisecond
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			if s.ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
				return
			}
			s.log.Warn("raft: accept failed", "err", err) // out of file descriptors, say
			select {
			case <-s.ctx.Done():
				return
			case <-time.After(pause):
				pause = min(2*pause, time.Second)
			}
			continue
		}
		pause = 5 * time.Millisecond
		select {
		case s.slots <- struct{}{}:
			s.tasks.Go(func() { s.greet(conn) })
		default:
			_ = conn.Close()
		}
	}
}

// track takes charge of conn; a stream that is closed closes it.
func (s *stream) track(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		_ = conn.Close()
		return false
	}
	s.conns[conn] = struct{}{}
	return true
}

func (s *stream) untrack(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
}

func (s *stream) greet(conn net.Conn) {
	if !s.track(conn) {
		<-s.slots
		return
	}
	_ = conn.SetDeadline(time.Now().Add(handshakeTimeout))
	other, err := s.gate.accept(conn)
	<-s.slots
	if err == nil && !s.admit(other.Node) {
		err = errors.New("too many connections from node " + other.Node)
	}
	if err != nil {
		s.untrack(conn)
		_ = conn.Close()
		if s.ctx.Err() == nil && !errors.Is(err, io.EOF) && (s.gate.meeting == nil || s.gate.meeting.formed.Load()) {
			s.log.Warn("raft: connection refused", "from", remote(conn), "err", err)
		}
		return
	}
	_ = conn.SetDeadline(time.Time{})
	c := &peerConn{scannedConn: s.scanned(conn, true), stream: s, node: other.Node, inbound: true}
	s.tasks.Add(1) // until the library's handler closes it
	select {
	case s.accepted <- c:
	case <-s.ctx.Done():
		_ = c.Close()
	}
}

func (s *stream) admit(node string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inbound[node] >= maxPerPeer {
		return false
	}
	s.inbound[node]++
	return true
}

func (s *stream) scanned(conn net.Conn, requests bool) *scannedConn {
	return &scannedConn{
		Conn: conn,
		scan: scanner{requests: requests, maxSnapshot: s.maxSnapshot},
		refused: func(err error) {
			s.log.Warn("raft: connection closed", "from", remote(conn), "err", err)
		},
	}
}

func remote(conn net.Conn) string {
	if a := conn.RemoteAddr(); a != nil {
		return a.String()
	}
	return "unknown"
}

// Accept implements net.Listener for the library.
func (s *stream) Accept() (net.Conn, error) {
	select {
	case c := <-s.accepted:
		return c, nil
	case <-s.ctx.Done():
		return nil, errStreamClosed
	}
}

// Addr implements net.Listener: the address that this master advertises.
func (s *stream) Addr() net.Addr { return streamAddr(s.self) }

type streamAddr string

func (streamAddr) Network() string  { return "tcp" }
func (a streamAddr) String() string { return string(a) }

// Dial implements hraft.StreamLayer.
func (s *stream) Dial(address hraft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	if s.dialer == nil {
		return nil, errors.New("raft: Env.Dial is nil, this master can only be alone")
	}
	ctx, cancel := context.WithTimeout(s.ctx, min(timeout, dialTimeout))
	defer cancel()
	conn, err := s.dialer(ctx, string(address))
	if err != nil {
		return nil, err
	}
	if !s.track(conn) {
		return nil, errStreamClosed
	}
	_ = conn.SetDeadline(time.Now().Add(dialTimeout))
	other, err := s.gate.dial(conn, string(address))
	if err != nil {
		s.untrack(conn)
		_ = conn.Close()
		if other.Refusal != "" && (other.RolledBack || other.Expelled) {
			s.unwanted(err)
		}
		return nil, err
	}
	_ = conn.SetDeadline(time.Time{})
	return &peerConn{scannedConn: s.scanned(conn, false), stream: s, node: other.Node}, nil
}

// Close ends every connection. The library calls it, and Run before it waits for the library.
func (s *stream) Close() error {
	s.cancel()
	var err error
	if s.listener != nil {
		err = s.listener.Close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for c := range s.conns {
		_ = c.Close()
	}
	clear(s.conns)
	return err
}

// A peerConn is a connection that the library owns.
type peerConn struct {
	*scannedConn
	stream  *stream
	node    string
	inbound bool
	once    sync.Once
}

func (c *peerConn) Close() error {
	err := c.scannedConn.Close()
	c.once.Do(func() {
		c.stream.untrack(c.scannedConn.Conn)
		if c.inbound {
			c.stream.mu.Lock()
			if c.stream.inbound[c.node]--; c.stream.inbound[c.node] <= 0 {
				delete(c.stream.inbound, c.node)
			}
			c.stream.mu.Unlock()
			c.stream.tasks.Done()
		}
	})
	return err
}
