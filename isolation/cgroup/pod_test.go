package cgroup

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/isolationtest"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// memberSpec is a member of the group f/pod, whose executor has a tenth of a processor and 16 MiB for itself.
func memberSpec(t *testing.T, container, line, resources string, shared bool, bounds ...offer.Limit) *isolation.Spec {
	spec := isolationtest.Spec(t, container, line)
	spec.Resources, spec.Limits = resource.Must(resources), bounds
	spec.Group = &isolation.Group{ID: "f/pod", Resources: resource.Must("cpus:0.1;mem:16"), Shared: shared}
	return spec
}

const (
	podDir    = "meros/s.+~c1706165b5537286e91f14c0d7a54341"
	podShared = podDir + "/shared"
)

func values(t *testing.T, root string, want map[string]string) {
	t.Helper()
	for file, value := range want {
		b, err := os.ReadFile(filepath.Join(root, file))
		require.NoError(t, err)
		require.Equal(t, value, strings.TrimSpace(string(b)), file)
	}
}

func TestMembersOfAGroupAreNestedInVersion2(t *testing.T) {
	f, root := second(t)
	i := f.isolator()
	numbers := map[string]int{"own": 4194304, "one": 4194305, "two": 4194306}
	for _, spec := range []*isolation.Spec{
		memberSpec(t, "own", "true", "cpus:0.5;mem:64", false, offer.Limit{Name: "cpus", Amount: 1000}),
		memberSpec(t, "one", "true", "cpus:1;mem:32", true), memberSpec(t, "two", "true", "cpus:2;mem:48", true),
	} {
		require.NoError(t, i.Prepare(ctx, spec, &isolation.Plan{}))
		require.NoError(t, i.Attach(ctx, spec.Container, numbers[spec.Container]))
	}
	values(t, root, map[string]string{
		podDir + "/cgroup.subtree_control": "cpu memory pids", podDir + "/cpu.weight": "360", podDir + "/cpu.max": "max 100000", podDir + "/memory.max": "max",
		podDir + "/memory.low": "167772160", podDir + "/pids.max": "max", podDir + "/memory.oom.group": "0", podDir + "/cgroup.procs": "",
		podDir + "/s.own/cpu.max": "100000 100000", podDir + "/s.own/memory.max": "67108864", podDir + "/s.own/pids.max": "4096", podDir + "/s.own/cpu.weight": "50",
		podShared + "/cgroup.subtree_control": "cpu memory pids", podShared + "/cpu.weight": "310", podShared + "/cpu.max": "310000 100000",
		podShared + "/memory.max": "100663296", podShared + "/memory.swap.max": "0", podShared + "/pids.max": "4096", podShared + "/memory.oom.group": "0",
		podShared + "/cgroup.procs": "", podShared + "/s.one/cpu.max": "max 100000", podShared + "/s.one/memory.max": "max", podShared + "/s.one/pids.max": "max",
		podShared + "/s.one/memory.oom.group": "1", podShared + "/s.one/cpu.weight": "100", podShared + "/s.one/memory.low": "33554432",
		podShared + "/s.two/cgroup.procs": "4194306",
	})
	u, err := i.Usage(ctx, "one")
	require.NoError(t, err)
	require.EqualValues(t, 96*mebi, u.MemoryLimit, "what it is held to")

	f.put(filepath.Join(root, podShared, "s.two", "memory.events"), "oom 0\noom_kill 1\n")
	f.put(filepath.Join(root, podShared, "memory.events"), "oom 1\noom_kill 1\n")
	f.put(filepath.Join(root, podShared, "memory.current"), "100000000\n")
	f.put(filepath.Join(root, podShared, "s.two", "memory.peak"), "94371840\n")
	l, err := i.Watch(ctx, "two")
	require.NoError(t, err)
	require.Equal(t, "memory limit of 96.0 MiB, which the group shares, exceeded: usage 95.4 MiB, maximum usage 95.4 MiB, of which this task usage 0.0 MiB, "+
		"maximum usage 90.0 MiB, processes killed by the kernel 1", l.Message)
	over, cancel := context.WithCancel(ctx)
	cancel()
	for _, other := range []string{"one", "own"} {
		_, err = i.Watch(over, other)
		require.ErrorIs(t, err, context.Canceled, "it was not killed")
	}

	// Another run of the slave has one of those that share and not the other.
	f.mu.Lock()
	f.leave(root, "4194306")
	f.mu.Unlock()
	next := f.isolator()
	require.NoError(t, next.Recover(ctx, []isolation.Recovered{{Spec: memberSpec(t, "own", "true", "cpus:0.5;mem:64", false)},
		{Spec: memberSpec(t, "one", "true", "cpus:1;mem:32", true)}}))
	require.NoDirExists(t, filepath.Join(root, podShared, "s.two"))
	values(t, root, map[string]string{podShared + "/cpu.max": "110000 100000", podShared + "/memory.max": "100663296", podDir + "/cpu.weight": "160"})
	require.NoError(t, next.Update(ctx, "one", resource.Must("cpus:2;mem:32"), nil))
	values(t, root, map[string]string{podShared + "/cpu.max": "210000 100000", podShared + "/s.one/cpu.weight": "200", podShared + "/s.one/cpu.max": "max 100000"})
	require.NoError(t, next.Kill(ctx, "one"))
	values(t, root, map[string]string{podShared + "/cpu.max": "210000 100000", podDir + "/s.own/cgroup.procs": "4194304"})
	require.NoError(t, next.Cleanup(ctx, "one"))
	require.NoDirExists(t, filepath.Join(root, podShared))
	require.DirExists(t, filepath.Join(root, podDir, "s.own"))
	require.NoError(t, next.Kill(ctx, "own"))
	require.NoError(t, next.Cleanup(ctx, "own"))
	require.NoDirExists(t, filepath.Join(root, "meros"))
}

