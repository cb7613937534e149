package zookeeper

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/election"
)

func isLost(err error) bool {
	return errors.Is(err, election.ErrDeposed) || errors.Is(err, election.ErrUnknown)
}

// Three masters on three servers go on when any one server is killed, and begin again when all were gone. Nothing committed is lost.
func TestServersAreKilledOneByOneAndThenAll(t *testing.T) {
	t.Parallel()
	servers := startEnsemble(t, 3)
	var members []*member
	for i := range 3 {
		members = append(members, startMember(t, i, Config{Address: url(servers, "/killed"), SessionTimeout: 3 * time.Second, SnapshotEvery: 10}))
	}
	term := nextOf(t, members...)
	var want []string
	say := func(entry string) {
		term = commit(t, term, entry, members...)
		want = append(want, entry)
	}
	for i, s := range servers {
		say(fmt.Sprint("before server ", i))
		leader := s.Leads()
		began := time.Now()
		s.Kill()
		say(fmt.Sprint("without server ", i))
		t.Logf("server %d killed (it led the ensemble: %v): the next entry was committed after %v", i, leader, time.Since(began).Round(time.Millisecond))
		s.start()
		s.ready()
		say(fmt.Sprint("with server ", i))
	}
	agree(t, want[len(want)-1], members...)

	for _, s := range servers {
		s.Kill()
	}
	select {
	case <-term.Done():
	case <-time.After(patience):
		t.Fatal("a reign goes on although there is no ensemble")
	}
	require.ErrorIs(t, propose(t, term, "nowhere"), election.ErrDeposed)
	for _, s := range servers {
		s.start()
	}
	term = nextOf(t, members...)
	say("all are back")
	entries := agree(t, "all are back", members...)
	next := 0 // an entry whose outcome was unknown may be there twice
	for _, e := range entries {
		if next < len(want) && e == want[next] {
			next++
		}
	}
	require.Equal(t, len(want), next, "%q does not contain %q in this order", entries, want)
	require.NotContains(t, entries, "nowhere")
}

// A leader that is cut off has stopped by the time that the ensemble gives it up, another one leads, and it comes back as a follower.
func TestALeaderThatIsCutOffStopsBeforeItsSessionExpires(t *testing.T) {
	t.Parallel()
	servers := startEnsemble(t, 1)
	var proxies []*proxy
	var members []*member
	for i := range 2 {
		proxies = append(proxies, newProxy(t, servers[0].address))
		members = append(members, startMember(t, i, Config{Address: "zk://" + proxies[i].address() + "/cut", SessionTimeout: 3 * time.Second}))
	}
	commit(t, nextOf(t, members...), "a", members...)
	agree(t, "a", members...)
	c := client(t, servers[0], "")
	first, second := 0, 1
	var term *term
	var gone <-chan zk.Event
	eventually(t, "a leader with its record", func() bool {
		first, second = 0, 1
		if term = members[0].present(); term == nil {
			if term = members[1].present(); term == nil {
				return false
			}
			first, second = 1, 0
		}
		names, _, err := c.Children("/cut")
		record := numbered(names, infoLabel)
		if err != nil || len(record) != 1 {
			return false
		}
		var there bool
		there, _, gone, err = c.ExistsW("/cut/" + record[0])
		return err == nil && there
	})
	proxies[first].cut()
	select {
	case <-gone: // the session has expired
	case <-time.After(patience):
		t.Fatal("the session of a leader that is cut off does not expire")
	}
	require.ErrorIs(t, propose(t, term, "late"), election.ErrDeposed)
	<-term.Done()
	next := members[second].next()
	require.Greater(t, next.Reign(), term.Reign())
	next = commit(t, next, "b", members[second])
	proxies[first].heal()
	agree(t, "b", members...)
	eventually(t, "both know who leads", func() bool {
		a, known := members[0].elector.Leader()
		b, ok := members[1].elector.Leader()
		return ok && known && a == b
	})
	commit(t, next, "c", members...)
	require.NotContains(t, agree(t, "c", members...), "late")
}

