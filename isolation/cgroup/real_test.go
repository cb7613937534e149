package cgroup

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/isolationtest"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

var ctx = context.Background()

// TestMain also counts what is left: no cgroup of any test may be.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		left := ours()
		if len(left) > 0 {
			fmt.Fprintln(os.Stderr, "cgroups are left:", left)
			code = 1
		}
		os.Exit(code)
	}))
}

// testRoot is where this run of the tests makes cgroups.
var testRoot = "meros-test-" + strconv.Itoa(os.Getpid())

// ours are the cgroups of this run that exist now.
func ours() []string {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	found, _ := findHierarchies(table)
	var left []string
	for _, h := range found {
		names, _ := filepath.Glob(filepath.Join(h.mount, testRoot+"*"))
		for _, root := range names {
			_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
				if err == nil && d.IsDir() {
					left = append(left, path)
				}
				return nil
			})
		}
	}
	return left
}

var roots atomic.Int32

// real returns an isolator on the machine's cgroups, in a Root of its own.
func real(t *testing.T, change ...func(*Config)) *Isolator {
	isolationtest.NeedsRoot(t)
	cfg := Config{Slave: "s", Root: fmt.Sprint(testRoot, "-", roots.Add(1))}
	for _, f := range change {
		f(&cfg)
	}
	i, err := New(cfg)
	require.NoError(t, err)
	if missing := slices.IndexFunc(controllers, func(c string) bool { h := i.with(c); return h == nil || h.version != 1 }); missing >= 0 && cfg.Mounts == "" {
		t.Skipf("reads files of version 1, in which this machine does not have the controller %s", controllers[missing])
	}
	t.Cleanup(func() {
		for _, h := range i.hierarchies {
			require.NoDirExists(t, filepath.Join(h.mount, i.cfg.Root), "nothing is left")
		}
	})
	return i
}

// A task is a shell that waits, as a container's first process does, until it is attached, and then becomes nobody.
type task struct {
	cmd   *exec.Cmd
	ended chan error
	out   *os.File
}

// run starts a shell line as nobody in a container.
func run(t *testing.T, i *Isolator, spec *isolation.Spec) *task {
	require.NoError(t, i.Prepare(ctx, spec, &isolation.Plan{}))
	out, err := os.CreateTemp(t.TempDir(), "out")
	require.NoError(t, err)
	cmd := exec.Command("/bin/sh", "-c", "read go; exec /bin/sh -c \"$LINE\"")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LINE=" + spec.Command.Value}
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	gate, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	k := &task{cmd: cmd, ended: make(chan error, 1), out: out}
	require.NoError(t, i.Attach(ctx, spec.Container, cmd.Process.Pid))
	_, err = gate.Write([]byte("\n"))
	require.NoError(t, err)
	go func() { k.ended <- cmd.Wait() }()
	t.Cleanup(func() {
		require.NoError(t, i.Kill(ctx, spec.Container))
		<-k.ended
		require.NoError(t, i.Cleanup(ctx, spec.Container))
		_ = out.Close()
	})
	return k
}

func (k *task) wait(t *testing.T) error {
	select {
	case err := <-k.ended:
		k.ended <- err
		return err
	case <-time.After(30 * time.Second):
		require.Fail(t, "the task does not end", k.output())
		return nil
	}
}

func (k *task) output() string {
	b, _ := os.ReadFile(k.out.Name())
	return string(b)
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	require.Eventually(t, cond, 30*time.Second, 5*time.Millisecond, what)
}

func (i *Isolator) number(t *testing.T, container, controller, file string) uint64 {
	dir, h := i.group(container).dir(controller)
	require.NotNil(t, h)
	n, err := readNumber(filepath.Join(dir, file))
	require.NoError(t, err)
	return n
}

func TestTheIsolatorKeepsTheContract(t *testing.T) {
	isolationtest.NeedsRoot(t)
	isolationtest.TestIsolator(t, func(t *testing.T) isolation.Isolator { return real(t) }, func(t *testing.T) int {
		cmd := exec.Command("sleep", "1000")
		require.NoError(t, cmd.Start())
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
		go func() { _ = cmd.Process.Kill() }() // of which nothing may run at the clean-up
		return cmd.Process.Pid
	})
}

