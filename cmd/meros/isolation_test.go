package main

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/isolation/isolationtest"
)

func TestWhatTasksAreHeldByIsChosenByAFlag(t *testing.T) {
	dir := folder(t)
	for want, args := range map[string][]string{
		`--isolation "process,jail": must be of process, cgroup`:               {"--isolation", "process,jail"},
		`--isolation "process,process": must not hold a name twice`:            {"--isolation", "process", "--isolation", "process"},
		`--isolation "cgroup": must hold process, which says what to start`:    {"--isolation", "cgroup"},
		`--cgroup-root "../x": must be a path below where cgroups are mounted`: {"--cgroup-root", "../x"},
		`--task-processes "-1": must be zero or more`:                          {"--task-processes", "-1"},
	} {
		_, errs, code := meros(t, append([]string{"slave", "--listen", "127.0.0.1:0", "--master", "127.0.0.1:1", "--work-dir", dir}, args...)...)
		require.Equal(t, 2, code, errs)
		require.Contains(t, errs, want)
	}
	_, errs, code := meros(t, "dev", "--isolation", "jail")
	require.Equal(t, 2, code, errs)
	require.Contains(t, errs, `--isolation "jail": must be of process, cgroup`)
}

func TestATaskOverItsMemoryFailsWithTheNumbers(t *testing.T) {
	isolationtest.NeedsRoot(t)
	dir, addresses := folder(t), ports(t, 2)
	t.Setenv("TMPDIR", dir) // of the processes that this test starts
	dev := startNode(t, dir, "dev", "dev", "--listen", addresses[0], "--slave-listen", addresses[1], "--resources", "cpus:1;mem:64",
		"--isolation", "process,cgroup")
	_, errs, code := meros(t, "run", "--master", addresses[0], "--cpus", "0.5", "--mem", "32", "--", "sh", "-c",
		"head -c 100000000 /dev/zero | tail -c 99000000 | wc -c; exec sleep 1000")
	require.NotZero(t, code)
	require.Contains(t, errs, "memory limit of 32.0 MiB exceeded: usage ")
	require.Contains(t, dev.said(), "isolators=process,cgroup")
	dev.signal(syscall.SIGTERM)
	require.Zero(t, dev.exit())
}
