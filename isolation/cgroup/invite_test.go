package cgroup

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/isolationtest"
	"github.com/meros-project/meros/isolation/process"
)

// moves counts the processes that are moved.
type moves struct {
	realKernel

	mu sync.Mutex
	n  int
}

func (m *moves) write(path, value string) error {
	if filepath.Base(path) == "cgroup.procs" {
		m.mu.Lock()
		m.n++
		m.mu.Unlock()
	}
	return m.realKernel.write(path, value)
}

func TestAProcessThatJoinsByItselfIsNotMovedAndOneThatDoesNotIs(t *testing.T) {
	i := real(t)
	i.hierarchies = slices.DeleteFunc(i.hierarchies, func(h *hierarchy) bool { return h.version == 2 }) // which a shell cannot begin in
	k := &moves{}
	i.kernel = k
	for name, line := range map[string]string{"joins": "for f in \"$@\"; do echo 0 > $f || exit 1; done; read end", "does-not": "read end"} {
		k.n = 0
		plan := &isolation.Plan{Cgroups: &isolation.Cgroups{}}
		require.NoError(t, i.Prepare(ctx, isolationtest.Spec(t, name, "true"), plan))
		require.Len(t, plan.Cgroups.Tasks, len(i.hierarchies))
		require.Empty(t, plan.Cgroups.Folder)
		cmd := exec.Command("/bin/sh", append([]string{"-c", line, "sh"}, plan.Cgroups.Tasks...)...)
		end, err := cmd.StdinPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		if name == "joins" {
			eventually(t, "it has joined", func() bool { is, err := i.isIn(i.group(name), cmd.Process.Pid); return err == nil && is })
		}
		require.NoError(t, i.Attach(ctx, name, cmd.Process.Pid))
		is, err := i.isIn(i.group(name), cmd.Process.Pid)
		require.NoError(t, err)
		require.True(t, is, name)
		require.Equal(t, map[string]int{"joins": 0, "does-not": len(i.hierarchies)}[name], k.n, name)
		for _, h := range i.hierarchies {
			procs, err := readProcesses(i.group(name).in(h))
			require.NoError(t, err)
			require.Contains(t, procs, cmd.Process.Pid)
		}
		require.NoError(t, end.Close())
		_ = cmd.Wait()
		require.NoError(t, i.Attach(ctx, name, cmd.Process.Pid), "one that has ended is nobody's")
		require.NoError(t, i.Cleanup(ctx, name))
	}
}

func TestAFileIsWrittenValueByValueAndTheOneThatIsRefusedIsNamed(t *testing.T) {
	i := real(t)
	require.NoError(t, i.Prepare(ctx, isolationtest.Spec(t, "c", "true"), &isolation.Plan{}))
	dir, _ := i.group("c").dir(devices)
	list := filepath.Join(dir, "devices.list")
	require.NoError(t, writeAll(i.kernel, filepath.Join(dir, "devices.deny"), "c 1:3 rwm", "c 1:5 rwm"))
	b, err := process.ReadFile(list)
	require.NoError(t, err)
	require.NotContains(t, string(b), "c 1:3 ")
	require.NotContains(t, string(b), "c 1:5 ")
	require.Contains(t, string(b), "c 1:7 ")
	err = writeAll(i.kernel, filepath.Join(dir, "devices.deny"), "c 1:7 rwm", "nonsense", "c 1:8 rwm")
	require.ErrorIs(t, err, syscall.EINVAL)
	require.ErrorContains(t, err, strconv.Quote("nonsense"))
	b, err = process.ReadFile(list)
	require.NoError(t, err)
	require.NotContains(t, string(b), "c 1:7 ")
	require.True(t, strings.Contains(string(b), "c 1:8 "), "what follows is not written")
	require.NoError(t, i.Cleanup(ctx, "c"))
}
