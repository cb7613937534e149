package slave

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/slavecore"
	"github.com/meros-project/meros/internal/transport/memtransport"
	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/isolationtest"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

func TestMain(m *testing.M) {
	Supervise(Funcs{"greet": func(_ context.Context, task FuncTask) error {
		fmt.Printf("hello %s\n", task.Data)
		return nil
	}, "listen": func(ctx context.Context, task FuncTask) error {
		ln, err := net.Listen("tcp", string(task.Data))
		if err != nil {
			return err
		}
		defer ln.Close()
		fmt.Println(ln.Addr().(*net.TCPAddr).Port)
		<-ctx.Done()
		return nil
	}})
	childMain()
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if left := leftCgroups(); len(left) > 0 {
			fmt.Fprintln(os.Stderr, "cgroups are left:", left)
			code = 1
		}
		os.Exit(code)
	}))
}

func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	require.Eventually(t, cond, 30*time.Second, 5*time.Millisecond, what)
}

// workDir is a folder that tasks of another user can pass through, with a short path.
func workDir(t testing.TB) string {
	dir, err := os.MkdirTemp("/tmp", "ms")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o755))
	t.Cleanup(func() {
		if t.Failed() {
			endAll(filepath.Join(dir, "work"))
		}
		require.NoError(t, os.RemoveAll(memoryOf(filepath.Join(dir, "work")))) // where a slave was killed, something is left
		require.NoError(t, os.RemoveAll(dir))
	})
	usedDirs.Store(filepath.Join(dir, "work"), nil)
	return filepath.Join(dir, "work")
}

type runningSlave struct {
	*Slave
	t      testing.TB
	cancel context.CancelFunc
	done   chan error
}

func startSlave(t testing.TB, cfg Config, change ...func(*Slave)) *runningSlave {
	if cfg.Resources == nil {
		cfg.Resources = resource.Must("cpus:4;mem:1024;disk:1024;ports:[31000-32000]")
	}
	cfg.Hostname = "here"
	s, err := New(cfg)
	require.NoError(t, err)
	for _, f := range change {
		f(s)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &runningSlave{Slave: s, t: t, cancel: cancel, done: make(chan error, 1)}
	go func() { r.done <- s.Run(ctx) }()
	t.Cleanup(func() { r.cancel() })
	return r
}

func (r *runningSlave) stop() {
	r.t.Helper()
	r.cancel()
	require.NoError(r.t, take(r.t, "the end of Run", r.done))
}

func TestATaskFromLaunchToItsLastAcknowledgement(t *testing.T) {
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	s := startSlave(t, Config{WorkDir: workDir(t), Masters: []string{"master:5050"}, Network: network})
	reg := take(t, "a registration", m.register).(*message.SlaveRegister)
	require.Equal(t, "here", reg.Slave.Hostname)
	<-s.Ready()
	require.Equal(t, offer.SlaveID("s-1"), s.ID())

	m.send(launch(command("t-1", "echo $MESOS_TASK_ID; exit 3")))
	st := m.state("t-1", offer.Running)
	require.NotNil(t, st.Container)
	st = m.state("t-1", offer.Failed)
	require.Equal(t, &offer.Exit{Code: 3}, st.Exit)

	get := func(url string) (int, string) {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, url, nil))
		body, _ := io.ReadAll(w.Result().Body)
		return w.Code, string(body)
	}
	code, body := get("/files/read?path=/frameworks/f-1/tasks/t-1/stdout&offset=0")
	require.Equal(t, 200, code)
	require.JSONEq(t, `{"data":"t-1\n","offset":0}`, body)
	_, body = get("/files/read?path=/frameworks/f-1/tasks/t-1/stdout&offset=-1")
	require.JSONEq(t, `{"data":"","offset":4}`, body)
	_, body = get("/files/read?path=/frameworks/f-1/tasks/t-1/stdout&offset=2&length=1")
	require.JSONEq(t, `{"data":"1","offset":2}`, body)
	_, body = get("/files/download?path=/frameworks/f-1/tasks/t-1/stdout")
	require.Equal(t, "t-1\n", body)
	code, body = get("/files/browse?path=/frameworks/f-1/tasks/t-1")
	require.Equal(t, 200, code)
	require.Contains(t, body, `"path":"/frameworks/f-1/tasks/t-1/stderr"`)
	for _, path := range []string{"/frameworks/f-1/tasks/t-1/../../../../../../meta/journal", "/etc/passwd", "/frameworks/f-1/tasks", "", "/frameworks/f-1/tasks/t-9/stdout"} {
		code, _ = get("/files/read?offset=0&path=" + path)
		require.Equal(t, 404, code, path)
	}
	code, _ = get("/files/read?path=/frameworks/f-1/tasks/t-1/stdout&offset=x")
	require.Equal(t, 400, code)
	s.stop()
	code, _ = get("/files/read?path=/frameworks/f-1/tasks/t-1/stdout&offset=0")
	require.Equal(t, 503, code)
}

