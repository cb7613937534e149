package raft

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meros-project/meros/election"
	"github.com/stretchr/testify/require"
)

func TestAWrongFieldIsNamed(t *testing.T) {
	peers := func(p ...election.Peer) []election.Peer { return p }
	for want, c := range map[string]Config{
		"Config.Dir is empty":                  {},
		"Config.Cluster is \"a b\"":            {Dir: "d", Cluster: "a b"},
		"Config.Cluster has 200 bytes":         {Dir: "d", Cluster: strings.Repeat("x", 200)},
		"Config.NodeID is \"\\n\"":             {Dir: "d", NodeID: "\n"},
		"exclude each other":                   {Dir: "d", Join: true, Bootstrap: peers(election.Peer{Address: "a:1"})},
		"Config.Bootstrap[0].Address is \"a\"": {Dir: "d", Bootstrap: peers(election.Peer{Address: "a"})},
		"Config.Bootstrap[1] is":               {Dir: "d", Bootstrap: peers(election.Peer{Address: "a:1"}, election.Peer{Address: "a:1"})},
		"has 16 peers, at most 15":             {Dir: "d", Bootstrap: make([]election.Peer, 16)},
		"Config.HeartbeatTimeout is 1ms":       {Dir: "d", HeartbeatTimeout: time.Millisecond},
		"Config.LeaseTimeout is 1s":            {Dir: "d", LeaseTimeout: time.Second},
		"Config.ElectionTimeout is 100ms":      {Dir: "d", ElectionTimeout: 100 * time.Millisecond},
		"Config.StallStop is 1s":               {Dir: "d", StallStop: time.Second},
		"Config.MaxInFlight is -1":             {Dir: "d", MaxInFlight: -1},
		"Config.MaxSnapshot is -1":             {Dir: "d", MaxSnapshot: -1},
	} {
		_, err := New(c)
		require.ErrorContains(t, err, want)
	}
	_, err := New(Config{Dir: "d"})
	require.NoError(t, err)
	require.Equal(t, DeriveID("a:1"), DeriveID("a:1"))
	require.NotEqual(t, DeriveID("a:1"), DeriveID("a:2"))
}

func TestBootstrapMustListThisMaster(t *testing.T) {
	err := runOnce(t, t.TempDir(), "m0:1", func(c *Config) { c.Bootstrap = []election.Peer{{Address: "m1:1"}} })
	require.ErrorContains(t, err, "does not list this master")
	dir := t.TempDir()
	err = runOnce(t, dir, "m0:1", func(c *Config) { c.NodeID, c.Bootstrap = "m-x", []election.Peer{{Address: "m0:1"}} })
	require.ErrorContains(t, err, `does not list this master, "m-x" at m0:1`)
	require.NoError(t, runOnce(t, dir, "m0:1", func(c *Config) { c.Bootstrap = []election.Peer{{Address: "m0:1"}} }))
	require.ErrorContains(t, runOnce(t, t.TempDir(), "nonsense"), "Env.Advertise")
}

// A term that cannot be written ends the goroutine that asked, not the host program, and nothing is written after it.
func TestATermThatCannotBeWritten(t *testing.T) {
	disk := newMemDisk()
	broken := errors.New("no space left")
	disk.breaks(broken)
	var failures []error
	w := newWatchedStore(disk, func(err error) { failures = append(failures, err) }, func(uint64) { t.Error("not written") })
	require.ErrorIs(t, w.SetUint64([]byte(keyTerm), 1), broken) // Run's own goroutine, before the library runs
	w.inside.Store(true)
	var wg sync.WaitGroup
	wg.Go(func() {
		_ = w.SetUint64([]byte(keyTerm), 2)
		t.Error("went on without its term")
	})
	wg.Wait()
	disk.breaks(nil)
	require.ErrorIs(t, w.Set([]byte("k"), nil), errDiskDead)
	require.Equal(t, []error{broken}, failures)
}

// A disk that fails at the start is an error of Run, at whichever write it fails.
func TestADiskThatFailsAtTheStart(t *testing.T) {
	for fail := range 4 {
		synctest.Test(t, func(t *testing.T) {
			disk := newMemDisk()
			w := &world{t: t, net: newMemNet()}
			disk.after(fail, errors.New("no space left"))
			m := w.start("m0:1", t.TempDir(), disk)
			require.ErrorContains(t, <-m.ended, "no space left")
		})
	}
}
