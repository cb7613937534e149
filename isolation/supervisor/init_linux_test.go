package supervisor

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/cgroup"
	"github.com/meros-project/meros/isolation/isolationtest"
	"github.com/meros-project/meros/isolation/namespace"
	"github.com/meros-project/meros/isolation/process"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

func init() { testFuncs["connect"] = connect }

// connect is a task that talks to itself on the loopback, and prints which networks there are.
func connect(context.Context, Task) error {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		return err
	}
	_ = c.Close()
	all, err := net.Interfaces()
	for _, i := range all {
		fmt.Println(i.Name, i.Flags&net.FlagUp != 0)
	}
	return err
}

// newApart is a bench whose containers have namespaces of their own.
func newApart(t *testing.T, cfg namespace.Config, more ...isolation.Isolator) *bench {
	isolationtest.NeedsRoot(t)
	if os.Getenv(apartVariable) != "" {
		t.Skip("has namespaces in any case, and has run already")
	}
	b := newBench(t)
	b.apart(process.Config{}, cfg, more...)
	return b
}

func (b *bench) apart(p process.Config, cfg namespace.Config, more ...isolation.Isolator) {
	ns, err := namespace.New(cfg)
	require.NoError(b.t, err)
	require.NoError(b.t, b.r.Close())
	b.r = New(Config{Dir: b.runtime, Isolation: append(isolation.Chain{process.New(p), ns}, more...)})
	require.NoError(b.t, b.r.Open(nil, func(ev isolation.Event) { b.events <- ev }))
}

// run runs a task to its end, which must be a good one, and returns what it has printed.
func (b *bench) run(s *isolation.Spec) string {
	b.t.Helper()
	b.r.Start(s, false)
	b.started(s.Container)
	ev := b.exited(s.Container)
	require.True(b.t, ev.Exit.Success(), "%+v %s", ev, b.output(s.Container, "stderr"))
	return b.output(s.Container, "stdout")
}

// What a test of a container knows about its processes from inside, where they have other numbers, is not known outside.
var notApart = []string{"TestTheSameHoldsForASlaveWithoutRights", "TestWhatHoldsWithoutNamespacesHoldsWithThem",
	"TestASessionsEndIsItsCommandsWithAllThatItHasStarted", "TestASessionEndsWithTheSlaveAndTheTaskGoesOn", "TestACommandEntersTheContainersNamespaces"}

