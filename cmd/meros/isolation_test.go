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
		`--task-disk "-1": must be 0 or more`:                                  {"--task-disk", "-1"},
		`--disk-headroom "1.5": must be at most 1`:                             {"--disk-headroom", "1.5"},
		`--ready-supervisors "-1": must be 0 or more`:                          {"--ready-supervisors", "-1"},
		`--sandbox-age "-1s": must be more than zero`:                          {"--sandbox-age", "-1s"},
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

func TestATaskOverItsDiskFailsWithTheNumbers(t *testing.T) {
	dir, addresses := folder(t), ports(t, 2)
	dev := startNode(t, dir, "dev", "dev", "--listen", addresses[0], "--slave-listen", addresses[1], "--resources", "cpus:1;mem:64;disk:64",
		"--isolation", "process,disk,ports", "--work-dir", dir+"/work")
	_, errs, code := meros(t, "run", "--master", addresses[0], "--cpus", "0.5", "--mem", "32", "--disk", "2", "--", "sh", "-c",
		"head -c 4194304 /dev/zero > data; exec sleep 1000")
	require.NotZero(t, code)
	require.Contains(t, errs, "disk limit of 2.0 MiB exceeded: the sandbox holds ")
	require.Contains(t, errs, "(REASON_CONTAINER_LIMITATION_DISK)")
	require.Contains(t, dev.said(), "isolators=process,disk,ports")
	dev.signal(syscall.SIGTERM)
	require.Zero(t, dev.exit())
}
