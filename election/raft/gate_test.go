package raft

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
	hraft "github.com/hashicorp/raft"
	"github.com/meros-project/meros/election"
	"github.com/stretchr/testify/require"
)

// A stranger is a test that talks to a master by hand.
func (w *world) stranger(to string) net.Conn {
	conn, err := w.net.dialer("stranger:1")(context.Background(), to)
	require.NoError(w.t, err)
	return conn
}

func (w *world) hello(to string, h hello) (net.Conn, hello) {
	conn := w.stranger(to)
	require.NoError(w.t, writeHello(conn, h))
	answer, err := readHello(conn)
	require.NoError(w.t, err)
	return conn, answer
}

func TestStrangersAreRefusedWithBothValuesNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, func(c *Config) { c.Cluster = "east" })
		leader, term := w.leader(w.nodes...)
		time.Sleep(time.Second) // the leader has heard from both, not only from the one whose vote it needed
		good := hello{Version: 1, Cluster: "east", Node: w.others(leader)[0].nodeID, Run: "x", Opening: mark{1000, 1000}}
		for _, c := range []struct {
			edit func(*hello)
			want []string
		}{
			{func(h *hello) { h.Cluster = "west" }, []string{`"west"`, `"east"`}},
			{func(h *hello) { h.Version = 7 }, []string{"version 7", "speaks 1"}},
			{func(h *hello) { h.Node = "m-stranger" }, []string{`"m-stranger"`, leader.nodeID}},
			{func(h *hello) { h.Node = leader.nodeID }, []string{"two masters have the id " + leader.nodeID}},
			{func(h *hello) { h.Opening = mark{1, 1} }, []string{"started at term 1, entry 1", "was seen at term"}},
		} {
			h := good
			c.edit(&h)
			conn, answer := w.hello(leader.addr, h)
			for _, want := range c.want {
				require.Contains(t, answer.Refusal, want)
			}
			_, err := conn.Read(make([]byte, 1))
			require.ErrorIs(t, err, io.EOF)
			require.NoError(t, conn.Close())
		}
		_, err := propose(term, "undisturbed")
		require.NoError(t, err)
		w.settle("undisturbed", w.nodes...)
		w.close()
	})
}

func TestWhatIsNoHelloIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		m, _ := w.leader(w.nodes...)
		for _, bytes := range []string{"GET / HTTP/1.1\r\n", "MRF1\xff\xff", "MRF1\x00\x02{]", "MRF1\x00\x02"} {
			conn := w.stranger(m.addr)
			go conn.Write([]byte(bytes)) //nolint:errcheck // the master may close before it has read all
			began := time.Now()
			_, err := io.Copy(io.Discard, conn)
			require.NoError(t, err)
			require.LessOrEqual(t, time.Since(began), handshakeTimeout)
			require.NoError(t, conn.Close())
		}
		w.close()
	})
}

// A member speaks as one of w's masters, with the library's own transport.
type member struct {
	*hraft.NetworkTransport
	stream *stream
	header hraft.RPCHeader
}

func (w *world) member(as *master) *member {
	g := &gate{guard: &guard{peers: map[string]memory{}}, members: func() map[string]string { return nil }}
	g.self = hello{Version: 1, Cluster: "meros", Node: as.nodeID, Run: "impostor", Opening: mark{1 << 60, 1 << 60}}
	s := newStream(as.addr, nil, w.net.dialer(as.addr), g, 1<<30, as.Elector.log, func(error) {})
	return &member{
		NetworkTransport: hraft.NewNetworkTransportWithConfig(&hraft.NetworkTransportConfig{
			Stream: s, Logger: hclog.NewNullLogger(), MaxPool: 1, MaxRPCsInFlight: 1, Timeout: time.Second}),
		stream: s,
		header: hraft.RPCHeader{ProtocolVersion: 3, ID: []byte(as.nodeID), Addr: []byte(as.addr)},
	}
}

func (m *member) close() {
	_ = m.Close()
	m.CloseStreams()
	_ = m.stream.Close()
	m.stream.tasks.Wait()
}

func TestAbsurdTermsAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		leader, term := w.leader(w.nodes...)
		_, err := propose(term, "first")
		require.NoError(t, err)
		liar := w.member(w.others(leader)[0])
		id, to := hraft.ServerID(leader.nodeID), hraft.ServerAddress(leader.addr)
		before := leader.raft.CurrentTerm()
		for _, absurd := range []uint64{before + 10_001, 1_000_000, math.MaxUint64} {
			for _, heartbeat := range []bool{true, false} {
				req := &hraft.AppendEntriesRequest{RPCHeader: liar.header, Term: absurd}
				if !heartbeat {
					req.PrevLogEntry, req.PrevLogTerm = 1, 1
				}
				require.ErrorContains(t, liar.AppendEntries(id, to, req, &hraft.AppendEntriesResponse{}), "refused term")
			}
			require.ErrorContains(t, liar.RequestVote(id, to, &hraft.RequestVoteRequest{RPCHeader: liar.header, Term: absurd},
				&hraft.RequestVoteResponse{}), "refused term")
			require.ErrorContains(t, liar.RequestPreVote(id, to, &hraft.RequestPreVoteRequest{RPCHeader: liar.header, Term: absurd},
				&hraft.RequestPreVoteResponse{}), "refused term")
			require.ErrorContains(t, liar.InstallSnapshot(id, to, &hraft.InstallSnapshotRequest{RPCHeader: liar.header, SnapshotVersion: 1,
				Term: absurd, Leader: liar.header.Addr, Size: 4}, &hraft.InstallSnapshotResponse{}, strings.NewReader("abcd")), "refused term")
		}
		require.Equal(t, before, leader.raft.CurrentTerm())
		_, err = propose(term, "undisturbed")
		require.NoError(t, err)
		liar.close()
		w.close()
	})
}

// A declared length of 256 MiB costs its sender the connection and this master nothing.
func TestADeclaredLengthIsNotBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		leader, term := w.leader(w.nodes...)
		for _, bomb := range []string{
			"\x00\x81\xa7Entries\xc6\x10\x00\x00\x00",
			"\x00\xdf\xff\xff\xff\xff",
			"\x00\x81\xa7Entries" + strings.Repeat("\x91", 1000),
			"\x02\x81\xa4Size\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
			"\x09",
		} {
			conn, answer := w.hello(leader.addr, hello{Version: 1, Cluster: "meros", Node: w.others(leader)[0].nodeID, Run: "x",
				Opening: mark{1 << 60, 1 << 60}})
			require.Empty(t, answer.Refusal)
			go conn.Write([]byte(bomb)) //nolint:errcheck // the master closes before it has read all
			n, err := io.Copy(io.Discard, conn)
			require.NoError(t, err)
			require.Zero(t, n)
			require.NoError(t, conn.Close())
		}
		synctest.Wait()
		require.Equal(t, 5, strings.Count(leader.log.String(), "connection closed"))
		_, err := propose(term, "undisturbed")
		require.NoError(t, err)
		w.close()
	})
}

func runOnce(t *testing.T, dir, addr string, edit ...func(*Config)) error {
	cfg := Config{Dir: dir}
	for _, f := range edit {
		f(&cfg)
	}
	e, err := New(cfg)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	return e.Run(ctx, election.Env{StateMachine: &ledger{}, Opening: func() []byte { return []byte(openingEntry) }, Advertise: addr})
}

func TestAFolderOfAnotherOrInUseIsRefused(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, net: newMemNet()}
		m := w.start("m0:1", dir, nil, func(c *Config) { c.Cluster, c.NodeID = "east", "m-one" })
		w.leader(m)
		err := runOnce(t, dir, "m0:1")
		require.ErrorIs(t, err, election.ErrFolderInUse)
		require.Equal(t, 2, strings.Count(err.Error(), fmt.Sprint(os.Getpid())), err)
		m.stop()
		err = runOnce(t, dir, "m0:1", func(c *Config) { c.Cluster = "west" })
		require.ErrorIs(t, err, election.ErrFolderForeign)
		require.ErrorContains(t, err, `cluster "east", this is cluster "west"`)
		err = runOnce(t, dir, "m0:1", func(c *Config) { c.Cluster, c.NodeID = "east", "m-two" })
		require.ErrorContains(t, err, `node "m-one", this is node "m-two"`)
		require.NoError(t, runOnce(t, dir, "m0:1", func(c *Config) { c.Cluster = "east" }))
	})
}

func copyDir(t *testing.T, from, to string) {
	require.NoError(t, os.RemoveAll(to))
	require.NoError(t, os.CopyFS(to, os.DirFS(from)))
}

