package master

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/internal/transport"
	"github.com/meros-project/meros/internal/wire"
	"github.com/meros-project/meros/offer"
)

// featureLevel is what this program writes into the log; a master of a lower level must not meet it.
const featureLevel = 2

// A Master is one of the masters of a cluster. Its methods are safe for concurrent use.
//
// The calls of operators (Drain, Deactivate, Reactivate, MarkGone, Teardown, SetWeight, SetQuota) are made on the leader. Nil means that the
// order is committed, on the disks of a majority; tasks end later. A refusal is an *offer.Refusal, with offer.ReasonNotLeader where this master
// does not lead. When ctx ends first, the outcome is unknown and the call may be repeated.
type Master struct {
	cfg       Config
	log       *slog.Logger
	fsm       *fsm
	handler   http.Handler
	advertise string

	started  atomic.Bool
	ready    chan struct{}
	current  atomic.Pointer[reign] // nil when this master does not lead
	wg       sync.WaitGroup        // connections and what else must end before Run returns
	accepted atomic.Uint64         // connections so far
	// decoders keeps a fleet that comes back at once from standing in line before the heartbeats of the election.
	decoders chan struct{}

	mu       sync.Mutex
	conns    map[*conn]struct{}
	stopping bool
}

// New makes a master that does nothing until Run: no file, no socket, no goroutine.
func New(cfg Config) (*Master, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	m := &Master{cfg: cfg, log: cfg.Logger, fsm: newFSM(), ready: make(chan struct{}), conns: map[*conn]struct{}{},
		decoders: make(chan struct{}, 2*runtime.GOMAXPROCS(0))}
	m.handler = m.newHandler()
	return m, nil
}

// Ready is closed once the master takes connections. Whether anybody leads by then is another matter; see Leader.
func (m *Master) Ready() <-chan struct{} { return m.ready }

// Handler serves the master's HTTP endpoints in JSON: GET /health, /state-summary, /slaves, /frameworks, /tasks, /roles, /explain and
// /members, POST /members, DELETE /members/{id}, POST /members/{id}/lead, POST /tokens and POST /snapshot. Masters that do not lead redirect to the leader's own port (307) what only the leader knows. Run serves it
// on the master's own port too. It asks nobody who they are: that is up to the program that mounts it.
func (m *Master) Handler() http.Handler { return m.handler }

// Leading reports whether this master leads, and in which reign.
func (m *Master) Leading() (reign uint64, ok bool) {
	if r := m.current.Load(); r != nil {
		return r.term.Reign(), true
	}
	return 0, false
}

// Leader reports who leads, as far as this master knows.
func (m *Master) Leader() (election.Peer, bool) { return m.cfg.Election.Leader() }

