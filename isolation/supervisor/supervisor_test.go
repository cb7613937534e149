package supervisor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/cgroup"
	"github.com/meros-project/meros/isolation/isolationtest"
	"github.com/meros-project/meros/isolation/namespace"
	"github.com/meros-project/meros/isolation/process"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// testFuncs are the functions of tests for one system only.
var testFuncs = Funcs{}

func TestMain(m *testing.M) {
	maps.Copy(testFuncs, Funcs{
		"greet": func(_ context.Context, task Task) error {
			fmt.Printf("hello %s from %s\n", task.Data, task.Task)
			return nil
		},
		"refuse": func(context.Context, Task) error { return errors.New("not today") },
		"wait": func(ctx context.Context, _ Task) error {
			fmt.Println("waiting")
			<-ctx.Done()
			return nil
		},
	})
	Main(testFuncs)
	goleak.VerifyTestMain(m)
}

// eventually waits for what another process does.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	require.Eventually(t, cond, 20*time.Second, 5*time.Millisecond, what)
}

type bench struct {
	t       *testing.T
	base    string
	runtime string
	r       *Runner
	events  chan isolation.Event
}

func newBench(t *testing.T) *bench {
	base, err := os.MkdirTemp("/tmp", "mr")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(base, 0o755))
	b := &bench{t: t, base: base, runtime: filepath.Join(base, "run")}
	t.Cleanup(func() {
		if b.r != nil {
			require.NoError(t, b.r.Close())
		}
		entries, _ := b.r.listAll()
		for dir := range entries {
			killRemains(dir)
		}
		// A supervisor whose container was killed says so in its folder before it ends.
		eventually(t, "nobody writes any more", func() bool { return os.RemoveAll(base) == nil })
	})
	b.open(nil)
	return b
}

// openWith starts a runner with an isolator of the test's behind the usual one.
func (b *bench) openWith(iso isolation.Isolator, known ...string) {
	require.NoError(b.t, b.r.Close())
	b.r = New(Config{Dir: b.runtime, Isolation: chainOf(process.Config{}, iso)})
	require.NoError(b.t, b.r.Open(known, func(ev isolation.Event) { b.events <- ev }))
}

// apartVariable in the environment gives the containers of all tests namespaces of their own.
const apartVariable = "MEROS_TEST_NAMESPACES"

// chainOf is the process isolator, followed by others.
func chainOf(cfg process.Config, more ...isolation.Isolator) isolation.Chain {
	chain := isolation.Chain{process.New(cfg)}
	if os.Getenv(apartVariable) != "" {
		ns, err := namespace.New(namespace.Config{})
		if err != nil {
			panic(err)
		}
		chain = append(chain, ns)
	}
	return append(chain, more...)
}

// open starts a runner, as a slave that is started or started again does.
func (b *bench) open(known []string) {
	b.r = New(Config{Dir: b.runtime, Isolation: chainOf(process.Config{})})
	b.events = make(chan isolation.Event, 100)
	require.NoError(b.t, b.r.Open(known, func(ev isolation.Event) { b.events <- ev }))
}

// restart is what a slave's death looks like to its supervisors.
func (b *bench) restart(known ...string) {
	require.NoError(b.t, b.r.Close())
	b.open(known)
}

func (b *bench) spec(id, line string) *isolation.Spec {
	sandbox := filepath.Join(b.base, "sandbox-"+id)
	require.NoError(b.t, os.MkdirAll(sandbox, 0o700))
	s := &isolation.Spec{Container: id, Task: offer.TaskID("t-" + id), Sandbox: sandbox,
		Environment: []offer.Variable{{Name: "MESOS_TASK_ID", Value: "t-" + id}}}
	if line != "" {
		s.Command = &offer.Command{Shell: true, Value: line}
	}
	return s
}

func (b *bench) next() isolation.Event {
	b.t.Helper()
	select {
	case ev := <-b.events:
		return ev
	case <-time.After(20 * time.Second):
		require.Fail(b.t, "no event")
		return isolation.Event{}
	}
}

func (b *bench) started(id string) int {
	b.t.Helper()
	ev := b.next()
	require.Equal(b.t, isolation.Started, ev.Kind, "%+v", ev)
	require.Equal(b.t, id, ev.Container)
	return ev.PID
}

func (b *bench) exited(id string) isolation.Event {
	b.t.Helper()
	ev := b.next()
	require.Equal(b.t, isolation.Exited, ev.Kind, "%+v", ev)
	require.Equal(b.t, id, ev.Container)
	return ev
}

