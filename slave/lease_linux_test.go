package slave

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/transport"
	"github.com/meros-project/meros/isolation/process"
	"github.com/meros-project/meros/offer"
)

// A leasedRun is a slave in a process of its own with one task that has a lease, and with a process that has left the task's session.
type leasedRun struct {
	*scriptedMaster
	t      *testing.T
	dir    string
	child  *exec.Cmd
	first  process.ID
	second process.ID
}

func runLeased(t *testing.T, lease time.Duration) *leasedRun {
	m := newMaster(t, transport.TCP(), "127.0.0.1:0", 1)
	r := &leasedRun{scriptedMaster: m, t: t, dir: workDir(t)}
	r.child = startChild(t, r.dir, m.address)
	take(t, "a registration", m.register)
	task := command("t-1", "trap '' TERM; setsid sleep 1000 & while :; do sleep 0.05; done")
	task.Lease = lease
	m.send(launch(task))
	var err error
	r.first, err = process.Identify(m.state("t-1", offer.Running).Container.PID)
	require.NoError(t, err)
	eventually(t, "its offspring runs", func() bool { // under a number that the task does not know where it has processes of its own
		for _, id := range append(process.Processes().Descendants(r.first), process.ID{}) {
			line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", id.PID))
			if string(line) == "sleep\x001000\x00" {
				r.second = id
				return true
			}
		}
		return false
	})
	return r
}

func (r *leasedRun) ends() {
	r.t.Helper()
	eventually(r.t, "the task and its offspring have ended", func() bool { return !r.first.Alive() && !r.second.Alive() })
}

// gone requires that the slave tells the end when it can.
func (r *leasedRun) gone() {
	r.t.Helper()
	up := take(r.t, "the end", r.updates)
	if up.Status.State == offer.Killing {
		up = take(r.t, "the end", r.updates)
	}
	require.Equal(r.t, offer.Gone, up.Status.State, "%+v", up.Status)
	require.Equal(r.t, offer.ReasonLeaseExpired, up.Status.Reason)
}

const testLease = 6 * time.Second

func TestALeasedTaskEndsWhenItsMasterDoesNotAnswer(t *testing.T) {
	t.Parallel()
	r := runLeased(t, testLease)
	r.mute.Store(true)
	r.ends()
	r.gone()
}

func TestALeasedTaskEndsWhenItsSlaveIsKilled(t *testing.T) {
	t.Parallel()
	r := runLeased(t, testLease)
	require.NoError(t, r.child.Process.Signal(syscall.SIGKILL))
	_ = r.child.Wait()
	r.ends()
	startChild(t, r.dir, r.address)
	r.gone()
}

func TestALeasedTaskEndsWhileItsSlaveIsStopped(t *testing.T) {
	t.Parallel()
	r := runLeased(t, testLease)
	require.NoError(t, r.child.Process.Signal(syscall.SIGSTOP))
	r.ends()
	require.NoError(t, r.child.Process.Signal(syscall.SIGCONT))
	r.gone()
}

func TestALeasedTaskGoesOnWhenItsSlaveIsBackInTime(t *testing.T) {
	t.Parallel()
	r := runLeased(t, testLease)
	killed := process.Clock()
	require.NoError(t, r.child.Process.Signal(syscall.SIGKILL))
	_ = r.child.Wait()
	startChild(t, r.dir, r.address)
	take(t, "a re-registration", r.register)
	eventually(t, "the lease of before is long over", func() bool { return process.Clock() > killed+testLease+testLease/4 })
	require.True(t, r.first.Alive())
	require.True(t, r.second.Alive())
	r.mute.Store(true)
	r.ends()
	r.gone()
}