// The slave may end between any two steps; the next run makes good what is not finished.
func TestAGroupThatWasLeftHalfMadeIsFinishedOrRemoved(t *testing.T) {
	f, root := second(t)
	i := f.isolator()
	require.NoError(t, i.Prepare(ctx, memberSpec(t, "one", "true", "cpus:1;mem:32", true), &isolation.Plan{}))
	f.put(filepath.Join(root, podShared, "memory.max"), "max\n")
	next := f.isolator()
	require.NoError(t, next.Recover(ctx, []isolation.Recovered{{Spec: memberSpec(t, "one", "true", "cpus:1;mem:32", true)}}))
	values(t, root, map[string]string{podShared + "/memory.max": strconv.Itoa(48 * mebi)})
	require.NoError(t, next.Prepare(ctx, memberSpec(t, "one", "true", "cpus:1;mem:32", true), &isolation.Plan{}), "it had not been started")
	values(t, root, map[string]string{podShared + "/memory.max": strconv.Itoa(48 * mebi), podShared + "/cpu.max": "110000 100000"})
	require.NoError(t, f.kernel().rmdir(filepath.Join(root, podShared, "s.one")))
	last := f.isolator()
	require.NoError(t, last.Recover(ctx, nil))
	require.NoDirExists(t, filepath.Join(root, podDir), "nobody is in it")
	require.NoError(t, last.Prepare(ctx, memberSpec(t, "two", "true", "cpus:1;mem:32", true, offer.Limit{Name: "mem", Amount: offer.NoLimit}), &isolation.Plan{}))
	values(t, root, map[string]string{podShared + "/memory.max": "max", podShared + "/cpu.max": "110000 100000"})
	require.NoError(t, last.Prepare(ctx, memberSpec(t, "one", "true", "cpus:1;mem:32", true), &isolation.Plan{}))
	values(t, root, map[string]string{podShared + "/memory.max": "max"})
	require.NoError(t, last.Cleanup(ctx, "one"))
	require.NoError(t, last.Cleanup(ctx, "two"))
	require.NoError(t, last.Cleanup(ctx, "two"))
	require.NoDirExists(t, filepath.Join(root, "meros"))
}

func (f *fake) kernel() kernel { return f }

// grows takes some 49 MiB for a moment, and says so if it has survived that.
const grows = "head -c 52000000 /dev/zero | tail -c 51000000 | wc -c; echo survived; exec sleep 1000"

func TestWhatMembersOfAGroupShareIsTheSumAndTheOneThatTakesTooMuchIsKilled(t *testing.T) {
	i := real(t)
	calm := run(t, i, memberSpec(t, "calm", "exec sleep 1000", "cpus:0.2;mem:48", true))
	k := run(t, i, memberSpec(t, "grows", grows, "cpus:1;mem:16", true))
	eventually(t, "it takes what the other leaves", func() bool { return strings.Contains(k.output(), "51000000\nsurvived") })
	dir, h := i.group("calm").dir(memory)
	require.Equal(t, 1, h.version)
	limit, err := readNumber(filepath.Join(filepath.Dir(dir), "memory.limit_in_bytes"))
	require.NoError(t, err)
	require.EqualValues(t, 80*mebi, limit, "both, and what their executor has")
	over, cancel := context.WithCancel(ctx)
	cancel()
	_, err = i.Watch(over, "grows")
	require.ErrorIs(t, err, context.Canceled)

	watched := make(chan error, 1)
	alive, end := context.WithCancel(ctx)
	go func() {
		_, err := i.Watch(alive, "calm")
		watched <- err
	}()
	big := run(t, i, memberSpec(t, "big", "head -c 300000000 /dev/zero | tail -c 290000000 | wc -c; exec sleep 1000", "cpus:1;mem:16", true))
	l, err := i.Watch(ctx, "big")
	require.NoError(t, err)
	require.Equal(t, offer.ReasonContainerLimitationMemory, l.Reason)
	require.Regexp(t, `^memory limit of 96\.0 MiB, which the group shares, exceeded: usage [0-9.]+ MiB, maximum usage 9[56]\.[0-9] MiB, of which this task `+
		`usage [0-9.]+ MiB, maximum usage [0-9.]+ MiB, processes killed by the kernel 1$`, l.Message)
	require.InDelta(t, 96, float64(l.Resources.Mem())/1000, 1)
	t.Log(l.Message)
	end()
	require.ErrorIs(t, <-watched, context.Canceled, "the others are told nothing")
	_, err = i.Watch(over, "grows")
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, i.Kill(ctx, "big"))
	require.Error(t, big.wait(t))
	require.NoError(t, syscall.Kill(calm.cmd.Process.Pid, 0), "and go on")
	u, err := i.Usage(ctx, "calm")
	require.NoError(t, err)
	require.Equal(t, 1, u.Processes, "each is counted")
	require.EqualValues(t, 96*mebi, u.MemoryLimit)
	require.NoError(t, i.Cleanup(ctx, "big"))
	quota, err := readNumber(filepath.Join(filepath.Dir(i.mustDir(t, "calm", cpu)), "cpu.cfs_quota_us"))
	require.NoError(t, err)
	require.EqualValues(t, 130_000, quota, "without the one that has ended")
}