// exitedAfterAll is exited for a task whose supervisor may still be about to end, and then says that it was started.
func (b *bench) exitedAfterAll(id string) isolation.Event {
	b.t.Helper()
	ev := b.next()
	if ev.Kind == isolation.Started {
		ev = b.next()
	}
	require.Equal(b.t, isolation.Exited, ev.Kind, "%+v", ev)
	require.Equal(b.t, id, ev.Container)
	return ev
}

func count(t *testing.T, pattern string) int {
	all, err := filepath.Glob(pattern)
	require.NoError(t, err)
	return len(all)
}

func (b *bench) output(id, name string) string {
	text, _ := os.ReadFile(filepath.Join(b.base, "sandbox-"+id, name))
	return string(text)
}

func (b *bench) supervisorOf(pid int) int {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	require.NoError(b.t, err)
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	ppid, err := strconv.Atoi(fields[1])
	require.NoError(b.t, err)
	return ppid
}

func TestACommandRunsAndItsExitStatusIsTold(t *testing.T) {
	b := newBench(t)
	b.r.Start(b.spec("a", "echo out; echo err >&2; exit 3"), false)
	b.started("a")
	ev := b.exited("a")
	require.True(t, ev.Known)
	require.Equal(t, offer.Exit{Code: 3}, ev.Exit)
	require.Equal(t, "out\n", b.output("a", "stdout"))
	require.Equal(t, "err\n", b.output("a", "stderr"))
	b.r.Forget("a")
	eventually(t, "its files are removed", func() bool {
		_, err := os.Stat(b.r.dir("a"))
		return os.IsNotExist(err)
	})
}

func TestATaskSeesNothingOfTheSlave(t *testing.T) {
	t.Setenv("SECRET_OF_THE_SLAVE", "x")
	b := newBench(t)
	b.r.Start(b.spec("a", `env; pwd; id -u; ls /proc/self/fd | tr '\n' ' '; echo; ulimit -c; ps -o sid= -p $$; echo $$; grep NoNewPrivs /proc/self/status`), false)
	b.started("a")
	require.True(t, b.exited("a").Exit.Success())
	out := b.output("a", "stdout")
	require.NotContains(t, out, "SECRET_OF_THE_SLAVE")
	require.NotContains(t, out, roleVariable)
	require.Contains(t, out, "MESOS_TASK_ID=t-a\n")
	require.Contains(t, out, "\n"+filepath.Join(b.base, "sandbox-a")+"\n")
	require.Contains(t, out, "\n0 1 2 3 \n", "no descriptor but the three, and the one that ls reads with")
	require.Contains(t, out, "NoNewPrivs:\t1")
	if os.Geteuid() == 0 {
		require.NotContains(t, out, "\n0\n0 1 2", "not root")
	}
}

func TestAProgramThatDoesNotExistIsAFailedStart(t *testing.T) {
	b := newBench(t)
	s := b.spec("a", "")
	s.Command = &offer.Command{Value: "no-such-program", Arguments: []string{"no-such-program", "x"}}
	b.r.Start(s, false)
	ev := b.next()
	require.Equal(t, isolation.StartFailed, ev.Kind)
	require.Equal(t, offer.ReasonContainerLaunchFailed, ev.Reason)
	require.Contains(t, ev.Message, "no-such-program")
}

func TestAFunctionRunsInACopyOfTheProgram(t *testing.T) {
	b := newBench(t)
	run := func(id, name string) {
		s := b.spec(id, "")
		s.Function, s.Data = name, []byte("world")
		b.r.Start(s, false)
	}
	run("a", "greet")
	b.started("a")
	require.True(t, b.exited("a").Exit.Success())
	require.Equal(t, "hello world from t-a\n", b.output("a", "stdout"))

	run("b", "refuse")
	b.started("b")
	require.Equal(t, offer.Exit{Code: 1}, b.exited("b").Exit)
	require.Contains(t, b.output("b", "stderr"), "not today")

	run("c", "wait")
	b.started("c")
	eventually(t, "it has begun", func() bool { return b.output("c", "stdout") == "waiting\n" })
	b.r.Kill("c", false)
	require.Equal(t, offer.Exit{}, b.exited("c").Exit, "a polite kill ends its context")

	run("d", "unheard-of")
	ev := b.next()
	require.Equal(t, isolation.StartFailed, ev.Kind)
	require.Equal(t, offer.ReasonFunctionUnknown, ev.Reason)
}