func TestWhatATaskLinksToOrPipesIsNotServed(t *testing.T) {
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	s := startSlave(t, Config{WorkDir: workDir(t), Masters: []string{"master:5050"}, Network: network})
	<-s.Ready()
	m.send(launch(command("t-1", "ln -s /etc/passwd out; ln -s ../../../../../../meta/journal up; mkfifo pipe; ln -s stdout in; echo x")))
	m.state("t-1", offer.Running)
	m.state("t-1", offer.Finished)
	for file, want := range map[string]int{"out": 404, "up": 404, "pipe": 404, "in": 200} {
		w := httptest.NewRecorder()
		s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/files/read?offset=0&path=/frameworks/f-1/tasks/t-1/"+file, nil))
		require.Equal(t, want, w.Code, file)
	}
	s.stop()
}

func TestASlaveThatIsStartedAgainFindsItsTasks(t *testing.T) {
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	dir := workDir(t)
	s := startSlave(t, Config{WorkDir: dir, Masters: []string{"master:5050"}, Network: network})
	take(t, "a registration", m.register)
	m.send(launch(command("t-1", "while [ ! -e stop ]; do sleep 0.02; done; exit 4")))
	pid := m.state("t-1", offer.Running).Container.PID
	s.stop()

	found := make(chan int, 1)
	s = startSlave(t, Config{WorkDir: dir, Masters: []string{"master:5050"}, Network: network,
		Observer: Observer{Started: func(_ string, pid int) { found <- pid }}})
	re := take(t, "a re-registration", m.register).(*message.SlaveReregister)
	require.Equal(t, offer.SlaveID("s-1"), re.Slave.ID)
	require.Len(t, re.Tasks, 1)
	require.Equal(t, offer.Running, re.Tasks[0].Latest)
	require.Equal(t, pid, take(t, "its process", found), "the same one")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "slaves/s-1/frameworks/f-1/tasks/t-1/stop"), nil, 0o644))
	st := m.state("t-1", offer.Failed)
	require.Equal(t, &offer.Exit{Code: 4}, st.Exit)
	s.stop()
}

func TestASlaveThatLeavesKillsItsTasksAndSaysSo(t *testing.T) {
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	s := startSlave(t, Config{WorkDir: workDir(t), Masters: []string{"master:5050"}, Network: network, Leave: true})
	take(t, "a registration", m.register)
	m.send(launch(command("t-1", "exec sleep 1000")))
	m.state("t-1", offer.Running)
	s.stop()
	require.IsType(t, &message.SlaveUnregister{}, take(t, "a farewell", m.others))
}