func TestLimitsAreSetInTheKernel(t *testing.T) {
	i := real(t)
	spec := isolationtest.Spec(t, "c", "true")
	spec.Resources = resource.Must("cpus:0.5;mem:64")
	spec.Limits = []offer.Limit{{Name: "cpus", Amount: 1500}, {Name: "mem", Amount: 128_000}}
	require.NoError(t, i.Prepare(ctx, spec, &isolation.Plan{}))
	defer func() { require.NoError(t, i.Cleanup(ctx, "c")) }()
	dir, h := i.group("c").dir(cpu)
	require.Equal(t, 1, h.version, "the rest of this test is about version 1; %s", dir)
	for _, want := range []struct {
		controller, file string
		value            uint64
	}{{cpu, "cpu.shares", 512}, {cpu, "cpu.cfs_quota_us", 150_000}, {cpu, "cpu.cfs_period_us", 100_000}, {memory, "memory.soft_limit_in_bytes", 64 * mebi},
		{memory, "memory.limit_in_bytes", 128 * mebi}, {memory, "memory.memsw.limit_in_bytes", 128 * mebi}, {pids, "pids.max", 4096}} {
		require.Equal(t, want.value, i.number(t, "c", want.controller, want.file), want.file)
	}
	list, _ := i.group("c").dir(devices)
	b, err := os.ReadFile(filepath.Join(list, "devices.list"))
	require.NoError(t, err)
	require.Equal(t, append([]string(nil), defaultDevices...), strings.Split(strings.TrimSpace(string(b)), "\n"))

	require.NoError(t, i.Update(ctx, "c", resource.Must("cpus:1;mem:256"), nil))
	require.EqualValues(t, 100_000, i.number(t, "c", cpu, "cpu.cfs_quota_us"))
	require.EqualValues(t, 256*mebi, i.number(t, "c", memory, "memory.limit_in_bytes"))
	require.EqualValues(t, 256*mebi, i.number(t, "c", memory, "memory.memsw.limit_in_bytes"))
	require.NoError(t, i.Update(ctx, "c", resource.Must("cpus:0.001;mem:1"), nil))
	require.EqualValues(t, 1000, i.number(t, "c", cpu, "cpu.cfs_quota_us"), "at least a millisecond")
	require.EqualValues(t, 2, i.number(t, "c", cpu, "cpu.shares"))
	require.EqualValues(t, 256*mebi, i.number(t, "c", memory, "memory.limit_in_bytes"), "not lowered while it runs")
	require.EqualValues(t, 32*mebi, i.number(t, "c", memory, "memory.soft_limit_in_bytes"))
	require.NoError(t, i.Update(ctx, "c", nil, []offer.Limit{{Name: "cpus", Amount: offer.NoLimit}, {Name: "mem", Amount: offer.NoLimit}}))
	require.EqualValues(t, uint64(unlimited), i.number(t, "c", cpu, "cpu.cfs_quota_us"))
	require.Greater(t, i.number(t, "c", memory, "memory.limit_in_bytes"), uint64(1)<<62)
	require.NoError(t, i.Update(ctx, "never-heard-of", resource.Must("cpus:1"), nil))
}