func TestWhatHoldsWithoutNamespacesHoldsWithThem(t *testing.T) {
	isolationtest.NeedsRoot(t)
	cmd := exec.Command(os.Args[0], "-test.skip=^("+strings.Join(notApart, "|")+")$")
	cmd.Env = append(os.Environ(), apartVariable+"=1")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

func TestATaskSeesOnlyItself(t *testing.T) {
	b := newApart(t, namespace.Config{})
	out := b.run(b.spec("a", `echo $$; for d in /proc/[0-9]*; do echo "${d#/proc/}"; done; ps -e -o pid= | wc -l`))
	f := strings.Fields(out)
	require.Equal(t, []string{"1", f[0]}, f[1:3], "itself and the first process: %s", out)
	require.Len(t, f, 4, out)
	pid, err := strconv.Atoi(f[0])
	require.NoError(t, err)
	require.Less(t, pid, 20)
}

func TestNamespacesAreTheContainersOwn(t *testing.T) {
	b := newApart(t, namespace.Config{})
	line := "readlink /proc/self/ns/mnt /proc/self/ns/pid /proc/self/ns/ipc /proc/self/ns/uts /proc/self/ns/net; echo mine > /dev/shm/x; ls /dev/shm; hostname"
	one, other := strings.Fields(b.run(b.spec("a", line))), strings.Fields(b.run(b.spec("b", line)))
	host, err := os.Hostname()
	require.NoError(t, err)
	for i, name := range []string{"mnt", "pid", "ipc", "uts"} {
		mine, err := os.Readlink("/proc/self/ns/" + name)
		require.NoError(t, err)
		require.NotEqual(t, mine, one[i])
		require.NotEqual(t, mine, other[i])
	}
	mine, err := os.Readlink("/proc/self/ns/net")
	require.NoError(t, err)
	require.Equal(t, []string{mine, "x", host}, one[4:])
	require.Equal(t, []string{mine, "x", host}, other[4:], "what another has put into shared memory is not there")
	require.NoFileExists(t, "/dev/shm/x")
}

func TestTheKernelsSettingsAreHiddenOrReadOnly(t *testing.T) {
	b := newApart(t, namespace.Config{})
	b.apart(process.Config{AllowRoot: true}, namespace.Config{})
	s := b.spec("a", `for f in kcore keys timer_list sysrq-trigger; do test ! -e /proc/$f || wc -c < /proc/$f; done
ls -A /sys/firmware 2>/dev/null | wc -l
for f in /proc/sys/kernel/hostname /proc/irq/default_smp_affinity /sys/kernel/profiling /sys/fs/cgroup/x /sys/fs/cgroup/pids/x; do
(echo x > $f) 2>&1 | sed 's/.*: //'; done; exit 0`)
	s.User = "root"
	out := b.run(s)
	require.Regexp(t, regexp.MustCompile(`^(0\n)+(.*(Read-only file system|nonexistent|No such file or directory|Permission denied)\n)+$`), out)
	require.Contains(t, out, "Read-only file system")
}

func TestANetworkOfItsOwnIsALoopback(t *testing.T) {
	b := newApart(t, namespace.Config{})
	s := b.spec("a", "")
	s.Function, s.Network = "connect", offer.NetworkNone
	require.Equal(t, "lo true\n", b.run(s))
	s = b.spec("b", "ls /sys/class/net; grep -c : /proc/net/dev")
	s.Network = offer.NetworkNone
	require.Equal(t, "lo\n1\n", b.run(s))
}

func TestANetworkOrVolumesThatNobodyEnforcesAreRefused(t *testing.T) {
	b := newBench(t)
	if os.Getenv(apartVariable) != "" {
		return // they are enforced
	}
	for id, change := range map[string]func(*isolation.Spec){
		"a": func(s *isolation.Spec) { s.Network = offer.NetworkNone },
		"c": func(s *isolation.Spec) { s.Hostname = "web" },
		"b": func(s *isolation.Spec) { s.Volumes = []offer.Volume{{ContainerPath: "x", SandboxPath: "y"}} },
	} {
		s := b.spec(id, "true")
		change(s)
		b.r.Start(s, false)
		ev := b.next()
		require.Equal(t, isolation.StartFailed, ev.Kind)
		require.Equal(t, offer.ReasonUnsupported, ev.Reason)
	}
}

func TestExitStatusAndSignalsArriveAsWithoutInit(t *testing.T) {
	b := newApart(t, namespace.Config{})
	for i, c := range []struct {
		line string
		want offer.Exit
	}{{"exit 0", offer.Exit{}}, {"exit 1", offer.Exit{Code: 1}}, {"exit 255", offer.Exit{Code: 255}}, {"kill -9 $$", offer.Exit{Signal: 9}},
		{"kill -TERM $$", offer.Exit{Signal: 15}}, {"kill -ABRT $$", offer.Exit{Signal: 6}},
		{"kill -TERM 1; kill -9 1; exit 5", offer.Exit{Code: 5}}, {"(sleep 1000 &) ; exit 4", offer.Exit{Code: 4}}} {
		id := strconv.Itoa(i)
		b.r.Start(b.spec(id, "exec 2>/dev/null; "+c.line), false)
		b.started(id)
		ev := b.exited(id)
		require.True(t, ev.Known)
		require.Equal(t, c.want, ev.Exit, c.line)
	}
}

func TestAPoliteKillReachesTheTaskAndWhatItDoesThenCounts(t *testing.T) {
	b := newApart(t, namespace.Config{})
	b.r.Start(b.spec("a", "trap 'echo bye; exit 8' TERM; echo ready; while :; do sleep 0.05; done"), false)
	b.started("a")
	eventually(t, "it is ready", func() bool { return b.output("a", "stdout") == "ready\n" })
	b.r.Kill("a", false)
	require.Equal(t, offer.Exit{Code: 8}, b.exited("a").Exit)
	require.Equal(t, "ready\nbye\n", b.output("a", "stdout"))
	b.r.Start(b.spec("b", "exec sleep 1000"), false)
	b.started("b")
	b.r.Kill("b", false)
	require.Equal(t, offer.Exit{Signal: 15}, b.exited("b").Exit)
}

// inNamespace counts the processes of a container's task from outside, but for those that only their parent has to take notice of. Their environment
// tells them from those of others, whose namespaces may have got the number since.
func (b *bench) inNamespace(of string) int {
	n := 0
	links, _ := filepath.Glob("/proc/[0-9]*/ns/pid")
	for _, l := range links {
		pid, _ := strconv.Atoi(strings.Split(l, "/")[2])
		if _, gone := process.Identify(pid); gone != nil {
			continue
		}
		if env, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid)); !strings.Contains(string(env), b.base) {
			continue
		}
		if target, err := os.Readlink(l); err == nil && target == of {
			n++
		}
	}
	return n
}