func TestARestartedSlaveFindsTheSameProcessAndItsExitStatus(t *testing.T) {
	b := newBench(t)
	b.r.Start(b.spec("a", "while [ ! -e stop ]; do sleep 0.02; done; exit 7"), false)
	pid := b.started("a")
	before, err := process.Identify(pid)
	require.NoError(t, err)
	b.restart("a")
	b.r.Adopt("a")
	require.Equal(t, pid, b.started("a"))
	after, err := process.Identify(pid)
	require.NoError(t, err)
	require.Equal(t, before, after, "the same start time too")
	require.NoError(t, os.WriteFile(filepath.Join(b.base, "sandbox-a", "stop"), nil, 0o644))
	ev := b.exited("a")
	require.True(t, ev.Known)
	require.Equal(t, offer.Exit{Code: 7}, ev.Exit)
}

func TestATaskThatEndsWhileTheSlaveIsAwayIsToldOnItsReturn(t *testing.T) {
	b := newBench(t)
	b.r.Start(b.spec("a", "while [ ! -e stop ]; do sleep 0.02; done; exit 7"), false)
	pid := b.started("a")
	require.NoError(t, b.r.Close())
	require.NoError(t, os.WriteFile(filepath.Join(b.base, "sandbox-a", "stop"), nil, 0o644))
	eventually(t, "the task has ended", func() bool { _, err := process.Identify(pid); return err != nil })
	eventually(t, "its end is written down", func() bool {
		err := readRecord(b.r.dir("a"), exitRecord, &report{})
		return err == nil
	})
	b.open([]string{"a"})
	b.r.Adopt("a")
	ev := b.exitedAfterAll("a")
	require.True(t, ev.Known)
	require.Equal(t, offer.Exit{Code: 7}, ev.Exit)
	b.restart("a")
	b.r.Adopt("a")
	require.Equal(t, offer.Exit{Code: 7}, b.exitedAfterAll("a").Exit, "and again, until it is forgotten")
}

func TestARecoveredStartHappensOnlyOnce(t *testing.T) {
	b := newBench(t)
	line := "echo ran; while [ ! -e stop ]; do sleep 0.02; done"
	b.r.Start(b.spec("a", line), false)
	pid := b.started("a")
	b.restart("a")
	b.r.Start(b.spec("a", line), true)
	require.Equal(t, pid, b.started("a"), "the run of before is taken over")
	require.NoError(t, os.WriteFile(filepath.Join(b.base, "sandbox-a", "stop"), nil, 0o644))
	require.True(t, b.exited("a").Exit.Success())
	require.Equal(t, "ran\n", b.output("a", "stdout"))

	b.r.Start(b.spec("b", "echo ran"), true)
	b.started("b")
	require.True(t, b.exited("b").Exit.Success(), "one that no run has started is started")
}

func TestASupervisorThatComesLateDoesNotStart(t *testing.T) {
	b := newBench(t)
	dir := b.r.dir("a")
	require.NoError(t, os.MkdirAll(dir, 0o700))
	ran, attempt, err := settle(dir)
	require.NoError(t, err)
	require.False(t, ran)
	require.NoError(t, writeOrder(dir, &order{}))
	mine, err := claim(dir, attempt-1, claimRun)
	require.NoError(t, err)
	require.False(t, mine, "a slave has decided that this attempt is void")
	mine, err = claim(dir, attempt, claimRun)
	require.NoError(t, err)
	require.True(t, mine)
	ran, _, err = settle(dir)
	require.NoError(t, err)
	require.True(t, ran)
}

func TestAKilledSupervisorIsNoticedAndItsTaskIsEnded(t *testing.T) {
	b := newBench(t)
	b.r.Start(b.spec("a", "trap '' TERM; (setsid sleep 1000 &) ; echo up; while :; do sleep 0.05; done"), false)
	pid := b.started("a")
	eventually(t, "it is up", func() bool { return b.output("a", "stdout") == "up\n" })
	first, err := process.Identify(pid)
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(b.supervisorOf(pid), syscall.SIGKILL))
	ev := b.exited("a")
	require.False(t, ev.Known, "nobody has seen how it ended")
	require.False(t, first.Alive())
	require.Zero(t, process.KillMarked(mark(b.r.dir("a"))), "nothing of it runs, wherever it has moved")
}

