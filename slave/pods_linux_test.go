package slave

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/transport"
	"github.com/meros-project/meros/internal/transport/memtransport"
	"github.com/meros-project/meros/isolation/process"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// groupOf is a launch of a group under the executor that all groups of a test have.
func groupOf(tasks ...offer.Task) *message.Launch {
	g := launch(tasks...)
	g.Group, g.Executor = true, &offer.Executor{ID: "pod", Default: true, Resources: resource.Must("cpus:0.1;mem:16")}
	return g
}

func shared(task offer.Task) offer.Task {
	task.ShareCgroups = true
	return task
}

// running takes the first updates of so many tasks.
func (m *scriptedMaster) running(n int) map[offer.TaskID]process.ID {
	found := map[offer.TaskID]process.ID{}
	for range n {
		st := take(m.t, "running", m.updates).Status
		require.Equal(m.t, offer.Running, st.State, "%+v", st)
		first, err := process.Identify(st.Container.PID)
		require.NoError(m.t, err)
		found[st.TaskID] = first
	}
	return found
}

// A member of a group that uses more memory than it has asked for is killed, also where the slave was killed and started again meanwhile; what
// becomes of the other members is the group's business, and they are only asked. Another group of the same executor does not notice.
func TestAMemberWithLimitsOfItsOwnIsKilledForMemoryAlone(t *testing.T) {
	needsCgroups(t)
	m := newMaster(t, transport.TCP(), "127.0.0.1:0", 1)
	dir := workDir(t)
	child := startChild(t, dir, m.address)
	take(t, "a registration", m.register)
	file := func(id offer.TaskID, name string) string {
		return filepath.Join(dir, "slaves/s-1/frameworks/f-1/tasks", string(id), name)
	}
	m.send(groupOf(sized(command("hog", "while [ ! -e go ]; do sleep 0.05; done; "+eater+"; exec sleep 1000"), "cpus:0.5;mem:40"),
		sized(member("friend", "echo asked", 10*time.Minute), "cpus:0.1;mem:64")))
	m.send(groupOf(shared(sized(member("bystander", "echo asked", time.Second), "cpus:0.1;mem:64"))))
	first := m.running(3)
	require.NoError(t, child.Process.Signal(syscall.SIGKILL))
	_ = child.Wait()
	startChild(t, dir, m.address)
	require.Len(t, take(t, "a re-registration", m.register).(*message.SlaveReregister).Tasks, 3)
	for id, p := range first {
		require.True(t, p.Alive(), "%s goes on", id)
	}
	require.NoError(t, os.WriteFile(file("hog", "go"), nil, 0o644))
	st := m.state("hog", offer.Failed)
	require.Equal(t, offer.ReasonContainerLimitationMemory, st.Reason)
	require.Contains(t, st.Message, "memory limit of 40.0 MiB exceeded: usage ")
	m.state("friend", offer.Killing)
	eventually(t, "the other member is asked to end", func() bool {
		text, _ := os.ReadFile(file("friend", "stdout"))
		return strings.HasSuffix(string(text), "asked\n")
	})
	require.True(t, first["friend"].Alive(), "and has its time")
	require.NoError(t, os.WriteFile(file("friend", "end"), nil, 0o644))
	st = m.state("friend", offer.Killed)
	require.Equal(t, offer.ReasonGroupMemberEnded, st.Reason)
	require.Equal(t, &offer.Exit{Code: 7}, st.Exit)
	text, err := os.ReadFile(file("bystander", "stdout"))
	require.NoError(t, err)
	require.Equal(t, "this is bystander\n", string(text))
	require.True(t, first["bystander"].Alive())
	require.NotEmpty(t, cgroupsOf(dir))
	m.send(&message.Kill{Framework: "f-1", Task: "bystander"})
	m.state("bystander", offer.Killing)
	m.state("bystander", offer.Killed)
	for id, p := range first {
		require.False(t, p.Alive(), "%s has ended", id)
	}
	eventually(t, "no cgroup is left", func() bool { return len(cgroupsOf(dir)) == 0 })
}

// Of what members of a group share, one may use what the others leave. When it is too much, the one that uses most is killed, by name.
func TestMembersThatShareAreHeldToTheirSum(t *testing.T) {
	names := needsCgroups(t)
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	dir := workDir(t)
	cfg := Config{WorkDir: dir, Masters: []string{"master:5050"}, Network: network, Isolators: names}
	s := startSlave(t, cfg)
	take(t, "a registration", m.register)
	file := func(id offer.TaskID, name string) string {
		return filepath.Join(dir, "slaves/s-1/frameworks/f-1/tasks", string(id), name)
	}
	m.send(groupOf(shared(sized(command("big", "head -c 52000000 /dev/zero | tail -c 51000000 | wc -c; echo survived; while [ ! -e go ]; do sleep 0.05; done; "+
		eater+"; exec sleep 1000"), "cpus:0.3;mem:16")), shared(sized(member("calm", "echo asked", 10*time.Minute), "cpus:0.2;mem:64"))))
	first := m.running(2)
	eventually(t, "it takes what the other leaves", func() bool {
		text, _ := os.ReadFile(file("big", "stdout"))
		return string(text) == "51000000\nsurvived\n"
	})
	eventually(t, "what each uses is told, and what all are held to", func() bool {
		all := measured(t, s.Slave, "")
		if len(all) != 2 || all[0].Statistics == nil || all[1].Statistics == nil {
			return false
		}
		for _, c := range all {
			require.EqualValues(t, 96<<20, c.Statistics.MemoryLimit)
			require.Less(t, c.Statistics.Processes, 4)
			require.Positive(t, c.Statistics.MemoryTotal)
		}
		return true
	})
	s.stop()
	s = startSlave(t, cfg)
	take(t, "a re-registration", m.register)
	require.NoError(t, os.WriteFile(file("big", "go"), nil, 0o644))
	st := m.state("big", offer.Failed)
	require.Equal(t, offer.ReasonContainerLimitationMemory, st.Reason)
	require.Contains(t, st.Message, "memory limit of 96.0 MiB, which the group shares, exceeded: usage ")
	require.Contains(t, st.Message, ", of which this task usage ")
	m.state("calm", offer.Killing)
	eventually(t, "the other is asked to end", func() bool {
		text, _ := os.ReadFile(file("calm", "stdout"))
		return strings.HasSuffix(string(text), "asked\n")
	})
	require.True(t, first["calm"].Alive())
	require.NoError(t, os.WriteFile(file("calm", "end"), nil, 0o644))
	st = m.state("calm", offer.Killed)
	require.Equal(t, offer.ReasonGroupMemberEnded, st.Reason)
	eventually(t, "no cgroup is left", func() bool { return len(cgroupsOf(dir)) == 0 })
}