func TestTheEndOfTheFirstProcessIsTheEndOfAll(t *testing.T) {
	b := newApart(t, namespace.Config{})
	const line = "(setsid sh -c 'setsid sleep 1000 & sleep 1000' &); (sleep 1000 & sleep 1000 &); sleep 1000 & echo up; wait"
	for i, end := range []func(pid int){
		func(pid int) { require.NoError(t, syscall.Kill(pid, syscall.SIGKILL)) },
		func(int) { b.r.Kill("1", true) },
		func(pid int) { require.NoError(t, syscall.Kill(b.supervisorOf(pid), syscall.SIGKILL)) },
	} {
		id := strconv.Itoa(i)
		b.r.Start(b.spec(id, line), false)
		pid := b.started(id)
		first, err := process.Identify(pid)
		require.NoError(t, err)
		ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pid))
		require.NoError(t, err)
		eventually(t, "all are there", func() bool { return b.output(id, "stdout") == "up\n" && b.inNamespace(ns) == 7 })
		end(pid)
		ev := b.exited(id)
		if i == 2 {
			require.False(t, ev.Known, "nobody has seen the end")
		} else {
			require.Equal(t, offer.Exit{Signal: 9}, ev.Exit)
		}
		require.Zero(t, b.inNamespace(ns), "when its end is told, nothing runs")
		require.False(t, first.Alive(), "nor does the first process")
	}
}

func TestAContainerThatIsFullOfProcessesGetsSignalsAndEnds(t *testing.T) {
	cg, err := cgroup.New(cgroup.Config{Root: "meros-test-full", Slave: fmt.Sprint(os.Getpid()), Processes: 60})
	require.NoError(t, err)
	b := newApart(t, namespace.Config{}, cg)
	s := b.spec("a", "trap 'echo got' TERM; (trap '' TERM; while :; do sleep 1000 & done) 2>/dev/null & while :; do wait; done")
	s.Resources = resource.Must("cpus:1;mem:128")
	b.r.Start(s, false)
	pid := b.started("a")
	ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pid))
	require.NoError(t, err)
	eventually(t, "no other process can be started", func() bool {
		u, err := cg.Usage(context.Background(), "a")
		return err == nil && u.Threads >= 58
	})
	b.r.Kill("a", false)
	eventually(t, "the first process needs none to pass a signal on", func() bool { return b.output("a", "stdout") == "got\n" })
	b.r.Kill("a", true)
	require.Equal(t, offer.Exit{Signal: 9}, b.exited("a").Exit)
	require.Zero(t, b.inNamespace(ns))
}

