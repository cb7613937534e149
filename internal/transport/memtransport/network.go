package memtransport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"syscall"
)

// A Network connects the endpoints of one process. Addresses are name:port, where the name is that of an endpoint; any name will do. It
// is safe for concurrent use.
type Network struct {
	mu        sync.Mutex
	listeners map[string]*listener
	cuts      map[pair]bool
	conns     map[*link]struct{}
	healed    chan struct{} // closed at each Heal
	nextPort  int
}

// A pair of endpoints, the lesser name first.
type pair struct{ a, b string }

func pairOf(a, b string) pair {
	if b < a {
		a, b = b, a
	}
	return pair{a, b}
}

// New makes a network. It holds nothing that must be closed.
func New() *Network {
	return &Network{
		listeners: map[string]*listener{}, cuts: map[pair]bool{}, conns: map[*link]struct{}{}, healed: make(chan struct{}), nextPort: 49152,
	}
}

// An Endpoint is the network as seen from one place.
type Endpoint struct {
	network *Network
	name    string
}

// From returns the network as seen from the endpoint with this name: connections that it dials come from there.
func (n *Network) From(name string) *Endpoint { return &Endpoint{n, name} }

// Listen opens a listener on addr, name:port. Port 0 picks a free one.
func (e *Endpoint) Listen(ctx context.Context, addr string) (net.Listener, error) {
	return e.network.Listen(ctx, addr)
}

// Dial connects to the listener on addr. Across a cut it waits for the end of ctx or for Heal.
func (e *Endpoint) Dial(ctx context.Context, addr string) (net.Conn, error) {
	return e.network.dial(ctx, e.name, addr)
}

// Dial connects to the listener on addr, from an endpoint without a name.
func (n *Network) Dial(ctx context.Context, addr string) (net.Conn, error) {
	return n.dial(ctx, "", addr)
}

// An address of this network.
type address string

// Network returns "mem".
func (address) Network() string  { return "mem" }
func (a address) String() string { return string(a) }

func (n *Network) port() string {
	n.nextPort++
	return strconv.Itoa(n.nextPort)
}

// Listen opens a listener on addr, name:port. Port 0 picks a free one.
func (n *Network) Listen(_ context.Context, addr string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("memtransport: listen: %w", err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if port == "0" {
		addr = net.JoinHostPort(host, n.port())
	}
	if n.listeners[addr] != nil {
		return nil, fmt.Errorf("memtransport: listen on %s: %w", addr, syscall.EADDRINUSE)
	}
	l := &listener{network: n, addr: address(addr), host: host, backlog: make(chan *conn, 1024), closed: make(chan struct{})}
	n.listeners[addr] = l
	return l, nil
}

func (n *Network) dial(ctx context.Context, from, addr string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("memtransport: dial: %w", err)
	}
	for {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("memtransport: dial %s: %w", addr, err)
		}
		n.mu.Lock()
		if n.cuts[pairOf(from, host)] {
			healed := n.healed
			n.mu.Unlock()
			select {
			case <-healed:
			case <-ctx.Done():
			}
			continue
		}
		l := n.listeners[addr]
		if l == nil {
			n.mu.Unlock()
			return nil, fmt.Errorf("memtransport: dial %s: %w", addr, syscall.ECONNREFUSED)
		}
		k, ours, theirs := newLink(n, pairOf(from, host), address(net.JoinHostPort(from, n.port())), l.addr)
		select {
		case l.backlog <- theirs:
			n.conns[k] = struct{}{}
			n.mu.Unlock()
			return ours, nil
		default:
			n.mu.Unlock()
			return nil, fmt.Errorf("memtransport: dial %s: %w", addr, syscall.ECONNREFUSED)
		}
	}
}

// Cut holds up everything between two endpoints, in both directions, as a lost cable does: connections stay but nothing arrives, new ones
// do not come about. What was sent meanwhile arrives after Heal.
func (n *Network) Cut(a, b string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cuts[pairOf(a, b)] = true
	for k := range n.conns {
		if k.ends == pairOf(a, b) {
			k.hold(true)
		}
	}
}

// Heal ends a Cut.
func (n *Network) Heal(a, b string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.cuts, pairOf(a, b))
	for k := range n.conns {
		if k.ends == pairOf(a, b) {
			k.hold(false)
		}
	}
	close(n.healed)
	n.healed = make(chan struct{})
}

// Reset breaks every connection between two endpoints, as a peer's restart does: reads and writes on both sides fail. New ones come about.
func (n *Network) Reset(a, b string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for k := range n.conns {
		if k.ends == pairOf(a, b) {
			k.reset()
			delete(n.conns, k)
		}
	}
}

// Connections returns how many connections are open, from end to end.
func (n *Network) Connections() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.conns)
}

func (n *Network) drop(k *link) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.conns, k)
}

type listener struct {
	network *Network
	addr    address
	host    string
	backlog chan *conn
	closed  chan struct{}
	once    sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case <-l.closed:
		return nil, net.ErrClosed
	default:
	}
	select {
	case c := <-l.backlog:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close frees the address. Connections that wait in the backlog are reset.
func (l *listener) Close() error {
	l.once.Do(func() {
		l.network.mu.Lock()
		delete(l.network.listeners, string(l.addr))
		l.network.mu.Unlock()
		close(l.closed)
		for {
			select {
			case c := <-l.backlog:
				c.link.reset()
				l.network.drop(c.link)
			default:
				return
			}
		}
	})
	return nil
}

func (l *listener) Addr() net.Addr { return l.addr }

var errReset = errors.New("memtransport: connection reset by peer")
