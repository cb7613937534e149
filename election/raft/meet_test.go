package raft

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meros-project/meros/election"
	"github.com/stretchr/testify/require"
)

// views are the lists of size n, with self, that a master may see of count masters.
func views(self, count, n int) (all [][]election.Peer) {
	for set := range 1 << count {
		var list []election.Peer
		for i := range count {
			if set>>i&1 == 1 {
				list = append(list, election.Peer{Address: fmt.Sprintf("m%d:1", i)})
			}
		}
		if len(list) == n && set>>self&1 == 1 {
			all = append(all, list)
		}
	}
	return all
}

// gather lets count masters come one after the other, with links that are cut for a while and one that is killed and comes back, and returns how
// many lead in the end.
func gather(t *testing.T, r *rand.Rand, lists [][]election.Peer) (leaders, voters int) {
	synctest.Test(t, func(t *testing.T) {
		count := len(lists)
		w := &world{t: t, net: newMemNet()}
		runs := make([]*master, count)
		dirs, disks := make([]string, count), make([]*memDisk, count)
		for i := range count {
			dirs[i], disks[i] = t.TempDir(), newMemDisk()
		}
		address := func(i int) string { return fmt.Sprintf("m%d:1", i) }
		begin := func(i int) {
			runs[i] = w.start(address(i), dirs[i], disks[i], func(c *Config) { c.Bootstrap, c.Meet = lists[i], true })
		}
		pause := func() { time.Sleep(time.Duration(r.IntN(400)) * time.Millisecond) }
		for range r.IntN(2 * count) { // one way
			w.net.set(true, []string{address(r.IntN(count))}, []string{address(r.IntN(count))})
		}
		for _, i := range r.Perm(count) {
			begin(i)
			pause()
		}
		victim := r.IntN(count)
		runs[victim].cancel()
		if err := <-runs[victim].ended; err != nil {
			require.ErrorIs(t, err, ErrMetOthers)
			runs[victim].ended <- err
		} else {
			pause()
			begin(victim)
		}
		pause()
		for i := range count {
			for k := range count {
				w.net.set(false, []string{address(i)}, []string{address(k)})
			}
		}
		time.Sleep(20 * time.Second)
		for _, m := range runs {
			if p, ok := m.Leader(); ok && p.Address == m.addr {
				leaders++
				voters = m.voters()
			}
		}
		for _, m := range runs {
			m.cancel()
		}
		for _, m := range runs {
			if err := <-m.ended; err != nil {
				require.ErrorIs(t, err, ErrMetOthers)
				require.ErrorContains(t, err, "has met others than this one")
			}
		}
	})
	return leaders, voters
}

func TestThreeMastersThatExpectThreeFormOneCluster(t *testing.T) {
	list := views(0, 3, 3)[0]
	for seed := range uint64(24) {
		leaders, voters := gather(t, rand.New(rand.NewPCG(seed, 3)), [][]election.Peer{list, list, list})
		require.Equal(t, 1, leaders, "seed %d", seed)
		require.Equal(t, 3, voters, "seed %d", seed)
	}
}

// Four and five masters that are told to expect three have met too many: some see these, some those. They form one cluster or none.
func TestMoreMastersThanExpectedFormNeverTwoClusters(t *testing.T) {
	formed := 0
	for _, count := range []int{4, 5} {
		for seed := range uint64(40) {
			r := rand.New(rand.NewPCG(seed, uint64(count)))
			lists := make([][]election.Peer, count)
			for i := range lists {
				seen := views(i, count, 3)
				lists[i] = seen[r.IntN(len(seen))]
			}
			if seed%4 == 0 { // three agree, the others do not know
				for i := range 3 {
					lists[i] = views(0, count, 3)[0]
				}
			}
			leaders, voters := gather(t, r, lists)
			require.LessOrEqual(t, leaders, 1, "%d masters, seed %d", count, seed)
			if leaders == 1 {
				require.Equal(t, 3, voters)
				formed++
			}
		}
	}
	require.Positive(t, formed, "or nothing was shown")
}

// What a master has promised it keeps, whatever it is told at its next start.
func TestAPromiseIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, net: newMemNet()}
		dir, disk := t.TempDir(), newMemDisk()
		first, second := views(0, 5, 3)[0], views(0, 5, 3)[1]
		for _, list := range [][]election.Peer{first, second, nil} {
			m := w.start("m0:1", dir, disk, func(c *Config) { c.Bootstrap, c.Meet = list, list != nil; c.Join = list == nil })
			time.Sleep(time.Second)
			_, leads := m.Leader()
			require.False(t, leads)
			m.stop()
			met, err := promised(dir)
			require.NoError(t, err)
			want, err := bootstrapPeers(first)
			require.NoError(t, err)
			require.Equal(t, newMeeting(want).hash, met.hash)
		}
		require.NoError(t, os.WriteFile(dir+"/"+meetingFile, []byte("{"), 0o600))
		e, err := New(Config{Dir: dir})
		require.NoError(t, err)
		err = e.Run(context.Background(), election.Env{StateMachine: &ledger{}, Opening: func() []byte { return nil }, Advertise: "m0:1"})
		require.ErrorContains(t, err, "read meeting")
		require.False(t, errors.Is(err, ErrMetOthers))
	})
}
