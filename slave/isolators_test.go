package slave

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/transport"
	"github.com/meros-project/meros/internal/transport/memtransport"
	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/cgroup"
	"github.com/meros-project/meros/isolation/isolationtest"
	"github.com/meros-project/meros/isolation/namespace"
	"github.com/meros-project/meros/isolation/process"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// usedDirs are the folders of all slaves of this run of the tests.
var usedDirs sync.Map

// cgroupsOf are the cgroups that the slave with a folder has made for containers and not removed.
func cgroupsOf(dir string) []string {
	var found []string
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), nameOf(dir)+".") && !strings.HasPrefix(d.Name(), nameOf(dir)+".probe") {
			found = append(found, path)
			return fs.SkipDir
		}
		return nil
	})
	return found
}

// leftCgroups counts what is left when all tests are over. What a task's supervisor was still busy with gets a moment.
func leftCgroups() (left []string) {
	for range 50 {
		left = nil
		usedDirs.Range(func(dir, _ any) bool {
			left = append(left, cgroupsOf(dir.(string))...)
			return true
		})
		if len(left) == 0 {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	return left
}

// endAll ends what a test that has failed leaves in the cgroups of its slave.
func endAll(dir string) {
	if iso, err := cgroup.New(cgroup.Config{Slave: nameOf(dir)}); err == nil {
		_ = iso.Recover(context.Background(), nil)
	}
}

func needsCgroups(t *testing.T) []string {
	isolationtest.NeedsRoot(t)
	if runtime.GOOS != "linux" {
		t.Skipf("needs cgroups, which %s does not have", runtime.GOOS)
	}
	return []string{"process", "cgroup"}
}

func sized(task offer.Task, resources string, limits ...offer.Limit) offer.Task {
	task.Resources, task.Limits = resource.Must(resources), limits
	return task
}

// eater takes far more memory than it has asked for.
const eater = "head -c 200000000 /dev/zero | tail -c 199000000 | wc -c"

func TestATaskThatUsesTooMuchMemoryFailsWithTheNumbers(t *testing.T) {
	names := needsCgroups(t)
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	dir := workDir(t)
	startSlave(t, Config{WorkDir: dir, Masters: []string{"master:5050"}, Network: network, Isolators: names})
	take(t, "a registration", m.register)
	m.send(launch(sized(command("t-1", eater+"; exec sleep 1000"), "cpus:1;mem:40")))
	m.state("t-1", offer.Running)
	st := m.state("t-1", offer.Failed)
	require.Equal(t, offer.ReasonContainerLimitationMemory, st.Reason)
	require.Contains(t, st.Message, "memory limit of 40.0 MiB exceeded: usage ")
	require.InDelta(t, 40_000, int64(st.Limitation.Mem()), 1000)
	eventually(t, "its cgroups are removed", func() bool { return len(cgroupsOf(dir)) == 0 })
}

func TestLimitsAboveTheRequestNeedCgroups(t *testing.T) {
	names := needsCgroups(t)
	for _, isolators := range [][]string{names, {"process"}} {
		network := memtransport.New()
		m := newMaster(t, network, "master:5050", 1)
		s := startSlave(t, Config{WorkDir: workDir(t), Masters: []string{"master:5050"}, Network: network, Isolators: isolators})
		take(t, "a registration", m.register)
		m.send(launch(sized(command("t-1", "head -c 50000000 /dev/zero | tail -c 49000000 | wc -c"), "cpus:0.1;mem:32",
			offer.Limit{Name: "mem", Amount: 128_000}, offer.Limit{Name: "cpus", Amount: offer.NoLimit})))
		if len(isolators) == 2 {
			m.state("t-1", offer.Running)
			m.state("t-1", offer.Finished)
		} else {
			st := m.state("t-1", offer.Failed)
			require.Equal(t, offer.ReasonUnsupported, st.Reason)
			require.Equal(t, "the container asks for limits above the request, which no isolator of this slave enforces", st.Message)
		}
		s.stop()
	}
}

// bomb starts processes without end. A shell that cannot start another gives up, so that the first process is none of them.
const bomb = "trap '' TERM; (bomb() { bomb & bomb & bomb; }; while :; do bomb; done) 2>/dev/null & exec sleep 1000"

// T7: a kill works, whatever the task does about it.
func TestHostileTasksAreKilledToTheLastProcess(t *testing.T) {
	names := needsCgroups(t)
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	dir := workDir(t)
	startSlave(t, Config{WorkDir: dir, Masters: []string{"master:5050"}, Network: network, Isolators: names,
		Cgroup: cgroup.Config{Processes: 150}})
	take(t, "a registration", m.register)
	lines := map[offer.TaskID]string{
		"bomb":      bomb,
		"deaf":      "trap '' TERM HUP INT; while :; do sleep 1000; done",
		"elsewhere": `trap '' TERM; (setsid sh -c '(setsid sh -c "trap \"\" TERM; sleep 1000; sleep 1000" &) ; exit' &); sleep 1000; sleep 1000`,
	}
	for id, line := range lines {
		task := sized(command(id, line), "cpus:0.3;mem:128")
		task.Kill = offer.KillPolicy{Grace: 100 * time.Millisecond}
		m.send(launch(task))
		m.state(id, offer.Running)
	}
	eventually(t, "the bomb has reached its bound", func() bool {
		for _, path := range cgroupsOf(dir) {
			b, _ := os.ReadFile(filepath.Join(path, "pids.events"))
			if len(b) > 0 && !bytes.Contains(b, []byte("max 0")) {
				return true
			}
		}
		return false
	})
	for id := range lines {
		m.send(&message.Kill{Framework: "f-1", Task: id})
		m.state(id, offer.Killing)
		m.state(id, offer.Killed)
	}
	eventually(t, "no process is left, and no cgroup", func() bool { return len(cgroupsOf(dir)) == 0 })
}

func TestWhatRunsOutOfMemoryWhileTheSlaveIsDownIsTold(t *testing.T) {
	needsCgroups(t)
	m := newMaster(t, transport.TCP(), "127.0.0.1:0", 1)
	dir := workDir(t)
	child := startChild(t, dir, m.address)
	take(t, "a registration", m.register)
	m.send(launch(sized(command("t-1", "while [ ! -e stop ]; do sleep 0.02; done; "+eater+"; exit 5"), "cpus:1;mem:128")))
	first, err := process.Identify(m.state("t-1", offer.Running).Container.PID)
	require.NoError(t, err)
	m.send(launch(sized(command("t-2", "trap '' TERM; while :; do sleep 1000; done"), "cpus:0.1;mem:32")))
	other := m.state("t-2", offer.Running).Container
	require.NoError(t, child.Process.Signal(syscall.SIGKILL))
	_ = child.Wait()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "slaves/s-1/frameworks/f-1/tasks/t-1/stop"), nil, 0o644))
	eventually(t, "it has ended", func() bool { return !first.Alive() })

	startChild(t, dir, m.address)
	take(t, "a re-registration", m.register)
	st := m.state("t-1", offer.Failed)
	require.Equal(t, offer.ReasonContainerLimitationMemory, st.Reason)
	require.Equal(t, &offer.Exit{Code: 5}, st.Exit, "how it ended is told too")
	for _, path := range cgroupsOf(dir) {
		b, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
		require.NoError(t, err)
		require.Contains(t, strings.Fields(string(b)), fmt.Sprint(other.PID), "the other is held as before: %s", path)
	}
	require.NotEmpty(t, cgroupsOf(dir))
	m.send(&message.Kill{Framework: "f-1", Task: "t-2"})
	m.state("t-2", offer.Killing)
	m.state("t-2", offer.Killed)
	eventually(t, "no cgroup is left", func() bool { return len(cgroupsOf(dir)) == 0 })
}

