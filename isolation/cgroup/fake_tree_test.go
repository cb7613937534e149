package cgroup

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/isolationtest"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

func (f *fake) isolator(change ...func(*Config)) *Isolator {
	cfg := Config{Slave: "s", Mounts: f.mounts, KillTimeout: 5 * time.Second}
	for _, c := range change {
		c(&cfg)
	}
	i, err := newOn(cfg, f)
	require.NoError(f.t, err)
	f.taken()
	return i
}

func second(t *testing.T) (*fake, string) {
	f := newFake(t)
	return f, f.mount(2, "rw,nosuid", "cpuset", "cpu", "io", "memory", "hugetlb", "pids")
}

func TestVersion2KeepsTheContract(t *testing.T) {
	f, _ := second(t)
	isolationtest.TestIsolator(t, func(t *testing.T) isolation.Isolator { return f.isolator() }, func(*testing.T) int { return 1 << 22 })
	require.NoDirExists(t, filepath.Join(f.t.TempDir(), "meros"))
}

func TestLimitsAreSetInVersion2(t *testing.T) {
	f, root := second(t)
	i := f.isolator()
	require.Equal(t, []string{"devices are not restricted with version 2"}, i.Lacks())
	require.Equal(t, []isolation.Feature{isolation.FeatureLimits}, i.Enforces())
	spec := isolationtest.Spec(t, "c", "true")
	spec.Resources = resource.Must("cpus:0.5;mem:64")
	spec.Limits = []offer.Limit{{Name: "cpus", Amount: 1500}, {Name: "mem", Amount: 128_000}}
	require.NoError(t, i.Prepare(ctx, spec, &isolation.Plan{}))
	require.NoError(t, i.Attach(ctx, "c", 1<<22))
	dir := filepath.Join(root, "meros", "s.c")
	for file, want := range map[string]string{"cpu.weight": "50", "cpu.max": "150000 100000", "memory.low": "67108864", "memory.max": "134217728",
		"memory.swap.max": "0", "memory.oom.group": "1", "pids.max": "4096", "cgroup.procs": "4194304\n", "../memory.low": "max",
		"../cgroup.subtree_control": "cpu memory pids"} {
		b, err := os.ReadFile(filepath.Join(dir, file))
		require.NoError(t, err)
		require.Equal(t, want, string(b), file)
	}
	require.NoError(t, i.Update(ctx, "c", resource.Must("cpus:2;mem:16"), []offer.Limit{{Name: "cpus", Amount: offer.NoLimit}}))
	for file, want := range map[string]string{"cpu.weight": "200", "cpu.max": "max 100000", "memory.low": "33554432", "memory.max": "134217728"} {
		b, err := os.ReadFile(filepath.Join(dir, file))
		require.NoError(t, err)
		require.Equal(t, want, string(b), file)
	}
	f.put(filepath.Join(dir, "cpu.stat"), "usage_usec 3000000\nuser_usec 2000000\nsystem_usec 1000000\n")
	f.put(filepath.Join(dir, "memory.current"), "1048576\n")
	f.put(filepath.Join(dir, "memory.stat"), "anon 4096\nfile 8192\n")
	f.put(filepath.Join(dir, "pids.current"), "3\n")
	before := time.Now()
	u, err := i.Usage(ctx, "c")
	require.NoError(t, err)
	require.False(t, u.At.Before(before) || u.At.After(time.Now()), "the moment that the cpu time is of: %v", u.At)
	u.At = time.Time{}
	require.Equal(t, isolation.Usage{CPUUser: 2, CPUSystem: 1, MemoryBytes: mebi, RSS: 4096, MemoryLimit: 128 * mebi, Processes: 1, Threads: 3}, u)
	f.taken()
	require.NoError(t, i.Kill(ctx, "c"))
	require.Equal(t, []string{"meros/s.c/pids.max 0", "meros/s.c/cpu.max max 100000", "meros/s.c/cgroup.kill 1"}, f.taken(), "the kernel does it")
	require.NoError(t, i.Cleanup(ctx, "c"))
	require.NoDirExists(t, filepath.Join(root, "meros"))
}

