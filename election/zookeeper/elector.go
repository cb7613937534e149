package zookeeper

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/meros-project/meros/election"
)

var (
	_ election.Elector     = (*Elector)(nil)
	_ election.Snapshotter = (*Elector)(nil)
	_ election.Transferer  = (*Elector)(nil)
)

const sessionPause = 100 * time.Millisecond // between two sessions, and after a reign that another master has ended

// An Elector is one master's part in the election. It implements election.Elector, Snapshotter, Membership and Transferer.
type Elector struct {
	cfg     Config
	address Address
	life    string // random
	terms   chan election.Term
	started atomic.Bool
	asks    chan chan error // for a snapshot, while this master leads

	mu      sync.Mutex
	term    *term // the present one
	seen    election.Peer
	leader  election.Peer // what Leader reports
	changed chan struct{}
	members []election.Member

	// Of Run.
	env        election.Env
	log        *slog.Logger
	self       election.Peer
	folder     *election.Folder
	known      string // id of the registry
	applied    uint64
	since      int // entries applied since the last snapshot
	sinceBytes int
	waiters    sync.WaitGroup // goroutines that offer a Term
}

// New returns an elector, or an error that names the field of cfg that is wrong. Nothing is opened before Run.
func New(cfg Config) (*Elector, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	address, err := ParseAddress(cfg.Address)
	if err != nil {
		return nil, err
	}
	var life [8]byte
	_, _ = rand.Read(life[:])
	return &Elector{cfg: cfg.withDefaults(), address: address, life: hex.EncodeToString(life[:]), terms: make(chan election.Term),
		asks: make(chan chan error), changed: make(chan struct{})}, nil
}

// Terms implements election.Elector.
func (e *Elector) Terms() <-chan election.Term { return e.terms }

// Leader implements election.Elector.
func (e *Elector) Leader() (election.Peer, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.leader, e.leader != election.Peer{}
}

// LeaderChanged implements election.Elector.
func (e *Elector) LeaderChanged() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.changed
}

// setTerm says that this master leads, or with nil that it does not.
func (e *Elector) setTerm(t *term) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.term = t; t != nil {
		e.seen = e.self // whose record takes the place of what was seen before
	}
	e.compare()
}

// sees says whose record is there.
func (e *Elector) sees(p election.Peer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seen = p
	e.compare()
}

// compare makes the leader known: this master from the moment that it may propose until it may not, and others by their record.
func (e *Elector) compare() {
	leader := e.seen
	if e.term != nil {
		leader = e.self
	} else if leader.ID == e.self.ID {
		leader = election.Peer{}
	}
	if leader != e.leader {
		e.leader = leader
		close(e.changed)
		e.changed = make(chan struct{})
	}
}

// Run implements election.Elector. An ensemble that does not answer is waited for; one that refuses this master, or whose path is not
// this cluster's, ends it.
func (e *Elector) Run(ctx context.Context, env election.Env) error {
	if e.started.Swap(true) {
		return errors.New("zookeeper: Run was called twice")
	}
	defer close(e.terms)
	defer e.waiters.Wait()
	if env.Listener != nil {
		defer env.Listener.Close() // masters talk through the ensemble
	}
	if env.StateMachine == nil || env.Opening == nil {
		return errors.New("zookeeper: Env.StateMachine and Env.Opening are required")
	}
	if err := checkAdvertise(env.Advertise); err != nil {
		return err
	}
	e.env, e.log = env, env.Logger
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if e.cfg.NodeID == "" {
		e.cfg.NodeID = deriveID(env.Advertise)
	}
	if e.cfg.Dir != "" {
		folder, err := election.OpenFolder(e.cfg.Dir, election.Identity{Elector: "zookeeper", Cluster: e.cfg.Cluster, Node: e.cfg.NodeID})
		if err != nil {
			return err
		}
		defer folder.Close()
		e.folder = folder
		if err := e.recall(); err != nil {
			return err
		}
	}
	e.mu.Lock()
	e.self = election.Peer{ID: e.cfg.NodeID, Address: env.Advertise}
	e.mu.Unlock()
	for {
		err := e.live(ctx)
		e.sees(election.Peer{})
		switch {
		case errors.Is(err, errSession):
			if ctx.Err() == nil {
				e.log.Warn("the session with the ensemble has ended", "address", e.address.String(), "why", err)
			}
		case ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || transient(err)):
		case err != nil:
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(sessionPause):
		}
	}
}

// live is one session.
func (e *Elector) live(ctx context.Context) error {
	s, err := openSession(e.address, e.cfg.SessionTimeout, e.cfg.Dial, e.cfg.TLS, e.log)
	if err != nil {
		return err
	}
	defer s.close()
	stop := context.AfterFunc(ctx, func() {
		if !s.leading.Load() {
			s.close()
		}
	})
	defer stop()
	if err := s.wait(ctx); err != nil {
		return err
	}
	if err := s.authenticate(); err != nil {
		return s.explain(e.address.Path, err)
	}
	if err := e.settle(s); err != nil {
		return err
	}
	if err := e.register(ctx, s); err != nil {
		return err
	}
	e.log.Info("session with the ensemble", "address", e.address.String(), "timeout", s.timeout(), "id", e.self.ID)
	s.help(func() { e.watchLeader(s) })
	s.help(func() { e.watchMembers(s) })
	own := ""
	for {
		if own == "" {
			if own, err = e.queue(s); err != nil {
				return err
			}
		}
		if err := e.follow(ctx, s, own); errors.Is(err, errNotQueued) { // another was brought forward
			own = ""
			continue
		} else if err != nil {
			return err
		}
		t, err := e.lead(ctx, s)
		if err == nil {
			err = e.withdraw(s) // before anybody else leads
		}
		if err == nil && t.wasResigned() {
			own, err = "", e.leave(s, own, t)
		}
		t.handedOver(err)
		if err != nil {
			return err
		}
	}
}

// watchLeader follows the leader's record for as long as the session lasts.
func (e *Elector) watchLeader(s *session) {
	for {
		p, _, changed, err := s.leaderRecord()
		if err != nil {
			if !errors.Is(err, errSession) {
				e.log.Warn("the leader's record cannot be read", "err", err)
			}
			changed = nil
		}
		e.sees(p)
		var again <-chan time.Time
		if changed == nil {
			again = time.After(time.Second)
		}
		select {
		case <-s.ended:
			return
		case <-changed:
		case <-again:
		}
	}
}

// TakeSnapshot implements election.Snapshotter. Only the leader takes snapshots: elsewhere it returns election.ErrDeposed.
func (e *Elector) TakeSnapshot(ctx context.Context) error {
	e.mu.Lock()
	t := e.term
	e.mu.Unlock()
	if t == nil {
		return election.ErrDeposed
	}
	answer := make(chan error, 1)
	select {
	case e.asks <- answer:
	case <-t.gone:
		return election.ErrDeposed
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

// bump makes this master the only one that can write, and returns the version that it writes under.
func (e *Elector) bump(s *session) (version int32, err error) {
	for {
		_, stat, err := s.get(e.termPath())
		if err != nil {
			return 0, s.explain(e.termPath(), err)
		}
		// After a lost answer the version may have risen twice, which does no harm.
		stat, err = s.conn.Set(e.termPath(), []byte(e.self.ID+" "+e.self.Address), stat.Version)
		switch {
		case err == nil:
			return stat.Version, nil
		case !transient(err) && !errors.Is(err, zk.ErrBadVersion):
			return 0, s.explain(e.termPath(), err)
		}
		select {
		case <-s.ended:
			return 0, errSession
		case <-time.After(retryPause):
		}
	}
}
