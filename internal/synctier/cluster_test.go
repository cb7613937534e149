package synctier

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/election/raft"
	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/isolationtest"
	"github.com/meros-project/meros/master"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
	"github.com/meros-project/meros/slave"
)

// A process is something with a Run that is stopped and started again.
type process struct {
	name   string
	cancel context.CancelFunc
	done   chan error // nil while it is not running
}

func (p *process) start(t *testing.T, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(t.Context())
	p.cancel, p.done = cancel, make(chan error, 1)
	go func(done chan error) { done <- run(ctx) }(p.done)
}

func (p *process) alive() bool { return p.done != nil }

// stop ends it, if it runs.
func (p *process) stop(t *testing.T) {
	if p.done == nil {
		return
	}
	p.cancel()
	require.NoError(t, <-p.done, "%s", p.name)
	p.done = nil
}

// A cluster is all of it. It is driven by the bubble's first goroutine.
type cluster struct {
	t       *testing.T
	random  *rand.Rand
	network *network
	peers   []election.Peer
	dirs    []string // of masters

	electors   []*raft.Elector
	masters    []*master.Master
	mprocs     []*process
	slaves     []*process
	runners    []*isolationtest.Runner
	work       []string // folders of slaves
	frameworks []*program
	fprocs     []*process

	mu     sync.Mutex
	starts map[offer.TaskID]int // processes of tasks, on any slave
	faults int
	reigns map[uint64]int // who led in it
}

const (
	slaves     = 4
	frameworks = 2
	jobs       = 80 // of each framework
)

// folder is a new one, in memory where the system has such a place: the bubble's time stands still while a disk writes, ours does not.
func folder(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "synctier-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func newCluster(t *testing.T, seed uint64) *cluster {
	c := &cluster{t: t, random: rand.New(rand.NewPCG(seed, 0x74696572)), network: newNetwork(), starts: map[offer.TaskID]int{}, reigns: map[uint64]int{}}
	for i := range 3 {
		name := fmt.Sprintf("m%d", i+1)
		c.peers = append(c.peers, election.Peer{ID: name, Address: name + ":5050"})
		c.dirs = append(c.dirs, folder(t))
		c.mprocs = append(c.mprocs, &process{name: name})
	}
	c.masters, c.electors = make([]*master.Master, 3), make([]*raft.Elector, 3)
	for i := range 3 {
		c.startMaster(i)
	}
	for i := range slaves {
		c.slaves = append(c.slaves, &process{name: fmt.Sprintf("s%d", i+1)})
		c.work = append(c.work, folder(t))
		c.runners = append(c.runners, c.newRunner(rand.New(rand.NewPCG(seed, uint64(i)))))
		c.startSlave(i)
	}
	for i := range frameworks {
		c.frameworks = append(c.frameworks, newProgram(fmt.Sprintf("f%d", i+1), jobs))
		c.fprocs = append(c.fprocs, &process{name: fmt.Sprintf("f%d", i+1)})
		c.startFramework(i)
	}
	return c
}

func (c *cluster) addresses() (out []string) {
	for _, p := range c.peers {
		out = append(out, p.Address)
	}
	return out
}

func (c *cluster) startMaster(i int) {
	elector, err := raft.New(raft.Config{Dir: c.dirs[i], Bootstrap: c.peers, SnapshotThreshold: 64, SnapshotInterval: 10 * time.Second, TrailingLogs: 16})
	require.NoError(c.t, err)
	address := c.peers[i].Address
	m, err := master.New(master.Config{Election: elector, Listen: address, Advertise: address, Network: c.network.from(c.mprocs[i].name),
		Hooks: master.Hooks{Elected: func(reign uint64) { c.elected(i, reign) }}})
	require.NoError(c.t, err)
	c.masters[i], c.electors[i] = m, elector
	c.mprocs[i].start(c.t, m.Run)
}

// elected sees each reign: it is one master's.
func (c *cluster) elected(i int, reign uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if who, again := c.reigns[reign]; again {
		c.t.Errorf("reign %d is of %s and of %s", reign, c.mprocs[who].name, c.mprocs[i].name)
	}
	c.reigns[reign] = i
}

// newRunner makes the containers of a machine: they outlive the slave's process and end by themselves.
func (c *cluster) newRunner(random *rand.Rand) *isolationtest.Runner {
	r := &isolationtest.Runner{}
	r.OnStart = func(spec *isolation.Spec) isolationtest.Script {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.starts[spec.Task]++
		if random.IntN(30) == 0 {
			return isolationtest.Script{Fail: offer.ReasonContainerLaunchFailed}
		}
		exit := offer.Exit{}
		if random.IntN(20) == 0 {
			exit.Code = 1
		}
		id := spec.Container
		time.AfterFunc(time.Duration(random.Int64N(int64(40*time.Second))), func() { r.Exit(id, exit) })
		return isolationtest.Script{}
	}
	return r
}

func (c *cluster) startSlave(i int) {
	name := c.slaves[i].name
	executors, err := c.network.Listen(c.t.Context(), name+":0")
	require.NoError(c.t, err)
	s, err := slave.New(slave.Config{WorkDir: c.work[i], Masters: c.addresses(), Network: c.network.from(name), Hostname: name, Runner: c.runners[i],
		Executors: executors, Resources: resource.Must("cpus:4;mem:4096;ports:[31000-31099]")})
	require.NoError(c.t, err)
	c.slaves[i].start(c.t, s.Run)
}

func (c *cluster) startFramework(i int) {
	p := c.frameworks[i]
	s, err := framework.New(framework.Config{Name: p.name, ID: p.remembered(), Masters: c.addresses(), Network: c.network.from(p.name),
		FailoverTimeout: time.Hour}, p)
	require.NoError(c.t, err)
	p.use(s)
	c.fprocs[i].start(c.t, s.Run)
}

// leaders are the masters that say that they lead.
func (c *cluster) leaders() (out []int) {
	for i, m := range c.masters {
		if _, leads := m.Leading(); leads && c.mprocs[i].alive() {
			out = append(out, i)
		}
	}
	return out
}

// divided says where the masters do not agree on the one that leads.
func (c *cluster) divided() string {
	leaders := c.leaders()
	if len(leaders) != 1 {
		return fmt.Sprintf("%d masters lead", len(leaders))
	}
	for i, e := range c.electors {
		if p, known := e.Leader(); !known || p.ID != c.peers[leaders[0]].ID {
			return fmt.Sprintf("%s leads, and %s knows of %q", c.peers[leaders[0]].ID, c.peers[i].ID, p.ID)
		}
	}
	return ""
}

// names are the hosts.
func (c *cluster) names() (out []string) {
	for _, list := range [][]*process{c.mprocs, c.slaves, c.fprocs} {
		for _, p := range list {
			out = append(out, p.name)
		}
	}
	return out
}

// await waits for something that must come true.
func (c *cluster) await(what string, limit time.Duration, cond func() string) {
	c.t.Helper()
	for end := time.Now().Add(limit); ; time.Sleep(time.Second) {
		why := cond()
		if why == "" {
			return
		}
		require.True(c.t, time.Now().Before(end), "%s: %s", what, why)
	}
}
