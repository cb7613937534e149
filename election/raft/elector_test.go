package raft

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meros-project/meros/election"
	"github.com/stretchr/testify/require"
)

func TestThreeMastersElectOneAndAgree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		m, term := w.leader(w.nodes...)
		require.EqualValues(t, 1, term.Reign())
		var wg sync.WaitGroup
		var want []string
		var indexes []uint64
		for i := range 1000 {
			wg.Add(1)
			want = append(want, fmt.Sprint(i))
			term.Propose(fmt.Append(nil, i), func(index uint64, result any, err error) {
				if err == nil && result == i+1 {
					indexes = append(indexes, index)
				}
				wg.Done()
			})
		}
		wg.Wait()
		require.Len(t, indexes, 1000)
		require.IsIncreasing(t, indexes)
		w.settle(strings.Join(want, "\n"), w.nodes...)
		for _, n := range w.nodes {
			leader, ok := n.Leader()
			require.True(t, ok)
			require.Equal(t, election.Peer{ID: DeriveID(m.addr), Address: m.addr}, leader)
		}
		_, err := propose(term, strings.Repeat("x", election.MaxEntry+1))
		require.ErrorIs(t, err, election.ErrTooLarge)
		_, err = propose(term, strings.Repeat("x", election.MaxEntry))
		require.NoError(t, err)
		w.close()
		<-term.Done()
		_, err = propose(term, "late")
		require.ErrorIs(t, err, election.ErrDeposed)
	})
}

func TestOneMasterIsAClusterByDefault(t *testing.T) {
	dir := t.TempDir()
	for reign := range 3 {
		synctest.Test(t, func(t *testing.T) {
			w := &world{t: t, net: newMemNet()}
			m := w.start("m0:1", dir, nil) // on bbolt
			_, term := w.leader(m)
			require.EqualValues(t, reign+1, term.Reign())
			_, err := propose(term, fmt.Sprint("e", reign))
			require.NoError(t, err)
			require.True(t, strings.HasPrefix(m.state.text(), "e0"))
			require.Len(t, m.state.entries, reign+1)
			m.stop()
		})
	}
}

// A leader that is cut off loses its reign by its lease, the others elect another, and what it could not commit is reported unknown.
func TestALeaderThatIsCutOffIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		old, term := w.leader(w.nodes...)
		_, err := propose(term, "kept")
		require.NoError(t, err)
		w.settle("kept", w.nodes...)
		rest := w.others(old)
		w.net.set(true, addrs(old), addrs(rest...))
		w.net.set(true, addrs(rest...), addrs(old))
		began := time.Now()
		lost := make(chan error, 1)
		go func() {
			_, err := propose(term, "lost")
			lost <- err
		}()
		<-term.Done()
		require.Less(t, time.Since(began), 400*time.Millisecond+time.Second)
		require.ErrorIs(t, <-lost, election.ErrUnknown)
		_, err = propose(term, "refused")
		require.ErrorIs(t, err, election.ErrDeposed)

		m, next := w.leader(rest...)
		require.Less(t, time.Since(began), 3*time.Second)
		require.Greater(t, next.Reign(), term.Reign())
		_, err = propose(next, "after")
		require.NoError(t, err)
		w.settle("kept\nafter", rest...)
		require.Equal(t, "kept", old.state.text())

		w.net.set(false, addrs(old), addrs(rest...))
		w.net.set(false, addrs(rest...), addrs(old))
		w.settle("kept\nafter", w.nodes...)
		for leader, _ := old.Leader(); leader.Address != m.addr; leader, _ = old.Leader() {
			<-old.LeaderChanged()
		}
		w.close()
	})
}

// A leader that sends but does not hear (N6) steps down within its lease and a second.
func TestALeaderThatDoesNotHearStepsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		old, term := w.leader(w.nodes...)
		w.net.set(true, addrs(w.others(old)...), addrs(old))
		began := time.Now()
		<-term.Done()
		require.LessOrEqual(t, time.Since(began), 400*time.Millisecond+time.Second)
		_, next := w.leader(w.others(old)...)
		require.Greater(t, next.Reign(), term.Reign())
		w.net.set(false, addrs(w.others(old)...), addrs(old))
		w.close()
	})
}

