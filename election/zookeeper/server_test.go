package zookeeper

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	jar      = "/usr/share/java/zookeeper.jar" // of Debian's package zookeeper
	patience = 60 * time.Second
)

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
	missing := ""
	if _, err := exec.LookPath("java"); err != nil {
		missing = "no java"
	} else if _, err := os.Stat(jar); err != nil {
		missing = "no " + jar
	}
	switch {
	case missing == "":
	case os.Getenv("CI") == "true":
		t.Fatalf("%s: in CI Debian's package zookeeper must be installed", missing)
	default:
		t.Skipf("%s: install Debian's package zookeeper to run the tests against real servers", missing)
	}
}

// A server is a real ZooKeeper process on loopback, with a folder of its own.
type server struct {
	t       testing.TB
	id      int
	dir     string
	address string
	peers   string // server.N lines; empty for one server alone
	cmd     *exec.Cmd
	exited  chan struct{}
	out     *bytes.Buffer
}

var (
	portMu    sync.Mutex
	portsUsed = map[int]bool{}
)

// freePort finds a port that no connection is given by chance and that no other test has: a server that is killed finds it free again.
func freePort(t testing.TB) int {
	portMu.Lock()
	defer portMu.Unlock()
	for range 1000 {
		port := 15000 + rand.IntN(15000)
		if portsUsed[port] {
			continue
		}
		if ln, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			portsUsed[port] = true
			_ = ln.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// startEnsemble starts n servers that form one ensemble, and waits until they serve.
func startEnsemble(t testing.TB, n int) []*server {
	needsServer(t)
	var list []*server
	var peers strings.Builder
	for i := range n {
		fmt.Fprintf(&peers, "server.%d=127.0.0.1:%d:%d\n", i+1, freePort(t), freePort(t))
	}
	for i := range n {
		s := &server{t: t, id: i + 1, dir: t.TempDir(), address: fmt.Sprintf("127.0.0.1:%d", freePort(t))}
		if n > 1 {
			s.peers = peers.String()
		}
		list = append(list, s)
		t.Cleanup(s.kill)
		s.start()
	}
	for _, s := range list {
		s.ready()
	}
	return list
}

func (s *server) start() {
	_, port, _ := net.SplitHostPort(s.address)
	config := fmt.Sprintf("tickTime=200\ninitLimit=50\nsyncLimit=25\ndataDir=%s\nclientPort=%s\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n"+
		"4lw.commands.whitelist=srvr\nminSessionTimeout=400\nmaxSessionTimeout=20000\nmaxClientCnxns=0\n%s", s.dir, port, s.peers)
	require.NoError(s.t, os.WriteFile(filepath.Join(s.dir, "zoo.cfg"), []byte(config), 0o600))
	require.NoError(s.t, os.WriteFile(filepath.Join(s.dir, "myid"), fmt.Appendf(nil, "%d\n", s.id), 0o600))
	main := "org.apache.zookeeper.server.ZooKeeperServerMain"
	if s.peers != "" {
		main = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
	}
	s.out = &bytes.Buffer{}
	s.cmd = exec.Command("java", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dzookeeper.preAllocSize=1024",
		"-cp", jar, main, filepath.Join(s.dir, "zoo.cfg"))
	s.cmd.Stdout, s.cmd.Stderr = s.out, s.out
	require.NoError(s.t, s.cmd.Start())
	s.exited = make(chan struct{})
	go func(cmd *exec.Cmd, exited chan struct{}) {
		defer close(exited)
		_ = cmd.Wait()
	}(s.cmd, s.exited)
}

func (s *server) kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		<-s.exited
		s.cmd = nil
		if s.t.Failed() {
			s.t.Logf("server %d at %s:\n%s", s.id, s.address, s.out.Bytes()[max(0, s.out.Len()-3000):])
		}
	}
}

// ready waits until the server takes part in a quorum.
func (s *server) ready() {
	eventually(s.t, "a ZooKeeper server", func() bool {
		select {
		case <-s.exited:
			s.t.Fatalf("server %d has ended:\n%s", s.id, s.out)
		default:
		}
		return strings.Contains(s.ask(), "Mode: ")
	})
}

func (s *server) ask() string {
	c, err := net.DialTimeout("tcp", s.address, time.Second)
	if err != nil {
		return ""
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(2 * time.Second))
	_, _ = io.WriteString(c, "srvr")
	b, _ := io.ReadAll(c)
	return string(b)
}

func (s *server) leads() bool { return strings.Contains(s.ask(), "Mode: leader") }

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
