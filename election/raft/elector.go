package raft

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	hraft "github.com/hashicorp/raft"
	"github.com/meros-project/meros/election"
)

const (
	logFile       = "raft.db"
	logCacheSize  = 512
	keepSnapshots = 2
	guardInterval = 2 * time.Second
	resignPause   = time.Second            // before a master that resigned, and still leads, opens another reign
	openingPause  = 100 * time.Millisecond // before another try after an opening entry was not committed
)

var (
	_ election.Elector     = (*Elector)(nil)
	_ election.NonVoters   = (*Elector)(nil)
	_ election.Transferer  = (*Elector)(nil)
	_ election.Snapshotter = (*Elector)(nil)
)

// An Elector is one master's part in the consensus. It implements election.Elector, NonVoters, Transferer and Snapshotter.
type Elector struct {
	cfg      Config
	terms    chan election.Term
	wake     chan struct{} // has a token when leadership may have changed
	fatal    chan error    // what Run ends with
	running  chan struct{} // closed once raft, nodeID and guard are set, or never will be
	stopping chan struct{} // closed when Run begins to end
	started  atomic.Bool
	openDisk func(path string) (logStore, error) // tests put a disk that hangs or fails here

	mu      sync.Mutex
	leader  election.Peer
	changed chan struct{}

	// Set before running is closed.
	env    election.Env
	log    *slog.Logger
	nodeID string
	raft   *hraft.Raft
	guard  *guard
	greet  hello // what this master says of itself

	waiterMu sync.Mutex
	ended    bool           // no more waiters
	waiters  sync.WaitGroup // goroutines that wait for the library or offer a Term
}

// help runs f beside Run, which waits for it; it tells whether it is not too late for that.
func (e *Elector) help(f func()) bool {
	e.waiterMu.Lock()
	defer e.waiterMu.Unlock()
	if !e.ended {
		e.waiters.Go(f)
	}
	return !e.ended
}

// New returns an elector, or an error that names the field of cfg that is wrong. No file, socket or goroutine is opened before Run.
func New(cfg Config) (*Elector, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return &Elector{
		cfg: cfg.withDefaults(), terms: make(chan election.Term), wake: make(chan struct{}, 1), fatal: make(chan error, 1),
		running: make(chan struct{}), stopping: make(chan struct{}), changed: make(chan struct{}), openDisk: openBolt,
	}, nil
}

// Terms implements election.Elector.
func (e *Elector) Terms() <-chan election.Term { return e.terms }

// Leader implements election.Elector.
func (e *Elector) Leader() (election.Peer, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.leader, e.leader.ID != ""
}

// LeaderChanged implements election.Elector.
func (e *Elector) LeaderChanged() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.changed
}

// Self tells this master's id and address once Run knows them: with a new data folder the id may be made up there. Another master's
// Add takes it.
func (e *Elector) Self(ctx context.Context) (election.Peer, error) {
	select {
	case <-e.running:
		if e.nodeID == "" {
			return election.Peer{}, election.ErrDeposed
		}
		return election.Peer{ID: e.nodeID, Address: e.env.Advertise}, nil
	case <-ctx.Done():
		return election.Peer{}, ctx.Err()
	}
}

func (e *Elector) setLeader(p election.Peer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if p != e.leader {
		e.leader = p
		close(e.changed)
		e.changed = make(chan struct{})
	}
}

func (e *Elector) poke() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// die makes Run end with err, if nothing else did before.
func (e *Elector) die(err error) {
	select {
	case e.fatal <- err:
	default:
	}
}

// A node is what one Run holds open.
type node struct {
	folder    *election.Folder
	disk      *watchedStore
	stream    *stream
	transport *transport
	fsm       *fsm
	notify    chan bool
	voted     chan struct{} // has a token when the term has changed
	stop      chan struct{} // ends the goroutines in tasks
	tasks     sync.WaitGroup
}

// Run implements election.Elector.
func (e *Elector) Run(ctx context.Context, env election.Env) error {
	if e.started.Swap(true) {
		return errors.New("raft: Run was called twice")
	}
	defer close(e.terms)
	if env.Listener != nil {
		defer env.Listener.Close()
	}
	e.env, e.log = env, env.Logger
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	n, err := e.open(ctx)
	if err != nil {
		close(e.running)
		close(e.stopping)
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			return nil // while it waited for others
		}
		return err
	}
	close(e.running)
	return e.lead(ctx, n)
}

// open brings everything up, or takes down what it had.
func (e *Elector) open(ctx context.Context) (_ *node, err error) {
	if e.env.StateMachine == nil || e.env.Opening == nil {
		return nil, errors.New("raft: Env.StateMachine and Env.Opening are required")
	}
	if err := checkAddress("Env.Advertise", e.env.Advertise); err != nil {
		return nil, err
	}
	peers, err := bootstrapPeers(e.cfg.Bootstrap)
	if err != nil {
		return nil, err
	}
	if err := checkSeeded(e.cfg.Dir); err != nil {
		return nil, err
	}
	met, err := promised(e.cfg.Dir)
	if err != nil {
		return nil, err
	}
	if met != nil {
		peers = met.peers
	}
	n := &node{notify: make(chan bool, 16), voted: make(chan struct{}, 1), stop: make(chan struct{})}
	want := election.Identity{Elector: "raft", Cluster: e.cfg.Cluster, Node: e.cfg.NodeID}
	if IsNew(e.cfg.Dir) && len(peers) > 0 {
		// Nothing is written before the list is known to be right: the folder would keep a node id that is not in it.
		self := slices.IndexFunc(peers, func(p election.Peer) bool { return p.Address == e.env.Advertise })
		if self < 0 || want.Node != "" && want.Node != peers[self].ID {
			return nil, notListed(want.Node, e.env.Advertise)
		}
		want.Node = peers[self].ID
		if e.cfg.Meet && met == nil {
			if met, err = promise(e.cfg.Dir, peers); err != nil {
				return nil, err
			}
		}
	}
	if n.folder, err = election.OpenFolder(e.cfg.Dir, want); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.folder.Close())
		}
	}()
	e.nodeID = n.folder.Identity.Node
	if e.guard, err = openGuard(n.folder.Dir); err != nil {
		return nil, err
	}
	store, err := e.openDisk(filepath.Join(n.folder.Dir, logFile))
	if err != nil {
		return nil, fmt.Errorf("raft: open log: %w", err)
	}
	n.disk = newWatchedStore(store, func(err error) { e.die(fmt.Errorf("raft: the disk failed: %w", err)) }, func(term uint64) {
		e.guard.reached(mark{Term: term})
		select {
		case n.voted <- struct{}{}:
		default:
		}
	})
	if err = e.start(ctx, n, peers, met); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return n, nil
}
