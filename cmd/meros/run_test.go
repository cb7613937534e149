package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRunCopiesOutputByteForByte(t *testing.T) {
	c := startCluster(t, 1, 1)
	copied := filepath.Join(openFolder(t), "copy")
	out, errs, code := meros(t, c.args("run", "--cpus", "0.1", "--mem", "32", "--", "sh", "-c",
		"echo to stderr >&2; head -c 5000000 /dev/urandom | tee "+copied+"; echo at the end >&2")...)
	require.Zero(t, code, errs)
	want, err := os.ReadFile(copied)
	require.NoError(t, err)
	require.Len(t, want, 5_000_000)
	require.True(t, bytes.Equal(want, []byte(out)), "%d bytes came", len(out))
	require.Equal(t, "to stderr\nat the end\n", errs)

	out, errs, code = meros(t, c.args("run", "--cpus", "0.1", "--mem", "32", "-e", "A=1 2", "--env", "B=x=y", "--on", "hostname=slave-1", "--on", "rack=slave-1",
		"--", "sh", "-c", `printf '%s|%s' "$A" "$B"`)...)
	require.Zero(t, code, errs)
	require.Equal(t, "1 2|x=y", out)

	for _, program := range []string{"/no/such/program", "no-such-program"} {
		out, errs, code = meros(t, c.args("run", "--cpus", "0.1", "--mem", "32", "--", program)...)
		require.Equal(t, 1, code)
		require.Empty(t, out)
		require.Equal(t, 1, strings.Count(errs, "\n"), errs)
		require.Contains(t, errs, program)
	}
}

func TestAnInterruptKillsTheCommandAndTwoLeaveItAlone(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 1, 1)
	for signal, status := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143} {
		p := background(t, c.args("run", "--name", "patient", "--cpus", "0.1", "--mem", "32", "--", "sh", "-c", "echo ready; exec sleep 1000")...)
		eventually(t, "it runs", func() bool { return p.stdout.String() == "ready\n" })
		require.NoError(t, p.cmd.Process.Signal(signal))
		require.Equal(t, status, p.wait(), p.stderr.String())
		require.Contains(t, p.stderr.String(), "killing the command")
		eventually(t, "it is gone", func() bool { return c.running("patient") == 0 })
	}

	// A command that waits for an offer is not there to be killed.
	p := background(t, c.args("run", "--cpus", "0.1", "--mem", "32", "--on", "rack=nowhere", "--", "true")...)
	eventually(t, "it says what it waits for", func() bool { return strings.Contains(p.stderr.String(), "waiting for an offer") })
	require.Contains(t, p.stderr.String(), "rack=nowhere")
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGINT))
	require.Equal(t, 130, p.wait())

	// One that takes its time after the first interrupt is left behind by the second, and ends when the failover timeout is over.
	p = background(t, c.args("run", "--name", "stubborn", "--failover-timeout", "100ms", "--cpus", "0.1", "--mem", "32", "--",
		"sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done")...)
	eventually(t, "it runs", func() bool { return p.stdout.String() == "ready\n" })
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGINT))
	eventually(t, "the interrupt is heard", func() bool { return strings.Contains(p.stderr.String(), "killing the command") })
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGINT))
	require.Equal(t, -1, p.wait())
	require.Equal(t, syscall.SIGINT, p.cmd.ProcessState.Sys().(syscall.WaitStatus).Signal())
	eventually(t, "it is gone", func() bool {
		return c.running("stubborn") == 0 && len(processesOf(filepath.Join(c.dir, "slave-1")+"/")) == 0
	})
}

func TestACommandWhoseOutputNobodyReadsIsEnded(t *testing.T) {
	c := startCluster(t, 1, 1)
	read, write, err := os.Pipe()
	require.NoError(t, err)
	cmd := exec.Command(binary, c.args("run", "--name", "talker", "--failover-timeout", "1h", "--cpus", "0.1", "--mem", "32", "--", "yes")...)
	cmd.Stdout = write
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	require.NoError(t, write.Close())
	_, err = io.ReadFull(read, make([]byte, 1000))
	require.NoError(t, err)
	require.NoError(t, read.Close())
	eventually(t, "the run ends", func() bool { return len(ended) == 1 })
	<-ended
	require.Equal(t, 128+int(syscall.SIGPIPE), cmd.ProcessState.ExitCode())
	require.Zero(t, c.running("talker"))
}

