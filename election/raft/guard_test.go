package raft

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAMasterThatWasRemovedMayComeBackWithAnEmptyFolder(t *testing.T) {
	g, err := openGuard(t.TempDir())
	require.NoError(t, err)
	nobody := func(string) bool { return false }
	require.NoError(t, g.met("m-1", "run 1", mark{}, false))
	g.saw("m-1", mark{Term: 3, Index: 12})
	require.ErrorIs(t, g.met("m-1", "run 2", mark{}, false), ErrRolledBack)

	g.configured(13, func(id string) bool { return id == "m-1" })
	require.ErrorIs(t, g.met("m-1", "run 2", mark{}, false), ErrRolledBack, "it is a member still")
	g.configured(11, nobody) // an old configuration, applied once more: the master was seen after it
	require.ErrorIs(t, g.met("m-1", "run 2", mark{}, false), ErrRolledBack)
	g.configured(13, nobody)
	require.NoError(t, g.met("m-1", "run 2", mark{}, false))
}
