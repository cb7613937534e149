package zookeeper

import (
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/meros-project/meros/internal/zkserver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 60 * time.Second

// eventually waits for a condition, for far longer than it should take.
func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for began := time.Now(); !is(); {
		if time.Since(began) > patience {
			t.Fatalf("%s did not come about in %v", what, patience)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// needsServer skips where no ZooKeeper is installed, but not in CI.
func needsServer(t testing.TB) {
	t.Helper()
	switch missing := zkserver.Missing(); {
	case missing == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("%v: in CI it must be there", missing)
	default:
		t.Skipf("%v to run the tests against real servers", missing)
	}
}

// A server is a real ZooKeeper process.
type server struct {
	*zkserver.Server
	t       testing.TB
	address string
}

// startEnsemble starts n servers that form one ensemble, and waits until they serve.
func startEnsemble(t testing.TB, n int) []*server {
	return startServers(t, zkserver.Options{Servers: n})
}

func startServers(t testing.TB, o zkserver.Options) []*server {
	needsServer(t)
	o.Dir = t.TempDir()
	started, err := zkserver.Start(o)
	require.NoError(t, err)
	t.Cleanup(func() {
		zkserver.Close(started)
		for _, s := range started {
			if t.Failed() {
				t.Logf("the server at %s:\n%s", s.Address, s.Said())
			}
		}
	})
	var list []*server
	for _, s := range started {
		list = append(list, &server{Server: s, t: t, address: s.Address})
	}
	return list
}

func (s *server) start() { require.NoError(s.t, s.Start()) }
func (s *server) ready() { require.NoError(s.t, s.Ready()) }

// url is the address of a path on these servers.
func url(list []*server, path string) string {
	var a []string
	for _, s := range list {
		a = append(a, s.address)
	}
	return "zk://" + strings.Join(a, ",") + path
}

// A proxy forwards connections to a server until it is told to stop, which those at both ends see as silence.
type proxy struct {
	ln     net.Listener
	to     string
	all    sync.WaitGroup
	mu     sync.Mutex
	open   chan struct{} // closed while it forwards
	conns  []net.Conn
	closed bool
}

func newProxy(t testing.TB, to string) *proxy {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	p := &proxy{ln: ln, to: to, open: make(chan struct{})}
	close(p.open)
	p.all.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

func (p *proxy) address() string { return p.ln.Addr().String() }

func (p *proxy) accept() {
	for {
		c, err := p.ln.Accept()
		if err != nil {
			return
		}
		if !p.keep(c) {
			return
		}
		p.all.Go(func() {
			defer c.Close()
			p.wait()
			up, err := net.Dial("tcp", p.to)
			if err != nil {
				return
			}
			defer up.Close()
			if !p.keep(up) {
				return
			}
			p.all.Go(func() { p.copy(up, c) })
			p.copy(c, up)
		})
	}
}

func (p *proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns = append(p.conns, c)
	if p.closed {
		_ = c.Close()
	}
	return !p.closed
}

func (p *proxy) wait() {
	p.mu.Lock()
	open := p.open
	p.mu.Unlock()
	<-open
}

func (p *proxy) copy(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	b := make([]byte, 64<<10)
	for {
		n, err := from.Read(b)
		p.wait()
		if _, werr := to.Write(b[:n]); err != nil || werr != nil {
			return
		}
	}
}

// cut stops forwarding; heal goes on with it, for new connections: what was open has lost its other end.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.open:
		p.open = make(chan struct{})
	default:
	}
}

func (p *proxy) heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.open:
		return
	default:
	}
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
	close(p.open)
}

// drop closes what is open, and goes on forwarding.
func (p *proxy) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.conns = nil
}

func (p *proxy) close() {
	p.heal()
	p.mu.Lock()
	p.closed = true
	for _, c := range p.conns {
		_ = c.Close()
	}
	p.mu.Unlock()
	_ = p.ln.Close()
	p.all.Wait()
}