// Pre-vote works through all that is wrapped around the library: a master that is cut off does not raise its term, and disturbs nobody
// when it is back.
func TestAMasterThatIsCutOffDoesNotRaiseTheTerm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		leader, term := w.leader(w.nodes...)
		w.settle("", w.nodes...)
		lonely := w.others(leader)[0]
		before := lonely.raft.CurrentTerm()
		w.net.set(true, addrs(lonely), addrs(w.others(lonely)...))
		w.net.set(true, addrs(w.others(lonely)...), addrs(lonely))
		time.Sleep(2 * time.Minute)
		require.Equal(t, before, lonely.raft.CurrentTerm())
		require.Contains(t, lonely.log.String(), "pre-vote")
		w.net.set(false, addrs(lonely), addrs(w.others(lonely)...))
		w.net.set(false, addrs(w.others(lonely)...), addrs(lonely))
		time.Sleep(time.Minute)
		_, err := propose(term, "same reign")
		require.NoError(t, err)
		w.settle("same reign", w.nodes...)
		w.close()
	})
}

func TestAGracefulStopHandsLeadershipOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		old, term := w.leader(w.nodes...)
		began := time.Now()
		old.stop()
		_, next := w.leader(w.others(old)...)
		require.Less(t, time.Since(began), 400*time.Millisecond) // no timeout was waited for
		require.Equal(t, term.Reign()+1, next.Reign())
		old.ended <- nil
		w.close()
	})
}

func TestResignAndTransfer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		old, term := w.leader(w.nodes...)
		time.Sleep(time.Second)
		require.NoError(t, term.Resign(context.Background()))
		<-term.Done()
		m, next := w.leader(w.others(old)...)
		time.Sleep(time.Second)
		require.ErrorIs(t, old.Transfer(context.Background(), m.nodeID), election.ErrDeposed)
		require.ErrorContains(t, m.Transfer(context.Background(), "m-none"), "not in the configuration")
		require.NoError(t, m.Transfer(context.Background(), old.nodeID))
		<-next.Done()
		again, third := w.leader(w.nodes...)
		require.Equal(t, old, again)
		require.Greater(t, third.Reign(), next.Reign())
		w.close()
	})
}

func TestResigningAloneOpensAnotherReign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		_, term := w.leader(w.nodes...)
		require.NoError(t, term.Resign(context.Background()))
		_, err := propose(term, "late")
		require.ErrorIs(t, err, election.ErrDeposed)
		_, next := w.leader(w.nodes...)
		require.Equal(t, term.Reign()+1, next.Reign())
		w.close()
	})
}

func TestALeaderWhoseDiskHangsIsReplacedAndStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		old, term := w.leader(w.nodes...)
		release := old.disk.hang()
		began := time.Now()
		stuck := make(chan error, 1)
		go func() {
			_, err := propose(term, "stuck")
			stuck <- err
		}()
		<-term.Done() // before the library knows
		_, next := w.leader(w.others(old)...)
		require.Less(t, time.Since(began), 10*time.Second) // L8
		_, err := propose(next, "on")
		require.NoError(t, err)
		require.ErrorIs(t, <-old.ended, election.ErrDiskStalled)
		require.InDelta(t, 10, time.Since(began).Seconds(), 1)
		require.ErrorIs(t, <-stuck, election.ErrUnknown)
		_, open := <-old.Terms()
		require.False(t, open)
		release() // and the goroutines that were left behind end
		old.ended <- nil
		w.close()
	})
}

func TestADiskThatHangsForAWhileCostsTheReignOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		old, term := w.leader(w.nodes...)
		release := old.disk.hang()
		term.Propose([]byte("slow"), func(uint64, any, error) {})
		_, next := w.leader(w.others(old)...)
		_, err := propose(next, "on")
		require.NoError(t, err)
		time.Sleep(time.Second)
		release()
		w.settle("on", w.nodes...)
		w.close()
	})
}

// A follower whose disk hangs for a while catches up (hashicorp/raft 612).
func TestAFollowerWhoseDiskHungCatchesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		leader, term := w.leader(w.nodes...)
		release := w.others(leader)[0].disk.hang()
		for i := range 50 {
			_, err := propose(term, fmt.Sprint(i))
			require.NoError(t, err)
			time.Sleep(100 * time.Millisecond)
		}
		release()
		w.settle("48\n49", w.nodes...)
		w.close()
	})
}

