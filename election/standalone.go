package election

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"
)

const (
	standaloneBatch      = 1024    // entries of one fsync
	standaloneBatchBytes = 4 << 20 // bytes of one fsync
	defaultSnapshotEvery = 8192
	defaultDiskStall     = 10 * time.Second
	reelectionPause      = time.Second
)

// A StandaloneOption changes what Standalone returns.
type StandaloneOption func(*standalone)

// InDir keeps the log in the folder dir, which is created where it is missing: each entry is on disk before it is applied, and
// entries that queue while the disk works share the next fsync. Without it everything ends with the process.
func InDir(dir string) StandaloneOption { return func(s *standalone) { s.dir = dir } }

// ForCluster names the cluster, so that a data folder of another cluster is refused. Without it any name is accepted.
func ForCluster(name string) StandaloneOption { return func(s *standalone) { s.cluster = name } }

// SnapshotEvery takes a snapshot, and drops the log before it, each time entries have been applied since the last one.
// Defaults to 8192.
func SnapshotEvery(entries int) StandaloneOption {
	return func(s *standalone) { s.snapshotEvery = entries }
}

// Standalone returns the elector of a cluster with one master: it leads from the moment its log is replayed until it ends. It
// implements [Elector] and [Snapshotter]. The number of entries in flight is bounded by whoever proposes them.
func Standalone(opts ...StandaloneOption) Elector {
	s := &standalone{
		terms:         make(chan Term),
		changed:       make(chan struct{}),
		wake:          make(chan struct{}, 1),
		snapshots:     make(chan chan error),
		stopped:       make(chan struct{}),
		resigned:      make(chan struct{}, 1),
		snapshotEvery: defaultSnapshotEvery,
		diskStall:     defaultDiskStall,
	}
	for _, o := range opts {
		o(s)
	}
	if s.snapshotEvery <= 0 {
		s.snapshotEvery = defaultSnapshotEvery
	}
	return s
}

type standalone struct {
	dir, cluster  string
	snapshotEvery int
	diskStall     time.Duration
	newStore      func() (standaloneStore, error) // tests put a disk that hangs or fails here

	started atomic.Bool
	terms   chan Term
	wake    chan struct{} // has a token when queue has grown

	snapshots chan chan error
	stopped   chan struct{} // closed when snapshots is no longer read

	resigned chan struct{} // has a token when a reign was resigned

	mu      sync.Mutex
	leader  Peer
	leading bool
	changed chan struct{}
	term    *standaloneTerm
	queue   []standaloneEntry

	env  Env
	log  *slog.Logger
	self Peer
}

type standaloneEntry struct {
	data []byte
	done func(uint64, any, error)
}

func (s *standalone) Terms() <-chan Term { return s.terms }

func (s *standalone) Leader() (Peer, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leader, s.leading
}

func (s *standalone) LeaderChanged() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

func (s *standalone) setLeader(leading bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leading == leading {
		return
	}
	s.leading, s.leader = leading, Peer{}
	if leading {
		s.leader = s.self
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

// Run implements Elector.
func (s *standalone) Run(ctx context.Context, env Env) error {
	if s.started.Swap(true) {
		return errors.New("election: Run was called twice")
	}
	defer close(s.terms)
	defer close(s.stopped)
	if env.Listener != nil {
		defer env.Listener.Close() // nobody has anything to say to a master that is alone
	}
	if env.StateMachine == nil || env.Opening == nil {
		return errors.New("election: Env.StateMachine and Env.Opening are required")
	}
	s.env, s.log = env, env.Logger
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.self = Peer{ID: "standalone", Address: env.Advertise}
	open := s.newStore
	if open == nil {
		open = s.open
	}
	store, err := open()
	if err != nil {
		return err
	}
	began := time.Now()
	base, last, err := store.load(env.StateMachine)
	if err != nil {
		return errors.Join(err, store.close())
	}
	s.log.Info("log replayed", "dir", s.dir, "last", last, "took", time.Since(began))
	return s.lead(ctx, store, base, last)
}

func (s *standalone) open() (standaloneStore, error) {
	if s.dir == "" {
		s.snapshotEvery = math.MaxInt
		return memoryStore{}, nil
	}
	folder, err := OpenFolder(s.dir, Identity{Elector: "standalone", Cluster: s.cluster})
	if err != nil {
		return nil, err
	}
	s.self.ID = folder.Identity.Node
	store, err := openBoltStore(folder)
	if err != nil {
		return nil, errors.Join(err, folder.Close())
	}
	store.removeStale()
	return store, nil
}

// TakeSnapshot implements Snapshotter.
func (s *standalone) TakeSnapshot(ctx context.Context) error {
	answer := make(chan error, 1)
	select {
	case s.snapshots <- answer:
	case <-s.stopped:
		return ErrDeposed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// take cuts the next batch off the queue. Entries of a reign that has ended are still written: they were proposed in time.
func (s *standalone) take() []standaloneEntry {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, bytes := 0, 0
	for n < len(s.queue) && n < standaloneBatch && (n == 0 || bytes+len(s.queue[n].data) <= standaloneBatchBytes) {
		bytes += len(s.queue[n].data)
		n++
	}
	batch := s.queue[:n:n]
	if s.queue = s.queue[n:]; len(s.queue) == 0 {
		s.queue = nil
	}
	return batch
}

func (s *standalone) enqueue(t *standaloneTerm, e standaloneEntry) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t != nil && s.term != t {
		return false
	}
	s.queue = append(s.queue, e)
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return true
}

// endTerm ends the reign t if it is the present one, the present one if t is nil, and tells whether it did.
func (s *standalone) endTerm(t *standaloneTerm) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.term == nil || t != nil && s.term != t {
		return false
	}
	close(s.term.ended)
	s.term = nil
	return true
}

type standaloneTerm struct {
	s     *standalone
	reign uint64
	ended chan struct{}
}

func (t *standaloneTerm) Reign() uint64         { return t.reign }
func (t *standaloneTerm) Done() <-chan struct{} { return t.ended }

func (t *standaloneTerm) Propose(entry []byte, done func(uint64, any, error)) {
	switch {
	case len(entry) > MaxEntry:
		go done(0, nil, ErrTooLarge)
	case !t.s.enqueue(t, standaloneEntry{data: entry, done: done}):
		go done(0, nil, ErrDeposed)
	}
}

// Resign ends the reign. There is nobody to hand it to, so the next one begins a second later.
func (t *standaloneTerm) Resign(context.Context) error {
	if t.s.endTerm(t) {
		t.s.setLeader(false)
		select {
		case t.s.resigned <- struct{}{}:
		default:
		}
	}
	return nil
}