func TestASupervisorKilledWhileTheSlaveIsAwayIsNoticedToo(t *testing.T) {
	b := newBench(t)
	b.r.Start(b.spec("a", "exec sleep 1000"), false)
	pid := b.started("a")
	first, err := process.Identify(pid)
	require.NoError(t, err)
	super := b.supervisorOf(pid)
	require.NoError(t, b.r.Close())
	require.NoError(t, syscall.Kill(super, syscall.SIGKILL))
	b.open([]string{"a"})
	b.r.Adopt("a")
	require.False(t, b.exited("a").Known)
	require.False(t, first.Alive())
}

func TestAPoliteKillIsSIGTERMAndASureOneReachesEverything(t *testing.T) {
	b := newBench(t)
	b.r.Start(b.spec("a", "trap 'exit 5' TERM; echo up; while :; do sleep 0.02; done"), false)
	b.started("a")
	eventually(t, "it is up", func() bool { return b.output("a", "stdout") == "up\n" })
	b.r.Kill("a", false)
	require.Equal(t, offer.Exit{Code: 5}, b.exited("a").Exit)

	b.r.Start(b.spec("b", "trap '' TERM; (setsid sh -c 'trap \"\" TERM; sleep 1000' &); (sleep 1000 &); echo up; while :; do sleep 0.02; done"), false)
	b.started("b")
	eventually(t, "it is up", func() bool { return b.output("b", "stdout") == "up\n" })
	b.r.Kill("b", false)
	b.r.Kill("b", true)
	require.Equal(t, offer.Exit{Signal: 9}, b.exited("b").Exit)
	require.Zero(t, process.KillMarked(mark(b.r.dir("b"))), "nothing is left")
}

func TestWhatATaskLeavesBehindEndsWithIt(t *testing.T) {
	b := newBench(t)
	b.r.Start(b.spec("a", "(setsid sleep 1000 &); exit 0"), false)
	b.started("a")
	require.True(t, b.exited("a").Exit.Success())
	require.Zero(t, process.KillMarked(mark(b.r.dir("a"))))
}

func TestAForkBombIsEnded(t *testing.T) {
	b := newBench(t)
	b.r.Start(b.spec("a", "i=0; while [ $i -lt 25 ]; do (setsid sh -c 'while :; do (sleep 0.3 &); sleep 0.05; done' &); i=$((i+1)); done; echo up; sleep 1000"), false)
	b.started("a")
	eventually(t, "it is up", func() bool { return b.output("a", "stdout") == "up\n" })
	b.r.Kill("a", true)
	b.exited("a")
	require.Zero(t, process.KillMarked(mark(b.r.dir("a"))))
}

func TestAnOrphanIsEnded(t *testing.T) {
	b := newBench(t)
	b.r.Start(b.spec("a", "exec sleep 1000"), false)
	first, err := process.Identify(b.started("a"))
	require.NoError(t, err)
	b.restart()
	eventually(t, "it is ended", func() bool { return !first.Alive() })
	eventually(t, "its files are removed", func() bool { _, err := os.Stat(b.r.dir("a")); return os.IsNotExist(err) })
}

func TestATiedTaskEndsWithItsSlave(t *testing.T) {
	b := newBench(t)
	s := b.spec("a", "exec sleep 1000")
	s.Tied = true
	b.r.Start(s, false)
	first, err := process.Identify(b.started("a"))
	require.NoError(t, err)
	require.NoError(t, b.r.Close())
	eventually(t, "it is ended", func() bool { return !first.Alive() })
	b.open([]string{"a"})
	b.r.Adopt("a")
	require.Equal(t, offer.Exit{Signal: 9}, b.exitedAfterAll("a").Exit)
}

func TestAKillBeforeTheStartIsAFailedStart(t *testing.T) {
	b := newBench(t)
	b.r.slots = make(chan struct{}, 1)
	b.r.slots <- struct{}{}
	b.r.Start(b.spec("a", "exec sleep 1000"), false)
	b.r.Kill("a", false)
	<-b.r.slots
	ev := b.next()
	require.Equal(t, isolation.StartFailed, ev.Kind)
	require.Equal(t, offer.ReasonTaskKilledDuringLaunch, ev.Reason)
}

func TestAnotherUserIsRefusedOrTaken(t *testing.T) {
	b := newBench(t)
	s := b.spec("a", "id -u")
	s.User = "no-such-user"
	b.r.Start(s, false)
	ev := b.next()
	require.Equal(t, isolation.StartFailed, ev.Kind)
	require.Contains(t, ev.Message, `user "no-such-user"`)
	if os.Geteuid() == 0 {
		s := b.spec("b", "id -u; id -G; touch here")
		s.User = "12345"
		b.r.Start(s, false)
		b.started("b")
		require.True(t, b.exited("b").Exit.Success())
		require.Equal(t, "12345\n12345\n", b.output("b", "stdout"))
	}
}

