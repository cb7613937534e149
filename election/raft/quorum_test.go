package raft

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meros-project/meros/election"
	"github.com/stretchr/testify/require"
)

// crash ends a master without a word to the others.
func (m *master) crash() {
	m.w.t.Helper()
	var all []string
	for _, o := range m.w.nodes {
		all = append(all, o.addr)
	}
	m.w.net.set(true, []string{m.addr}, all)
	m.w.net.set(true, all, []string{m.addr})
	m.stop()
	m.ended <- nil // for world.close
	m.w.net.set(false, []string{m.addr}, all)
	m.w.net.set(false, all, []string{m.addr})
}

func (w *world) recover(m *master) (Recovered, error) {
	return RecoverQuorum(context.Background(), Config{Dir: m.dir}, w.net.dialer(m.addr))
}

// content is what a folder of a master that does not run says.
func content(t *testing.T, dir string) map[string]string {
	store, err := openBolt(filepath.Join(dir, logFile))
	require.NoError(t, err)
	last, err := store.LastIndex()
	require.NoError(t, err)
	term, err := getUint64(newWatchedStore(store, nil, nil), keyTerm)
	require.NoError(t, err)
	require.NoError(t, store.Close())
	files := map[string]string{"log": mark{Term: term, Index: last}.String()}
	require.NoError(t, filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() && info.Name() != "LOCK" && info.Name() != logFile {
			b, readErr := os.ReadFile(path)
			require.NoError(t, readErr)
			files[path] = string(b)
		}
		return err
	}))
	return files
}

func TestASurvivorIsMadeAClusterWhenNobodyElseAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, net: newMemNet()}
		for _, a := range []string{"m0:1", "m1:1", "m2:1", "m3:1", "m4:1"} {
			w.peers = append(w.peers, election.Peer{Address: a})
		}
		for _, p := range w.peers {
			w.nodes = append(w.nodes, w.start(p.Address, t.TempDir(), nil, func(c *Config) { c.Bootstrap = w.peers }))
		}
		leader, term := w.leader(w.nodes...)
		_, err := propose(term, "a")
		require.NoError(t, err)
		w.settle("a", w.nodes...)
		left := w.others(leader)
		for _, m := range []*master{leader, left[0], left[1]} {
			m.crash()
		}
		survivor, other := left[2], left[3]
		time.Sleep(10 * time.Second)
		_, led := survivor.Leader()
		require.False(t, led)
		_, err = w.recover(survivor)
		require.ErrorIs(t, err, election.ErrFolderInUse)

		// One that is still there is named, with how far it has come, and nothing is changed.
		survivor.crash()
		before := content(t, survivor.dir)
		_, err = w.recover(survivor)
		require.ErrorIs(t, err, ErrStillThere)
		require.ErrorContains(t, err, other.nodeID+" answers at "+other.addr+"; its log ends at term")
		require.Equal(t, before, content(t, survivor.dir))
		other.crash()

		done, err := w.recover(survivor)
		require.NoError(t, err)
		require.Equal(t, election.Peer{ID: survivor.nodeID, Address: survivor.addr}, done.Self)
		require.Len(t, done.Lost, 4)
		again := w.start(survivor.addr, survivor.dir, nil)
		_, next := w.leader(again)
		require.Greater(t, next.Reign(), term.Reign())
		_, err = propose(next, "b")
		require.NoError(t, err)
		w.settle("a\nb", again)

		// A master that was lost and comes back with its folder is told; with an empty one it joins under its old id.
		for _, m := range []*master{leader, left[0], left[1]} {
			back := w.start(m.addr, m.dir, nil)
			require.ErrorIs(t, <-back.ended, ErrExpelled)
			require.Equal(t, "a", m.state.text())
		}
		fresh := w.start(leader.addr, t.TempDir(), nil, joins, func(c *Config) { c.NodeID = leader.nodeID })
		require.NoError(t, again.Add(context.Background(), fresh.self()))
		_, err = propose(next, "c")
		require.NoError(t, err)
		w.settle("a\nb\nc", again, fresh)
		fresh.stop()
		again.stop()
		w.close()
	})
}

func TestAFolderWithoutALostQuorumIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 0)
		missing := filepath.Join(t.TempDir(), "missing")
		_, err := RecoverQuorum(context.Background(), Config{Dir: missing}, w.net.dialer("m0:1"))
		require.ErrorContains(t, err, "is no master's folder")
		require.NoDirExists(t, missing)

		alone := w.start("m0:1", t.TempDir(), nil)
		_, _ = w.leader(alone)
		alone.stop()
		waiting := w.start("m1:1", t.TempDir(), nil, joins)
		_ = waiting.self()
		waiting.stop()
		for m, want := range map[*master]string{alone: "nothing is to be recovered", waiting: "removed, or never added"} {
			before := content(t, m.dir)
			_, err = w.recover(m)
			require.ErrorContains(t, err, want)
			require.Equal(t, before, content(t, m.dir))
		}
		_, err = RecoverQuorum(context.Background(), Config{Dir: alone.dir, Cluster: "other"}, w.net.dialer("m0:1"))
		require.ErrorIs(t, err, election.ErrFolderForeign)
	})
}

// One that takes connections and says nothing may be a master that stands still for a while.
func TestAMasterThatStandsStillIsThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, net: newMemNet(), peers: []election.Peer{{Address: "m0:1"}, {Address: "m1:1"}}}
		m := w.start("m0:1", t.TempDir(), nil, func(c *Config) { c.Bootstrap = w.peers })
		_ = m.self()
		m.stop()
		l := w.net.listen("m1:1")
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				defer conn.Close()
			}
		}()
		_, err := w.recover(m)
		require.ErrorIs(t, err, ErrStillThere)
		require.ErrorContains(t, err, "something at m1:1 takes connections")
		require.NoError(t, l.Close())
		_, err = w.recover(m)
		require.NoError(t, err)
	})
}