func TestASlaveFollowsTheLeader(t *testing.T) {
	network := memtransport.New()
	first := newMaster(t, network, "one:5050", 1)
	s := startSlave(t, Config{WorkDir: workDir(t), Masters: []string{"one:5050", "two:5050"}, Network: network, Runner: &isolationtest.Runner{}})
	take(t, "a registration", first.register)
	first.send(launch(command("t-1", "x")))
	first.state("t-1", offer.Running)
	first.kill()
	second := newMaster(t, network, "two:5050", 2)
	re := take(t, "a re-registration", second.register).(*message.SlaveReregister)
	require.Len(t, re.Tasks, 1)
	second.send(&message.Kill{Framework: "f-1", Task: "t-1"})
	for { // it is told again that it runs if the first master's acknowledgement was lost
		st := take(t, "killed", second.updates).Status
		require.Equal(t, offer.TaskID("t-1"), st.TaskID)
		if st.State == offer.Killed {
			break
		}
		require.Contains(t, []offer.State{offer.Running, offer.Killing}, st.State)
	}
	s.stop()
}

func TestAFolderIsUsedByOneSlaveAndOneCluster(t *testing.T) {
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	cfg := Config{WorkDir: workDir(t), Masters: []string{"master:5050"}, Network: network, Runner: &isolationtest.Runner{}, Hostname: "here",
		Resources: resource.Must("cpus:1")}
	s := startSlave(t, cfg)
	<-s.Ready()
	take(t, "a registration", m.register)
	other, err := New(cfg)
	require.NoError(t, err)
	require.ErrorContains(t, other.Run(t.Context()), fmt.Sprintf("is in use by process %d", os.Getpid()))
	s.stop()

	cfg.Cluster = "cluster-2"
	other, err = New(cfg)
	require.NoError(t, err)
	err = other.Run(t.Context())
	require.ErrorContains(t, err, `belongs to cluster "cluster-1"`)
	require.ErrorContains(t, err, `allowed: "cluster-2"`)
	require.ErrorContains(t, other.Run(t.Context()), "called before")
}

func TestAFunctionIsATask(t *testing.T) {
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	dir := workDir(t)
	s := startSlave(t, Config{WorkDir: dir, Masters: []string{"master:5050"}, Network: network})
	take(t, "a registration", m.register)
	m.send(launch(offer.Task{ID: "t-1", Function: "greet", Data: []byte("world")}, offer.Task{ID: "t-2", Function: "unheard-of"}))
	seen := map[offer.TaskID]offer.Status{}
	for range 3 {
		up := take(t, "an update", m.updates)
		seen[up.Status.TaskID] = *up.Status
	}
	require.Equal(t, offer.Finished, seen["t-1"].State)
	require.Equal(t, offer.Failed, seen["t-2"].State)
	require.Equal(t, offer.ReasonFunctionUnknown, seen["t-2"].Reason)
	out, err := os.ReadFile(filepath.Join(dir, "slaves/s-1/frameworks/f-1/tasks/t-1/stdout"))
	require.NoError(t, err)
	require.Equal(t, "hello world\n", string(out))
	s.stop()
}

func TestADiskThatFailsEndsTheSlaveBeforeAnythingIsStarted(t *testing.T) {
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	runner := &isolationtest.Runner{}
	s := startSlave(t, Config{WorkDir: workDir(t), Masters: []string{"master:5050"}, Network: network, Runner: runner})
	<-s.Ready()
	take(t, "a registration", m.register)
	eventually(t, "the registration is on disk, and nothing waits for it", func() bool {
		b, err := os.ReadFile(s.journal.path)
		require.NoError(t, err)
		records, _, err := readJournal(b)
		require.NoError(t, err)
		flushed, _, _ := s.journal.length()
		return int64(len(b)) == flushed && slices.ContainsFunc(records, func(r slavecore.Record) bool { return r.RecordKind() == slavecore.RecordRegistered })
	})
	s.journal.mu.Lock()
	require.NoError(t, s.journal.file.Close()) // no write succeeds any more
	s.journal.mu.Unlock()
	m.send(launch(command("t-1", "x")))
	err := take(t, "the end of Run", s.done)
	require.ErrorIs(t, err, &offer.Refusal{Reason: offer.ReasonDiskFailed})
	require.ErrorContains(t, err, "already closed")
	require.Empty(t, runner.Running(), "a launch that is not on disk is not started")
}

type brokenFile struct {
	journalFile
	err error
}

func (b brokenFile) Sync() error { return b.err }