func TestATaskThatUsesTooMuchMemoryIsEndedAndTheNumbersAreTold(t *testing.T) {
	i := real(t)
	spec := isolationtest.Spec(t, "c", "head -c 200000000 /dev/zero | tail -c 199000000 | wc -c; echo survived")
	spec.Resources = resource.Must("cpus:1;mem:48")
	k := run(t, i, spec)
	l, err := i.Watch(ctx, "c")
	require.NoError(t, err)
	require.Equal(t, offer.ReasonContainerLimitationMemory, l.Reason)
	require.Regexp(t, `^memory limit of 48\.0 MiB exceeded: usage [0-9.]+ MiB, maximum usage 4[78]\.[0-9] MiB, processes killed by the kernel [01]$`, l.Message)
	require.InDelta(t, 48, float64(l.Resources.Mem())/1000, 1)
	eventually(t, "the kernel has counted it", func() bool {
		dir, _ := i.group("c").dir(memory)
		events, err := readTable(filepath.Join(dir, "memory.oom_control"))
		return err == nil && events["oom_kill"] == 1
	})
	require.NoError(t, k.wait(t), "the shell itself lives on, and would run")
	t.Log(l.Message)
	over, cancel := context.WithCancel(ctx)
	cancel()
	again, err := i.Watch(over, "c")
	require.NoError(t, err, "it is told even when nobody has watched")
	require.Regexp(t, `^memory limit of 48\.0 MiB exceeded: .*, processes killed by the kernel 1$`, again.Message)
}

func TestATaskGetsTheCPUTimeOfItsQuota(t *testing.T) {
	i := real(t)
	spec := isolationtest.Spec(t, "c", "while :; do :; done & while :; do :; done")
	spec.Resources = resource.Must("cpus:0.5;mem:64")
	run(t, i, spec)
	dir, h := i.group("c").dir(cpu)
	for _, d := range []string{dir, filepath.Join(h.mount, i.cfg.Root)} { // so that it is the quota that holds it, and not a busy machine
		require.NoError(t, i.kernel.write(filepath.Join(d, "cpu.shares"), number(mostShares)))
	}
	used := func() float64 { return float64(i.number(t, "c", cpuacct, "cpuacct.usage")) / 1e9 }
	eventually(t, "it runs", func() bool { return used() > 0.05 })
	before, start := used(), time.Now()
	eventually(t, "it has used most of a second", func() bool { return used()-before > 0.75 })
	ratio := (used() - before) / time.Since(start).Seconds()
	t.Logf("%.3f cpus used of 0.5", ratio)
	require.Less(t, ratio, 0.6, "two loops that would take all they get")
	stat, err := readTable(filepath.Join(dir, "cpu.stat"))
	require.NoError(t, err)
	require.Positive(t, stat["nr_throttled"])
	u, err := i.Usage(ctx, "c")
	require.NoError(t, err)
	require.GreaterOrEqual(t, u.CPUUser+u.CPUSystem, 0.75)
	require.Equal(t, 2, u.Processes)
	require.Equal(t, 2, u.Threads)
	require.Positive(t, u.MemoryBytes)
	require.EqualValues(t, 64*mebi, u.MemoryLimit)
}

// bomb starts processes without end. A shell that cannot start another gives up, so that the first process is none of them.
const bomb = `(bomb() { bomb & bomb & bomb; }; while :; do bomb; done) 2>/dev/null & exec sleep 1000`

