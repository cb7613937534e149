package slave

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/transport"
	"github.com/meros-project/meros/isolation/process"
	"github.com/meros-project/meros/offer"
)

// member is a task of a group that starts a process in another session, and ends with a status when there is a file named end. Asked to end it
// does what the trap says.
func member(id offer.TaskID, trap string, grace time.Duration) offer.Task {
	t := command(id, "trap '"+trap+"' TERM; setsid sleep 1000 & echo this is "+string(id)+"; while [ ! -e end ]; do sleep 0.05; done; exit 7")
	t.Kill = offer.KillPolicy{Grace: grace}
	return t
}

// offspringOf waits for the process that a member has in another session.
func offspringOf(t *testing.T, first process.ID) (found process.ID) {
	eventually(t, "its offspring runs", func() bool { // under a number that the task does not know where it has processes of its own
		for _, id := range process.Processes().Descendants(first) {
			line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", id.PID))
			if found = id; string(line) == "sleep\x001000\x00" {
				return true
			}
		}
		return false
	})
	return found
}

// T1, T6 and S8: the members of a group run beside each other, each in a container, with an output and under a kill policy of its own. A slave
// that is killed and started again knows them as a group still: when one fails, the others are killed, and nothing is left of any.
func TestAGroupStandsAndFallsTogetherAcrossARestart(t *testing.T) {
	m := newMaster(t, transport.TCP(), "127.0.0.1:0", 1)
	dir := workDir(t)
	child := startChild(t, dir, m.address)
	take(t, "a registration", m.register)
	group := launch(member("fails", "", time.Minute), member("obeys", "echo asked; exit 3", 10*time.Minute), member("ignores", "echo asked", time.Second))
	group.Group, group.Executor = true, &offer.Executor{ID: "pod", Default: true}
	m.send(group)
	sandbox := func(id offer.TaskID) string { return filepath.Join(dir, "slaves/s-1/frameworks/f-1/tasks", string(id)) }
	read := func(id offer.TaskID, name string) string {
		text, _ := os.ReadFile(filepath.Join(sandbox(id), name))
		return string(text)
	}
	containers := map[string]bool{}
	var processes []process.ID
	for range group.Tasks {
		st := take(t, "running", m.updates).Status
		require.Equal(t, offer.Running, st.State, "%+v", st)
		require.Equal(t, offer.ExecutorID("pod"), st.ExecutorID)
		containers[st.Container.ID] = true
		first, err := process.Identify(st.Container.PID)
		require.NoError(t, err)
		offspring := offspringOf(t, first)
		processes = append(processes, first, offspring)
	}
	require.Len(t, containers, 3, "each has a container of its own")
	for _, task := range group.Tasks {
		eventually(t, "each has an output of its own", func() bool { return read(task.ID, "stdout") == "this is "+string(task.ID)+"\n" })
	}

	require.NoError(t, child.Process.Signal(syscall.SIGKILL))
	_ = child.Wait()
	startChild(t, dir, m.address)
	re := take(t, "a re-registration", m.register).(*message.SlaveReregister)
	require.Len(t, re.Tasks, 3)
	for _, p := range processes {
		require.True(t, p.Alive(), "the same processes go on")
	}
	require.NoError(t, os.WriteFile(filepath.Join(sandbox("fails"), "end"), nil, 0o644))
	ends := map[offer.TaskID]*offer.Status{}
	for len(ends) < 3 {
		if st := take(t, "the ends", m.updates).Status; st.State.Terminal() {
			ends[st.TaskID] = st
		}
	}
	require.Equal(t, offer.Failed, ends["fails"].State)
	require.Equal(t, &offer.Exit{Code: 7}, ends["fails"].Exit)
	for _, id := range []offer.TaskID{"obeys", "ignores"} {
		require.Equal(t, offer.Killed, ends[id].State, "%+v", ends[id])
		require.Equal(t, offer.ReasonGroupMemberEnded, ends[id].Reason)
		require.Equal(t, "this is "+string(id)+"\nasked\n", read(id, "stdout"), "it was asked first")
	}
	require.Equal(t, &offer.Exit{Code: 3}, ends["obeys"].Exit, "it has the time that it was given")
	require.Equal(t, &offer.Exit{Signal: 9}, ends["ignores"].Exit, "and no more")
	for _, p := range processes {
		require.False(t, p.Alive(), "process %d of the group runs", p.PID)
	}
	eventually(t, "nothing is left of the containers", func() bool { return len(runFiles(dir)) == 0 })
}