func TestALimitationIsTheReasonOfAFailedTask(t *testing.T) {
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	runner := &isolationtest.Runner{}
	s := startSlave(t, Config{WorkDir: workDir(t), Masters: []string{"master:5050"}, Network: network, Runner: runner})
	take(t, "a registration", m.register)
	m.send(launch(command("t-1", "x")))
	id := m.state("t-1", offer.Running).Container.ID
	runner.EndWith(id, isolation.Event{Exit: offer.Exit{Signal: 9}, Known: true, Reason: offer.ReasonContainerLimitationMemory, Message: "33 of 32 MiB"})
	st := m.state("t-1", offer.Failed)
	require.Equal(t, offer.ReasonContainerLimitationMemory, st.Reason)
	require.Equal(t, "33 of 32 MiB", st.Message)
	s.stop()
}

func TestAConfigThatCannotBeUsedNamesTheField(t *testing.T) {
	good := Config{WorkDir: "w", Masters: []string{"a:1"}}
	for want, change := range map[string]func(*Config){
		"WorkDir is empty":     func(c *Config) { c.WorkDir = "" },
		"Masters is empty":     func(c *Config) { c.Masters = nil },
		`Masters[0] is "a"`:    func(c *Config) { c.Masters = []string{"a"} },
		`Listen is "x"`:        func(c *Config) { c.Listen = "x" },
		`Advertise is "x"`:     func(c *Config) { c.Advertise = "x" },
		"MaxTasks is -1":       func(c *Config) { c.MaxTasks = -1 },
		"PingTimeout is -1ns":  func(c *Config) { c.PingTimeout = -1 },
		"Isolation is set":     func(c *Config) { c.Isolation, c.Runner = isolation.Chain{}, &isolationtest.Runner{} },
		"isolation[0]: is nil": func(c *Config) { c.Isolation = isolation.Chain{nil} },
		"DiskHeadroom is 1.5":  func(c *Config) { c.DiskHeadroom = 1.5 },
		"CollectEvery is -1ns": func(c *Config) { c.CollectEvery = -1 },
		"disk: config: Every":  func(c *Config) { c.Disk.Every = -1 },
		"ports: config: Every": func(c *Config) { c.Ports.Every = -1 },
		"Resources":            func(c *Config) { c.Resources = resource.Resources{{Name: "cpus", Scalar: -1}} },
	} {
		cfg := good
		change(&cfg)
		_, err := New(cfg)
		require.ErrorContains(t, err, want)
	}
	_, err := New(good)
	require.NoError(t, err)
}

func TestTheJournalIsRewrittenWhenItHasGrown(t *testing.T) {
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	runner := &isolationtest.Runner{OnStart: func(spec *isolation.Spec) isolationtest.Script {
		if spec.Task == "stays" {
			return isolationtest.Script{}
		}
		return isolationtest.Script{Exit: &offer.Exit{}}
	}}
	cfg := Config{WorkDir: workDir(t), Masters: []string{"master:5050"}, Network: network, Runner: runner, CompactBytes: 10_000}
	s := startSlave(t, cfg)
	take(t, "a registration", m.register)
	m.send(launch(command("stays", "x")))
	m.state("stays", offer.Running)
	for i := range 200 {
		id := offer.TaskID(fmt.Sprint("t-", i))
		m.send(launch(command(id, "x")))
		m.state(id, offer.Running)
		m.state(id, offer.Finished)
	}
	eventually(t, "all is acknowledged and the journal is small again", func() bool {
		size, _, renewed := s.journal.length()
		return renewed > 3 && size < 30_000
	})
	s.stop()
	require.Contains(t, runner.Running(), "stays")

	s = startSlave(t, cfg)
	re := take(t, "a re-registration", m.register).(*message.SlaveReregister)
	require.NotEmpty(t, re.Tasks)
	require.Equal(t, offer.TaskID("stays"), re.Tasks[0].Task.ID)
	require.True(t, runner.Exit(runner.Running()["stays"], offer.Exit{Code: 2}))
	m.state("stays", offer.Failed)
	s.stop()
}

