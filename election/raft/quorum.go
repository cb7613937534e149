package raft

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	hraft "github.com/hashicorp/raft"
	"github.com/meros-project/meros/election"
)

var (
	// ErrStillThere is returned by RecoverQuorum while another master of the configuration answers, and by a dial function of its caller's for
	// an address that takes connections but could not be asked.
	ErrStillThere = errors.New("raft: another master is still there")
	// ErrExpelled is returned by Run of a master that a cluster has been recovered without. Empty its folder and let it join.
	ErrExpelled = errors.New("raft: the cluster was recovered without this master")
)

const (
	expelledFile = "expelled"
	probeTimeout = 5 * time.Second
	// quorumTerms is how far the term rises when a quorum is recovered: above what the masters that were lost may have tried.
	quorumTerms = 100
)

// Recovered is what RecoverQuorum has done.
type Recovered struct {
	Self  election.Peer   // the master that is a cluster now
	Lost  []election.Peer // those that were in the configuration, too
	Term  uint64          // of the last entry that was kept
	Entry uint64          // index of that
}

// RecoverQuorum makes the master whose folder cfg.Dir is a cluster of its own, for when so many others are lost for ever that those left
// can elect nobody. The master must not run. Every other master of the configuration is asked by dial whether it is there, and if one is, or
// an error of dial wraps ErrStillThere, nothing is changed and ErrStillThere says which. Of several that are left, the one whose log goes
// furthest is to be taken: the refusals tell. What was committed by those that are lost alone is lost; all that this master has is
// kept, and reigns go on counting. The others must not run again with their folders. Those that do hear ErrExpelled, when they reach this one.
// Of cfg, Dir, NodeID and Cluster count.
func RecoverQuorum(ctx context.Context, cfg Config, dial func(ctx context.Context, address string) (net.Conn, error)) (r Recovered, err error) {
	if err := errors.Join(cfg.Validate(), checkSeeded(cfg.Dir)); err != nil {
		return r, err
	}
	cfg = cfg.withDefaults()
	if IsNew(cfg.Dir) {
		return r, fmt.Errorf("raft: recover: %s is no master's folder", cfg.Dir)
	}
	folder, err := election.OpenFolder(cfg.Dir, election.Identity{Elector: "raft", Cluster: cfg.Cluster, Node: cfg.NodeID})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, folder.Close()) }()
	store, err := openBolt(filepath.Join(folder.Dir, logFile))
	if err != nil {
		return r, fmt.Errorf("raft: recover: open log: %w", err)
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	snaps, err := hraft.NewFileSnapshotStoreWithLogger(folder.Dir, keepSnapshots, newHCLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		return r, fmt.Errorf("raft: recover: open snapshots: %w", err)
	}
	disk := newWatchedStore(store, func(error) {}, func(uint64) {})
	found, servers, err := configurationOnDisk(disk, snaps)
	if err != nil {
		return r, err
	}
	for _, s := range servers {
		p := election.Peer{ID: string(s.ID), Address: string(s.Address)}
		if p.ID == folder.Identity.Node {
			r.Self = p
		} else {
			r.Lost = append(r.Lost, p)
		}
	}
	switch {
	case r.Self == election.Peer{}:
		return r, fmt.Errorf("raft: recover: this master, %s, is not in the configuration that it has: it was removed, or never added", folder.Identity.Node)
	case len(r.Lost) == 0:
		return r, fmt.Errorf("raft: recover: this master, %s, is the only one of its configuration: nothing is to be recovered", r.Self.ID)
	}
	self := hello{Version: helloVersion, Cluster: cfg.Cluster, Node: r.Self.ID, Run: newRun(), Opening: found}
	if err := askAll(ctx, dial, self, r.Lost); err != nil {
		return r, err
	}
	r.Entry = found.Index
	if r.Term, err = getUint64(disk, keyTerm); err != nil {
		return r, err
	}
	return r, writeQuorum(folder.Dir, disk, found, r)
}

