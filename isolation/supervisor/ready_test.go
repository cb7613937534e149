package supervisor

import (
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/process"
)

// openReady starts a runner that keeps n supervisors ready, and waits until they are there.
func (b *bench) openReady(n int) {
	require.NoError(b.t, b.r.Close())
	b.r = New(Config{Dir: b.runtime, Ready: n})
	require.NoError(b.t, b.r.Open(nil, func(ev isolation.Event) { b.events <- ev }))
	b.full(n)
}

func (b *bench) full(n int) {
	eventually(b.t, "supervisors are ready", func() bool { return b.r.Ready() >= n })
}

// readyOnes are the processes that wait for an order.
func (b *bench) readyOnes() []process.ID {
	b.r.ready.mu.Lock()
	defer b.r.ready.mu.Unlock()
	var ids []process.ID
	for _, p := range b.r.ready.idle {
		id, err := process.Identify(p.program.Pid)
		require.NoError(b.t, err)
		ids = append(ids, id)
	}
	return ids
}

func TestASupervisorThatIsReadyTakesTheNextContainer(t *testing.T) {
	b := newBench(t)
	b.openReady(2)
	for i := range 5 {
		first := b.readyOnes()[0]
		id := strconv.Itoa(i)
		b.r.Start(b.spec(id, "while [ ! -e stop ]; do sleep 0.02; done; exit 7"), false)
		require.Equal(t, first.PID, b.supervisorOf(b.started(id)), "the one that waited for longest")
		b.full(2) // another one is made ready
		require.NoError(t, os.WriteFile(filepath.Join(b.base, "sandbox-"+id, "stop"), nil, 0o644))
		require.Equal(t, 7, b.exited(id).Exit.Code)
		require.True(t, first.Alive(), "it waits for another container")
	}
}

func TestMoreContainersThanSupervisorsAreReady(t *testing.T) {
	b := newBench(t)
	b.openReady(2)
	for i := range 8 {
		b.r.Start(b.spec(strconv.Itoa(i), "true"), false)
	}
	for range 16 {
		require.NotEqual(t, isolation.StartFailed, b.next().Kind)
	}
	b.full(2)
}

func TestSupervisorsThatAreReadyEndWithTheSlave(t *testing.T) {
	b := newBench(t)
	b.openReady(3)
	ones := b.readyOnes()
	b.r.ready.mu.Lock()
	_ = b.r.ready.idle[0].conn.Close() // all that they see of a slave that is killed
	b.r.ready.mu.Unlock()
	eventually(t, "it ends", func() bool { return !ones[0].Alive() })
	require.True(t, ones[1].Alive())
	require.NoError(t, b.r.Close())
	for _, id := range ones {
		_, err := os.Stat("/proc/" + strconv.Itoa(id.PID))
		require.ErrorIs(t, err, os.ErrNotExist, "not even a zombie is left")
	}
	b.open(nil)
}

func TestASupervisorThatWasKilledWhileItWaitedIsNotWaitedFor(t *testing.T) {
	b := newBench(t)
	b.openReady(2)
	for _, id := range b.readyOnes() {
		require.NoError(t, id.Signal(syscall.SIGKILL))
		eventually(t, "it is gone", func() bool { return !id.Alive() })
	}
	b.r.Start(b.spec("a", "exit 3"), false)
	b.started("a")
	require.Equal(t, 3, b.exited("a").Exit.Code)
	b.full(2)
}

func TestAnOrderThatWasGivenRightBeforeTheSlaveEndedIsCarriedOut(t *testing.T) {
	b := newBench(t)
	b.openReady(1)
	p := b.r.ready.take()
	// It cannot read the order before the slave is gone.
	require.NoError(t, p.program.Signal(syscall.SIGSTOP))
	c, _ := b.r.add("a", b.r.dir("a"))
	c.spec = b.spec("a", "echo ran; exec sleep 1000")
	b.r.ready.mu.Lock()
	b.r.ready.idle = append([]*supervisorProcess{p}, b.r.ready.idle...)
	b.r.ready.mu.Unlock()
	require.NoError(t, os.MkdirAll(c.dir, 0o700))
	plan := &isolation.Plan{Directory: c.spec.Sandbox}
	require.NoError(t, b.r.cfg.Isolation.Prepare(t.Context(), c.spec, plan))
	conn, err := c.launch(1, plan)
	require.NoError(t, err)
	require.Same(t, p, c.program)
	require.NoError(t, conn.Close())
	b.restart("a")
	require.NoError(t, p.program.Signal(syscall.SIGCONT))
	eventually(t, "it has claimed the run", func() bool { _, err := os.Lstat(filepath.Join(c.dir, claimFile+"1")); return err == nil })
	b.r.Start(c.spec, true)
	require.Equal(t, p.program.Pid, b.supervisorOf(b.started("a")))
	eventually(t, "it runs", func() bool { return b.output("a", "stdout") != "" })
	b.r.Kill("a", true)
	require.Equal(t, 9, b.exited("a").Exit.Signal)
	require.Equal(t, "ran\n", b.output("a", "stdout"), "once")
	_, err = p.program.Wait()
	require.NoError(t, err)
	p.close()
}