func TestAMasterOfAnotherClusterIsNotObeyed(t *testing.T) {
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	dir := workDir(t)
	s := startSlave(t, Config{WorkDir: dir, Masters: []string{"master:5050"}, Network: network, Runner: &isolationtest.Runner{}})
	<-s.Ready()
	take(t, "a registration", m.register)
	s.stop()
	m.kill()
	m = newMaster(t, network, "master:5050", 1)
	m.cluster = "cluster-2"
	refused := make(chan *offer.Refusal, 100)
	s = startSlave(t, Config{WorkDir: dir, Masters: []string{"master:5050"}, Network: network, Runner: &isolationtest.Runner{},
		Observer: Observer{Disconnected: func(r *offer.Refusal) { refused <- r }}})
	r := take(t, "a refusal", refused)
	require.ErrorIs(t, r, &offer.Refusal{Reason: offer.ReasonWrongCluster})
	require.ErrorContains(t, r, `"cluster-2"`)
	require.ErrorContains(t, r, `"cluster-1"`)
	select {
	case <-s.Ready():
		require.Fail(t, "it is not registered")
	default:
	}
	s.stop()
}

func TestASandboxOfTheSameIDIsPutAsideAndOnlyWhatIsNotInUseIsDeleted(t *testing.T) {
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	dir := workDir(t)
	var age atomic.Int64
	s := startSlave(t, Config{WorkDir: dir, Masters: []string{"master:5050"}, Network: network, CollectEvery: 5 * time.Millisecond}, func(s *Slave) {
		s.collector.now = func() time.Time { return time.Now().Add(time.Duration(age.Load())) }
		s.collector.usage = func(string) (float64, error) { return 0.2, nil }
	})
	take(t, "a registration", m.register)
	run := func(id offer.TaskID, line string) {
		m.send(launch(command(id, line)))
		m.state(id, offer.Running)
		m.state(id, offer.Finished)
	}
	run("a", "echo first")
	eventually(t, "it is forgotten", func() bool { return !s.live.inUse()[filepath.Join(dir, "slaves/s-1/frameworks/f-1/tasks/a")] })
	m.send(launch(command("b", "exec sleep 1000")))
	m.state("b", offer.Running)
	run("a", "echo second")
	read := func(path string) string {
		b, _ := os.ReadFile(filepath.Join(dir, "slaves/s-1/frameworks/f-1", path))
		return string(b)
	}
	require.Equal(t, "second\n", read("tasks/a/stdout"))
	old, err := filepath.Glob(filepath.Join(dir, "slaves/s-1/frameworks/f-1/old/*/stdout"))
	require.NoError(t, err)
	require.Len(t, old, 1, "the sandbox of the first run was put aside")
	b, err := os.ReadFile(old[0])
	require.NoError(t, err)
	require.Equal(t, "first\n", string(b))

	require.Equal(t, "second\n", read("tasks/a/stdout"), "all are young")
	age.Store(int64(8 * 24 * time.Hour))
	eventually(t, "all are old, but one is in use", func() bool { return len(globbed(filepath.Join(dir, "slaves/s-1/frameworks/f-1/*/*"))) == 1 })
	require.DirExists(t, filepath.Join(dir, "slaves/s-1/frameworks/f-1/tasks/b"))
	m.send(&message.Kill{Framework: "f-1", Task: "b"})
	take(t, "killing", m.updates)
	m.state("b", offer.Killed)
	s.stop()
}