func TestRunStreamsOnAfterTheSlaveWasKilled(t *testing.T) {
	c := startCluster(t, 1, 1)
	dir := openFolder(t)
	gate := func(i int) string { return filepath.Join(dir, fmt.Sprint("gate-", i)) }
	script := "echo one"
	for i := range 2 {
		script += fmt.Sprintf("; while [ ! -e %s ]; do sleep 0.05; done; echo line %d", gate(i), i)
	}
	p := background(t, c.args("run", "--name", "steady", "--cpus", "0.1", "--mem", "32", "--", "sh", "-c", script+"; exit 7")...)
	eventually(t, "the first line is here", func() bool { return p.stdout.String() == "one\n" })
	c.slaves[0].kill()
	require.NoError(t, os.WriteFile(gate(0), nil, 0o600)) // written while nobody serves it
	c.slaves[0].start()
	eventually(t, "the second line is here", func() bool { return p.stdout.String() == "one\nline 0\n" })
	require.NoError(t, os.WriteFile(gate(1), nil, 0o600))
	require.Equal(t, 7, p.wait(), p.stderr.String())
	require.Equal(t, "one\nline 0\nline 1\n", p.stdout.String())
}

func TestACommandThatIsNotWellIsKilled(t *testing.T) {
	c := startCluster(t, 1, 1)
	well := filepath.Join(openFolder(t), "well")
	require.NoError(t, os.WriteFile(well, nil, 0o600))
	p := background(t, c.args("run", "--name", "frail", "--cpus", "0.1", "--mem", "32", "--health-cmd", "test -e "+well, "--health-delay", "0",
		"--health-interval", "100ms", "--health-failures", "2", "--health-grace", "0", "--", "sleep", "1000")...)
	eventually(t, "it is healthy", func() bool {
		tasks := c.tasks()
		return len(tasks) == 1 && tasks[0].health() == "healthy"
	})
	table, errs, code := meros(t, c.args("tasks")...)
	require.Zero(t, code, errs)
	require.Contains(t, table, "TASK_RUNNING  healthy")
	require.NoError(t, os.Remove(well))
	require.Equal(t, 143, p.wait())
	require.Contains(t, p.stderr.String(), "meros: the command is unhealthy: health check: exit status 1\n")
	require.Contains(t, p.stderr.String(), "it failed its health check 2 times in a row, at last with: exit status 1 (REASON_TASK_HEALTH_CHECK_STATUS_UPDATED)")
}

func TestRunSaysWhatTheCheckOfItsCommandComesTo(t *testing.T) {
	c := startCluster(t, 1, 1)
	status := filepath.Join(openFolder(t), "status")
	say := func(code string) { // what is looked at is never half written
		require.NoError(t, os.WriteFile(status+".new", []byte(code), 0o644))
		require.NoError(t, os.Rename(status+".new", status))
	}
	say("3")
	p := background(t, c.args("run", "--cpus", "0.1", "--mem", "32", "--check-cmd", "exit $(cat "+status+")", "--check-delay", "0",
		"--check-interval", "100ms", "--check-timeout", "1m", "--", "sh", "-c", "while [ ! -e "+status+".end ]; do sleep 0.1; done; exit 7")...)
	eventually(t, "it says the first", func() bool {
		return strings.HasSuffix(p.stderr.String(), "meros: the check of the command: exit status 3\n")
	})
	say("0")
	eventually(t, "it says the next", func() bool {
		return strings.HasSuffix(p.stderr.String(), "meros: the check of the command: exit status 0\n")
	})
	require.NoError(t, os.WriteFile(status+".end", nil, 0o644))
	require.Equal(t, 7, p.wait(), "a check only tells")
	require.Equal(t, 2, strings.Count(p.stderr.String(), "\n"), p.stderr.String())

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	port := fmt.Sprint(taken.Addr().(*net.TCPAddr).Port)
	p = background(t, c.args("run", "--cpus", "0.1", "--mem", "32", "--check-tcp", port, "--check-delay", "0", "--", "sleep", "1000")...)
	eventually(t, "there is a connection", func() bool { return p.stderr.String() == "meros: the check of the command: connected\n" })
	p.end()
}

