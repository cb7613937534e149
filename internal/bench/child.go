package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"sync"
	"time"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/internal/transport"
	"github.com/meros-project/meros/master"
)

// childVariable, when set, makes this program one master: its value is a childSpec.
const childVariable = "MEROS_BENCH_MASTER"

// A childSpec says which master a child process is.
type childSpec struct {
	Number  int
	Dir     string
	Listen  string
	Peers   []election.Peer
	Verbose bool   // write its log to standard error
	Profile string // CPU profile to write, if it ends in order
	Record  string // folder to record in

	Alone    bool   // no master: its elector by itself, which says elected when its first write is committed
	Ensemble string // address of the ZooKeeper servers that Alone elects on; empty: Raft
}

func isChild() bool { return os.Getenv(childVariable) != "" }

// childMain is the child's main: a master that tells on standard output what becomes of it and ends when its standard input does.
func childMain() int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, "bench: master:", err)
		return 1
	}
	var spec childSpec
	if err := json.Unmarshal([]byte(os.Getenv(childVariable)), &spec); err != nil {
		return fail(err)
	}
	if spec.Profile != "" {
		f, err := os.Create(spec.Profile)
		if err != nil {
			return fail(err)
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return fail(err)
		}
		defer pprof.StopCPUProfile()
	}
	ln, err := net.Listen("tcp", spec.Listen)
	if err != nil {
		return fail(err)
	}
	var mu sync.Mutex
	say := func(what string, reign uint64) {
		now := time.Now().UnixNano()
		mu.Lock()
		defer mu.Unlock()
		fmt.Println(what, reign, now)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // until the parent is gone, or wants us to end
		cancel()
	}()
	if spec.Alone {
		e, err := newElector(spec.Ensemble, spec.Dir, spec.Peers)
		if err == nil {
			err = runElector(ctx, e, ln, spec.Verbose, func(reign uint64) { say("elected", reign) }, func() { say("follows", 0) })
		}
		if err != nil {
			return fail(err)
		}
		return 0
	}
	m, err := newMaster(spec.Dir, ln, spec.Peers, master.Recorder{Dir: spec.Record}, master.Hooks{
		Elected: func(reign uint64) { say("elected", reign) },
		Deposed: func(reign uint64) { say("deposed", reign) },
	}, newLogger(spec.Verbose).With("node", fmt.Sprintf("master-%d", spec.Number)))
	if err != nil {
		return fail(err)
	}
	if err := m.Run(ctx); err != nil {
		return fail(err)
	}
	return 0
}

// children are several masters, each a process of its own that can be killed and started again.
type children struct {
	specs []childSpec
	procs []*child
	news  chan childNews // what they say

	elections int // counted by await and poll
	following int // children that have said that they follow, and were not waited for
	last      childNews
}

// A childNews is one line of a child.
type childNews struct {
	child int
	what  string // elected, deposed, or ended with err
	reign uint64
	at    time.Time
	err   error
}

type child struct {
	cmd   *exec.Cmd
	stdin io.Closer
	done  chan struct{}
}

// startChildren starts n masters with data folders below dir.
func startChildren(dir string, r *report, n int) (*children, error) {
	c := &children{news: make(chan childNews, 1024), procs: make([]*child, n)}
	var peers []election.Peer
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0") // a port that is free, and stays so unless the machine is very busy
		if err != nil {
			return nil, err
		}
		defer ln.Close()
		peers = append(peers, election.Peer{Address: ln.Addr().String()})
	}
	for i, p := range peers {
		spec := childSpec{Number: i, Dir: filepath.Join(dir, fmt.Sprintf("master-%d", i)), Listen: p.Address, Peers: peers, Verbose: r.verbose}
		if r.profile != "" {
			spec.Profile = fmt.Sprintf("%s.%d", r.profile, i)
		}
		c.specs = append(c.specs, spec)
	}
	return c, nil
}

func (c *children) addresses() []string {
	var out []string
	for _, s := range c.specs {
		out = append(out, s.Listen)
	}
	return out
}

// start starts child i.
func (c *children) start(i int) error {
	spec, err := json.Marshal(c.specs[i])
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childVariable+"="+string(spec))
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	var stderr tail
	cmd.Stderr = &stderr
	if c.specs[i].Verbose {
		cmd.Stderr = io.MultiWriter(&stderr, os.Stderr)
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	p := &child{cmd: cmd, stdin: stdin, done: make(chan struct{})}
	c.procs[i] = p
	go func() {
		defer close(p.done)
		lines := bufio.NewScanner(stdout)
		for lines.Scan() {
			n := childNews{child: i}
			var nanos int64
			if _, err := fmt.Sscan(lines.Text(), &n.what, &n.reign, &nanos); err == nil {
				n.at = time.Unix(0, nanos)
				c.news <- n
			}
		}
		if err := cmd.Wait(); err != nil && cmd.ProcessState.ExitCode() > 0 {
			c.news <- childNews{child: i, what: "ended", err: fmt.Errorf("master %d: %w: %s", i, err, stderr.String())}
		}
	}()
	return nil
}

// tail keeps the end of what is written to it. The writer and the reader take turns.
type tail struct{ b []byte }

func (t *tail) Write(b []byte) (int, error) {
	t.b = append(t.b, b...)
	if len(t.b) > 4096 {
		t.b = t.b[len(t.b)-4096:]
	}
	return len(b), nil
}

func (t *tail) String() string { return strings.TrimSpace(string(t.b)) }

// kill ends child i with SIGKILL and returns when it was sent.
func (c *children) kill(i int) (time.Time, error) {
	at := time.Now()
	return at, c.procs[i].cmd.Process.Kill()
}

// bury waits until child i, which was killed, is gone.
func (c *children) bury(i int) {
	<-c.procs[i].done
	c.procs[i] = nil
}

// await waits for the next election, and counts it.
func (c *children) await(ctx context.Context) (childNews, error) {
	for {
		select {
		case n := <-c.news:
			if err := c.count(n); err != nil {
				return n, err
			}
			if n.what == "elected" {
				return n, nil
			}
		case <-ctx.Done():
			return childNews{}, fmt.Errorf("no leader: %w", context.Cause(ctx))
		}
	}
}

// poll counts the elections that have come since, without waiting.
func (c *children) poll() error {
	for {
		select {
		case n := <-c.news:
			if err := c.count(n); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

func (c *children) count(n childNews) error {
	if n.what == "follows" {
		c.following++
	}
	if n.what == "elected" {
		c.elections++
		if n.reign > c.last.reign {
			c.last = n
		}
	}
	return n.err
}

// joined waits until child i knows who leads, which it does once it has heard from the leader.
func (c *children) joined(ctx context.Context, i int) error {
	d := transport.Addresses([]string{c.specs[i].Listen}, transport.Dialer{}, nil)
	defer d.Close()
	_, err := d.Detect(ctx, election.Peer{})
	return err
}

// stop lets the children end in order, and kills those that do not.
func (c *children) stop() error {
	for _, p := range c.procs {
		if p != nil {
			_ = p.stdin.Close()
		}
	}
	var errs []error
	for i, p := range c.procs {
		if p == nil {
			continue
		}
		select {
		case <-p.done:
		case <-time.After(20 * time.Second):
			errs = append(errs, fmt.Errorf("master %d did not end in 20 s", i), p.cmd.Process.Kill())
			<-p.done
		}
	}
	for {
		select {
		case n := <-c.news:
			errs = append(errs, n.err)
		default:
			return errors.Join(errs...)
		}
	}
}