// A connection that is lost is not a session that has expired: the reign goes on.
func TestALostConnectionDoesNotEndAReign(t *testing.T) {
	t.Parallel()
	servers := startEnsemble(t, 1)
	p := newProxy(t, servers[0].address)
	m := startMember(t, 0, Config{Address: "zk://" + p.address() + "/lost", SessionTimeout: 20 * time.Second})
	term := m.next()
	for i := range 5 {
		p.drop()
		require.NoError(t, propose(t, term, fmt.Sprint(i)))
	}
	require.Equal(t, []string{"0", "1", "2", "3", "4"}, m.ledger.Entries())
	select {
	case <-term.Done():
		t.Fatal("the reign has ended")
	default:
	}
}

// Whoever leads later has raised the version of the term's node: what the leader before it writes is refused, though it does not know yet.
func TestWhatADeposedLeaderWritesIsRefused(t *testing.T) {
	t.Parallel()
	servers := startEnsemble(t, 1)
	m := startMember(t, 0, Config{Address: url(servers, "/fenced"), SessionTimeout: 20 * time.Second})
	term := m.next()
	require.NoError(t, propose(t, term, "a"))
	_, err := client(t, servers[0], "").Set("/fenced/meros/term", []byte("another"), -1)
	require.NoError(t, err)
	require.ErrorIs(t, propose(t, term, "b"), election.ErrDeposed)
	<-term.Done()
	next := m.next()
	require.EqualValues(t, 2, next.Reign())
	require.NoError(t, propose(t, next, "c"))
	require.Equal(t, []string{"a", "c"}, m.ledger.Entries())
}

// A state of megabytes is cut into chunks that a server takes, the log before it goes, and another master starts from it.
func TestASnapshotTakesThePlaceOfTheLog(t *testing.T) {
	t.Parallel()
	servers := startEnsemble(t, 1)
	cfg := Config{Address: url(servers, "/large"), SessionTimeout: 20 * time.Second, SnapshotEvery: 8}
	m := startMember(t, 0, cfg)
	term := m.next()
	var last string
	for i := range 24 {
		last = fmt.Sprintf("%d %s", i, strings.Repeat("x", 100<<10))
		require.NoError(t, propose(t, term, last))
	}
	require.NoError(t, m.elector.TakeSnapshot(t.Context()))
	c := client(t, servers[0], "")
	log, _, err := c.Children("/large/meros/log")
	require.NoError(t, err)
	require.Empty(t, log)
	snapshots, _, err := c.Children("/large/meros/snapshots")
	require.NoError(t, err)
	require.LessOrEqual(t, len(snapshots), 2)
	data, _, err := c.Get("/large/meros/snapshot")
	require.NoError(t, err)
	p, err := parsePointer(data)
	require.NoError(t, err)
	require.Greater(t, p.Chunks, 4)

	require.NoError(t, propose(t, term, "after"))
	other := startMember(t, 1, cfg)
	agree(t, "after", m, other)
	require.ErrorIs(t, other.elector.TakeSnapshot(t.Context()), election.ErrDeposed)

	// One whose chunk is damaged is not taken over, and the node is named.
	path := fmt.Sprintf("/large/meros/snapshots/%s/%06d", p.Dir, 3)
	chunk, _, err := c.Get(path)
	require.NoError(t, err)
	chunk[100] ^= 1
	_, err = c.Set(path, chunk, -1)
	require.NoError(t, err)
	third := startMember(t, 2, cfg)
	err = third.end()
	third.ended <- err
	require.ErrorIs(t, err, ErrDamaged)
	require.ErrorContains(t, err, path)
}

// A server that is slow to take a session in does not keep a master out for ever: the connections before the one that it is taken in on
// leave nothing behind that holds up the answers of that one.
func TestAServerThatIsSlowAtFirst(t *testing.T) {
	t.Parallel()
	servers := startEnsemble(t, 1)
	p := newProxy(t, servers[0].address)
	p.cut() // it accepts, and says nothing
	m := startMember(t, 0, Config{Address: "zk://" + p.address() + "/slow", SessionTimeout: 2 * time.Second})
	eventually(t, "three connections were tried", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.conns) >= 3
	})
	p.heal()
	commit(t, m.next(), "a", m)
	agree(t, "a", m)
}