// cgroupFile reads a number from the one cgroup of a slave that has the file.
func cgroupFile(dir, name string) string {
	for _, path := range cgroupsOf(dir) {
		if b, err := os.ReadFile(filepath.Join(path, name)); err == nil {
			return strings.TrimSpace(string(b))
		}
	}
	return ""
}

func TestWhatFetchesForATaskIsHeldInACgroup(t *testing.T) {
	names := needsCgroups(t)
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	dir := workDir(t)
	seen := make(chan []string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { // while it is fetched
		seen <- cgroupsOf(dir)
		_, _ = w.Write([]byte("hello\n"))
	}))
	defer server.Close()
	cfg := Config{WorkDir: dir, Masters: []string{"master:5050"}, Network: network, Isolators: names}
	cfg.Fetch.Allow = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	startSlave(t, cfg)
	take(t, "a registration", m.register)
	task := sized(command("t-1", "cat file"), "cpus:0.1;mem:32")
	task.Command.URIs = []offer.URI{{Value: server.URL + "/file"}}
	m.send(launch(task))
	m.state("t-1", offer.Running)
	m.state("t-1", offer.Finished)
	require.Equal(t, "hello\n", stdoutOf(t, dir, "t-1"))
	require.True(t, slices.ContainsFunc(<-seen, func(path string) bool { return filepath.Base(path) == nameOf(dir)+".fetch.1" }))
	eventually(t, "nothing is left", func() bool { return len(cgroupsOf(dir)) == 0 })
}

