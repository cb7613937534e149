package slave

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/transport"
	"github.com/meros-project/meros/isolation/process"
	"github.com/meros-project/meros/offer"
)

// A census is what there is of a slave beside its sandboxes.
type census struct {
	Cgroups, Mounts, Files []string
	Descriptors            int // of the slave's process
	Ready                  int // supervisors that wait for a container
	Zombies, Strangers     int // its children that nobody has waited for; processes below the test that are neither it nor ready for it
}

func takeCensus(t *testing.T, dir string, slave int) census {
	c := census{Cgroups: cgroupsOf(dir), Files: append(globbed(filepath.Join(dir, "run", "*")), globbed(filepath.Join(memoryOf(dir), "[^.]*"))...)}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	require.NoError(t, err)
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, dir) {
			c.Mounts = append(c.Mounts, line)
		}
	}
	fds, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", slave))
	c.Descriptors = len(fds)
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, _ := os.ReadFile(path)
		f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(f) > 1 && f[0] == "Z" && f[1] == strconv.Itoa(slave) {
			c.Zombies++
		}
	}
	me, err := process.Identify(os.Getpid())
	require.NoError(t, err)
	for _, id := range process.Processes().Descendants(me) {
		name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", id.PID))
		switch {
		case strings.HasPrefix(string(name), "meros-supervi"): // it has a container only if there are strangers
			c.Ready++
		case id.PID != slave:
			c.Strangers++
		}
	}
	return c
}

// namespacesOf are those of a process that the test is not in.
func namespacesOf(pid string) []string {
	var found []string
	for _, kind := range []string{"cgroup", "ipc", "mnt", "net", "pid", "uts", "user"} {
		its, err := os.Readlink("/proc/" + pid + "/ns/" + kind)
		mine, _ := os.Readlink("/proc/self/ns/" + kind)
		if err == nil && its != mine {
			found = append(found, its)
		}
	}
	return found
}

// becomeReaper makes the test the parent of whatever loses its own, until the test ends: so nothing of a slave that is killed gets out of sight.
func becomeReaper(t *testing.T) {
	require.NoError(t, process.BecomeReaper())
	t.Cleanup(func() {
		require.NoError(t, unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0))
		var ws syscall.WaitStatus
		for pid, err := 1, error(nil); pid > 0 && err == nil; pid, err = syscall.Wait4(-1, &ws, syscall.WNOHANG, nil) {
		}
	})
}

// A bag is tasks of every kind, and what becomes of them.
var bag = []struct {
	id, line, resources string
	uri                 string
	want                offer.State
	reason              offer.Reason
}{
	{id: "finishes", line: "true", want: offer.Finished},
	{id: "fails", line: "exit 3", want: offer.Failed},
	{id: "forks-twice", line: "(setsid sh -c 'sleep 1000 & sleep 1000' &); true", want: offer.Finished},
	{id: "forks-and-dies", line: "(setsid sleep 1000 &) ; kill -9 $$", want: offer.Failed},
	{id: "eats-memory", line: eater, resources: "cpus:0.1;mem:32", want: offer.Failed, reason: offer.ReasonContainerLimitationMemory},
	{id: "fills-the-disk", line: "head -c 3145728 /dev/zero > data; exec sleep 1000", resources: "cpus:0.1;mem:32;disk:2", want: offer.Failed,
		reason: offer.ReasonContainerLimitationDisk},
	{id: "is-not-fetched", line: "true", uri: "http://127.0.0.1:1/x", want: offer.Failed, reason: offer.ReasonContainerLaunchFailed},
	{id: "is-killed", line: "exec sleep 1000", want: offer.Killed},
	{id: "is-killed-with-all", line: "(setsid sleep 1000 &); sleep 1000 & exec sleep 1000", want: offer.Killed},
}

func (m *scriptedMaster) launchBag(suffix string) (ends map[offer.TaskID]offer.State, reasons map[offer.TaskID]offer.Reason, kill []offer.TaskID) {
	ends, reasons = map[offer.TaskID]offer.State{}, map[offer.TaskID]offer.Reason{}
	var tasks []offer.Task
	for _, b := range bag {
		resources := b.resources
		if resources == "" {
			resources = "cpus:0.1;mem:32"
		}
		task := sized(command(offer.TaskID(b.id+suffix), b.line), resources)
		if b.uri != "" {
			task.Command.URIs = []offer.URI{{Value: b.uri}}
		}
		if b.want == offer.Killed {
			kill = append(kill, task.ID)
		}
		ends[task.ID], reasons[task.ID] = b.want, b.reason
		tasks = append(tasks, task)
	}
	m.send(launch(tasks...))
	return ends, reasons, kill
}