func TestOutOfMemoryIsToldInVersion2(t *testing.T) {
	f, root := second(t)
	i := f.isolator()
	spec := isolationtest.Spec(t, "c", "true")
	require.NoError(t, i.Prepare(ctx, spec, &isolation.Plan{}))
	dir := filepath.Join(root, "meros", "s.c")
	f.put(filepath.Join(dir, "memory.current"), "1048576\n")
	f.put(filepath.Join(dir, "memory.peak"), "33554432\n")
	f.put(filepath.Join(dir, "memory.events"), "low 0\nhigh 0\nmax 12\noom 1\noom_kill 2\noom_group_kill 1\n")
	l, err := i.Watch(ctx, "c")
	require.NoError(t, err)
	require.Equal(t, isolation.Limitation{Reason: offer.ReasonContainerLimitationMemory, Resources: resource.Must("mem:32"),
		Message: "memory limit of 32.0 MiB exceeded: usage 1.0 MiB, maximum usage 32.0 MiB, processes killed by the kernel 2"}, l)
	f.put(filepath.Join(dir, "memory.events"), "oom 0\noom_kill 1\n")
	f.put(filepath.Join(dir, "memory.max"), "max\n")
	l, err = i.Watch(ctx, "c")
	require.NoError(t, err)
	require.Equal(t, "memory ran out on the machine, or above the container, whose limit is none: usage 1.0 MiB, maximum usage 32.0 MiB, "+
		"processes killed by the kernel 1", l.Message)
	require.NoError(t, i.Cleanup(ctx, "c"))
}

func TestACgroupThatCannotBeEmptiedIsReportedAndNotForgotten(t *testing.T) {
	f, root := second(t)
	i := f.isolator(func(c *Config) { c.KillTimeout = 20 * time.Millisecond })
	require.NoError(t, i.Prepare(ctx, isolationtest.Spec(t, "c", "true"), &isolation.Plan{}))
	require.NoError(t, i.Attach(ctx, "c", 1<<22))
	f.never = true
	require.EqualError(t, i.Kill(ctx, "c"), "1 processes do not end, such as [4194304], in cgroup s.c")
	require.ErrorContains(t, i.Cleanup(ctx, "c"), "1 processes do not end, such as [4194304]")
	require.DirExists(t, filepath.Join(root, "meros", "s.c"))
	require.NoError(t, f.isolator(func(c *Config) { c.KillTimeout = 20 * time.Millisecond }).Recover(ctx, nil), "it does not keep a slave from starting")
	require.DirExists(t, filepath.Join(root, "meros", "s.c"))
	f.never = false
	require.NoError(t, i.Cleanup(ctx, "another"), "the next of any container tries again")
	require.NoDirExists(t, filepath.Join(root, "meros"))
}

func TestAnOldKernelOfVersion2FreezesBeforeItKills(t *testing.T) {
	f, root := second(t)
	f.without = []string{"cgroup.kill", "memory.oom.group", "memory.swap.max", "memory.peak"}
	i := f.isolator(func(c *Config) { c.KillTimeout = 20 * time.Millisecond })
	require.Contains(t, i.Lacks(), "the kernel does not count swap, so that it is not limited")
	require.NoError(t, i.Prepare(ctx, isolationtest.Spec(t, "c", "true"), &isolation.Plan{}))
	require.NoError(t, i.Attach(ctx, "c", 1<<22))
	f.taken()
	require.Error(t, i.Kill(ctx, "c"))
	require.Equal(t, []string{"meros/s.c/pids.max 0", "meros/s.c/cpu.max max 100000", "meros/s.c/cgroup.freeze 1", "meros/s.c/cgroup.freeze 0"}, f.taken()[:4])
	f.mu.Lock()
	f.leave(root, "4194304")
	f.mu.Unlock()
	require.NoError(t, i.Cleanup(ctx, "c"))
}

