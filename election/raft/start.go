package raft

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	hraft "github.com/hashicorp/raft"
	"github.com/meros-project/meros/election"
)

// IsNew reports that dir was never a data folder: an elector that opens it reads Config.Bootstrap.
func IsNew(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "identity"))
	return errors.Is(err, fs.ErrNotExist)
}

func (e *Elector) start(ctx context.Context, n *node, peers []election.Peer, met *meeting) error {
	logger := newHCLogger(e.log)
	snaps, err := hraft.NewFileSnapshotStoreWithLogger(n.folder.Dir, keepSnapshots, logger)
	if err != nil {
		return fmt.Errorf("raft: open snapshots: %w", err)
	}
	cache, err := hraft.NewLogCache(logCacheSize, n.disk)
	if err != nil {
		return err
	}
	conf := e.libraryConfig(n, logger)
	n.fsm = &fsm{sm: e.env.StateMachine, fatal: e.die, members: e.guard.configured}
	opening, err := e.judge(n, snaps)
	if err != nil {
		return err
	}
	empty := opening == mark{}
	meets := empty && met != nil
	if empty && !meets && !e.cfg.Join {
		if opening, err = e.bootstrap(n, conf, snaps, peers); err != nil {
			return err
		}
	}
	var current atomic.Pointer[hraft.Raft]
	g := &gate{guard: e.guard, members: func() map[string]string { return configuration(current.Load()) }}
	if g.expelled, err = expelled(n.folder.Dir); err != nil {
		return err
	}
	g.at = func() mark {
		if r := current.Load(); r != nil {
			return mark{Term: r.CurrentTerm(), Index: r.LastIndex()}
		}
		return opening
	}
	g.self = hello{Version: helloVersion, Cluster: e.cfg.Cluster, Node: e.nodeID, Run: newRun(), Opening: opening,
		Recover: e.cfg.Recover}
	if met != nil {
		g.meeting, g.self.Meeting = met, met.hash
		met.formed.Store(!meets)
	}
	e.greet = g.self
	n.stream = newStream(e.env.Advertise, e.env.Listener, e.env.Dial, g, e.cfg.MaxSnapshot, e.log, e.die)
	if meets {
		err := e.meet(ctx, g, met)
		if err == nil {
			_, err = e.bootstrap(n, conf, snaps, peers)
		}
		if err != nil {
			_ = n.stream.Close()
			n.stream.tasks.Wait()
			return err
		}
		met.formed.Store(true)
	}
	inner := hraft.NewNetworkTransportWithConfig(&hraft.NetworkTransportConfig{
		Stream: n.stream, Logger: logger, MaxPool: 3, MaxRPCsInFlight: 1, Timeout: ioTimeout,
	})
	n.transport = newTransport(inner, func() uint64 {
		if r := current.Load(); r != nil {
			return r.CurrentTerm()
		}
		return opening.Term
	}, func() bool {
		r := current.Load()
		return r != nil && r.LastIndex() == 0
	}, e.cfg.MaxTermJump, e.guard)
	r, err := newLibrary(conf, n, cache, snaps)
	if err != nil {
		_ = n.transport.Close()
		n.stream.tasks.Wait()
		return fmt.Errorf("raft: start: %w", err)
	}
	current.Store(r)
	e.raft = r
	return nil
}

// newRun tells one start of a node from the next.
func newRun() string {
	var run [8]byte
	_, _ = rand.Read(run[:]) // never fails
	return hex.EncodeToString(run[:])
}

// newLibrary turns the panics by which the library answers a disk that fails into errors.
func newLibrary(conf *hraft.Config, n *node, logs hraft.LogStore, snaps hraft.SnapshotStore) (r *hraft.Raft, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the library gave up: %v", p)
		}
	}()
	n.disk.starting.Store(true)
	return hraft.NewRaft(conf, n.fsm, logs, n.disk, snaps, n.transport)
}

