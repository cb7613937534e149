package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/election/raft"
	"github.com/meros-project/meros/master"
)

// masters are several real masters in this process, on loopback TCP, with Raft on disk.
type masters struct {
	addresses []string
	nodes     []*master.Master
	cancel    context.CancelFunc
	wg        sync.WaitGroup
	elected   chan uint64   // reigns
	deposed   atomic.Uint64 // reigns that have ended

	mu   sync.Mutex
	errs []error
}

// startMasters starts n masters with data folders below dir. Wrap is applied to their listeners.
func startMasters(ctx context.Context, dir string, n int, logger *slog.Logger, wrap func(net.Listener) net.Listener) (*masters, error) {
	m := &masters{elected: make(chan uint64, 64)}
	var listeners []net.Listener
	var peers []election.Peer
	for range n {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			for _, ln := range listeners {
				_ = ln.Close()
			}
			return nil, err
		}
		listeners = append(listeners, ln)
		m.addresses = append(m.addresses, ln.Addr().String())
		peers = append(peers, election.Peer{Address: ln.Addr().String()})
	}
	ctx, m.cancel = context.WithCancel(ctx)
	for i, ln := range listeners {
		ln = wrap(ln)
		log := logger.With("node", fmt.Sprintf("master-%d", i))
		node, err := newMaster(filepath.Join(dir, fmt.Sprintf("master-%d", i)), ln, peers, master.Recorder{}, master.Hooks{Elected: m.note, Deposed: func(uint64) { m.deposed.Add(1) }}, log)
		if err != nil {
			m.cancel()
			for _, ln := range listeners[i:] {
				_ = ln.Close()
			}
			return nil, errors.Join(err, m.stop())
		}
		m.nodes = append(m.nodes, node)
		m.wg.Go(func() {
			if err := node.Run(ctx); err != nil {
				m.mu.Lock()
				m.errs = append(m.errs, err)
				m.mu.Unlock()
			}
		})
	}
	return m, nil
}

func (m *masters) note(reign uint64) {
	select {
	case m.elected <- reign:
	default: // nobody counts them any more
	}
}

// newMaster makes a master with default settings on Raft.
func newMaster(dir string, ln net.Listener, peers []election.Peer, record master.Recorder, hooks master.Hooks, logger *slog.Logger) (*master.Master, error) {
	elector, err := raft.New(raft.Config{Dir: dir, Cluster: "bench", Bootstrap: peers})
	if err != nil {
		return nil, err
	}
	return master.New(master.Config{Election: elector, Listener: ln, ClusterName: "bench", Recorder: record, Hooks: hooks, Logger: logger})
}

// awaitLeader waits for the first election and returns its reign.
func (m *masters) awaitLeader(ctx context.Context) (uint64, error) {
	select {
	case reign := <-m.elected:
		return reign, nil
	case <-ctx.Done():
		return 0, fmt.Errorf("no leader: %w", context.Cause(ctx))
	}
}

// changed reports whether another reign has begun, or the first has ended, since awaitLeader.
func (m *masters) changed() bool { return len(m.elected) > 0 || m.deposed.Load() > 0 }

// stop ends the masters and returns what they failed with.
func (m *masters) stop() error {
	m.cancel()
	m.wg.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	return errors.Join(m.errs...)
}