func TestHybridUsesEachControllerWhereItIs(t *testing.T) {
	f := newFake(t)
	cpuRoot := f.mount(1, "rw", "cpu", "cpuacct")
	f.mount(1, "rw", "name=systemd")
	pidsRoot := f.mount(1, "rw", "pids")
	unified := f.mount(2, "rw", "memory", "hugetlb")
	i := f.isolator()
	require.Empty(t, i.Lacks()[1:])
	require.Equal(t, []string{"devices are not restricted with version 2"}, i.Lacks())
	spec := isolationtest.Spec(t, "c", "true")
	spec.Resources = resource.Must("cpus:2;mem:64")
	require.NoError(t, i.Prepare(ctx, spec, &isolation.Plan{}))
	require.NoError(t, i.Attach(ctx, "c", 1<<22))
	for path, want := range map[string]string{cpuRoot + "/meros/s.c/cpu.shares": "2048", cpuRoot + "/meros/s.c/cpu.cfs_quota_us": "200000",
		pidsRoot + "/meros/s.c/pids.max": "4096", unified + "/meros/s.c/memory.max": "67108864", unified + "/meros/cgroup.subtree_control": "memory",
		unified + "/meros/s.c/cgroup.procs": "4194304\n", cpuRoot + "/meros/s.c/cgroup.procs": "4194304\n"} {
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, want, string(b), path)
	}
	f.mu.Lock()
	for _, root := range []string{cpuRoot, pidsRoot} {
		f.leave(root, "4194304")
	}
	f.mu.Unlock()
	require.NoError(t, i.Kill(ctx, "c"))
	require.NoError(t, i.Cleanup(ctx, "c"))
	for _, root := range []string{cpuRoot, pidsRoot, unified} {
		require.NoDirExists(t, root+"/meros")
	}
}

func TestAHybridWithoutAFreezerKillsWithVersion2(t *testing.T) {
	f := newFake(t)
	f.mount(1, "rw", "cpu")
	f.mount(1, "rw", "memory")
	unified := f.mount(2, "rw", "hugetlb")
	i := f.isolator()
	require.NoError(t, i.Prepare(ctx, isolationtest.Spec(t, "c", "true"), &isolation.Plan{}))
	require.DirExists(t, filepath.Join(unified, "meros", "s.c"))
	require.NoError(t, i.Cleanup(ctx, "c"))
	f.mount(1, "rw", "freezer")
	i = f.isolator()
	require.NoError(t, i.Prepare(ctx, isolationtest.Spec(t, "c", "true"), &isolation.Plan{}))
	require.NoDirExists(t, filepath.Join(unified, "meros"), "with a freezer, nobody needs it")
	require.NoError(t, i.Cleanup(ctx, "c"))
}

func TestWhatCannotBeUsedIsSaidInALine(t *testing.T) {
	_, err := New(Config{Slave: "s", Mounts: filepath.Join(t.TempDir(), "none")})
	require.ErrorContains(t, err, "cgroup: this system has none: open ")
	f := newFake(t)
	ro := f.mount(2, "ro,nosuid", "cpu", "memory")
	_, err = newOn(Config{Slave: "s", Mounts: f.mounts}, f)
	require.EqualError(t, err, "cgroup: neither cpu nor memory controller is mounted and writable: "+ro+" is mounted read-only")
	f, root := second(t)
	f.put(filepath.Join(root, "cgroup.procs"), "1\n")
	_, err = newOn(Config{Slave: "s", Mounts: f.mounts}, f)
	require.NoError(t, err, "the machine's root is where every process begins")
	f.within = true
	f.put(filepath.Join(root, "cgroup.subtree_control"), "")
	_, err = newOn(Config{Slave: "s", Mounts: f.mounts}, f)
	require.EqualError(t, err, "cgroup: cannot be used: "+root+" holds processes, so that it cannot hand down cpu (move them to a cgroup of their own): "+
		"device or resource busy")
	for want, cfg := range map[string]Config{
		`Slave is "" (allowed: 1 to 64 letters`: {},
		`Slave is "a.b"`:                        {Slave: "a.b"},
		`Root is "../x"`:                        {Slave: "s", Root: "../x"},
		`Root is "/x"`:                          {Slave: "s", Root: "/x"},
		`KillTimeout is -1ns`:                   {Slave: "s", KillTimeout: -1},
		`Devices[1] is "null" (allowed: a kind, a number an`: {Slave: "s", Devices: []string{"c 10:229 rw", "null"}},
	} {
		_, err := New(cfg)
		require.ErrorContains(t, err, want)
	}
}