func TestTheTaskIsEndedBeforeTheFirstProcessIfMemoryRunsOut(t *testing.T) {
	b := newApart(t, namespace.Config{})
	b.r.Start(b.spec("a", "cat /proc/self/oom_score_adj; while [ ! -e stop ]; do sleep 0.02; done"), false)
	pid := b.started("a")
	score := func(text string, err error) int {
		require.NoError(t, err)
		n, err := strconv.Atoi(strings.TrimSpace(text))
		require.NoError(t, err)
		return n
	}
	eventually(t, "the task has told its score", func() bool { return strings.HasSuffix(b.output("a", "stdout"), "\n") })
	task := score(b.output("a", "stdout"), nil)
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid))
	first := score(string(text), err)
	text, err = os.ReadFile(scoreFile)
	own := score(string(text), err)
	require.Equal(t, min(own+moreScore, mostScore), task)
	require.LessOrEqual(t, first, own)
	require.NoError(t, os.WriteFile(filepath.Join(b.base, "sandbox-a", "stop"), nil, 0o644))
	require.True(t, b.exited("a").Exit.Success())
}

func TestOrphansAreReaped(t *testing.T) {
	b := newApart(t, namespace.Config{})
	b.r.Start(b.spec("a", `for i in 1 2 3 4 5 6 7 8; do (sh -c 'exit 3' &); done; echo up; while [ ! -e stop ]; do sleep 0.02; done`), false)
	pid := b.started("a")
	eventually(t, "they have ended and are reaped", func() bool {
		if b.output("a", "stdout") != "up\n" {
			return false
		}
		list, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
		return err == nil && len(strings.Fields(string(list))) == 1
	})
	require.NoError(t, os.WriteFile(filepath.Join(b.base, "sandbox-a", "stop"), nil, 0o644))
	require.True(t, b.exited("a").Exit.Success())
}

// namespacesOf are all that processes are in whose environment has that text: others may get the numbers of those that are gone.
func namespacesOf(kind, text string) map[string]bool {
	all := map[string]bool{}
	links, _ := filepath.Glob("/proc/[0-9]*/ns/" + kind)
	for _, l := range links {
		if env, err := os.ReadFile(strings.TrimSuffix(l, "ns/"+kind) + "environ"); err != nil || !strings.Contains(string(env), text) {
			continue
		}
		if target, err := os.Readlink(l); err == nil {
			all[target] = true
		}
	}
	return all
}

func TestNothingIsLeftOfNamespacesAfterTheEnd(t *testing.T) {
	shown := t.TempDir()
	b := newApart(t, namespace.Config{HostPaths: []string{shown}})
	mounts := func() string {
		table, err := os.ReadFile("/proc/self/mountinfo")
		require.NoError(t, err)
		return string(table)
	}
	b.run(b.spec("warm", "true")) // what is made once for all is made
	children := func() map[string]bool {
		all := map[string]bool{}
		lists, err := filepath.Glob("/proc/self/task/*/children")
		require.NoError(t, err)
		for _, l := range lists {
			list, _ := os.ReadFile(l)
			for _, pid := range strings.Fields(string(list)) {
				all[pid] = true
			}
		}
		return all
	}
	others := children() // of other tests
	before, descriptors := mounts(), count(t, "/proc/self/fd/*")
	var seen []string
	for i := range 5 {
		s := b.spec(strconv.Itoa(i), "readlink /proc/self/ns/mnt /proc/self/ns/pid /proc/self/ns/net; (setsid sleep 1000 &); exit 0")
		s.Network = offer.NetworkNone
		s.Volumes = []offer.Volume{{ContainerPath: "in", HostPath: shown}, {ContainerPath: "key", Secret: offer.Secret("x")}}
		seen = append(seen, strings.Fields(b.run(s))...)
	}
	require.Len(t, seen, 15)
	require.Equal(t, before, mounts())
	eventually(t, "no descriptor is left", func() bool { return count(t, "/proc/self/fd/*") <= descriptors })
	for _, kind := range []string{"mnt", "pid", "net"} {
		left := namespacesOf(kind, b.base)
		for _, ns := range seen {
			require.False(t, left[ns], ns)
		}
	}
	for pid := range children() {
		require.True(t, others[pid], "process %s is left", pid)
	}
}
