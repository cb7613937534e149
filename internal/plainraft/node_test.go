package plainraft

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestThreeNodesCommit(t *testing.T) {
	defer goleak.VerifyNone(t)
	nodes, err := Start([]string{t.TempDir(), t.TempDir(), t.TempDir()})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		i := slices.IndexFunc(nodes, (*Node).Leads)
		return i >= 0 && nodes[i].Apply([]byte("x")) == nil
	}, time.Minute, 10*time.Millisecond)
	for _, n := range nodes {
		require.Eventually(t, func() bool { return n.Applied() >= 1 }, time.Minute, 10*time.Millisecond)
	}
	require.NoError(t, Stop(nodes))
	_, err = Start([]string{"/nowhere"})
	require.Error(t, err)
}
