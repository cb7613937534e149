package zookeeper

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/election"
)

// The last in the queue leads next, the one between queues again, and sessions that last for long show that nobody waited for one to end.
func TestLeadershipIsHandedToTheLastInTheQueue(t *testing.T) {
	t.Parallel()
	servers := startEnsemble(t, 1)
	cfg := Config{Address: url(servers, "/heir"), SessionTimeout: 50 * time.Second}
	var members []*member
	for i := range 3 {
		m := startMember(t, i, cfg)
		members = append(members, m)
		if i == 0 {
			require.NoError(t, propose(t, m.next(), "a"))
		} else {
			eventually(t, "a place in the queue", func() bool { return queued(t, servers[0], "/heir") == i+1 })
		}
	}
	first, between, last := members[0], members[1], members[2]
	id := func(m *member) string { return m.elector.cfg.NodeID }
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, first.elector.Transfer(ctx, id(first)))
	require.ErrorContains(t, first.elector.Transfer(ctx, "m-none"), `to master "m-none": it does not run`)
	require.ErrorContains(t, first.elector.Transfer(ctx, "../term"), "allowed is printable ASCII")
	require.ErrorIs(t, between.elector.Transfer(ctx, id(last)), election.ErrDeposed)
	term := first.present()
	require.NotNil(t, term, "a refusal has ended the reign")

	require.NoError(t, first.elector.Transfer(ctx, id(last)))
	require.ErrorIs(t, propose(t, term, "late"), election.ErrDeposed)
	next := last.next()
	require.Greater(t, next.Reign(), term.Reign())
	leader, _ := first.elector.Leader()
	require.Equal(t, id(last), leader.ID)
	require.NoError(t, propose(t, next, "b"))
	require.Equal(t, []string{"a", "b"}, agree(t, "b", members...))
	eventually(t, "three candidates", func() bool { return queued(t, servers[0], "/heir") == 3 })

	// An heir that has gone meanwhile: whoever is next leads, and the one who asked is told.
	h := &heir{node: "c-9999999999", done: make(chan error, 1)}
	require.True(t, last.present().resignTo(h))
	require.ErrorIs(t, <-h.done, errHeirGone)
	nextOf(t, first, between)
}

func queued(t *testing.T, s *server, path string) int {
	c := client(t, s, "")
	defer c.Close()
	names, _, err := c.Children(path + "/meros/candidates")
	require.NoError(t, err)
	return len(names)
}
