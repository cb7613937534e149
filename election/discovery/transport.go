package discovery

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

const (
	labelMark    = 244      // the byte before the cluster's name
	maxStreams   = 256      // from others at once; beyond, the newest is closed
	maxHeld      = 64 << 20 // bytes of all messages on streams together, while they are read
	bindAttempts = 10       // to find a port that is free for TCP and UDP
)

// A transport is the library's sockets with a gate before them: it encrypts and marks with the cluster's name what goes out, in the
// library's own format, and lets nothing in that was not decrypted and read from end to end. The library itself runs without key and
// label: its own ring of keys cannot lose a key while it is in use.
type transport struct {
	inner   *memberlist.NetTransport
	keys    *atomic.Pointer[ring]
	label   string
	log     *slog.Logger
	quiet   *quiet
	packets chan *memberlist.Packet
	streams chan net.Conn

	held   atomic.Int64 // bytes
	open   atomic.Int64 // streams from others
	stop   chan struct{}
	closed chan struct{}
	once   sync.Once
	reads  sync.WaitGroup
	done   sync.WaitGroup

	mu      sync.Mutex
	reading map[net.Conn]struct{} // before the library has them
}

var _ memberlist.NodeAwareTransport = (*transport)(nil)

// newTransport opens the sockets.
func newTransport(ip string, port int, label string, keys *atomic.Pointer[ring], logger *slog.Logger, q *quiet, lines *log.Logger) (*transport, error) {
	t := &transport{keys: keys, label: label, log: logger, quiet: q, packets: make(chan *memberlist.Packet), streams: make(chan net.Conn),
		stop: make(chan struct{}), closed: make(chan struct{}), reading: map[net.Conn]struct{}{}}
	var err error
	for range bindAttempts {
		t.inner, err = memberlist.NewNetTransport(&memberlist.NetTransportConfig{BindAddrs: []string{ip}, BindPort: port, Logger: lines})
		if err == nil || port != 0 || !strings.Contains(err.Error(), "address already in use") {
			break
		}
	}
	if err != nil {
		return nil, err
	}
	t.done.Go(t.forward)
	return t, nil
}

// forward takes what arrives until the sockets are closed.
func (t *transport) forward() {
	for {
		select {
		case p := <-t.inner.PacketCh():
			t.packet(p)
		case conn := <-t.inner.StreamCh():
			t.reads.Go(func() { t.accept(conn) })
		case <-t.closed:
			return
		}
	}
}

// refuse says what was wrong, now and then.
func (t *transport) refuse(over string, from net.Addr, err error) {
	kind := over
	if r := (*refusal)(nil); errors.As(err, &r) {
		kind += " " + r.kind
	}
	if ok, more := t.quiet.allow(kind, time.Now()); ok {
		t.log.Warn("gossip refused", "from", from, "over", over, "err", err, "more", more)
	}
}

func (t *transport) packet(p *memberlist.Packet) {
	plain, err := t.openPacket(p.Buf)
	if err != nil {
		t.refuse("udp", p.From, err)
		return
	}
	p.Buf = plain
	select {
	case t.packets <- p:
	case <-t.stop:
	}
}

func (t *transport) openPacket(b []byte) ([]byte, error) {
	if len(b) < labelOverhead || b[0] != labelMark || len(b) < labelOverhead+int(b[1]) {
		return nil, errNoLabel
	}
	n := labelOverhead + int(b[1])
	if err := t.checkLabel(string(b[labelOverhead:n])); err != nil {
		return nil, err
	}
	b = b[n:]
	if keys := t.keys.Load(); keys != nil {
		var err error
		if b, err = keys.open(b, []byte(t.label)); err != nil {
			return nil, err
		}
	}
	return checkPacket(b)
}

var errNoLabel = &refusal{"label", "it names no cluster"}

func (t *transport) checkLabel(label string) error {
	if label == t.label {
		return nil
	}
	return &refusal{"label", fmt.Sprintf("it is of cluster %.40q, this is cluster %q", label, t.label)}
}

// accept reads what another member sends before the library gets the stream.
func (t *transport) accept(conn net.Conn) {
	g := &guarded{Conn: conn, t: t, inbound: true}
	if t.open.Add(1) > maxStreams {
		t.refuse("tcp", conn.RemoteAddr(), &refusal{"many", fmt.Sprintf("there are %d streams already", maxStreams)})
		_ = g.Close()
		return
	}
	t.mu.Lock()
	t.reading[conn] = struct{}{}
	t.mu.Unlock()
	err := error(net.ErrClosed)
	select {
	case <-t.stop:
	default:
		err = g.load()
	}
	t.mu.Lock()
	delete(t.reading, conn)
	t.mu.Unlock()
	if err == nil {
		select {
		case t.streams <- g:
			return
		case <-t.stop:
		}
	} else if !errors.Is(err, net.ErrClosed) && !errors.Is(err, errNothing) {
		t.refuse("tcp", conn.RemoteAddr(), err)
	}
	_ = g.Close()
}

