package zookeeper

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A doom is the death of a master at the moment at which it would send a certain request: that and all that follows is lost.
type doom struct {
	when func(request []byte) bool
	dead atomic.Bool
}

type doomed struct {
	net.Conn
	doom *doom
}

func (d *doom) dial(ctx context.Context, address string) (net.Conn, error) {
	if d.dead.Load() {
		return nil, net.ErrClosed
	}
	var dialer net.Dialer
	c, err := dialer.DialContext(ctx, "tcp", address)
	return &doomed{c, d}, err
}

func (c *doomed) Write(p []byte) (int, error) {
	if c.doom.dead.Load() || c.doom.when(p) {
		c.doom.dead.Store(true)
		return len(p), nil
	}
	return c.Conn.Write(p)
}

const nodeLimit = 1 << 20 // of a server, jute.maxbuffer

// kept is what there is of the registry, and checks that a server takes each of its nodes.
func kept(t *testing.T, s *server, path string) (log, dirs, chunks []string, p pointer) {
	t.Helper()
	for node := range tree(t, s, "") {
		rest, ok := strings.CutPrefix(node, path+"/meros/")
		switch {
		case !ok:
		case strings.HasPrefix(rest, "log/"):
			log = append(log, strings.TrimPrefix(rest, "log/"))
		case strings.Count(rest, "/") == 1 && strings.HasPrefix(rest, "snapshots/"):
			dirs = append(dirs, strings.TrimPrefix(rest, "snapshots/"))
		case strings.HasPrefix(rest, "snapshots/"):
			chunks = append(chunks, strings.TrimPrefix(rest, "snapshots/"))
		}
	}
	c := client(t, s, "")
	defer c.Close()
	for _, name := range append(prefixed("log/", log), prefixed("snapshots/", chunks)...) {
		_, stat, err := c.Exists(path + "/meros/" + name)
		require.NoError(t, err)
		require.Less(t, int(stat.DataLength), nodeLimit-1024, name)
	}
	data, _, err := c.Get(path + "/meros/snapshot")
	require.NoError(t, err)
	p, err = parsePointer(data)
	require.NoError(t, err)
	return log, dirs, chunks, p
}

func prefixed(prefix string, names []string) []string {
	var list []string
	for _, n := range names {
		list = append(list, prefix+n)
	}
	return list
}

// What a leader leaves that dies while it writes a snapshot, and one that dies while it removes what the snapshot covers, goes with the next
// snapshot: what is kept is the last one, the one before it, and the entries since.
func TestTheRegistryStaysBoundedWhenLeadersDie(t *testing.T) {
	t.Parallel()
	servers := startEnsemble(t, 1)
	const every = 8
	cfg := func(d *doom) Config {
		c := Config{Address: url(servers, "/bounded"), SessionTimeout: 3 * time.Second, SnapshotEvery: every}
		if d != nil {
			c.Dial = d.dial
		}
		return c
	}
	dies := func(d *doom, m *member) {
		t.Helper()
		eventually(t, "the death of a leader", d.dead.Load)
		require.NoError(t, m.stop())
	}
	writing := &doom{when: func(request []byte) bool { return bytes.Contains(request, []byte("/000001")) }}
	first := startMember(t, 0, cfg(writing))
	term := first.next()
	for i := range every + 2 {
		err := propose(t, term, fmt.Sprintf("%d %s", i, strings.Repeat("x", 100<<10)))
		require.True(t, err == nil || isLost(err), "%v", err)
	}
	dies(writing, first)
	log, dirs, chunks, p := kept(t, servers[0], "/bounded")
	require.GreaterOrEqual(t, len(log), every)
	require.Len(t, dirs, 1)
	require.NotEmpty(t, chunks)
	require.Empty(t, p.Dir, "a snapshot that is not whole counts")

	removing := &doom{when: func(request []byte) bool { return bytes.Count(request, []byte("/bounded/meros/log/")) > 1 }}
	second := startMember(t, 1, cfg(removing))
	dies(removing, second)
	log, dirs, _, p = kept(t, servers[0], "/bounded")
	require.GreaterOrEqual(t, len(log), every)
	require.Len(t, dirs, 2)
	require.Contains(t, dirs, p.Dir)

	lasting := cfg(nil)
	lasting.SessionTimeout = 20 * time.Second
	third := startMember(t, 2, lasting)
	term = third.next()
	for round := range 3 {
		for i := range 10 * every {
			require.NoError(t, propose(t, term, fmt.Sprint("round ", round, ", ", i)))
		}
		require.NoError(t, third.elector.TakeSnapshot(t.Context()))
		log, dirs, chunks, p = kept(t, servers[0], "/bounded")
		require.Empty(t, log)
		require.ElementsMatch(t, []string{p.Before, p.Dir}, dirs)
		require.LessOrEqual(t, len(chunks), 2*p.Chunks)
	}
	fourth := startMember(t, 3, lasting)
	require.NoError(t, propose(t, term, "end"))
	require.GreaterOrEqual(t, len(agree(t, "end", third, fourth)), 30*every+every)
}
