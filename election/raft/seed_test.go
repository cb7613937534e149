package raft

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/meros-project/meros/election"
	"github.com/stretchr/testify/require"
)

type brokenSnapshot struct{}

var errBroken = errors.New("the state cannot be read")

func (brokenSnapshot) WriteTo(io.Writer) (int64, error) { return 0, errBroken }
func (brokenSnapshot) Release()                         {}

// A log that begins with a state goes on from it, with masters that are added later.
func TestASeededMasterGoesOnFromTheState(t *testing.T) {
	w := &world{t: t, net: newMemNet()}
	dir := filepath.Join(t.TempDir(), "seeded")
	self, err := Seed(Config{Dir: dir, Cluster: "meros"}, "m0:1", 40, ledgerSnapshot{reign: 7, text: "a\nb"})
	require.NoError(t, err)
	require.Equal(t, election.Peer{ID: DeriveID("m0:1"), Address: "m0:1"}, self)
	for range 2 { // and after a restart
		first := w.start("m0:1", dir, nil)
		_, term := w.leader(first)
		require.Greater(t, term.Reign(), uint64(7))
		_, err = propose(term, "c")
		require.NoError(t, err)
		second := w.start("m1:1", t.TempDir(), newMemDisk(), joins)
		require.NoError(t, first.Add(context.Background(), second.self()))
		w.settle("c", first, second)
		require.Contains(t, second.state.text(), "a\nb\nc")
		require.GreaterOrEqual(t, first.raft.LastIndex(), uint64(42))
		require.NoError(t, first.Remove(context.Background(), second.nodeID))
		second.stop()
		first.stop()
	}
}

func TestOnlyAnEmptyFolderIsSeededAndOnlyWhollySo(t *testing.T) {
	dir := t.TempDir()
	cfg := Config{Dir: dir}
	for want, seed := range map[string]func() error{
		"host:port":        func() error { _, err := Seed(cfg, "nowhere", 1, ledgerSnapshot{}); return err },
		"must be positive": func() error { _, err := Seed(cfg, "m0:1", 0, ledgerSnapshot{}); return err },
		"Config.NodeID":    func() error { _, err := Seed(Config{Dir: dir, NodeID: "a b"}, "m0:1", 1, ledgerSnapshot{}); return err },
	} {
		require.ErrorContains(t, seed(), want)
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Empty(t, left)
	}
	_, err := Seed(cfg, "m0:1", 1, brokenSnapshot{})
	require.ErrorIs(t, err, errBroken)
	require.ErrorContains(t, runOnce(t, dir, "m0:1"), "was not filled to the end")
	_, err = Seed(cfg, "m0:1", 1, ledgerSnapshot{})
	require.ErrorContains(t, err, "is not empty")
	require.NoError(t, os.RemoveAll(dir))
	_, err = Seed(cfg, "m0:1", 1, ledgerSnapshot{})
	require.NoError(t, err)
	require.NoError(t, runOnce(t, dir, "m0:1"))
}