func (i *Isolator) mustDir(t *testing.T, container, controller string) string {
	dir, h := i.group(container).dir(controller)
	require.NotNil(t, h)
	return dir
}

func TestAMemberOfAGroupWithLimitsOfItsOwnIsKilledAlone(t *testing.T) {
	i := real(t, func(c *Config) { c.Processes = 100 })
	calm := run(t, i, memberSpec(t, "calm", "exec sleep 1000", "cpus:0.2;mem:512", false))
	big := run(t, i, memberSpec(t, "big", "head -c 200000000 /dev/zero | tail -c 199000000 | wc -c; exec sleep 1000", "cpus:1;mem:48", false))
	l, err := i.Watch(ctx, "big")
	require.NoError(t, err)
	require.Regexp(t, `^memory limit of 48\.0 MiB exceeded: usage [0-9.]+ MiB, maximum usage 4[78]`, l.Message)
	bomber := run(t, i, memberSpec(t, "bomb", bomb, "cpus:0.5;mem:256", false))
	eventually(t, "the bound is reached", func() bool {
		events, err := readTable(filepath.Join(i.mustDir(t, "bomb", pids), "pids.events"))
		return err == nil && events["max"] > 0
	})
	for _, c := range []string{"big", "bomb"} {
		require.NoError(t, i.Kill(ctx, c))
	}
	require.Error(t, big.wait(t))
	require.Error(t, bomber.wait(t))
	require.NoError(t, syscall.Kill(calm.cmd.Process.Pid, 0))
	require.EqualValues(t, 20_000, i.number(t, "calm", cpu, "cpu.cfs_quota_us"))
	require.EqualValues(t, 100, i.number(t, "calm", pids, "pids.max"))

	// The next run knows one, and ends the others.
	next, err := New(i.cfg)
	require.NoError(t, err)
	orphan := run(t, i, memberSpec(t, "orphan", "trap '' TERM; sleep 1000; sleep 1000", "cpus:0.1;mem:32", true))
	require.NoError(t, next.Recover(ctx, []isolation.Recovered{{Spec: memberSpec(t, "calm", "", "cpus:0.2;mem:512", false)}}))
	require.Error(t, orphan.wait(t))
	require.NoDirExists(t, i.mustDir(t, "orphan", memory))
	require.NoError(t, syscall.Kill(calm.cmd.Process.Pid, 0))
	list, err := readProcesses(next.mustDir(t, "calm", memory))
	require.NoError(t, err)
	require.Equal(t, []int{calm.cmd.Process.Pid}, list)
}

func TestAGroupsQuotaIsSharedAndItsKillTakesNoTurns(t *testing.T) {
	i := real(t)
	loops := "while :; do :; done & while :; do :; done"
	a := run(t, i, memberSpec(t, "a", loops, "cpus:0.2;mem:32", true))
	run(t, i, memberSpec(t, "b", loops, "cpus:0.2;mem:32", true))
	dir := filepath.Dir(i.mustDir(t, "a", cpu))
	for d := dir; filepath.Base(filepath.Dir(d)) != "cgroup"; d = filepath.Dir(d) { // so that a busy machine does not hold them instead
		if d != i.with(cpu).mount {
			require.NoError(t, i.kernel.write(filepath.Join(d, "cpu.shares"), number(mostShares)))
		}
	}
	eventually(t, "together they reach it", func() bool {
		stat, err := readTable(filepath.Join(dir, "cpu.stat"))
		return err == nil && stat["nr_throttled"] > 2
	})
	quota, err := readNumber(filepath.Join(dir, "cpu.cfs_quota_us"))
	require.NoError(t, err)
	require.EqualValues(t, 50_000, quota)
	stat, err := readTable(filepath.Join(dir, "s.a", "cpu.stat"))
	require.NoError(t, err)
	require.Zero(t, stat["nr_throttled"], "none has a quota of its own")
	require.NoError(t, i.Kill(ctx, "a"))
	require.Error(t, a.wait(t))
	quota, err = readNumber(filepath.Join(dir, "cpu.cfs_quota_us"))
	require.NoError(t, err)
	require.EqualValues(t, 50_000, quota, "the other is held as before")
}