func TestASupervisorThatDiesBeforeItBeginsIsReplaced(t *testing.T) {
	b := newBench(t)
	b.openReady(1)
	id := b.readyOnes()[0]
	require.NoError(t, id.Signal(syscall.SIGSTOP))
	b.r.Start(b.spec("a", "exit 3"), false)
	eventually(t, "it has its order", func() bool { return b.r.Ready() == 0 })
	require.NoError(t, id.Signal(syscall.SIGKILL))
	b.started("a")
	require.Equal(t, 3, b.exited("a").Exit.Code)
	require.False(t, id.Alive())
}

func TestASupervisorTakesOneContainerAfterAnother(t *testing.T) {
	b := newBench(t)
	b.openReady(1)
	used := map[int]int{}
	descriptors := func(pid int) int { return count(t, "/proc/"+strconv.Itoa(pid)+"/fd/*") }
	most := map[int]int{} // descriptors of each
	for i := range 20 {
		id := strconv.Itoa(i)
		b.r.Start(b.spec(id, "(sleep 1000 &); echo out; while [ ! -e stop ]; do sleep 0.02; done; exit 7"), false)
		pid := b.supervisorOf(b.started(id))
		used[pid]++
		require.NoError(t, os.WriteFile(filepath.Join(b.base, "sandbox-"+id, "stop"), nil, 0o644))
		require.Equal(t, 7, b.exited(id).Exit.Code)
		require.Equal(t, "out\n", b.output(id, "stdout"))
		if used[pid] == 1 {
			most[pid] = descriptors(pid)
		}
		require.LessOrEqual(t, descriptors(pid), most[pid], "nothing of its containers is left in it")
		b.r.Forget(id)
	}
	require.Less(t, len(used), 5, "supervisors: %v", used)
	b.r.ready.mu.Lock()
	b.r.ready.spareTime = time.Millisecond
	b.r.ready.mu.Unlock()
	b.r.Start(b.spec("last", "true"), false)
	b.started("last")
	require.True(t, b.exited("last").Exit.Success())
	eventually(t, "no more wait than are wanted", func() bool { return b.r.Ready() == 1 })
}

func TestWhatIsSaidTooLateIsNotForTheNextContainer(t *testing.T) {
	b := newBench(t)
	b.openReady(1)
	b.r.Start(b.spec("a", "true"), false)
	b.started("a")
	require.True(t, b.exited("a").Exit.Success())
	var all []*supervisorProcess
	for p := b.r.ready.take(); p != nil; p = b.r.ready.take() {
		_, err := p.conn.Write([]byte(sayKill + "\n" + sayTerm + "\n" + sayLease + " 1\n"))
		require.NoError(t, err)
		all = append(all, p)
	}
	require.NotEmpty(t, all)
	for i, p := range all {
		require.True(t, b.r.ready.put(p))
		id := "b" + strconv.Itoa(i)
		b.r.Start(b.spec(id, "sleep 0.1; exit 7"), false)
		b.started(id)
		require.Equal(t, 7, b.exited(id).Exit.Code)
	}
}

func TestASupervisorThatIsFreeAgainEndsWithTheSlave(t *testing.T) {
	b := newBench(t)
	b.openReady(1)
	b.r.Start(b.spec("a", "while [ ! -e stop ]; do sleep 0.02; done"), false)
	id, err := process.Identify(b.supervisorOf(b.started("a")))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(b.base, "sandbox-a", "stop"), nil, 0o644))
	require.True(t, b.exited("a").Exit.Success())
	require.True(t, id.Alive())
	b.r.ready.mu.Lock()
	for _, p := range b.r.ready.idle {
		_ = p.conn.Close() // all that they see of a slave that is killed
	}
	b.r.ready.mu.Unlock()
	eventually(t, "it ends", func() bool { return !id.Alive() })
}