// A guarded stream carries one message each way. Those that come in were read, decrypted and unpacked before they are read here; those
// that go out are encrypted.
type guarded struct {
	net.Conn
	t       *transport
	inbound bool // another member opened it

	named  bool // the cluster's name was sent
	loaded bool
	in     []byte
	held   int64
	once   sync.Once
}

var errNothing = errors.New("nothing was said") // as when somebody looks whether the port is open

// load reads the message that the other side sends.
func (g *guarded) load() error {
	r := bufio.NewReader(g.Conn)
	if g.inbound {
		if err := g.SetDeadline(time.Now().Add(tcpTimeout)); err != nil {
			return err
		}
		mark, err := r.ReadByte()
		if err != nil {
			return errors.Join(errNothing, err)
		}
		if mark != labelMark {
			return errNoLabel
		}
		n, err := r.ReadByte()
		if err != nil {
			return short(2, 1, err)
		}
		label := make([]byte, n)
		if got, err := io.ReadFull(r, label); err != nil {
			return short(int(n), got, err)
		}
		if err := g.t.checkLabel(string(label)); err != nil {
			return err
		}
	}
	in, err := readStream(r, g.t.keys.Load(), g.t.label, g.take)
	g.in, g.loaded = in, true
	return err
}

// take asks for memory, which is given back by Close.
func (g *guarded) take(n int) error {
	g.held += int64(n)
	if g.t.held.Add(int64(n)) > maxHeld {
		return &refusal{"memory", fmt.Sprintf("all messages together have more than %d bytes just now", maxHeld)}
	}
	return nil
}

// Read implements net.Conn.
func (g *guarded) Read(p []byte) (int, error) {
	if !g.loaded {
		if err := g.load(); err != nil {
			g.loaded = true
			return 0, err
		}
	}
	if len(g.in) == 0 {
		return 0, io.EOF
	}
	n := copy(p, g.in)
	g.in = g.in[n:]
	return n, nil
}

// Write implements net.Conn. The library writes a message in one call.
func (g *guarded) Write(p []byte) (int, error) {
	var b []byte
	if !g.inbound && !g.named {
		b = appendLabel(b, g.t.label)
		g.named = true
	}
	if keys := g.t.keys.Load(); keys != nil {
		n := len(p) + sealOverhead
		head := []byte{msgEncrypt, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
		b = keys.seal(append(b, head...), p, append(head, g.t.label...))
	} else {
		b = append(b, p...)
	}
	if _, err := g.Conn.Write(b); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Close implements net.Conn.
func (g *guarded) Close() error {
	g.once.Do(func() {
		g.t.held.Add(-g.held)
		if g.inbound {
			g.t.open.Add(-1)
		}
	})
	return g.Conn.Close()
}

func appendLabel(b []byte, label string) []byte {
	return append(append(b, labelMark, byte(len(label))), label...)
}

// WriteToAddress implements memberlist.NodeAwareTransport.
func (t *transport) WriteToAddress(b []byte, a memberlist.Address) (time.Time, error) {
	out := appendLabel(make([]byte, 0, len(b)+labelOverhead+len(t.label)+sealOverhead), t.label)
	if keys := t.keys.Load(); keys != nil {
		out = keys.seal(out, b, []byte(t.label))
	} else {
		out = append(out, b...)
	}
	return t.inner.WriteToAddress(out, a)
}

// WriteTo implements memberlist.Transport.
func (t *transport) WriteTo(b []byte, addr string) (time.Time, error) {
	return t.WriteToAddress(b, memberlist.Address{Addr: addr})
}

// DialAddressTimeout implements memberlist.NodeAwareTransport.
func (t *transport) DialAddressTimeout(a memberlist.Address, timeout time.Duration) (net.Conn, error) {
	conn, err := t.inner.DialAddressTimeout(a, timeout)
	if err != nil {
		return nil, err
	}
	return &guarded{Conn: conn, t: t}, nil
}

// DialTimeout implements memberlist.Transport.
func (t *transport) DialTimeout(addr string, timeout time.Duration) (net.Conn, error) {
	return t.DialAddressTimeout(memberlist.Address{Addr: addr}, timeout)
}

// FinalAdvertiseAddr implements memberlist.Transport.
func (t *transport) FinalAdvertiseAddr(ip string, port int) (net.IP, int, error) {
	if ip != "" && port == 0 {
		port = t.inner.GetAutoBindPort()
	}
	return t.inner.FinalAdvertiseAddr(ip, port)
}

// PacketCh implements memberlist.Transport.
func (t *transport) PacketCh() <-chan *memberlist.Packet { return t.packets }

// StreamCh implements memberlist.Transport.
func (t *transport) StreamCh() <-chan net.Conn { return t.streams }

// Shutdown implements memberlist.Transport. It returns when no goroutine of the transport is left.
func (t *transport) Shutdown() (err error) {
	t.once.Do(func() {
		close(t.stop)
		err = t.inner.Shutdown() // while forward takes what its listeners still have
		close(t.closed)
		t.done.Wait()
		t.mu.Lock()
		for conn := range t.reading {
			_ = conn.Close()
		}
		t.mu.Unlock()
		t.reads.Wait()
	})
	return err
}