func TestAPersistentVolumeIsInTheSandboxAndOutlivesTheTask(t *testing.T) {
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	dir := workDir(t)
	disk := resource.NewScalar("disk", resource.Units(64))
	disk.Reservations = []resource.Reservation{{Type: resource.Static, Role: "db/one"}}
	free, err := resource.New(disk)
	require.NoError(t, err)
	s := startSlave(t, Config{WorkDir: dir, Masters: []string{"master:5050"}, Network: network, Resources: free.Add(resource.Must("cpus:1;mem:64"))})
	take(t, "a registration", m.register)
	disk.Volume = &resource.Volume{ID: "v-1", ContainerPath: "data/here"}
	volume, err := resource.New(disk)
	require.NoError(t, err)
	m.send(&message.Apply{Framework: "f-1", UUID: offer.UUID{1}, Operation: offer.Operation{ID: "op", Kind: offer.OperationCreate, Resources: volume}})
	done := take(t, "the outcome", m.others).(*message.OperationUpdate)
	require.Equal(t, offer.OperationFinished, done.Status.State, done.Status.Message)
	for i, line := range []string{"echo kept > data/here/file", "cat data/here/file"} {
		task := command(offer.TaskID(fmt.Sprint("t-", i)), line)
		task.Resources = volume
		l := launch(task)
		l.Role = "db/one"
		m.send(l)
		m.state(task.ID, offer.Running)
		m.state(task.ID, offer.Finished)
	}
	b, err := os.ReadFile(filepath.Join(dir, "slaves/s-1/frameworks/f-1/tasks/t-1/stdout"))
	require.NoError(t, err)
	require.Equal(t, "kept\n", string(b))
	m.send(&message.Apply{Framework: "f-1", UUID: offer.UUID{2}, Operation: offer.Operation{ID: "op2", Kind: offer.OperationDestroy, Resources: volume}})
	for {
		up, ok := take(t, "the outcome", m.others).(*message.OperationUpdate)
		if ok && up.Status.ID == "op2" {
			require.Equal(t, offer.OperationFinished, up.Status.State, up.Status.Message)
			break
		}
	}
	eventually(t, "it is gone", func() bool { return len(globbed(filepath.Join(dir, "volumes/roles/*/v-1"))) == 0 })
	s.stop()
}

func globbed(pattern string) []string {
	found, _ := filepath.Glob(pattern)
	return found
}

// memoryOf is where the containers of a slave have their files in memory; a folder that there is not where they have none.
func memoryOf(dir string) string {
	if memory := (Config{WorkDir: dir, RuntimeDir: runtimeDir(dir)}).memoryDir(); memory != "" {
		return memory
	}
	return filepath.Join(dir, "no memory")
}

// runFiles are what is known of the runs of a slave's containers, wherever it is.
func runFiles(dir string) []string {
	return append(globbed(filepath.Join(dir, "run", "*", "run")), globbed(filepath.Join(memoryOf(dir), "*", "run"))...)
}

func TestTheListenerServesOverTCPAndRefusesPlainTextBeyondLoopback(t *testing.T) {
	network := memtransport.New()
	m := newMaster(t, network, "master:5050", 1)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := startSlave(t, Config{WorkDir: workDir(t), Masters: []string{"master:5050"}, Network: network, Runner: &isolationtest.Runner{}, Listener: ln})
	reg := take(t, "a registration", m.register).(*message.SlaveRegister)
	require.Equal(t, ln.Addr().String(), reg.Slave.Address)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + reg.Slave.Address + "/health")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, 200, resp.StatusCode)
	s.stop()
	_, err = client.Get("http://" + reg.Slave.Address + "/health")
	require.Error(t, err, "the listener is closed")

	open, err := New(Config{WorkDir: workDir(t), Masters: []string{"127.0.0.1:1"}, Listen: "0.0.0.0:0", Runner: &isolationtest.Runner{}})
	require.NoError(t, err)
	require.ErrorContains(t, open.Run(t.Context()), "plain text on")

	ln, err = net.Listen("tcp", "0.0.0.0:0")
	require.NoError(t, err)
	s = startSlave(t, Config{WorkDir: workDir(t), Masters: []string{"master:5050"}, Network: network, Runner: &isolationtest.Runner{}, Listener: ln, Insecure: true})
	reg = take(t, "a registration", m.register).(*message.SlaveRegister)
	require.Equal(t, fmt.Sprintf("here:%d", ln.Addr().(*net.TCPAddr).Port), reg.Slave.Address)
	s.stop()
}
