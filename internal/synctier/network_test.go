package synctier

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/meros-project/meros/internal/transport/memtransport"
)

// A network is memtransport's, with hosts whose connections may be slow.
type network struct {
	*memtransport.Network
	mu   sync.Mutex
	slow map[string]time.Duration
}

func newNetwork() *network {
	return &network{Network: memtransport.New(), slow: map[string]time.Duration{}}
}

// delay makes all that a host reads late; 0 ends it.
func (n *network) delay(host string, d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.slow[host] = d
}

func (n *network) delayOf(host string) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.slow[host]
}

// from is the network as a host sees it.
func (n *network) from(name string) *host {
	return &host{Endpoint: n.From(name), network: n, name: name}
}

type host struct {
	*memtransport.Endpoint
	network *network
	name    string
}

func (h *host) Dial(ctx context.Context, address string) (net.Conn, error) {
	c, err := h.Endpoint.Dial(ctx, address)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, host: h}, nil
}

func (h *host) Listen(ctx context.Context, address string) (net.Listener, error) {
	ln, err := h.Endpoint.Listen(ctx, address)
	if err != nil {
		return nil, err
	}
	return &listener{ln, h}, nil
}

type listener struct {
	net.Listener
	host *host
}

func (l *listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, host: l.host}, nil
}

type conn struct {
	net.Conn
	host *host
}

// Read hands over what it has read when the host's delay has passed.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if d := c.host.network.delayOf(c.host.name); d > 0 && err == nil {
		time.Sleep(d)
	}
	return n, err
}

func (c *conn) CloseWrite() error { return c.Conn.(interface{ CloseWrite() error }).CloseWrite() }
