package main

import (
	"context"
	"net"
	"sync/atomic"

	"github.com/meros-project/meros/internal/transport"
)

// A network is TCP whose connections ask the transport for one message a frame and one flush a message, if unbatched.
type network struct {
	unbatched bool
	writes    *atomic.Int64 // counts them; may be nil
}

// Listen implements the Networks of the shells.
func (n network) Listen(ctx context.Context, addr string) (net.Listener, error) {
	ln, err := transport.TCP().Listen(ctx, addr)
	if err != nil {
		return nil, err
	}
	return n.listener(ln), nil
}

// Dial implements the Networks of the shells.
func (n network) Dial(ctx context.Context, addr string) (net.Conn, error) {
	nc, err := transport.TCP().Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	return n.conn(nc), nil
}

func (n network) listener(ln net.Listener) net.Listener { return &listener{ln, n} }

func (n network) conn(nc net.Conn) net.Conn { return &conn{nc, n} }

type listener struct {
	net.Listener
	network network
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return l.network.conn(nc), nil
}

type conn struct {
	net.Conn
	network network
}

// Unbatched is what transport.NewConn asks.
func (c *conn) Unbatched() bool { return c.network.unbatched }

// Write counts.
func (c *conn) Write(b []byte) (int, error) {
	if c.network.writes != nil {
		c.network.writes.Add(1)
	}
	return c.Conn.Write(b)
}

// CloseWrite ends the sending side.
func (c *conn) CloseWrite() error { return c.Conn.(*net.TCPConn).CloseWrite() }