func TestAForkBombIsHeldAndKilled(t *testing.T) {
	i := real(t, func(c *Config) { c.Processes = 200 })
	spec := isolationtest.Spec(t, "c", bomb)
	spec.Resources = resource.Must("cpus:0.5;mem:256")
	k := run(t, i, spec)
	dir, _ := i.group("c").dir(pids)
	eventually(t, "the bound is reached", func() bool {
		events, err := readTable(filepath.Join(dir, "pids.events"))
		return err == nil && events["max"] > 0
	})
	peak := i.number(t, "c", pids, "pids.peak")
	require.LessOrEqual(t, peak, uint64(200))
	start := time.Now()
	require.NoError(t, i.Kill(ctx, "c"))
	t.Logf("killed %d processes in %v", peak, time.Since(start))
	require.Error(t, k.wait(t))
	left, err := i.group("c").processes()
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestATreeThatIgnoresTERMAndHasLeftItsSessionIsKilled(t *testing.T) {
	i := real(t)
	spec := isolationtest.Spec(t, "c", `trap '' TERM HUP INT; (setsid sh -c '(setsid sh -c "trap \"\" TERM; sleep 1000; sleep 1000" &) ; exit' &); sleep 1000; sleep 1000`)
	k := run(t, i, spec)
	eventually(t, "four are there, some of them orphans", func() bool {
		list, err := i.group("c").processes()
		return err == nil && len(list) == 4
	})
	require.NoError(t, syscall.Kill(-k.cmd.Process.Pid, syscall.SIGTERM))
	require.NoError(t, i.Kill(ctx, "c"))
	require.Error(t, k.wait(t))
	left, err := i.group("c").processes()
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestATaskCannotChangeItsLimitsNorLeaveItsCgroup(t *testing.T) {
	i := real(t)
	memoryDir, h := i.group("c").dir(memory)
	pidsDir, _ := i.group("c").dir(pids)
	spec := isolationtest.Spec(t, "c", fmt.Sprintf(`
		{ echo 1000000000 > %[1]s/memory.limit_in_bytes; } 2>&1
		{ echo max > %[2]s/pids.max; } 2>&1
		{ echo $$ > %[3]s/cgroup.procs; } 2>&1
		mkdir %[1]s/mine 2>&1
		echo tried; exec sleep 1000`, memoryDir, pidsDir, h.mount))
	k := run(t, i, spec)
	eventually(t, "it has tried", func() bool { return strings.Contains(k.output(), "tried") })
	require.Equal(t, 4, strings.Count(k.output(), "Permission denied"), k.output())
	require.EqualValues(t, 32*mebi, i.number(t, "c", memory, "memory.limit_in_bytes"))
	for _, h := range i.hierarchies {
		list, err := readProcesses(i.group("c").in(h))
		require.NoError(t, err)
		require.Equal(t, []int{k.cmd.Process.Pid}, list)
	}
}

func TestDevicesThatAreNotNamedCannotBeOpened(t *testing.T) {
	i := real(t)
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	// /dev/kmsg, 1:11, stands for those that could do harm; everybody may open it, as far as the file goes.
	forbidden := filepath.Join(dir, "device")
	require.NoError(t, syscall.Mknod(forbidden, syscall.S_IFCHR|0o666, 1<<8|11))
	require.NoError(t, os.Chmod(forbidden, 0o666))
	allowDown(t, dir)
	spec := isolationtest.Spec(t, "c", "echo ok > /dev/null && head -c 1 /dev/urandom >/dev/null && echo harmless; echo x 2>&1 > "+forbidden)
	k := run(t, i, spec)
	_ = k.wait(t)
	require.Contains(t, k.output(), "harmless")
	require.Contains(t, k.output(), "Operation not permitted", "and not: permission denied")
}

// allowDown lets everybody pass through the folders above a test's own.
func allowDown(t *testing.T, dir string) {
	for d := dir; strings.HasPrefix(d, os.TempDir()+"/"); d = filepath.Dir(d) {
		require.NoError(t, os.Chmod(d, 0o755))
	}
}

func TestRecoveryEndsWhatIsNotKnownAndLetsTheRestGoOn(t *testing.T) {
	i := real(t)
	known := isolationtest.Spec(t, "known", "exec sleep 1000")
	a := run(t, i, known)
	b := run(t, i, isolationtest.Spec(t, "orphan", "trap '' TERM; sleep 1000; sleep 1000"))
	// The slave was killed in the middle of a sure kill.
	file, _, on, _ := i.group("known").freezer()
	require.NoError(t, i.kernel.write(file, on))
	dir, _ := i.group("known").dir(pids)
	require.NoError(t, i.kernel.write(filepath.Join(dir, "pids.max"), "0"))
	other, err := New(Config{Slave: "other", Root: i.cfg.Root})
	require.NoError(t, err)
	require.NoError(t, other.Recover(ctx, nil))
	require.NoError(t, syscall.Kill(b.cmd.Process.Pid, 0), "of another slave's containers it is not its business")
	next, err := New(i.cfg)
	require.NoError(t, err)
	require.NoError(t, next.Recover(ctx, []isolation.Recovered{{Spec: known, PID: a.cmd.Process.Pid}}))
	require.Error(t, b.wait(t), "killed")
	for _, h := range i.hierarchies {
		require.NoDirExists(t, i.group("orphan").in(h))
		require.DirExists(t, i.group("known").in(h))
	}
	require.EqualValues(t, 4096, i.number(t, "known", pids, "pids.max"))
	b2, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "THAWED", strings.TrimSpace(string(b2)))
	require.NoError(t, a.cmd.Process.Signal(syscall.SIGTERM))
	require.Error(t, a.wait(t))
}

func TestCgroupsThatATaskHasMadeGoWithItsOwn(t *testing.T) {
	i := real(t)
	spec := isolationtest.Spec(t, "c", "exec sleep 1000")
	k := run(t, i, spec)
	for _, h := range i.hierarchies {
		below := filepath.Join(i.group("c").in(h), "a", "b")
		require.NoError(t, os.MkdirAll(below, 0o755))
		require.NoError(t, i.kernel.write(filepath.Join(below, "cgroup.procs"), strconv.Itoa(k.cmd.Process.Pid)))
	}
	require.NoError(t, i.Cleanup(ctx, "c"), "which kills what is left, too")
	require.Error(t, k.wait(t))
}

// only leaves of the machine's mounts those that keep says.
func only(t *testing.T, keep func(m mount) bool) string {
	table, err := os.ReadFile("/proc/self/mountinfo")
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "mountinfo")
	var kept []string
	for line := range strings.Lines(string(table)) {
		if m, ok := parseMount(strings.TrimSpace(line)); ok && keep(m) {
			kept = append(kept, line)
		}
	}
	require.NoError(t, os.WriteFile(path, []byte(strings.Join(kept, "")), 0o644))
	return path
}