func TestACommandWithALeaseEndsWhenItsSlaveIsOutOfTouch(t *testing.T) {
	c := startCluster(t, 1, 1)
	p := background(t, c.args("run", "--cpus", "0.1", "--mem", "32", "--lease", "6s", "--", "sh", "-c", "echo ready; exec sleep 1000")...)
	eventually(t, "it runs", func() bool { return p.stdout.String() == "ready\n" })
	c.masters[c.seeds].kill()
	eventually(t, "it is gone", func() bool { return len(processesOf(filepath.Join(c.dir, "slave-1")+"/")) == 0 })
	c.masters[c.seeds].start()
	require.Contains(t, []int{1, 137}, p.wait(), "its end, as the slave tells it or the master")
	require.Contains(t, p.stderr.String(), "TASK_GONE: its lease ")
}

func TestRunSaysThatNoMasterAnswers(t *testing.T) {
	t.Parallel()
	nobody := ports(t, 2)
	p := background(t, "run", "--master", strings.Join(nobody, ","), "--", "true")
	eventually(t, "it says what it waits for", func() bool { return strings.Contains(p.stderr.String(), "waiting for a master") })
	require.Contains(t, p.stderr.String(), nobody[0])
	require.Contains(t, p.stderr.String(), nobody[1])
	require.Contains(t, p.stderr.String(), "refused")
	require.NoError(t, p.cmd.Process.Signal(syscall.SIGTERM))
	require.Equal(t, 143, p.wait())

	// With the master, the same run goes on: it may be started before its cluster.
	dir := folder(t)
	early := background(t, "run", "--master", nobody[0], "--cpus", "0.1", "--mem", "32", "--", "echo", "at last")
	eventually(t, "it waits", func() bool { return strings.Contains(early.stderr.String(), "waiting") })
	startNode(t, dir, "master", "master", "--listen", nobody[0], "--work-dir", filepath.Join(dir, "m"))
	startNode(t, dir, "slave", "slave", "--listen", nobody[1], "--master", nobody[0], "--work-dir", filepath.Join(dir, "s"), "--resources", "cpus:1;mem:64")
	require.Zero(t, early.wait(), early.stderr.String())
	require.Equal(t, "at last\n", early.stdout.String())
}

func TestTasksAreListedAndFiltered(t *testing.T) {
	c := startCluster(t, 1, 1)
	var runs []*job
	for _, name := range []string{"first", "second"} {
		runs = append(runs, background(t, c.args("run", "--name", name, "--cpus", "0.1", "--mem", "32", "--", "sleep", "1000")...))
	}
	eventually(t, "both run", func() bool { return c.running("first")+c.running("second") == 2 })
	tasks := c.tasks()
	require.Len(t, tasks, 2)
	require.NotEqual(t, tasks[0].FrameworkID, tasks[1].FrameworkID)

	of := list[taskRow](t, c.args("tasks", "--framework", tasks[0].FrameworkID)...)
	require.Equal(t, tasks[:1], of)
	require.Len(t, list[taskRow](t, c.args("tasks", "--state", "TASK_RUNNING")...), 2)
	require.Empty(t, list[taskRow](t, c.args("tasks", "--state", "TASK_FINISHED")...))
	out, errs, code := meros(t, c.args("tasks", "--state", "TASK_FINISHED", "--json")...)
	require.Zero(t, code, errs)
	require.Equal(t, "[]\n", out)
	_, errs, code = meros(t, c.args("tasks", "--state", "running")...)
	require.Equal(t, 2, code)
	require.Contains(t, errs, "TASK_RUNNING")

	table, errs, code := meros(t, c.args("tasks")...)
	require.Zero(t, code, errs)
	lines := strings.Split(strings.TrimSpace(table), "\n")
	require.Equal(t, []string{"TASK", "NAME", "STATE", "HEALTH", "FRAMEWORK", "SLAVE"}, strings.Fields(lines[0]))
	require.Len(t, lines, 3)
	for i, task := range tasks {
		require.Equal(t, []string{task.ID, task.Name, "TASK_RUNNING", "-", task.FrameworkID, task.SlaveID}, strings.Fields(lines[1+i]))
	}
	for _, p := range runs {
		require.NoError(t, p.cmd.Process.Signal(syscall.SIGINT))
		require.Equal(t, 130, p.wait())
	}
}