// empty runs a bag until each of its tasks has ended as it should, and returns the namespaces that were seen.
func (m *scriptedMaster) empty(suffix string) (namespaces []string) {
	ends, reasons, kill := m.launchBag(suffix)
	for len(ends) > 0 {
		st := take(m.t, fmt.Sprint("the end of ", ends), m.updates).Status
		switch {
		case st.State == offer.Running:
			namespaces = append(namespaces, namespacesOf(strconv.Itoa(st.Container.PID))...)
			if slices.Contains(kill, st.TaskID) {
				m.send(&message.Kill{Framework: "f-1", Task: st.TaskID})
			}
		case st.State.Terminal():
			require.Equal(m.t, ends[st.TaskID], st.State, "%+v", st)
			if st.State == offer.Failed {
				require.Equal(m.t, reasons[st.TaskID], st.Reason, "%+v", st)
			}
			delete(ends, st.TaskID)
		}
	}
	return namespaces
}

func TestNothingIsLeftOfTasksHoweverTheyEnd(t *testing.T) {
	needsCgroups(t)
	becomeReaper(t)
	m := newMaster(t, transport.TCP(), "127.0.0.1:0", 1)
	dir := workDir(t)
	t.Setenv("MEROS_TEST_RESOURCES", "cpus:4;mem:1024;disk:1024")
	child := startChild(t, dir, m.address)
	take(t, "a registration", m.register)
	settled := func(want *census) (now census) {
		eventually(t, "all is as before", func() bool {
			now = takeCensus(t, dir, child.Process.Pid)
			ready := len(now.Cgroups) == 0 && len(now.Mounts) == 0 && len(now.Files) == 1 && now.Zombies == 0 && now.Strangers == 0 && now.Ready == 2
			return ready && (want == nil || now.Descriptors <= want.Descriptors)
		})
		return now
	}
	defer func() {
		if t.Failed() {
			t.Logf("%+v", takeCensus(t, dir, child.Process.Pid))
		}
	}()
	// What a slave opens once, it has opened after the first tasks.
	m.empty("-first")
	before := settled(nil)
	seen := m.empty("-second")
	settled(&before)

	// The slave is killed while tasks are there, and what becomes of them before it is back is part of it.
	outlive := map[offer.TaskID]string{
		"ends-meanwhile":   "while [ ! -e stop ]; do sleep 0.02; done; exit 4",
		"goes-on":          "while [ ! -e stop ]; do sleep 0.02; done",
		"loses-supervisor": "(setsid sleep 1000 &); exec sleep 1000",
		"is-killed-later":  "(setsid sleep 1000 &); exec sleep 1000",
	}
	var tasks []offer.Task
	for id, line := range outlive {
		tasks = append(tasks, sized(command(id, line), "cpus:0.1;mem:32"))
	}
	m.send(launch(tasks...))
	pids := map[offer.TaskID]process.ID{}
	for range tasks {
		st := take(t, "running", m.updates).Status
		require.Equal(t, offer.Running, st.State, "%+v", st)
		id, err := process.Identify(st.Container.PID)
		require.NoError(t, err)
		pids[st.TaskID] = id
		seen = append(seen, namespacesOf(strconv.Itoa(id.PID))...)
	}
	require.NoError(t, child.Process.Signal(syscall.SIGKILL))
	_ = child.Wait()
	stop := func(task string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "slaves/s-1/frameworks/f-1/tasks", task, "stop"), nil, 0o644))
	}
	stop("ends-meanwhile")
	eventually(t, "it has ended", func() bool { return !pids["ends-meanwhile"].Alive() })
	supervisor, err := process.Parent(pids["loses-supervisor"].PID)
	require.NoError(t, err)
	require.NoError(t, supervisor.Signal(syscall.SIGKILL))

	child = startChild(t, dir, m.address)
	take(t, "a re-registration", m.register)
	m.send(&message.Kill{Framework: "f-1", Task: "is-killed-later"})
	stop("goes-on")
	want := map[offer.TaskID]offer.State{"ends-meanwhile": offer.Failed, "goes-on": offer.Finished, "loses-supervisor": offer.Failed,
		"is-killed-later": offer.Killed}
	for len(want) > 0 {
		if st := take(t, fmt.Sprint("the end of ", want), m.updates).Status; st.State.Terminal() {
			require.Equal(t, want[st.TaskID], st.State, "%+v", st)
			delete(want, st.TaskID)
		}
	}
	seen = append(seen, m.empty("-third")...)
	settled(&before)
	require.NotEmpty(t, seen, "tasks have namespaces of their own")
	left := map[string]bool{}
	all, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range all {
		if env, err := os.ReadFile(p + "/environ"); err != nil || !strings.Contains(string(env), dir) {
			continue // of somebody else, whose namespaces may have got their numbers since
		}
		for _, ns := range namespacesOf(filepath.Base(p)) {
			left[ns] = true
		}
	}
	for _, ns := range seen {
		require.NotContains(t, left, ns, "a namespace of a task")
	}

	require.NoError(t, child.Process.Signal(syscall.SIGKILL))
	_ = child.Wait()
	me, err := process.Identify(os.Getpid())
	require.NoError(t, err)
	eventually(t, "what was ready has ended with the slave", func() bool { return len(process.Processes().Descendants(me)) == 0 })
}
