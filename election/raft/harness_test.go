package raft

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	hraft "github.com/hashicorp/raft"
	"github.com/meros-project/meros/election"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv("RAFT_TEST_NODE") != "" {
		childMain()
		return
	}
	goleak.VerifyTestMain(m)
}

// A memNet is a network in memory whose links can be cut one way.
type memNet struct {
	mu        sync.Mutex
	listeners map[string]*memListener
	cut       map[[2]string]bool
}

func newMemNet() *memNet {
	return &memNet{listeners: map[string]*memListener{}, cut: map[[2]string]bool{}}
}

type memListener struct {
	net   *memNet
	addr  string
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (n *memNet) listen(addr string) net.Listener {
	n.mu.Lock()
	defer n.mu.Unlock()
	l := &memListener{net: n, addr: addr, conns: make(chan net.Conn), done: make(chan struct{})}
	n.listeners[addr] = l
	return l
}

func (l *memListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *memListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}
func (l *memListener) Addr() net.Addr { return streamAddr(l.addr) }

func (n *memNet) dead(from, to string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cut[[2]string{from, to}]
}

// set cuts or heals the links from the nodes in a to those in b.
func (n *memNet) set(cut bool, a, b []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, x := range a {
		for _, y := range b {
			if x != y {
				n.cut[[2]string{x, y}] = cut
			}
		}
	}
}

func (n *memNet) dialer(from string) func(context.Context, string) (net.Conn, error) {
	return func(ctx context.Context, to string) (net.Conn, error) {
		n.mu.Lock()
		l := n.listeners[to]
		n.mu.Unlock()
		if l == nil || n.dead(from, to) || n.dead(to, from) {
			return nil, fmt.Errorf("no route from %s to %s", from, to)
		}
		a, b := net.Pipe()
		select {
		case l.conns <- &memConn{Conn: b, net: n, from: to, to: from}:
			return &memConn{Conn: a, net: n, from: from, to: to}, nil
		case <-l.done:
		case <-ctx.Done():
		}
		_, _ = a.Close(), b.Close()
		return nil, fmt.Errorf("%s does not answer", to)
	}
}

// A memConn loses what is written while its link is cut, and everything after.
type memConn struct {
	net.Conn
	net      *memNet
	from, to string
	mu       sync.Mutex
	lost     bool
}

func (c *memConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.lost = c.lost || c.net.dead(c.from, c.to)
	lost := c.lost
	c.mu.Unlock()
	if lost {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// A ledger is a state machine that keeps every entry and counts the openings.
type ledger struct {
	mu      sync.Mutex
	reign   uint64
	entries []string
}

const openingEntry = "\x00open"

func (l *ledger) Apply(_ uint64, entry []byte) (any, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch string(entry) {
	case "poison":
		return nil, errors.New("unknown kind")
	case openingEntry:
		l.reign++
		return l.reign, nil
	}
	l.entries = append(l.entries, string(entry))
	return len(l.entries), nil
}

func (l *ledger) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.entries, "\n")
}

type ledgerSnapshot struct {
	reign uint64
	text  string
}

func (l *ledger) Snapshot() (election.Snapshot, error) {
	return ledgerSnapshot{l.reign, l.text()}, nil
}

func (s ledgerSnapshot) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(append(binary.BigEndian.AppendUint64(nil, s.reign), s.text...))
	return int64(n), err
}

func (ledgerSnapshot) Release() {}

