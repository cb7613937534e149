package master_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/master"
	"github.com/meros-project/meros/offer"
)

// A token outlives the leader that made it. An attempt may be repeated, with another leader too; a second attempt is refused.
func TestATokenIsGoodForOneAttemptUnderAnyLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		c := newTrio(t)
		c.startAll()
		first := c.leader()
		_, _, err := c.masters[first].NewToken(ctx, 8*24*time.Hour)
		requireReason(t, offer.ReasonInvalidField, err)
		token, _, err := c.masters[first].NewToken(ctx, time.Minute)
		require.NoError(t, err)
		late, _, err := c.masters[first].NewToken(ctx, time.Minute)
		require.NoError(t, err)
		follower := (first + 1) % 3
		_, _, err = c.masters[follower].NewToken(ctx, time.Minute)
		requireReason(t, offer.ReasonNotLeader, err)

		away := election.Peer{ID: "id-new", Address: "m9:5050"}
		for _, taken := range []election.Peer{{ID: c.peers[follower].ID, Address: "m9:5050"}, {ID: "id-new", Address: c.peers[follower].Address}} {
			requireReason(t, offer.ReasonDuplicateID, c.masters[first].JoinMember(ctx, taken, token, [16]byte{1}))
		}
		require.NoError(t, c.masters[first].JoinMember(ctx, away, token, [16]byte{1}))
		c.stop(first)
		second := c.successor(first)
		require.NoError(t, c.masters[second].JoinMember(ctx, away, token, [16]byte{1}), "the answer may have been lost")
		requireReason(t, offer.ReasonForbidden, c.masters[second].JoinMember(ctx, away, token, [16]byte{2}))
		requireReason(t, offer.ReasonForbidden, c.masters[second].JoinMember(ctx, election.Peer{ID: "id-other", Address: "m8:5050"}, token, [16]byte{3}))
		members, err := c.masters[second].Members(ctx)
		require.NoError(t, err)
		require.Len(t, members, 4)
		require.Contains(t, members, election.Member{Peer: away})

		// It gets no vote when it was removed meanwhile, and none by an attempt that has succeeded before.
		require.NoError(t, c.masters[second].RemoveMember(ctx, away.ID))
		requireReason(t, offer.ReasonUnknownID, c.masters[second].PromoteMember(ctx, away))
		requireReason(t, offer.ReasonForbidden, c.masters[second].JoinMember(ctx, away, token, [16]byte{4}))

		time.Sleep(2 * time.Minute)
		requireReason(t, offer.ReasonForbidden, c.masters[second].JoinMember(ctx, away, late, [16]byte{5}))
		require.ErrorContains(t, c.masters[second].JoinMember(ctx, away, late, [16]byte{6}), "has expired")
		requireReason(t, offer.ReasonForbidden, c.masters[second].JoinMember(ctx, away, master.JoinToken{9}, [16]byte{7}))
		c.runs[first] = nil
		c.stopAll()
	})
}

func requireReason(t *testing.T, want offer.Reason, err error) {
	t.Helper()
	var refusal *offer.Refusal
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, want, refusal.Reason, "%v", err)
}