// The log's file alone was replaced by an older copy: the guard beside it knows.
func TestARolledBackLogIsRefused(t *testing.T) {
	dir, backup := t.TempDir(), filepath.Join(t.TempDir(), "backup")
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, net: newMemNet()}
		run := func(entries int, edit ...func(*Config)) {
			m := w.start("m0:1", dir, nil, edit...)
			_, term := w.leader(m)
			for range entries {
				_, err := propose(term, "x")
				require.NoError(t, err)
			}
			m.stop()
		}
		run(5)
		copyDir(t, dir, backup)
		run(5)
		old, err := os.ReadFile(filepath.Join(backup, logFile))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, logFile), old, 0o600))
		err = runOnce(t, dir, "m0:1")
		require.ErrorIs(t, err, ErrRolledBack)
		require.ErrorContains(t, err, "its log ends at term 2, entry 8, this node was at term 3, entry 15")
		require.NoError(t, os.Remove(filepath.Join(dir, logFile)))
		require.ErrorIs(t, runOnce(t, dir, "m0:1"), ErrRolledBack)
		run(1, func(c *Config) { c.Recover = true })
		run(1)
	})
}

// The whole folder was replaced by an older copy: the other masters know.
func TestARolledBackFolderIsRefusedByTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		leader, term := w.leader(w.nodes...)
		victim := w.others(leader)[0]
		_, err := propose(term, "a")
		require.NoError(t, err)
		w.settle("a", w.nodes...)
		victim.stop()
		backup := newMemDisk()
		copyStore(t, victim.disk, backup)
		backupDir := t.TempDir()
		copyDir(t, victim.dir, backupDir)

		again := w.start(victim.addr, victim.dir, victim.disk)
		for range 20 {
			_, err := propose(term, "b")
			require.NoError(t, err)
		}
		w.settle("b", leader, again)
		time.Sleep(time.Second)
		again.stop()

		restored := w.start(victim.addr, backupDir, backup)
		err = <-restored.ended
		require.ErrorIs(t, err, ErrRolledBack)
		require.ErrorContains(t, err, "started at term")
		require.ErrorContains(t, err, "it was seen at term")
		require.NotContains(t, restored.state.text(), "b") // it took no part

		recovered := w.start(victim.addr, backupDir, backup, func(c *Config) { c.Recover = true })
		w.settle("b", leader, recovered)
		victim.ended <- nil
		recovered.stop()
		w.close()
	})
}

func copyStore(t *testing.T, from, to *memDisk) {
	last, err := from.LastIndex()
	require.NoError(t, err)
	for i := uint64(1); i <= last; i++ {
		var l hraft.Log
		require.NoError(t, from.GetLog(i, &l))
		require.NoError(t, to.StoreLog(&l))
	}
	for _, k := range []string{keyTerm, "LastVoteTerm"} {
		v, err := from.GetUint64([]byte(k))
		if err == nil {
			require.NoError(t, to.SetUint64([]byte(k), v))
		}
	}
	if v, err := from.Get([]byte("LastVoteCand")); err == nil {
		require.NoError(t, to.Set([]byte("LastVoteCand"), v))
	}
}

// Two clusters that were bootstrapped apart and then told of each other stay apart (L9).
func TestTwoClustersDoNotMix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, func(c *Config) { c.Cluster = "east" })
		_, east := w.leader(w.nodes...)
		other := w.start("w0:1", t.TempDir(), newMemDisk(), func(c *Config) { c.Cluster = "west" })
		_, west := w.leader(other)
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		require.Error(t, w.nodes[0].Add(ctx, other.self()))
		require.Contains(t, w.nodes[0].log.String(), `of cluster \"east\"`)
		_, err := propose(east, "east")
		require.NoError(t, err)
		_, err = propose(west, "west")
		require.NoError(t, err)
		require.Equal(t, "west", other.state.text())
		other.stop()
		w.close()
	})
}

func TestAHelloIsBounded(t *testing.T) {
	b := binary.BigEndian.AppendUint16([]byte(helloMagic), maxHello+1)
	_, err := readHello(strings.NewReader(string(b)))
	require.ErrorContains(t, err, "at most 2048")
	require.ErrorContains(t, writeHello(io.Discard, hello{Node: strings.Repeat("x", 3000)}), "at most 2048")
}