func (l *ledger) Restore(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if len(b) < 8 {
		return io.ErrUnexpectedEOF
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reign, l.entries = binary.BigEndian.Uint64(b), nil
	if len(b) > 8 {
		l.entries = strings.Split(string(b[8:]), "\n")
	}
	return nil
}

// A memDisk is a log in memory that survives its elector and whose writes can be held up or made to fail.
type memDisk struct {
	*hraft.InmemStore
	mu   sync.Mutex
	hold chan struct{}
	fail error
	good int // writes before fail
}

func newMemDisk() *memDisk { return &memDisk{InmemStore: hraft.NewInmemStore()} }

func (d *memDisk) Close() error { return nil }

func (d *memDisk) hang() (release func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	hold := make(chan struct{})
	d.hold = hold
	return func() {
		d.mu.Lock()
		d.hold = nil
		d.mu.Unlock()
		close(hold)
	}
}

func (d *memDisk) breaks(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = err
}

// after makes the disk fail after n writes.
func (d *memDisk) after(n int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.good, d.fail = n, err
}

func (d *memDisk) write(f func() error) error {
	d.mu.Lock()
	hold, fail := d.hold, d.fail
	if d.good > 0 {
		d.good, fail = d.good-1, nil
	}
	d.mu.Unlock()
	if hold != nil {
		<-hold
	}
	if fail != nil {
		return fail
	}
	return f()
}

func (d *memDisk) StoreLog(l *hraft.Log) error {
	return d.write(func() error { return d.InmemStore.StoreLog(l) })
}
func (d *memDisk) StoreLogs(l []*hraft.Log) error {
	return d.write(func() error { return d.InmemStore.StoreLogs(l) })
}
func (d *memDisk) Set(k, v []byte) error {
	return d.write(func() error { return d.InmemStore.Set(k, v) })
}
func (d *memDisk) SetUint64(k []byte, v uint64) error {
	return d.write(func() error { return d.InmemStore.SetUint64(k, v) })
}

// A world is a cluster in memory; use it in a bubble.
type world struct {
	t     *testing.T
	net   *memNet
	nodes []*master
	peers []election.Peer
}

type master struct {
	*Elector
	w      *world
	addr   string
	dir    string
	disk   *memDisk
	state  *ledger
	cancel context.CancelFunc
	ended  chan error
	log    *logText
}

func newWorld(t *testing.T, n int, edit ...func(*Config)) *world {
	w := &world{t: t, net: newMemNet()}
	for i := range n {
		w.peers = append(w.peers, election.Peer{Address: fmt.Sprintf("m%d:1", i)})
	}
	for i := range n {
		w.nodes = append(w.nodes, w.start(w.peers[i].Address, t.TempDir(), newMemDisk(), append(edit, func(c *Config) { c.Bootstrap = w.peers })...))
	}
	return w
}

type logText struct {
	mu sync.Mutex
	b  strings.Builder
}

func (w *logText) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

func (w *logText) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}

func (w *world) start(addr, dir string, disk *memDisk, edit ...func(*Config)) *master {
	w.t.Helper()
	cfg := Config{Dir: dir}
	for _, f := range edit {
		f(&cfg)
	}
	e, err := New(cfg)
	require.NoError(w.t, err)
	if disk != nil {
		e.openDisk = func(string) (logStore, error) { return disk, nil }
	}
	ctx, cancel := context.WithCancel(context.Background())
	m := &master{Elector: e, w: w, addr: addr, dir: dir, disk: disk, state: &ledger{}, cancel: cancel, ended: make(chan error, 1),
		log: &logText{}}
	env := election.Env{
		StateMachine: m.state, Opening: func() []byte { return []byte(openingEntry) }, Advertise: addr,
		Listener: w.net.listen(addr), Dial: w.net.dialer(addr),
		Logger: slog.New(slog.NewTextHandler(m.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	w.t.Cleanup(cancel) // so that a failed test ends
	go func() { m.ended <- e.Run(ctx, env) }()
	return m
}

func (m *master) stop() {
	m.w.t.Helper()
	m.cancel()
	require.NoError(m.w.t, <-m.ended)
}

func (w *world) close() {
	for _, m := range w.nodes {
		m.cancel()
	}
	for _, m := range w.nodes {
		require.NoError(w.t, <-m.ended)
	}
}

// leader waits for a Term of one of nodes.
func (w *world) leader(nodes ...*master) (*master, election.Term) {
	w.t.Helper()
	type won struct {
		m *master
		t election.Term
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	wins := make(chan won, len(nodes))
	for _, m := range nodes {
		go func() {
			select {
			case t, ok := <-m.Terms():
				if ok {
					wins <- won{m, t}
				}
				cancel()
			case <-ctx.Done():
			}
		}()
	}
	select {
	case x := <-wins:
		return x.m, x.t
	case <-ctx.Done():
	}
	select {
	case x := <-wins:
		return x.m, x.t
	default:
		for _, m := range nodes {
			w.t.Log(m.addr, "\n", m.log.String())
		}
		w.t.Fatal("nobody leads")
		return nil, nil
	}
}

func (w *world) others(not *master) []*master {
	var out []*master
	for _, m := range w.nodes {
		if m != not {
			out = append(out, m)
		}
	}
	return out
}

func addrs(nodes ...*master) []string {
	var out []string
	for _, m := range nodes {
		out = append(out, m.addr)
	}
	return out
}

func propose(t election.Term, entry string) (any, error) {
	type answer struct {
		result any
		err    error
	}
	got := make(chan answer, 1)
	t.Propose([]byte(entry), func(_ uint64, result any, err error) { got <- answer{result, err} })
	a := <-got
	return a.result, a.err
}

// settle waits until the nodes hold the same entries, want among them at the end.
func (w *world) settle(want string, nodes ...*master) {
	w.t.Helper()
	for range 2000 {
		same := true
		for _, m := range nodes {
			same = same && strings.HasSuffix(m.state.text(), want) && m.state.text() == nodes[0].state.text()
		}
		if same {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	for _, m := range nodes {
		w.t.Logf("%s has %q", m.addr, m.state.text())
	}
	w.t.Fatal("the masters do not agree")
}