func TestALimitationKillsTheTaskAndIsToldWithItsEnd(t *testing.T) {
	b := newBench(t)
	fake := &isolationtest.Isolator{}
	b.openWith(fake)
	b.r.Start(b.spec("a", "exec sleep 1000"), false)
	b.started("a")
	limit := isolation.Limitation{Reason: offer.ReasonContainerLimitationMemory, Message: "33 of 32 MiB", Resources: resource.Must("mem:33")}
	fake.Limit("a", limit)
	ev := b.exited("a")
	require.Equal(t, limit.Reason, ev.Reason)
	require.Equal(t, limit.Message, ev.Message)
	require.Equal(t, limit.Resources, ev.Limitation)
	require.Equal(t, offer.Exit{Signal: 9}, ev.Exit)
}

func TestNothingOfATaskRunsThatCannotBePutUnderControl(t *testing.T) {
	b := newBench(t)
	for method, want := range map[string][]string{
		"prepare": {"fake prepare a", "fake cleanup a"},
		"attach":  {"fake prepare a", "fake attach a", "fake cleanup a"},
	} {
		log := &isolationtest.Log{}
		b.openWith(&isolationtest.Isolator{Log: log, Fail: map[string]error{method: errors.New("no room"), "watch": errors.New("nothing to watch")}})
		log.Take()
		b.r.Start(b.spec("a", "echo ran > ran"), false)
		ev := b.next()
		require.Equal(t, isolation.StartFailed, ev.Kind, "%+v", ev)
		require.Equal(t, offer.ReasonContainerLaunchFailed, ev.Reason)
		require.Contains(t, ev.Message, "no room")
		require.Empty(t, b.output("a", "ran"))
		var calls []string
		lines := log.Take()
		require.Contains(t, lines, "fake kill a", "before it is said that nothing runs")
		for _, line := range lines {
			if line != "fake kill a" && line != "fake watch a" && (len(calls) == 0 || calls[len(calls)-1] != line) { // clean-up may be repeated
				calls = append(calls, line)
			}
		}
		require.Equal(t, want, calls)
		b.r.Forget("a")
		eventually(t, "its files are removed", func() bool { _, err := os.Stat(b.r.dir("a")); return os.IsNotExist(err) })
	}
}

func TestManyTasksAtOnce(t *testing.T) {
	b := newBench(t)
	require.NoError(t, b.r.Close())
	b.r = New(Config{Dir: b.runtime, Isolation: chainOf(process.Config{})})
	b.events = make(chan isolation.Event, 1000)
	require.NoError(t, b.r.Open(nil, func(ev isolation.Event) { b.events <- ev }))
	const n = 30
	for i := range n {
		b.r.Start(b.spec(fmt.Sprint("c", i), fmt.Sprintf("exit %d", i)), false)
	}
	for range 2 * n {
		if ev := b.next(); ev.Kind == isolation.Exited {
			require.True(t, ev.Known)
			require.Equal(t, "c"+fmt.Sprint(ev.Exit.Code), ev.Container, "each its own exit status")
		}
	}
}

// BenchmarkStart runs real processes from start to the file with their exit status, with the process isolator alone and with cgroups.
func BenchmarkStart(b *testing.B) {
	b.Run("process", func(b *testing.B) { benchmarkStart(b, nil) })
	b.Run("cgroup", func(b *testing.B) {
		isolationtest.NeedsRoot(b)
		iso, err := cgroup.New(cgroup.Config{Slave: fmt.Sprint("bench-", os.Getpid())})
		require.NoError(b, err)
		benchmarkStart(b, isolation.Chain{process.New(process.Config{}), iso})
	})
}