// writeQuorum ends the log with a configuration of one. Whatever was in it before is committed by the first leader that commits this.
func writeQuorum(dir string, disk *watchedStore, found mark, r Recovered) error {
	ids := make([]string, len(r.Lost))
	for i, p := range r.Lost {
		ids[i] = p.ID
	}
	b, err := json.Marshal(ids)
	if err == nil {
		err = election.WriteFileDurably(filepath.Join(dir, expelledFile), append(b, '\n'))
	}
	term := found.Term + quorumTerms
	if err == nil {
		err = disk.SetUint64([]byte(keyTerm), term)
	}
	if err == nil {
		alone := hraft.Configuration{Servers: []hraft.Server{{Suffrage: hraft.Voter, ID: hraft.ServerID(r.Self.ID), Address: hraft.ServerAddress(r.Self.Address)}}}
		err = disk.StoreLog(&hraft.Log{Index: found.Index + 1, Term: term, Type: hraft.LogConfiguration, Data: hraft.EncodeConfiguration(alone)})
	}
	if err != nil {
		return fmt.Errorf("raft: recover: %w", err)
	}
	return nil
}

// expelled are the ids that RecoverQuorum has left out of this folder's cluster.
func expelled(dir string) (map[string]bool, error) {
	b, err := os.ReadFile(filepath.Join(dir, expelledFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var ids []string
	if err == nil {
		err = json.Unmarshal(b, &ids)
	}
	if err != nil {
		return nil, fmt.Errorf("raft: read %s: %w", expelledFile, err)
	}
	out := map[string]bool{}
	for _, id := range ids {
		out[id] = true
	}
	return out, nil
}

// configurationOnDisk tells how far a log goes, and the last configuration in it, committed or not.
func configurationOnDisk(disk *watchedStore, snaps hraft.SnapshotStore) (mark, []hraft.Server, error) {
	found, err := lastMark(disk, snaps)
	if err != nil {
		return found, nil, err
	}
	var servers []hraft.Server
	metas, err := snaps.List()
	if err != nil {
		return found, nil, fmt.Errorf("raft: read the snapshots: %w", err)
	}
	first, err := disk.FirstIndex()
	if err != nil {
		return found, nil, fmt.Errorf("raft: read the log: %w", err)
	}
	if len(metas) > 0 { // the newest first
		servers, first = metas[0].Configuration.Servers, max(first, metas[0].Index+1)
	}
	last, err := disk.LastIndex()
	if err != nil {
		return found, nil, fmt.Errorf("raft: read the log: %w", err)
	}
	for i := max(first, 1); i <= last; i++ {
		var l hraft.Log
		if err := disk.GetLog(i, &l); err != nil {
			return found, nil, fmt.Errorf("raft: read entry %d: %w", i, err)
		}
		if l.Type == hraft.LogConfiguration {
			servers = hraft.DecodeConfiguration(l.Data).Servers
		}
	}
	return found, servers, nil
}

// askAll asks every peer at once, and returns an error when one is there.
func askAll(ctx context.Context, dial func(context.Context, string) (net.Conn, error), self hello, peers []election.Peer) error {
	answers := make([]error, len(peers))
	var wg sync.WaitGroup
	for i, p := range peers {
		wg.Go(func() {
			other, err := probe(ctx, dial, p.Address, self)
			switch {
			case err == nil:
				answers[i] = fmt.Errorf("%w: %s answers at %s; its log ends at %v, this one's at %v", ErrStillThere, other.Node, p.Address, other.At, self.Opening)
			case errors.Is(err, ErrStillThere):
				answers[i] = fmt.Errorf("%w (%s)", err, p.ID)
			}
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	return errors.Join(answers...)
}

// probe asks who is at an address. An error that wraps ErrStillThere is of somebody who does not say.
func probe(ctx context.Context, dial func(context.Context, string) (net.Conn, error), address string, self hello) (hello, error) {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	conn, err := dial(ctx, address)
	if err != nil {
		return hello{}, err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	if err = writeHello(conn, self); err == nil {
		var other hello
		if other, err = readHello(conn); err == nil {
			return other, nil
		}
	}
	return hello{}, fmt.Errorf("%w: something at %s takes connections and does not say who it is: %w", ErrStillThere, address, err)
}