const deafTree = `trap '' TERM HUP INT; (setsid sh -c 'sleep 1000; sleep 1000' &); sleep 1000; sleep 1000`

func TestVersion2KillsAtAWord(t *testing.T) {
	isolationtest.NeedsRoot(t)
	mounts := only(t, func(m mount) bool {
		return m.kind == "cgroup2" || slices.Contains(m.options, memory) || slices.Contains(m.options, pids)
	})
	i := real(t, func(c *Config) { c.Mounts = mounts })
	last := i.hierarchies[len(i.hierarchies)-1]
	if last.version != 2 {
		t.Skip("this machine has no hierarchy of version 2")
	}
	k := run(t, i, isolationtest.Spec(t, "c", deafTree))
	eventually(t, "all are there", func() bool {
		list, err := readProcesses(i.group("c").in(last))
		return err == nil && len(list) == 4
	})
	require.NoError(t, i.kernel.write(filepath.Join(i.group("c").in(last), "cgroup.kill"), "1"))
	require.Error(t, k.wait(t), "the kernel has done it alone")
	require.NoError(t, i.Kill(ctx, "c"))
	left, err := i.group("c").processes()
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestAForkBombIsKilledWhereNothingCanBeFrozen(t *testing.T) {
	isolationtest.NeedsRoot(t)
	mounts := only(t, func(m mount) bool { return slices.Contains(m.options, memory) || slices.Contains(m.options, pids) })
	i := real(t, func(c *Config) { c.Mounts, c.Processes = mounts, 200 })
	if dir, _ := i.group("c").dir(pids); dir == "" {
		t.Skip("this machine has no pids controller of version 1")
	}
	require.Contains(t, i.Lacks(), "no cpu controller, so that cpu time is not limited")
	require.Empty(t, i.Enforces())
	spec := isolationtest.Spec(t, "c", bomb)
	spec.Resources = resource.Must("cpus:1;mem:256")
	k := run(t, i, spec)
	dir, _ := i.group("c").dir(pids)
	eventually(t, "the bound is reached", func() bool {
		events, err := readTable(filepath.Join(dir, "pids.events"))
		return err == nil && events["max"] > 0
	})
	require.NoError(t, i.Kill(ctx, "c"))
	require.Error(t, k.wait(t))
}