// configuration tells the addresses of the members by id.
func configuration(r *hraft.Raft) map[string]string {
	if r == nil {
		return nil
	}
	f := r.GetConfiguration()
	if f.Error() != nil {
		return nil
	}
	out := map[string]string{}
	for _, s := range f.Configuration().Servers {
		out[string(s.ID)] = string(s.Address)
	}
	return out
}

func (e *Elector) libraryConfig(n *node, logger hclog.Logger) *hraft.Config {
	c := hraft.DefaultConfig()
	c.LocalID = hraft.ServerID(e.nodeID)
	c.HeartbeatTimeout = e.cfg.HeartbeatTimeout
	c.ElectionTimeout = e.cfg.ElectionTimeout + time.Nanosecond // look lifts the other one by that
	c.LeaderLeaseTimeout = e.cfg.LeaseTimeout
	c.CommitTimeout = e.cfg.CommitTimeout
	c.MaxAppendEntries = 16
	c.BatchApplyCh = true
	c.ShutdownOnRemove = false
	c.SnapshotThreshold = e.cfg.SnapshotThreshold
	c.SnapshotInterval = e.cfg.SnapshotInterval
	c.TrailingLogs = e.cfg.TrailingLogs
	c.NotifyCh = n.notify
	c.Logger = logger
	c.NoLegacyTelemetry = true
	return c
}

// judge looks at the folder and tells how far its log has come: nowhere if it has none.
func (e *Elector) judge(n *node, snaps hraft.SnapshotStore) (mark, error) {
	found, err := lastMark(n.disk, snaps)
	if err != nil {
		return found, err
	}
	if err := e.guard.check(found, e.cfg.Recover); err != nil {
		return found, err
	}
	if voted, err := getUint64(n.disk, "LastVoteTerm"); err != nil {
		return found, err
	} else if found == (mark{Term: 1}) && voted == 0 {
		// The process died while it wrote the first configuration, after the term and before the entry.
		if err := n.disk.SetUint64([]byte(keyTerm), 0); err != nil {
			return found, err
		}
		found = mark{}
	}
	return found, nil
}

// bootstrap gives a folder without a log its first configuration.
func (e *Elector) bootstrap(n *node, conf *hraft.Config, snaps hraft.SnapshotStore, peers []election.Peer) (mark, error) {
	if len(peers) == 0 {
		peers = []election.Peer{{ID: e.nodeID, Address: e.env.Advertise}}
	}
	var first hraft.Configuration
	present := false
	for _, p := range peers {
		present = present || p == election.Peer{ID: e.nodeID, Address: e.env.Advertise}
		first.Servers = append(first.Servers, hraft.Server{
			Suffrage: hraft.Voter, ID: hraft.ServerID(p.ID), Address: hraft.ServerAddress(p.Address),
		})
	}
	if !present {
		return mark{}, notListed(e.nodeID, e.env.Advertise)
	}
	if err := hraft.BootstrapCluster(conf, n.disk, n.disk, snaps, nil, first); err != nil {
		return mark{}, fmt.Errorf("raft: write the first configuration: %w", err)
	}
	return lastMark(n.disk, snaps)
}

func lastMark(store *watchedStore, snaps hraft.SnapshotStore) (mark, error) {
	var m mark
	var err error
	if m.Term, err = getUint64(store, keyTerm); err != nil {
		return m, err
	}
	if m.Index, err = store.LastIndex(); err != nil {
		return m, fmt.Errorf("raft: read the log: %w", err)
	}
	metas, err := snaps.List()
	if err != nil {
		return m, fmt.Errorf("raft: read the snapshots: %w", err)
	}
	for _, s := range metas {
		m.Index = max(m.Index, s.Index)
	}
	return m, nil
}

func getUint64(store *watchedStore, key string) (uint64, error) {
	v, err := store.GetUint64([]byte(key))
	if err != nil && err.Error() != "not found" { // the library's contract for stores
		return 0, fmt.Errorf("raft: read %s from the log: %w", key, err)
	}
	return v, nil
}

func notListed(id, address string) error {
	return fmt.Errorf("raft: Config.Bootstrap does not list this master, %q at %s", id, address)
}
