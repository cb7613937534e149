package transport

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"
)

// A Network is where sockets come from: TCP, or memory.
type Network interface {
	// Listen opens a listener on addr, host:port. The caller closes it.
	Listen(ctx context.Context, addr string) (net.Listener, error)
	// Dial opens a connection to addr. The caller closes it.
	Dial(ctx context.Context, addr string) (net.Conn, error)
}

// TCP returns the real network. A peer that has vanished is noticed by keepalive after some 30 s; heartbeats of the protocols above are faster.
func TCP() Network { return tcp{} }

type tcp struct{}

var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}

func (tcp) Listen(ctx context.Context, addr string) (net.Listener, error) {
	return (&net.ListenConfig{KeepAliveConfig: keepAlive}).Listen(ctx, "tcp", addr)
}

func (tcp) Dial(ctx context.Context, addr string) (net.Conn, error) {
	return (&net.Dialer{KeepAliveConfig: keepAlive}).DialContext(ctx, "tcp", addr)
}

// MemoryNetwork is what the addresses of an in-memory Network report as their Network.
const MemoryNetwork = "mem"

// CheckPlain refuses an address where plain text is not allowed: one that is neither loopback, nor a unix socket, nor in memory.
func CheckPlain(addr net.Addr) error {
	switch a := addr.(type) {
	case *net.TCPAddr:
		if a.IP.IsLoopback() {
			return nil
		}
	case *net.UnixAddr:
		return nil
	default:
		if addr.Network() == MemoryNetwork {
			return nil
		}
	}
	return fmt.Errorf("transport: plain text on %s is not allowed (allowed: loopback addresses, TLS, or the insecure option)", addr)
}

// Listen opens a listener of network on addr. Without TLS (which a Mux adds) or insecure, the address must be loopback.
func Listen(ctx context.Context, network Network, addr string, withTLS, insecure bool) (net.Listener, error) {
	ln, err := network.Listen(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("transport: listen on %s: %w", addr, err)
	}
	if !withTLS && !insecure {
		if err := CheckPlain(ln.Addr()); err != nil {
			_ = ln.Close()
			return nil, err
		}
	}
	return ln, nil
}

// A Dialer opens connections to a Mux. It is a value; copy it freely.
type Dialer struct {
	// Network defaults to TCP.
	Network Network
	// TLS, when not nil, secures every connection. Protocols and lowest version are set by the dialer. Defaults to plain text.
	TLS *tls.Config
	// Insecure allows plain text to addresses that are not loopback. Defaults to false.
	Insecure bool
	// Timeout bounds one Dial, handshake included. Defaults to 5 s.
	Timeout time.Duration
}

// Dial opens a connection to addr that speaks p. The caller closes it.
func (d Dialer) Dial(ctx context.Context, addr string, p Protocol) (net.Conn, error) {
	if p >= protocols {
		return nil, fmt.Errorf("transport: dial %s: %s is not known", addr, p)
	}
	if d.Timeout <= 0 {
		d.Timeout = 5 * time.Second
	}
	if d.Network == nil {
		d.Network = TCP()
	}
	ctx, cancel := context.WithTimeout(ctx, d.Timeout)
	defer cancel()
	nc, err := d.Network.Dial(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("transport: dial %s: %w", addr, err)
	}
	c, err := d.greet(ctx, nc, addr, p)
	if err != nil {
		_ = nc.Close()
		return nil, fmt.Errorf("transport: dial %s: %w", addr, err)
	}
	return c, nil
}

// greet says which protocol follows.
func (d Dialer) greet(ctx context.Context, nc net.Conn, addr string, p Protocol) (net.Conn, error) {
	if d.TLS == nil {
		if !d.Insecure {
			if err := CheckPlain(nc.RemoteAddr()); err != nil {
				return nil, err
			}
		}
		deadline, _ := ctx.Deadline()
		if err := nc.SetWriteDeadline(deadline); err != nil {
			return nil, err
		}
		if _, err := nc.Write([]byte(magics[p])); err != nil {
			return nil, err
		}
		return nc, nc.SetWriteDeadline(time.Time{})
	}
	cfg := d.TLS.Clone()
	cfg.NextProtos = []string{alpns[p]}
	if p != HTTP {
		cfg.MinVersion = tls.VersionTLS13
	}
	if cfg.ServerName == "" {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		cfg.ServerName = host
	}
	t := tls.Client(nc, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	if got := t.ConnectionState().NegotiatedProtocol; p != HTTP && got != alpns[p] {
		return nil, fmt.Errorf("the peer does not speak %s", alpns[p])
	}
	return t, nil
}