// The disk is not trusted again after a failure, the host program goes on, and so does the cluster.
func TestADiskThatFailsEndsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		old, term := w.leader(w.nodes...)
		broken := errors.New("input/output error")
		old.disk.breaks(broken)
		_, err := propose(term, "unknown")
		require.ErrorIs(t, err, election.ErrUnknown)
		old.disk.breaks(nil) // the next fsync would succeed
		require.ErrorIs(t, <-old.ended, broken)
		_, next := w.leader(w.others(old)...)
		_, err = propose(next, "on")
		require.NoError(t, err)
		old.ended <- nil
		w.close()
	})
}

func TestAnEntryOfAnUnknownKindStopsEachMasterThatAppliesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1)
		_, term := w.leader(w.nodes...)
		_, err := propose(term, "poison")
		require.ErrorIs(t, err, election.ErrUnknown)
		require.ErrorContains(t, <-w.nodes[0].ended, "apply entry 4: unknown kind")
	})
}

// A master that joins takes a snapshot and the log after it; its state equals that of one that applied every entry (L6), also after a
// restart.
func TestASnapshotAndTheLogAfterItEqualTheWholeLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		few := func(c *Config) { c.SnapshotThreshold, c.TrailingLogs, c.SnapshotInterval = 50, 10, time.Second }
		w := newWorld(t, 3, few)
		leader, term := w.leader(w.nodes...)
		late := w.others(leader)[0]
		late.stop()
		for i := range 300 {
			_, err := propose(term, fmt.Sprint(i))
			require.NoError(t, err)
		}
		time.Sleep(5 * time.Second)
		require.NoError(t, leader.TakeSnapshot(context.Background()))
		for i := range 20 {
			_, err := propose(term, fmt.Sprint("after", i))
			require.NoError(t, err)
		}
		first, err := leader.disk.FirstIndex()
		require.NoError(t, err)
		require.Greater(t, first, uint64(200)) // the log before the snapshot is gone
		again := w.start(late.addr, late.dir, late.disk, few)
		w.settle("after18\nafter19", leader, again)
		require.NoError(t, again.TakeSnapshot(context.Background()))
		again.stop()
		third := w.start(late.addr, late.dir, late.disk, few)
		w.settle("after18\nafter19", leader, third)
		require.EqualValues(t, 1, third.state.reign)
		late.ended <- nil
		third.stop()
		w.close()
	})
}

// After a leader's death the others do not wait for timers that are drawn at random: they have a new one within a timeout and a half,
// and nobody is ever deposed that was heard.
func TestALostLeaderIsReplacedPromptly(t *testing.T) {
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, 3)
			old, term := w.leader(w.nodes...)
			w.settle("", w.nodes...)
			time.Sleep(10 * time.Second)
			select {
			case <-term.Done():
				t.Fatal("deposed without a reason")
			default:
			}
			w.net.set(true, addrs(old), addrs(w.others(old)...))
			w.net.set(true, addrs(w.others(old)...), addrs(old))
			began := time.Now()
			w.leader(w.others(old)...)
			require.Less(t, time.Since(began), 750*time.Millisecond)
			w.net.set(false, addrs(old), addrs(w.others(old)...))
			w.net.set(false, addrs(w.others(old)...), addrs(old))
			w.close()
		})
	}
}

// A link that comes and goes (N7) does not inflate the term beyond one in five seconds.
func TestAFlappingLinkDoesNotInflateTheTerm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3)
		leader, _ := w.leader(w.nodes...)
		flaky := w.others(leader)[0]
		began, before := time.Now(), leader.raft.CurrentTerm()
		random := rand.New(rand.NewPCG(1, 2))
		for i := range 200 {
			w.net.set(i%2 == 0, addrs(flaky), addrs(w.others(flaky)...))
			if random.IntN(2) == 0 {
				w.net.set(i%2 == 0, addrs(w.others(flaky)...), addrs(flaky))
			}
			time.Sleep(100*time.Millisecond + time.Duration(random.Int64N(int64(4900*time.Millisecond))))
		}
		w.net.set(false, addrs(flaky), addrs(w.others(flaky)...))
		w.net.set(false, addrs(w.others(flaky)...), addrs(flaky))
		inflation := leader.raft.CurrentTerm() - before
		require.LessOrEqual(t, inflation, uint64(time.Since(began)/(5*time.Second)))
		w.close()
	})
}
