package plainraft

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	boltstore "github.com/hashicorp/raft-boltdb/v2"
)

const (
	cached    = 512 // entries
	snapshots = 2
	pool      = 3
	ioTimeout = 10 * time.Second
)

// A Node is one member of a cluster. Its methods are safe for concurrent use.
type Node struct {
	raft      *raft.Raft
	store     *boltstore.BoltStore
	transport *raft.NetworkTransport
	applied   counter
}

// Start starts one node for each folder, on loopback, as one cluster. They must be stopped; after an error none is left.
func Start(dirs []string) (nodes []*Node, err error) {
	var first raft.Configuration
	defer func() {
		if err != nil {
			err = errors.Join(err, Stop(nodes))
			nodes = nil
		}
	}()
	for i := range dirs {
		t, err := raft.NewTCPTransport("127.0.0.1:0", nil, pool, ioTimeout, io.Discard)
		if err != nil {
			return nodes, err
		}
		nodes = append(nodes, &Node{transport: t})
		first.Servers = append(first.Servers, raft.Server{ID: raft.ServerID(fmt.Sprint("n-", i)), Address: t.LocalAddr()})
	}
	for i, dir := range dirs {
		if err := nodes[i].start(dir, first.Servers[i].ID, first); err != nil {
			return nodes, err
		}
	}
	return nodes, nil
}

func (n *Node) start(dir string, id raft.ServerID, first raft.Configuration) (err error) {
	if n.store, err = boltstore.NewBoltStore(filepath.Join(dir, "raft.db")); err != nil {
		return err
	}
	logs, err := raft.NewLogCache(cached, n.store)
	if err != nil {
		return err
	}
	snaps, err := raft.NewFileSnapshotStore(dir, snapshots, io.Discard)
	if err != nil {
		return err
	}
	conf := raft.DefaultConfig()
	conf.LocalID = id
	conf.Logger = hclog.NewNullLogger()
	if err := raft.BootstrapCluster(conf, n.store, n.store, snaps, n.transport, first); err != nil {
		return err
	}
	n.raft, err = raft.NewRaft(conf, &n.applied, logs, n.store, snaps, n.transport)
	return err
}

// Leads reports whether this node leads.
func (n *Node) Leads() bool { return n.raft.State() == raft.Leader }

// Apply appends an entry and returns when it is committed and applied, or has failed.
func (n *Node) Apply(entry []byte) error { return n.raft.Apply(entry, 0).Error() }

// Applied is how many entries this node has applied.
func (n *Node) Applied() int64 { return n.applied.entries.Load() }

// Stop stops the nodes. It waits for disks that hang.
func Stop(nodes []*Node) error {
	var stopping []raft.Future
	for _, n := range nodes {
		if n.raft != nil {
			stopping = append(stopping, n.raft.Shutdown())
		}
	}
	var errs []error
	for _, s := range stopping {
		errs = append(errs, s.Error())
	}
	for _, n := range nodes {
		errs = append(errs, n.transport.Close())
		n.transport.CloseStreams()
		if n.store != nil {
			errs = append(errs, n.store.Close())
		}
	}
	return errors.Join(errs...)
}

// A counter is the state machine that costs least.
type counter struct{ entries atomic.Int64 }

// Apply implements raft.FSM.
func (c *counter) Apply(*raft.Log) any { return c.entries.Add(1) }

// Snapshot implements raft.FSM.
func (c *counter) Snapshot() (raft.FSMSnapshot, error) { return snapshot(c.entries.Load()), nil }

// Restore implements raft.FSM.
func (c *counter) Restore(r io.ReadCloser) error {
	defer r.Close()
	var n int64
	if _, err := fmt.Fscan(r, &n); err != nil {
		return err
	}
	c.entries.Store(n)
	return nil
}

type snapshot int64

// Persist implements raft.FSMSnapshot.
func (s snapshot) Persist(sink raft.SnapshotSink) error {
	if _, err := fmt.Fprintln(sink, int64(s)); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}

// Release implements raft.FSMSnapshot.
func (snapshot) Release() {}
