package master_test

import (
	"io"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/internal/recording"
	"github.com/meros-project/meros/internal/transport/memtransport"
	"github.com/meros-project/meros/master"
	"github.com/meros-project/meros/offer"
)

// replayed plays all recordings of a folder and returns how many events they hold, and the reigns.
func replayed(t *testing.T, dir string) (events int, reigns map[uint64]bool) {
	files, err := recording.Files(dir)
	require.NoError(t, err)
	reigns = map[uint64]bool{}
	for _, path := range files {
		r, err := recording.Open(path)
		require.NoError(t, err)
		p, err := recording.NewReplay(r)
		require.NoError(t, err)
		for err == nil {
			_, err = p.Step()
		}
		require.Equal(t, io.EOF, err, "%s decides as it did", path)
		why, cut := r.Ending()
		require.False(t, cut, why)
		require.Empty(t, r.Header.Gap)
		require.NoError(t, p.Core.Check())
		events += p.N
		reigns[r.Header.Reign] = true
		require.NoError(t, r.Close())
	}
	return events, reigns
}

// TestReplaysOfBothLeadersDecideAsTheyDid runs three masters on Raft with slaves and a framework. The leader is cut off in the middle and then
// ended, the next one goes on; what both decided is decided again by their recordings.
func TestReplaysOfBothLeadersDecideAsTheyDid(t *testing.T) {
	root := t.TempDir()
	dir := func(i int) string { return filepath.Join(root, host(i)) }
	var first, second int
	synctest.Test(t, func(t *testing.T) {
		c := newTrio(t)
		c.recorder = func(i int) master.Recorder { return master.Recorder{Dir: dir(i)} }
		b := c.load(120, c.startAll())
		for range 50 {
			<-b.launch
		}
		first = c.leader()
		require.NoError(t, c.masters[first].SetWeight(t.Context(), "batch", 2000))
		c.cutOff(first)
		second = c.successor(first)
		c.stop(first)
		<-b.done
		b.finished(t)
		require.NoError(t, c.masters[second].SetWeight(t.Context(), "batch", 3000))
		b.stop(t)
		c.stopAll()
	})
	seen := map[uint64]bool{}
	for _, i := range []int{first, second} {
		events, reigns := replayed(t, dir(i))
		require.Greater(t, events, 40)
		for reign := range reigns {
			require.False(t, seen[reign], "one leader a reign")
			seen[reign] = true
		}
		t.Logf("%s: %d events in %d reigns", host(i), events, len(reigns))
	}
}

func TestARecorderIsConfiguredOrRefused(t *testing.T) {
	for text, r := range map[string]master.Recorder{
		`master: Config.Recorder.Dir "": is required when MaxBytes or MaxFiles is set`:     {MaxFiles: 1},
		`master: Config.Recorder.MaxBytes 5: must be at least 65536, or 0 for the default`: {Dir: "x", MaxBytes: 5},
		`master: Config.Recorder.MaxFiles -1: must not be negative`:                        {Dir: "x", MaxFiles: -1},
	} {
		_, err := master.New(master.Config{Election: election.Standalone(), Listen: masterAddress, Network: memtransport.New(), Recorder: r})
		require.ErrorIs(t, err, offer.Refuse(offer.ReasonInvalidField, ""))
		require.True(t, strings.HasPrefix(err.Error(), text), err.Error())
	}
}

// TestAMasterLeadsWithoutTheDiskOfItsRecording: the folder cannot be made, and nobody notices but the log.
func TestAMasterLeadsWithoutTheDiskOfItsRecording(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newArena(t, master.Config{Recorder: master.Recorder{Dir: "/dev/null/recordings"}})
		a.unharmed()
	})
}