func benchmarkStart(b *testing.B, chain isolation.Chain) {
	base, err := os.MkdirTemp("/tmp", "mr")
	require.NoError(b, err)
	defer os.RemoveAll(base)
	require.NoError(b, os.Chmod(base, 0o755))
	ended := make(chan struct{}, 1000)
	r := New(Config{Dir: filepath.Join(base, "run"), Isolation: chain})
	require.NoError(b, r.Open(nil, func(ev isolation.Event) {
		if ev.Kind != isolation.Started {
			ended <- struct{}{}
		}
	}))
	b.ResetTimer()
	for i := range b.N {
		id := fmt.Sprint("c", i)
		sandbox := filepath.Join(base, id)
		require.NoError(b, os.Mkdir(sandbox, 0o700))
		r.Start(&isolation.Spec{Container: id, Sandbox: sandbox, Command: &offer.Command{Value: "true"}, Resources: resource.Must("cpus:1;mem:64")}, false)
		if i >= 8 {
			<-ended
		}
	}
	for range min(b.N, 8) {
		<-ended
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
	require.NoError(b, r.Close())
}

func TestAStartThatNoSlaveComesForIsGivenUp(t *testing.T) {
	cmd := exec.Command("sleep", "1000")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	require.NoError(t, cmd.Start())
	first, err := process.Identify(cmd.Process.Pid)
	require.NoError(t, err)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	s := &supervisorState{gate: w, first: first, conns: map[net.Conn]bool{nil: true}}
	s.abandon()
	require.True(t, first.Alive(), "a slave is there, which may let it through")
	delete(s.conns, nil)
	s.abandon()
	require.Error(t, cmd.Wait(), "killed")
	require.True(t, s.slain, "and nothing may let it through any more")
}

// A provider blocks until its context ends, or it is told to go on.
type provider struct {
	isolationtest.Isolator
	entered chan string
	release chan error
}

func (p *provider) Provides(spec *isolation.Spec) bool { return spec.Name == "provided" }

func (p *provider) Provide(ctx context.Context, spec *isolation.Spec, _ *isolation.Plan) error {
	p.entered <- spec.Container
	select {
	case err := <-p.release:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func TestWhatComesFromElsewhereHoldsNobodyUp(t *testing.T) {
	b := newBench(t)
	p := &provider{entered: make(chan string), release: make(chan error)}
	p.Log = &isolationtest.Log{}
	require.NoError(t, b.r.Close())
	b.r = New(Config{Dir: b.runtime, Isolation: chainOf(process.Config{}, p), Starts: 1})
	require.NoError(t, b.r.Open(nil, func(ev isolation.Event) { b.events <- ev }))
	slow := func(id string) {
		spec := b.spec(id, "echo provided")
		spec.Name = "provided"
		b.r.Start(spec, false)
		require.Equal(t, id, <-p.entered)
	}
	slow("c-slow")
	// Others start meanwhile, though only one may be started at a time.
	b.r.Start(b.spec("c-quick", "true"), false)
	ev := b.next()
	require.Equal(t, isolation.Started, ev.Kind)
	require.Equal(t, "c-quick", ev.Container)
	require.Equal(t, isolation.Exited, b.next().Kind)
	p.release <- nil
	require.Equal(t, isolation.Started, b.next().Kind)
	require.Equal(t, isolation.Exited, b.next().Kind)
	// A failure is told with its words.
	slow("c-fails")
	p.release <- errors.New("http://h/x: the server answers 404 Not Found")
	ev = b.next()
	require.Equal(t, isolation.StartFailed, ev.Kind)
	require.Equal(t, offer.ReasonContainerLaunchFailed, ev.Reason)
	require.Equal(t, "isolator fake: http://h/x: the server answers 404 Not Found", ev.Message)
	// A kill, even a polite one, ends it.
	for _, surely := range []bool{false, true} {
		id := fmt.Sprint("c-killed-", surely)
		slow(id)
		p.Log.Take()
		b.r.Kill(id, surely)
		ev = b.next()
		require.Equal(t, isolation.StartFailed, ev.Kind)
		require.Equal(t, offer.ReasonTaskKilledDuringLaunch, ev.Reason)
		require.Equal(t, "killed before it was started", ev.Message)
		require.Equal(t, []string{"fake kill " + id, "fake cleanup " + id}, p.Log.Take())
	}
	// So does the end of the slave, which tells nothing: the next run begins anew.
	slow("c-stopped")
	require.NoError(t, b.r.Close())
	require.Empty(t, b.events)
	b.r = New(Config{Dir: b.runtime, Isolation: chainOf(process.Config{}, p)})
	require.NoError(t, b.r.Open([]string{"c-stopped"}, func(ev isolation.Event) { b.events <- ev }))
	spec := b.spec("c-stopped", "true")
	spec.Name = "provided"
	b.r.Start(spec, true)
	require.Equal(t, "c-stopped", <-p.entered)
	p.release <- nil
	require.Equal(t, isolation.Started, b.next().Kind)
	require.Equal(t, isolation.Exited, b.next().Kind)
}
