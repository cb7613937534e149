package slave

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/transport"
	"github.com/meros-project/meros/isolation/disk"
	"github.com/meros-project/meros/isolation/process"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// childMain makes a copy of the test program a slave, for tests that kill one.
func childMain() {
	executorMain()
	dir := os.Getenv("MEROS_TEST_SLAVE")
	if dir == "" {
		return
	}
	resources := os.Getenv("MEROS_TEST_RESOURCES")
	if resources == "" {
		resources = "cpus:4;mem:1024"
	}
	cfg := Config{WorkDir: dir, Masters: []string{os.Getenv("MEROS_TEST_MASTER")}, Listen: "none", Hostname: "child",
		Resources: resource.Must(resources), Disk: disk.Config{Every: 50 * time.Millisecond}}
	if folder := os.Getenv("MEROS_TEST_IMAGES"); folder != "" {
		cfg.Image.Store.Folders = []string{folder}
	}
	s, err := New(cfg)
	if err == nil {
		err = s.Run(context.Background())
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func startChild(t *testing.T, dir, master string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "MEROS_TEST_SLAVE="+dir, "MEROS_TEST_MASTER="+master)
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

// S1 and T1: the slave's process is killed as surely as can be, and its tasks do not notice.
func TestTheSlaveIsKilledAndNothingIsLost(t *testing.T) {
	m := newMaster(t, transport.TCP(), "127.0.0.1:0", 1)
	dir := workDir(t)
	child := startChild(t, dir, m.address)
	take(t, "a registration", m.register)
	m.send(launch(command("t-1", "i=0; while [ ! -e stop ]; do i=$((i+1)); echo $i; sleep 0.02; done; exit 9"),
		command("t-2", "while [ ! -e stop ]; do sleep 0.02; done")))
	pids := map[offer.TaskID]int{}
	for range 2 {
		st := take(t, "running", m.updates).Status
		require.Equal(t, offer.Running, st.State)
		pids[st.TaskID] = st.Container.PID
	}
	before, err := process.Identify(pids["t-1"])
	require.NoError(t, err)
	require.NoError(t, child.Process.Signal(syscall.SIGKILL))
	_ = child.Wait()
	// One ends while nobody watches, the other goes on.
	second, err := process.Identify(pids["t-2"])
	require.NoError(t, err)
	sandbox := func(task string) string { return filepath.Join(dir, "slaves/s-1/frameworks/f-1/tasks", task) }
	require.NoError(t, os.WriteFile(filepath.Join(sandbox("t-2"), "stop"), nil, 0o644))
	eventually(t, "t-2 has ended", func() bool { return !second.Alive() })
	size := func() int64 {
		st, err := os.Stat(filepath.Join(sandbox("t-1"), "stdout"))
		require.NoError(t, err)
		return st.Size()
	}
	was := size()
	eventually(t, "its output goes on", func() bool { return size() > was })

	startChild(t, dir, m.address)
	re := take(t, "a re-registration", m.register).(*message.SlaveReregister)
	require.Len(t, re.Tasks, 2)
	require.Equal(t, &offer.Exit{}, m.state("t-2", offer.Finished).Exit)
	after, err := process.Identify(pids["t-1"])
	require.NoError(t, err)
	require.Equal(t, before, after, "the same process with the same start time")
	require.NoError(t, os.WriteFile(filepath.Join(sandbox("t-1"), "stop"), nil, 0o644))
	require.Equal(t, &offer.Exit{Code: 9}, m.state("t-1", offer.Failed).Exit)
}

// T1 and T5: the slave is killed again and again while it starts tasks. Every launch that it has taken runs once and is told to its end; one
// that it has not taken does not run.
func TestASlaveThatIsKilledAtAnyMomentStartsNothingTwice(t *testing.T) {
	m := newMaster(t, transport.TCP(), "127.0.0.1:0", 1)
	dir := workDir(t)
	rng := rand.New(rand.NewPCG(7, 7))
	open := map[offer.TaskID]bool{} // launched, and how it ended is not told yet
	finished := map[offer.TaskID]int{}
	update := func(up *message.StatusUpdate) {
		if up.Status.State.Terminal() {
			require.Equal(t, offer.Finished, up.Status.State, "%+v", up.Status)
			finished[up.Status.TaskID]++
			delete(open, up.Status.TaskID)
		}
	}
	const rounds, tasks = 8, 10
	for round := range rounds {
		child := startChild(t, dir, m.address)
		take(t, "a registration", m.register)
		var batch []offer.Task
		for i := range tasks {
			id := offer.TaskID(fmt.Sprintf("t-%d-%d", round, i))
			open[id] = true
			batch = append(batch, command(id, "echo ran; sleep 0.05"))
		}
		m.send(launch(batch...))
		until := time.After(time.Duration(rng.IntN(150)) * time.Millisecond)
		for waiting := true; waiting; {
			select {
			case up := <-m.updates:
				update(up)
			case <-until:
				waiting = false
			}
		}
		require.NoError(t, child.Process.Signal(syscall.SIGKILL))
		_ = child.Wait()
		m.drainRegistrations()
	}
	startChild(t, dir, m.address)
	re := take(t, "a re-registration", m.register).(*message.SlaveReregister)
	held := map[offer.TaskID]bool{}
	for _, task := range re.Tasks {
		held[task.Task.ID] = true
	}
	for id := range open {
		if held[id] {
			continue
		}
		delete(open, id)
		out, err := os.ReadFile(filepath.Join(dir, "slaves/s-1/frameworks/f-1/tasks", string(id), "stdout"))
		if finished[id] == 0 && len(m.updates) == 0 {
			require.ErrorIs(t, err, fs.ErrNotExist, "%s was never taken, but ran: %s", id, out)
		}
	}
	for len(open) > 0 {
		update(take(t, fmt.Sprint("the end of ", open), m.updates))
	}
	for id, n := range finished {
		require.Equal(t, 1, n, id)
		out, err := os.ReadFile(filepath.Join(dir, "slaves/s-1/frameworks/f-1/tasks", string(id), "stdout"))
		require.NoError(t, err)
		require.Equal(t, "ran\n", string(out), "%s ran once", id)
	}
	require.NotEmpty(t, finished)
}

func TestTasksOfAFrameworkWithoutCheckpointsEndWithTheSlave(t *testing.T) {
	m := newMaster(t, transport.TCP(), "127.0.0.1:0", 1)
	dir := workDir(t)
	child := startChild(t, dir, m.address)
	take(t, "a registration", m.register)
	l := launch(command("t-1", "exec sleep 1000"))
	l.Framework.NoCheckpoint = true
	m.send(l)
	first, err := process.Identify(m.state("t-1", offer.Running).Container.PID)
	require.NoError(t, err)
	require.NoError(t, child.Process.Signal(syscall.SIGKILL))
	_ = child.Wait()
	eventually(t, "the task has ended too", func() bool { return !first.Alive() })
	startChild(t, dir, m.address)
	require.Empty(t, take(t, "a re-registration", m.register).(*message.SlaveReregister).Tasks)
	eventually(t, "nothing is left of it", func() bool { return len(runFiles(dir)) == 0 })
}
