package supervisor

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/process"
	"github.com/meros-project/meros/offer"
)

// leased starts a container with a lease and returns its first process. A machine that is too slow for it is given a longer one.
func (b *bench) leased(id, line string, lease time.Duration) (process.ID, *isolation.Spec) {
	b.t.Helper()
	for ; ; lease *= 2 {
		s := b.spec(id, line)
		s.Lease, s.LeaseUntil = lease, process.Clock()+lease
		b.r.Start(s, false)
		ev := b.next()
		if ev.Kind == isolation.Started {
			first, err := process.Identify(ev.PID)
			if err == nil {
				return first, s
			}
			ev = b.next()
		}
		require.Equal(b.t, offer.ReasonLeaseExpired, ev.Reason, "%+v", ev)
		require.Less(b.t, lease, time.Minute)
		b.r.Forget(id)
		eventually(b.t, "its files are removed", func() bool { _, err := os.Stat(b.r.dir(id)); return os.IsNotExist(err) })
	}
}

const withOffspring = "trap '' TERM; (setsid sleep 1000 &); echo up; while :; do sleep 0.05; done"

func TestALeaseThatRunsOutEndsTheWholeContainer(t *testing.T) {
	b := newBench(t)
	first, s := b.leased("a", withOffspring, 2*time.Second)
	ev := b.exited("a")
	require.GreaterOrEqual(t, process.Clock(), s.LeaseUntil)
	require.Equal(t, offer.ReasonLeaseExpired, ev.Reason)
	require.Equal(t, "its lease of "+s.Lease.String()+" was not renewed in time", ev.Message)
	require.Equal(t, offer.Exit{Signal: 9}, ev.Exit)
	require.False(t, first.Alive())
	require.Zero(t, process.KillMarked(mark(b.r.dir("a"))), "nothing of it runs, wherever it has moved")
}

func TestALeaseRunsOutWithoutTheSlave(t *testing.T) {
	b := newBench(t)
	first, _ := b.leased("a", withOffspring, 2*time.Second)
	require.NoError(t, b.r.Close())
	eventually(t, "the task is ended", func() bool { return !first.Alive() })
	eventually(t, "its end is written down", func() bool { return readRecord(b.r.dir("a"), exitRecord, &report{}) == nil })
	require.Zero(t, process.KillMarked(mark(b.r.dir("a"))), "nothing of it runs, wherever it has moved")
	b.open([]string{"a"})
	b.r.Adopt("a")
	b.r.Renew("a", process.Clock()+time.Hour)
	require.Equal(t, offer.ReasonLeaseExpired, b.exitedAfterAll("a").Reason)
}

func TestALeaseThatIsRenewedGoesOn(t *testing.T) {
	b := newBench(t)
	first, s := b.leased("a", "echo up; exec sleep 1000", 4*time.Second)
	b.r.Renew("a", s.LeaseUntil+time.Hour)
	eventually(t, "the first deadline is long over", func() bool { return process.Clock() > s.LeaseUntil+200*time.Millisecond })
	if first.Alive() { // else the machine was too slow to renew in time
		b.restart("a")
		b.r.Adopt("a")
		require.Equal(t, first.PID, b.started("a"), "after a restart of the slave too")
		b.r.Kill("a", true)
		require.Equal(t, offer.ReasonNone, b.exited("a").Reason)
		return
	}
	require.Equal(t, offer.ReasonLeaseExpired, b.exited("a").Reason)
}

// A supervisor that was stopped beyond the deadline may find a renewal before it looks at its clock.
func TestALeaseThatRanOutIsNotRenewed(t *testing.T) {
	b := newBench(t)
	first, s := b.leased("a", withOffspring, 5*time.Second)
	supervisor, err := os.FindProcess(b.supervisorOf(first.PID))
	require.NoError(t, err)
	require.NoError(t, supervisor.Signal(syscall.SIGSTOP))
	eventually(t, "each of its threads has stopped", func() bool { return stopped(supervisor.Pid) })
	conn, err := net.Dial("unix", filepath.Join(b.r.dir("a"), socketFile))
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte(sayLease + " 9000000000000000000\n"))
	require.NoError(t, err)
	eventually(t, "the deadline is over", func() bool { return process.Clock() > s.LeaseUntil })
	require.NoError(t, supervisor.Signal(syscall.SIGCONT))
	require.Equal(t, offer.ReasonLeaseExpired, b.exited("a").Reason)
	require.False(t, first.Alive())
}

