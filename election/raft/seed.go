package raft

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	hraft "github.com/hashicorp/raft"
	"github.com/meros-project/meros/election"
)

// seedingFile is in a folder while Seed fills it.
const seedingFile = "seeding"

// Seed fills cfg.Dir, which must be empty or missing, with the log of a cluster of one master that begins with the state snap, as that of
// entry index, which must be positive. The master has the id cfg.NodeID, or else one that is derived from address, and is to be run with that
// address; others are added to it. Of cfg, Dir, NodeID and Cluster count. After an error, or a crash, the folder must be emptied.
func Seed(cfg Config, address string, index uint64, snap election.Snapshot) (election.Peer, error) {
	if cfg.NodeID == "" {
		cfg.NodeID = DeriveID(address)
	}
	self := election.Peer{ID: cfg.NodeID, Address: address}
	if err := errors.Join(cfg.Validate(), checkAddress("address", address)); err != nil {
		return self, err
	}
	if index == 0 {
		return self, errors.New("raft: seed: the index is 0, it must be positive")
	}
	cfg = cfg.withDefaults()
	entries, err := os.ReadDir(cfg.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return self, fmt.Errorf("raft: seed: %w", err)
	}
	if len(entries) > 0 {
		return self, fmt.Errorf("raft: seed: folder %s is not empty: it has %s", cfg.Dir, entries[0].Name())
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return self, fmt.Errorf("raft: seed: %w", err)
	}
	marker := filepath.Join(cfg.Dir, seedingFile)
	if err := election.WriteFileDurably(marker, nil); err != nil {
		return self, err
	}
	folder, err := election.OpenFolder(cfg.Dir, election.Identity{Elector: "raft", Cluster: cfg.Cluster, Node: cfg.NodeID})
	if err != nil {
		return self, err
	}
	if err := errors.Join(writeSeed(folder.Dir, self, index, snap), folder.Close()); err != nil {
		return self, fmt.Errorf("raft: seed: %w", err)
	}
	return self, os.Remove(marker)
}

// checkSeeded refuses a folder that a seed was not written to the end of.
func checkSeeded(dir string) error {
	if _, err := os.Lstat(filepath.Join(dir, seedingFile)); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fmt.Errorf("raft: folder %s was not filled to the end: empty it and begin again", dir), err)
	}
	return nil
}

// writeSeed writes the state as the library's snapshot, and the term that it is of.
func writeSeed(dir string, self election.Peer, index uint64, snap election.Snapshot) error {
	logger := newHCLogger(slog.New(slog.DiscardHandler))
	snaps, err := hraft.NewFileSnapshotStoreWithLogger(dir, keepSnapshots, logger)
	if err != nil {
		return err
	}
	alone := hraft.Configuration{Servers: []hraft.Server{{Suffrage: hraft.Voter, ID: hraft.ServerID(self.ID), Address: hraft.ServerAddress(self.Address)}}}
	_, transport := hraft.NewInmemTransport(hraft.ServerAddress(self.Address)) // encodes nothing but the address
	sink, err := snaps.Create(1, index, 1, alone, 1, transport)
	if err != nil {
		return err
	}
	if err := (fsmSnapshot{snap}).Persist(sink); err != nil {
		return err
	}
	store, err := openBolt(filepath.Join(dir, logFile))
	if err != nil {
		return err
	}
	return errors.Join(store.SetUint64([]byte(keyTerm), 1), store.Close())
}
