package raft

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/meros-project/meros/election"
	"github.com/stretchr/testify/require"
)

func tcpDial(ctx context.Context, address string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", address)
}

func slowEnough(c *Config) {
	c.HeartbeatTimeout, c.SnapshotThreshold, c.TrailingLogs = time.Second, 64, 32
}

// childMain is a master in a process of its own: it prints the reigns it wins and the entries that were confirmed, until it is killed.
func childMain() {
	cfg := Config{Dir: os.Getenv("RAFT_TEST_NODE"), SnapshotInterval: 50 * time.Millisecond}
	if os.Getenv("RAFT_TEST_SLOW") == "true" {
		slowEnough(&cfg)
	}
	for _, a := range strings.Split(os.Getenv("RAFT_TEST_PEERS"), ",") {
		cfg.Bootstrap = append(cfg.Bootstrap, election.Peer{Address: a})
	}
	e, err := New(cfg)
	if err != nil {
		panic(err)
	}
	addr := os.Getenv("RAFT_TEST_ADDRESS")
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		panic(err)
	}
	go func() {
		for term := range e.Terms() {
			fmt.Println("lead", term.Reign())
			for i := 0; ; i++ {
				entry := fmt.Sprintf("%d.%d", term.Reign(), i)
				if _, err := propose(term, entry); err == election.ErrDeposed {
					break
				} else if err == nil {
					fmt.Println("ok", entry)
				}
			}
		}
	}()
	err = e.Run(context.Background(), election.Env{StateMachine: &ledger{}, Opening: func() []byte { return []byte(openingEntry) },
		Advertise: addr, Listener: ln, Dial: tcpDial})
	panic(err)
}

type child struct {
	cmd  *exec.Cmd
	addr string
	dir  string
}

type report struct {
	from  *child
	words []string
}

// A fleet is some masters, each in a process of its own.
type fleet struct {
	t         testing.TB
	addresses []string
	slow      bool
	reports   chan report
	children  []*child
	confirmed []string
	reign     uint64
}

func startFleet(t testing.TB, addresses []string, slow bool) *fleet {
	f := &fleet{t: t, addresses: addresses, slow: slow, reports: make(chan report, 1<<16)}
	for _, a := range addresses {
		f.children = append(f.children, f.start(a, t.TempDir()))
	}
	return f
}

func (f *fleet) start(addr, dir string) *child {
	c := &child{cmd: exec.Command(os.Args[0]), addr: addr, dir: dir}
	c.cmd.Env = append(os.Environ(), "RAFT_TEST_NODE="+dir, "RAFT_TEST_ADDRESS="+addr, "RAFT_TEST_PEERS="+strings.Join(f.addresses, ","),
		fmt.Sprint("RAFT_TEST_SLOW=", f.slow))
	c.cmd.Stderr = os.Stderr
	out, err := c.cmd.StdoutPipe()
	require.NoError(f.t, err)
	require.NoError(f.t, c.cmd.Start())
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			f.reports <- report{c, strings.Fields(lines.Text())}
		}
	}()
	f.t.Cleanup(func() { _ = c.cmd.Process.Kill() })
	return c
}

func (f *fleet) kill(c *child) {
	require.NoError(f.t, c.cmd.Process.Kill())
	_ = c.cmd.Wait()
}

func (f *fleet) restart(c *child) {
	again := f.start(c.addr, c.dir)
	for i := range f.children {
		if f.children[i] == c {
			f.children[i] = again
		}
	}
}

// lead waits for a new leader and n confirmed entries of its.
func (f *fleet) lead(n int) *child {
	var leader *child
	deadline := time.After(60 * time.Second)
	for n > 0 {
		select {
		case r := <-f.reports:
			if r.words[0] == "ok" {
				f.confirmed = append(f.confirmed, r.words[1])
				if leader != nil {
					n--
				}
				continue
			}
			won, err := strconv.ParseUint(r.words[1], 10, 64)
			require.NoError(f.t, err)
			require.Greater(f.t, won, f.reign)
			f.reign, leader = won, r.from
		case <-deadline:
			require.Fail(f.t, "no leader within a minute")
		}
	}
	return leader
}

// Three masters on real TCP and real disks: the leader dies by SIGKILL, then all of them; nothing that was confirmed is lost (L4).
func TestNothingConfirmedIsLostToSIGKILL(t *testing.T) {
	f := startFleet(t, freeAddresses(t, 3), true)
	first := f.lead(100)
	f.kill(first)
	f.lead(50)
	for _, c := range f.children {
		if c != first {
			f.kill(c)
		}
	}
	for _, c := range f.children {
		f.restart(c)
	}
	f.lead(50)
	for _, c := range f.children {
		f.kill(c)
	}
	for len(f.reports) > 0 {
		if r := <-f.reports; r.words[0] == "ok" {
			f.confirmed = append(f.confirmed, r.words[1])
		}
	}
	confirmed, children := f.confirmed, f.children

	w := &world{t: t}
	for _, c := range children {
		w.nodes = append(w.nodes, w.startTCP(c.addr, c.dir))
	}
	m, term := w.leader(w.nodes...)
	_, err := propose(term, "end")
	require.NoError(t, err)
	w.settle("end", w.nodes...)
	have := map[string]int{}
	for _, e := range m.state.entries {
		have[e]++
	}
	for _, e := range confirmed {
		require.Equal(t, 1, have[e], e)
	}
	require.GreaterOrEqual(t, len(confirmed), 200)
	w.close()
}

// startTCP starts a master on a real socket and a real disk.
func (w *world) startTCP(addr, dir string) *master {
	cfg := Config{Dir: dir}
	slowEnough(&cfg)
	e, err := New(cfg)
	require.NoError(w.t, err)
	ln, err := net.Listen("tcp", addr)
	require.NoError(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	m := &master{Elector: e, w: w, addr: addr, dir: dir, state: &ledger{}, cancel: cancel, ended: make(chan error, 1), log: &logText{}}
	go func() {
		m.ended <- e.Run(ctx, election.Env{StateMachine: m.state, Opening: func() []byte { return []byte(openingEntry) }, Advertise: addr,
			Listener: ln, Dial: tcpDial})
	}()
	return m
}