// Run takes part in the cluster until ctx ends (then it returns nil) or until a failure that this master must not survive: its disk, its
// listener, a log it does not understand, or its own core. When it returns, its last goroutine has ended, but for what
// election.ErrDiskStalled says. Run may be called once.
func (m *Master) Run(ctx context.Context) error {
	if m.started.Swap(true) {
		return errors.New("master: Run was called twice")
	}
	ln, err := m.listen(ctx)
	if err != nil {
		return err
	}
	mux := transport.NewMux(ln, transport.MuxConfig{TLS: m.cfg.TLS, Insecure: m.cfg.Insecure, Logger: m.cfg.Logger})
	if m.advertise = m.cfg.Advertise; m.advertise == "" {
		m.advertise = ln.Addr().String()
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var parts sync.WaitGroup
	part := func(f func() error) {
		parts.Go(func() {
			if err := f(); err != nil {
				cancel(&failure{err})
			}
		})
	}
	nodes, masters, web := mux.Listener(transport.Node), mux.Listener(transport.Raft), mux.Listener(transport.HTTP)
	part(func() error { return m.elect(ctx, masters) })
	part(func() error { return m.reigns(ctx) })
	part(func() error { return m.accept(ctx, nodes) })
	part(func() error { return m.serveHTTP(ctx, web) })
	part(func() error { return mux.Run(ctx) })
	part(func() error { m.announce(ctx); return nil })
	m.log.Info("serving", "address", m.advertise)
	close(m.ready)
	<-ctx.Done()
	parts.Wait()
	m.closeAll()
	m.wg.Wait()
	if f := (*failure)(nil); errors.As(context.Cause(ctx), &f) {
		return f.err
	}
	return nil
}

// failure tells a part's error from the caller's own cancel cause.
type failure struct{ err error }

func (f *failure) Error() string { return f.err.Error() }

func (m *Master) listen(ctx context.Context) (net.Listener, error) {
	if m.cfg.Listener != nil {
		return m.cfg.Listener, nil
	}
	ln, err := transport.Listen(ctx, m.cfg.Network, m.cfg.Listen, m.cfg.TLS != nil, m.cfg.Insecure)
	if err != nil {
		return nil, fmt.Errorf("master: %w", err)
	}
	return ln, nil
}

// dialMaster opens a connection to another master's elector.
func (m *Master) dialMaster(ctx context.Context, address string) (net.Conn, error) {
	return transport.Dialer{Network: m.cfg.Network, TLS: m.cfg.TLS, Insecure: m.cfg.Insecure}.Dial(ctx, address, transport.Raft)
}

// elect runs the elector. It ends the master when it fails.
func (m *Master) elect(ctx context.Context, ln net.Listener) error {
	err := m.cfg.Election.Run(ctx, election.Env{
		StateMachine: m.fsm,
		Opening:      m.opening,
		Advertise:    m.advertise,
		Listener:     ln,
		Dial:         m.dialMaster,
		Logger:       m.log,
	})
	if err == nil && ctx.Err() == nil {
		err = errors.New("the elector ended")
	}
	if err != nil {
		return fmt.Errorf("master: election: %w", err)
	}
	return nil
}

// opening makes the entry that opens a reign, with a cluster id for the case that there is none yet.
func (m *Master) opening() []byte {
	id := make([]byte, 8)
	_, _ = rand.Read(id) // never fails, see its documentation
	open := &registry.Open{Cluster: offer.ClusterID(m.cfg.ClusterName + "-" + hex.EncodeToString(id)), Master: m.advertise, Level: featureLevel}
	entry, err := wire.AppendEntry(nil, registry.Entry{Commands: []registry.Command{{Key: randomKey(), Op: open}}})
	if err != nil {
		m.log.Error("the opening entry cannot be encoded", "err", err)
		return nil
	}
	return entry
}

// reigns serves one term of leadership after the other.
func (m *Master) reigns(ctx context.Context) error {
	for term := range m.cfg.Election.Terms() {
		if ctx.Err() != nil {
			continue // until the elector closes the channel
		}
		if err := m.reign(ctx, term); err != nil {
			rctx, cancel := context.WithTimeout(context.Background(), resignTimeout)
			if rerr := term.Resign(rctx); rerr != nil {
				m.log.Error("resigning failed", "err", rerr)
			}
			cancel()
			return err
		}
	}
	return nil
}

func (m *Master) reign(ctx context.Context, term election.Term) error {
	cluster := string(m.fsm.view().ClusterID())
	if !strings.HasPrefix(cluster, m.cfg.ClusterName+"-") {
		return fmt.Errorf("master: the data folder is of cluster %q, Config.ClusterName is %q", cluster, m.cfg.ClusterName)
	}
	r := newReign(m, term)
	m.log.Info("leading", "reign", term.Reign(), "cluster", cluster)
	m.current.Store(r)
	m.push()
	if f := m.cfg.Hooks.Elected; f != nil {
		f(term.Reign())
	}
	stop := context.AfterFunc(ctx, func() { m.current.CompareAndSwap(r, nil) })
	defer stop()
	gone := make(chan struct{})
	m.wg.Go(func() {
		select {
		case <-term.Done():
			m.current.CompareAndSwap(r, nil) // before the connections learn of it, so that nobody is attached to it again
		case <-gone:
		}
	})
	err := r.run(ctx)
	close(gone)
	m.current.CompareAndSwap(r, nil)
	m.log.Info("no longer leading", "reign", term.Reign())
	if f := m.cfg.Hooks.Deposed; f != nil {
		f(term.Reign())
	}
	m.push()
	return err
}

// announce tells those who watch each change of the leader.
func (m *Master) announce(ctx context.Context) {
	for {
		changed := m.cfg.Election.LeaderChanged()
		select {
		case <-changed:
			m.push()
		case <-ctx.Done():
			return
		}
	}
}

// leaderMessage says who leads. This master names itself only while its core runs: before that it could not answer.
func (m *Master) leaderMessage() *message.Leader {
	p, ok := m.Leader()
	switch {
	case m.current.Load() != nil && (!ok || p.Address == m.advertise):
		return &message.Leader{Known: true, ID: p.ID, Address: m.advertise}
	case !ok || p.Address == m.advertise:
		return &message.Leader{}
	}
	return &message.Leader{Known: true, ID: p.ID, Address: p.Address}
}