func TestARootOfSeveralFoldersIsMadeWhereItIsMissing(t *testing.T) {
	f, root := second(t)
	i := f.isolator(func(c *Config) { c.Root = "system.slice/meros" })
	require.NoError(t, i.Prepare(ctx, isolationtest.Spec(t, "c", "true"), &isolation.Plan{}))
	require.DirExists(t, filepath.Join(root, "system.slice", "meros", "s.c"))
	require.NoError(t, i.Cleanup(ctx, "c"))
	require.DirExists(t, filepath.Join(root, "system.slice"), "which others may use")
	require.NoDirExists(t, filepath.Join(root, "system.slice", "meros"))
}

func TestTheNameOfACgroupFollowsFromTheContainersID(t *testing.T) {
	f, _ := second(t)
	i := f.isolator()
	for id, want := range map[string]string{"c-1.2_x": "s.c-1.2_x", ".": "s.~cdb4ee2aea69cc6a83331bbe96dc2caa", "a/b": "s.~c14cddc033f64b9dea80ea675cf280a0"} {
		require.Equal(t, want, i.group(id).name)
	}
}

func TestNoNumberRunsOver(t *testing.T) {
	l := limitsOf(resource.Must("cpus:1000000000;mem:8000000000000"), []offer.Limit{{Name: "mem", Amount: resource.MaxScalar}})
	require.EqualValues(t, mostShares, l.shares)
	require.EqualValues(t, mostWeight, l.weight)
	require.GreaterOrEqual(t, l.hard, l.soft)
	require.Equal(t, limits{shares: 2, weight: 1, quota: 1000, soft: leastMemory, hard: leastMemory}, limitsOf(nil, nil))
	revocable := resource.Must("cpus:2")
	revocable[0].Revocable = true
	require.EqualValues(t, 20, limitsOf(revocable, nil).shares, "what is revocable gives way")
}

func TestAWatchOfAnEndedContextLooksOnce(t *testing.T) {
	f, _ := second(t)
	over, cancel := context.WithCancel(ctx)
	cancel()
	_, err := f.isolator().Watch(over, "never-heard-of")
	require.ErrorIs(t, err, context.Canceled)
}

func TestAContainerFromBeforeThisIsolatorRunsOnWithoutACgroup(t *testing.T) {
	f, root := second(t)
	i := f.isolator()
	spec := isolationtest.Spec(t, "old", "true")
	require.NoError(t, i.Recover(ctx, []isolation.Recovered{{Spec: spec, PID: 1 << 22}}))
	require.NoError(t, i.Attach(ctx, "old", 1<<22), "or it would be killed for an upgrade of the slave")
	require.NoError(t, i.Update(ctx, "old", resource.Must("cpus:1"), nil))
	require.NoError(t, i.Kill(ctx, "old"))
	require.NoError(t, i.Cleanup(ctx, "old"))
	require.ErrorIs(t, i.Attach(ctx, "old", 1<<22), os.ErrNotExist, "only once")
	require.NoError(t, i.Recover(ctx, []isolation.Recovered{{Spec: spec}}))
	require.NoError(t, i.Prepare(ctx, spec, &isolation.Plan{}), "it had not been started at all")
	require.NoError(t, i.Attach(ctx, "old", 1<<22))
	require.FileExists(t, filepath.Join(root, "meros", "s.old", "cgroup.procs"))
	require.NoError(t, i.Cleanup(ctx, "old"))
}
