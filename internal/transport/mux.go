package transport

import (
	"container/list"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"
)

// MuxConfig configures a Mux. The zero value serves plain text on loopback.
type MuxConfig struct {
	// TLS secures every connection. Protocols and, unless it is set, the lowest version (1.3) are set by the mux. If it has ClientCAs, node and
	// raft connections must show a certificate that they signed, whatever ClientAuth asks of HTTP. Defaults to plain text.
	TLS *tls.Config
	// Insecure allows plain text on addresses that are not loopback. Defaults to false.
	Insecure bool
	// PeekTimeout is how long a connection may take to say which protocol it speaks, TLS handshake included. Defaults to 5 s.
	PeekTimeout time.Duration
	// MaxPending bounds the connections that have not said so yet. When it is reached, the oldest is cut as soon as it has had a
	// fifth of PeekTimeout. Defaults to 1024.
	MaxPending int
	// Logger gets a debug line for each connection that is turned away. Defaults to none.
	Logger *slog.Logger
}

// A Mux shares one listener among the protocols.
type Mux struct {
	ln   net.Listener
	cfg  MuxConfig
	tls  *tls.Config
	subs [protocols]*subListener
	done chan struct{}
	once sync.Once
	wg   sync.WaitGroup

	mu      sync.Mutex
	pending *list.List // of *newcomer, oldest first
	freed   chan struct{}
}

// A newcomer has not said yet which protocol it speaks.
type newcomer struct {
	net.Conn
	since time.Time
}