func TestAnExecutorsCgroupGrowsWithItsTasks(t *testing.T) {
	needsCgroups(t)
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	dir := workDir(t)
	held, err := cgroup.New(cgroup.Config{Slave: nameOf(dir)})
	require.NoError(t, err)
	if _, err := os.Stat("/sys/fs/cgroup/cpu"); err != nil {
		t.Skip("reads files of version 1, which this machine does not have")
	}
	s := startSlave(t, Config{WorkDir: dir, Masters: []string{"master:5050"}, Network: network, Isolation: append(executorIsolation(), held)})
	take(t, "a registration", m.register)
	m.send(executorLaunch(sized(executorTask("t-1", "one"), "cpus:0.2;mem:64")))
	require.Equal(t, "one", m.state("t-1", offer.Running).Message)
	require.Equal(t, "30000", cgroupFile(dir, "cpu.cfs_quota_us"), "its own and those of the task")
	require.Equal(t, fmt.Sprint(96<<20), cgroupFile(dir, "memory.limit_in_bytes"))
	m.send(executorLaunch(sized(executorTask("t-2", "two"), "cpus:0.1;mem:32", offer.Limit{Name: "cpus", Amount: 600})))
	require.Equal(t, "two", m.state("t-2", offer.Running).Message)
	eventually(t, "it is held to more", func() bool {
		return cgroupFile(dir, "cpu.cfs_quota_us") == "90000" && cgroupFile(dir, "memory.limit_in_bytes") == fmt.Sprint(128<<20)
	})
	m.send(&message.ToExecutor{Framework: "f-1", Executor: "e-1", Data: []byte("finish t-2")})
	m.state("t-2", offer.Finished)
	eventually(t, "and to less again, but for what may be in use", func() bool { return cgroupFile(dir, "cpu.cfs_quota_us") == "30000" })
	require.Equal(t, fmt.Sprint(128<<20), cgroupFile(dir, "memory.limit_in_bytes"))
	m.send(&message.ExecutorShutdown{Framework: "f-1", Executor: "e-1"})
	eventually(t, "nothing is left", func() bool { return len(cgroupsOf(dir)) == 0 })
	s.stop()
}

// An orphan is what a slave has started whose folder was lost.
func TestCgroupsOfContainersThatTheSlaveDoesNotKnowAreRemoved(t *testing.T) {
	needsCgroups(t)
	dir := workDir(t)
	old, err := cgroup.New(cgroup.Config{Slave: nameOf(dir)})
	require.NoError(t, err)
	require.NoError(t, old.Prepare(t.Context(), isolationtest.Spec(t, "lost", "true"), &isolation.Plan{}))
	require.NotEmpty(t, cgroupsOf(dir))
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	startSlave(t, Config{WorkDir: dir, Masters: []string{"master:5050"}, Network: network})
	take(t, "a registration", m.register)
	require.Empty(t, cgroupsOf(dir))
}

// lines keeps what is logged.
type lines struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(b)
}

func (l *lines) with(text string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.DeleteFunc(strings.Split(l.all.String(), "\n"), func(s string) bool { return !strings.Contains(s, text) })
}

func TestTheSlaveSaysInALineWhatItCannotHoldTasksTo(t *testing.T) {
	nowhere := cgroup.Config{Mounts: filepath.Join(t.TempDir(), "none")}
	log := &lines{}
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	s := startSlave(t, Config{WorkDir: workDir(t), Masters: []string{"master:5050"}, Network: network, Cgroup: nowhere,
		Logger: slog.New(slog.NewTextHandler(log, nil))})
	take(t, "a registration", m.register)
	s.stop()
	said := log.with("tasks are held by")
	require.Len(t, said, 1)
	require.Contains(t, said[0], `level=WARN msg="tasks are held by" isolators=process,`)
	require.Contains(t, said[0], `disk,ports missing="cgroup: this system has none: open `)
	if namespace.Detect() != nil {
		require.Contains(t, said[0], "; namespace: needs root, and the slave runs as user ")
	} else {
		require.Contains(t, said[0], ",namespace,")
	}

	named := startSlave(t, Config{WorkDir: workDir(t), Masters: []string{"master:5050"}, Network: network, Cgroup: nowhere,
		Isolators: []string{"process", "cgroup"}})
	require.ErrorContains(t, take(t, "the end of Run", named.done), `slave: isolator "cgroup": cgroup: this system has none: open `)
}

func TestIsolatorsThatCannotBeUsedAreRefused(t *testing.T) {
	for want, cfg := range map[string]Config{
		`Isolators[1] is "jail" (allowed: process, cgroup`:               {Isolators: []string{"process", "jail"}},
		`Isolators[1] is a second "process"`:                             {Isolators: []string{"process", "process"}},
		`Isolators is cgroup (allowed: with process, which says what to`: {Isolators: []string{"cgroup"}},
		`Isolators is set, but so is Isolation or Runner`:                {Isolators: []string{"process"}, Runner: &isolationtest.Runner{}},
	} {
		cfg.WorkDir, cfg.Masters = "x", []string{"m:1"}
		_, err := New(cfg)
		require.ErrorContains(t, err, want)
	}
	require.Equal(t, []string{"process", "cgroup", "namespace", "image", "disk", "ports"}, Isolators())
}
