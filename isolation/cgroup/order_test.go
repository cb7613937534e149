package cgroup

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/isolationtest"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// done compares what was done to the tree, in its order, with lines.
func (f *fake) done(lines string) {
	f.t.Helper()
	require.Equal(f.t, strings.TrimSpace(strings.ReplaceAll(lines, "\t", "")), strings.Join(f.taken(), "\n"))
}

// What the documentation of version 2 asks for: a controller is handed down before there is a cgroup that uses it, no cgroup that hands any down
// has processes, and a container's limits are there before its first process is.
func TestEachWriteOfVersion2AndItsOrder(t *testing.T) {
	f, _ := second(t)
	i, err := newOn(Config{Slave: "s", Mounts: f.mounts}, f)
	require.NoError(t, err)
	made := f.taken()
	require.Equal(t, []string{"cgroup.subtree_control +cpu", "cgroup.subtree_control +memory", "cgroup.subtree_control +pids", "mkdir meros",
		"meros/memory.low max", "meros/cgroup.subtree_control +cpu", "meros/cgroup.subtree_control +memory", "meros/cgroup.subtree_control +pids"}, made[:8])
	require.Regexp(t, `^mkdir meros/s\.probe-\d+ rmdir meros/s\.probe-\d+ rmdir meros$`, strings.Join(made[8:], " "))

	spec := isolationtest.Spec(t, "c", "true")
	spec.Resources, spec.Limits = resource.Must("cpus:0.5;mem:64"), []offer.Limit{{Name: "mem", Amount: 128_000}}
	require.NoError(t, i.Prepare(ctx, spec, &isolation.Plan{}))
	require.NoError(t, i.Attach(ctx, "c", 1<<22))
	f.done(`mkdir meros
		meros/memory.low max
		meros/cgroup.subtree_control +cpu
		meros/cgroup.subtree_control +memory
		meros/cgroup.subtree_control +pids
		mkdir meros/s.c
		meros/s.c/cpu.weight 50
		meros/s.c/cpu.max 50000 100000
		meros/s.c/memory.low 67108864
		meros/s.c/memory.max 134217728
		meros/s.c/memory.oom.group 1
		meros/s.c/memory.swap.max 0
		meros/s.c/pids.max 4096
		meros/s.c/cgroup.procs 4194304`)
	require.NoError(t, i.Update(ctx, "c", resource.Must("cpus:1;mem:256"), []offer.Limit{{Name: "cpus", Amount: resource.MaxScalar}}))
	f.done(`meros/s.c/cpu.weight 100
		meros/s.c/cpu.max max 100000
		meros/s.c/memory.low 268435456
		meros/s.c/memory.max 268435456
		meros/s.c/memory.oom.group 1
		meros/s.c/memory.swap.max 0
		meros/s.c/pids.max 4096`)
	require.NoError(t, i.Cleanup(ctx, "c"), "which kills first")
	f.done(`meros/s.c/pids.max 0
		meros/s.c/cpu.max max 100000
		meros/s.c/cgroup.kill 1
		rmdir meros/s.c
		rmdir meros`)
}

func TestEachWriteOfVersion2ForAMemberThatSharesAndItsOrder(t *testing.T) {
	f, _ := second(t)
	i := f.isolator(func(c *Config) { c.Swap = true })
	require.NoError(t, i.Prepare(ctx, memberSpec(t, "one", "true", "cpus:1;mem:32", true), &isolation.Plan{}))
	require.NoError(t, i.Attach(ctx, "one", 1<<22))
	f.done(strings.NewReplacer("SHARED", podShared, "POD", podDir).Replace(`mkdir meros
		meros/memory.low max
		meros/cgroup.subtree_control +cpu
		meros/cgroup.subtree_control +memory
		meros/cgroup.subtree_control +pids
		mkdir POD
		POD/cgroup.subtree_control +cpu
		POD/cgroup.subtree_control +memory
		POD/cgroup.subtree_control +pids
		mkdir SHARED
		SHARED/cgroup.subtree_control +cpu
		SHARED/cgroup.subtree_control +memory
		SHARED/cgroup.subtree_control +pids
		mkdir SHARED/s.one
		POD/cpu.weight 110
		POD/cpu.max max 100000
		POD/memory.low 50331648
		POD/memory.max max
		POD/pids.max max
		SHARED/cpu.weight 110
		SHARED/cpu.max 110000 100000
		SHARED/memory.low 50331648
		SHARED/memory.max 50331648
		SHARED/pids.max 4096
		SHARED/s.one/cpu.weight 100
		SHARED/s.one/cpu.max max 100000
		SHARED/s.one/memory.low 33554432
		SHARED/s.one/memory.max max
		SHARED/s.one/memory.oom.group 1
		SHARED/s.one/pids.max max
		SHARED/s.one/cgroup.procs 4194304`))
	require.NoError(t, i.Kill(ctx, "one"))
	killed := f.taken()
	require.Equal(t, []string{podShared + "/s.one/pids.max 0", podShared + "/s.one/cpu.max max 100000", podShared + "/cpu.max max 100000",
		podShared + "/s.one/cgroup.kill 1"}, killed[:4])
	require.Contains(t, killed[4:], podShared+"/cpu.max 110000 100000", "which is only lifted for that time")
	require.NoError(t, i.Cleanup(ctx, "one"))
	require.Equal(t, []string{"rmdir " + podShared + "/s.one", "rmdir " + podShared, "rmdir " + podDir, "rmdir meros"}, f.taken())
}

// A cgroup in which processes are hands nothing down: whoever has put them there has to move them.
func TestProcessesWhereControllersAreHandedDownAreNamed(t *testing.T) {
	f, root := second(t)
	require.NoError(t, os.MkdirAll(filepath.Join(root, "system.slice"), 0o755))
	f.populate(filepath.Join(root, "system.slice"), "")
	f.put(filepath.Join(root, "system.slice", "cgroup.procs"), "77\n")
	_, err := newOn(Config{Slave: "s", Root: "system.slice/meros", Mounts: f.mounts}, f)
	require.ErrorIs(t, err, syscall.EBUSY)
	require.EqualError(t, err, "cgroup: cannot be used: "+root+"/system.slice holds processes, so that it cannot hand down cpu (move them to a cgroup of "+
		"their own): device or resource busy")
	require.NoDirExists(t, filepath.Join(root, "system.slice", "meros"))

	// So it is later: of a task that has moved itself up, the next container's start says so, and the one after it works.
	f.put(filepath.Join(root, "system.slice", "cgroup.procs"), "")
	i, err := newOn(Config{Slave: "s", Root: "system.slice/meros", Mounts: f.mounts}, f)
	require.NoError(t, err)
	require.NoError(t, f.mkdir(filepath.Join(root, "system.slice", "meros")))
	f.put(filepath.Join(root, "system.slice", "meros", "cgroup.procs"), "78\n")
	spec := isolationtest.Spec(t, "c", "true")
	err = i.Prepare(ctx, spec, &isolation.Plan{})
	require.ErrorIs(t, err, syscall.EBUSY)
	require.ErrorContains(t, err, "system.slice/meros holds processes, so that it cannot hand down cpu")
	f.put(filepath.Join(root, "system.slice", "meros", "cgroup.procs"), "")
	require.NoError(t, i.Prepare(ctx, spec, &isolation.Plan{}))
	require.NoError(t, i.Cleanup(ctx, "c"))
}