// NewMux makes a Mux of ln, which it owns. Nothing is accepted before Run. Close it, or end Run.
func NewMux(ln net.Listener, cfg MuxConfig) *Mux {
	if cfg.PeekTimeout <= 0 {
		cfg.PeekTimeout = 5 * time.Second
	}
	if cfg.MaxPending <= 0 {
		cfg.MaxPending = 1024
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	m := &Mux{ln: ln, cfg: cfg, done: make(chan struct{}), pending: list.New(), freed: make(chan struct{}, 1)}
	if cfg.TLS != nil {
		m.tls = cfg.TLS.Clone()
		m.tls.NextProtos = []string{alpns[Node], alpns[Raft], alpnHTTP2, alpns[HTTP]}
		if m.tls.MinVersion == 0 {
			m.tls.MinVersion = tls.VersionTLS13
		}
		if m.tls.ClientCAs != nil && m.tls.ClientAuth == tls.NoClientCert {
			m.tls.ClientAuth = tls.VerifyClientCertIfGiven
		}
	}
	return m
}

// Listener returns where the connections of a protocol arrive, the same at each call. Call it first before Run: a protocol without
// a listener is turned away. Connections of HTTP under TLS are *tls.Conn with ALPN done, as http.Server wants them. Its Accept returns
// net.ErrClosed once it or the mux is closed.
func (m *Mux) Listener(p Protocol) net.Listener {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.subs[p] == nil {
		m.subs[p] = &subListener{addr: m.ln.Addr(), conns: make(chan net.Conn), closed: make(chan struct{}), all: m.done}
	}
	return m.subs[p]
}

// Addr is the address of the shared listener.
func (m *Mux) Addr() net.Addr { return m.ln.Addr() }

// Close ends Run and closes the listeners. Connections that were accepted live on.
func (m *Mux) Close() error {
	m.once.Do(func() {
		close(m.done)
		_ = m.ln.Close()
		m.mu.Lock()
		defer m.mu.Unlock()
		for e := m.pending.Front(); e != nil; e = e.Next() {
			_ = e.Value.(*newcomer).Close()
		}
	})
	return nil
}

// Run accepts and sorts connections until ctx ends or Close is called, and returns nil then; otherwise the listener's error. Its
// goroutines have ended when it returns, and the mux is closed.
func (m *Mux) Run(ctx context.Context) error {
	defer m.wg.Wait()
	defer m.Close()
	if m.tls == nil && !m.cfg.Insecure {
		if err := CheckPlain(m.ln.Addr()); err != nil {
			return err
		}
	}
	stop := context.AfterFunc(ctx, func() { _ = m.Close() })
	defer stop()
	pause := time.Duration(0)
	for {
		nc, err := m.ln.Accept()
		switch {
		case m.isClosed():
			if err == nil {
				_ = nc.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("transport: accept on %s: %w", m.ln.Addr(), err)
		case err != nil: // such as too many open files: it passes
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			m.cfg.Logger.Warn("accept failed", "address", m.ln.Addr(), "error", err, "again_in", pause)
			m.wait(pause)
			continue
		}
		pause = 0
		if e := m.admit(nc); e != nil {
			m.wg.Go(func() { m.serve(e) })
		}
	}
}

func (m *Mux) isClosed() bool {
	select {
	case <-m.done:
		return true
	default:
		return false
	}
}

// wait waits for d, for a newcomer to go, or for the end.
func (m *Mux) wait(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-m.freed:
	case <-m.done:
	}
}

// admit makes nc a newcomer, as soon as there is room. It returns nil when the mux is closed.
func (m *Mux) admit(nc net.Conn) *list.Element {
	for {
		m.mu.Lock()
		if m.isClosed() {
			m.mu.Unlock()
			_ = nc.Close()
			return nil
		}
		if m.pending.Len() < m.cfg.MaxPending {
			e := m.pending.PushBack(&newcomer{nc, time.Now()})
			m.mu.Unlock()
			return e
		}
		oldest := m.pending.Front().Value.(*newcomer)
		left := m.cfg.PeekTimeout/5 - time.Since(oldest.since)
		if left <= 0 {
			_ = oldest.Close()
			left = time.Millisecond // its goroutine is about to make room
		}
		m.mu.Unlock()
		m.wait(left)
	}
}

// serve finds out what a newcomer wants and hands it over.
func (m *Mux) serve(e *list.Element) {
	n := e.Value.(*newcomer)
	defer func() {
		m.mu.Lock()
		m.pending.Remove(e)
		m.mu.Unlock()
		select {
		case m.freed <- struct{}{}:
		default:
		}
	}()
	deadline := n.since.Add(m.cfg.PeekTimeout)
	p, conn, err := m.identify(n.Conn, deadline)
	if err == nil {
		err = m.hand(p, conn, deadline)
	}
	if err != nil {
		_ = n.Close()
		m.cfg.Logger.Debug("connection turned away", "remote", n.RemoteAddr(), "error", err)
	}
}

func (m *Mux) identify(nc net.Conn, deadline time.Time) (Protocol, net.Conn, error) {
	if err := nc.SetDeadline(deadline); err != nil {
		return 0, nil, err
	}
	var p Protocol
	var conn net.Conn
	var err error
	if m.tls != nil {
		p, conn, err = m.shake(nc)
	} else {
		p, conn, err = peek(nc)
	}
	if err == nil {
		err = nc.SetDeadline(time.Time{})
	}
	return p, conn, err
}

// peek reads the magic, or as much as it takes to see that there is none.
func peek(nc net.Conn) (Protocol, net.Conn, error) {
	var b [magicSize]byte
	for n := 0; ; {
		k, err := nc.Read(b[n:])
		n += k
		if n > 0 {
			p, more, ok := sniff(b[:n])
			switch {
			case !ok:
				return 0, nil, fmt.Errorf("neither a protocol's magic nor HTTP: %q", b[:n])
			case more:
			case p == HTTP:
				return p, &prefixConn{Conn: nc, prefix: b[:n]}, nil
			default:
				return p, nc, nil
			}
		}
		if err != nil {
			return 0, nil, err
		}
	}
}

func (m *Mux) shake(nc net.Conn) (Protocol, net.Conn, error) {
	t := tls.Server(nc, m.tls)
	if err := t.Handshake(); err != nil {
		return 0, nil, err
	}
	state := t.ConnectionState()
	i := slices.Index(alpns[:], state.NegotiatedProtocol)
	if i < 0 || Protocol(i) == HTTP { // h2, or a client that does not know ALPN
		return HTTP, t, nil
	}
	switch p := Protocol(i); {
	case state.Version < tls.VersionTLS13:
		return 0, nil, fmt.Errorf("%s over %s (allowed: TLS 1.3)", p, tls.VersionName(state.Version))
	case m.tls.ClientCAs != nil && len(state.VerifiedChains) == 0:
		return 0, nil, fmt.Errorf("%s without a certificate", p)
	default:
		return p, t, nil
	}
}

// hand gives conn to the listener of p, which has until deadline to accept it.
func (m *Mux) hand(p Protocol, conn net.Conn, deadline time.Time) error {
	m.mu.Lock()
	sub := m.subs[p]
	m.mu.Unlock()
	if sub == nil {
		return fmt.Errorf("%s is not served here", p)
	}
	t := time.NewTimer(time.Until(deadline))
	defer t.Stop()
	select {
	case sub.conns <- conn:
		return nil
	case <-sub.closed:
	case <-m.done:
	case <-t.C:
		return fmt.Errorf("%s did not accept it in time", p)
	}
	return net.ErrClosed
}

// A subListener is where the connections of one protocol arrive.
type subListener struct {
	addr   net.Addr
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
	all    <-chan struct{} // the mux is closed
}

func (s *subListener) Accept() (net.Conn, error) {
	select { // the end comes first
	case <-s.closed:
		return nil, net.ErrClosed
	case <-s.all:
		return nil, net.ErrClosed
	default:
	}
	select {
	case c := <-s.conns:
		return c, nil
	case <-s.closed:
	case <-s.all:
	}
	return nil, net.ErrClosed
}

func (s *subListener) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

func (s *subListener) Addr() net.Addr { return s.addr }

// A prefixConn gives back what was read to find out the protocol.
type prefixConn struct {
	net.Conn
	prefix []byte
}

func (c *prefixConn) Read(b []byte) (int, error) {
	if len(c.prefix) > 0 {
		n := copy(b, c.prefix)
		c.prefix = c.prefix[n:]
		return n, nil
	}
	return c.Conn.Read(b)
}

// CloseWrite ends the sending side, where the connection can.
func (c *prefixConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}