// stopped reports whether all threads of a process have stopped, or are no more.
func stopped(pid int) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	for _, path := range threads {
		stat, _ := os.ReadFile(path)
		if i := strings.LastIndexByte(string(stat), ')'); i > 0 && !strings.HasPrefix(string(stat[i:]), ") T") {
			return false
		}
	}
	return true
}

func TestALeaseRunsOutWhileItsTaskIsPrepared(t *testing.T) {
	b := newBench(t)
	s := b.spec("a", "echo ran")
	s.Lease, s.LeaseUntil = time.Second, process.Clock()+time.Second
	slow := &slowIsolator{prepare: func() {
		for process.Clock() < s.LeaseUntil {
			time.Sleep(10 * time.Millisecond)
		}
	}}
	b.openWith(slow)
	b.r.Start(s, false)
	ev := b.next()
	require.Equal(t, isolation.StartFailed, ev.Kind, "%+v", ev)
	require.Equal(t, offer.ReasonLeaseExpired, ev.Reason)
	require.Empty(t, b.output("a", "stdout"))
}

func TestALeaseRunsOutAtTheGate(t *testing.T) {
	b := newBench(t)
	over := make(chan struct{})
	b.openWith(&slowIsolator{attach: func() { <-over }})
	s := b.spec("a", "echo ran")
	s.Lease, s.LeaseUntil = 2*time.Second, process.Clock()+2*time.Second
	b.r.Start(s, false)
	eventually(t, "the supervisor has given up, or was never started", func() bool {
		err := readRecord(b.r.dir("a"), exitRecord, &report{})
		return err == nil || len(b.events) > 0
	})
	close(over)
	ev := b.next()
	require.Equal(t, isolation.StartFailed, ev.Kind, "%+v", ev)
	require.Equal(t, offer.ReasonLeaseExpired, ev.Reason)
	require.Empty(t, b.output("a", "stdout"))
}

// What an earlier run of the slave was given and did not use may have been told gone meanwhile.
func TestALeasedTaskOfAnEarlierRunIsNotStarted(t *testing.T) {
	b := newBench(t)
	s := b.spec("a", "echo ran")
	s.Lease = time.Hour
	b.r.Start(s, true)
	b.r.Renew("a", process.Clock()+time.Hour)
	ev := b.next()
	require.Equal(t, isolation.StartFailed, ev.Kind, "%+v", ev)
	require.Equal(t, offer.ReasonLeaseExpired, ev.Reason)
}

func TestAKeeperGoesByTheDeadline(t *testing.T) {
	k, err := newKeeper(process.Clock() + time.Hour)
	require.NoError(t, err)
	require.False(t, k.expired())
	k.renew(process.Clock()) // an earlier one is no news
	require.False(t, k.expired())
	require.NoError(t, k.alarm.set(process.Clock()))
	k.alarm.wait()
	late, err := newKeeper(process.Clock())
	require.NoError(t, err)
	late.renew(process.Clock() + time.Hour)
	require.True(t, late.expired())
	var none *keeper
	none.renew(0)
	require.False(t, none.expired())
}

// A slowIsolator is one of the test's whose steps take as long as the test likes.
type slowIsolator struct{ prepare, attach func() }

func (*slowIsolator) Name() string { return "slow" }

func (i *slowIsolator) Prepare(context.Context, *isolation.Spec, *isolation.Plan) error {
	if i.prepare != nil {
		i.prepare()
	}
	return nil
}

func (i *slowIsolator) Attach(context.Context, string, int) error {
	if i.attach != nil {
		i.attach()
	}
	return nil
}

func (*slowIsolator) Recover(context.Context, []isolation.Recovered) error { return nil }
func (*slowIsolator) Cleanup(context.Context, string) error                { return nil }
