package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// task runs a command in the background and returns it with the task's id, once it has printed a line.
func (c *cluster) task(line string, flags ...string) (*job, string) {
	c.t.Helper()
	args := append(c.args("run", "--cpus", "0.1", "--mem", "64"), flags...)
	known := map[string]bool{}
	for _, row := range c.tasks() {
		known[row.ID] = true
	}
	j := background(c.t, append(args, "--", "sh", "-c", line)...)
	id := ""
	eventually(c.t, "the task runs and has printed", func() bool {
		for _, row := range c.tasks() {
			if !known[row.ID] && row.State == "TASK_RUNNING" {
				id = row.ID
			}
		}
		return id != "" && strings.Contains(j.stdout.String(), "\n")
	})
	return j, id
}

// with runs the program with an input.
func with(t *testing.T, input string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.Command(binary, args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &errs
	_ = cmd.Run()
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// A screen is a terminal for a program, and whoever sits at it.
type screen struct {
	t      *testing.T
	master *os.File
	shown  safeBuffer
	closed chan struct{}
	job    *job
}

// onScreen starts the program on a terminal of 30 rows and 90 columns.
func onScreen(t *testing.T, args ...string) *screen {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	require.NoError(t, err)
	require.NoError(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	require.NoError(t, unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 30, Col: 90}))
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	require.NoError(t, err)
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	require.NoError(t, err)
	defer slave.Close()
	s := &screen{t: t, master: os.NewFile(uintptr(fd), "screen"), closed: make(chan struct{})}
	s.job = &job{t: t, cmd: exec.Command(binary, args...), done: make(chan struct{})}
	s.job.cmd.Stdin, s.job.cmd.Stdout, s.job.cmd.Stderr = slave, slave, slave
	s.job.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	require.NoError(t, s.job.cmd.Start())
	go func() {
		_ = s.job.cmd.Wait()
		close(s.job.done)
	}()
	go func() {
		defer close(s.closed)
		b := make([]byte, 4096)
		for {
			n, err := s.master.Read(b)
			_, _ = s.shown.Write(b[:n])
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = s.job.cmd.Process.Kill()
		<-s.job.done
		_ = s.master.Close()
		<-s.closed
		if t.Failed() {
			t.Logf("meros %s showed %q", strings.Join(args, " "), s.shown.String())
		}
	})
	return s
}

func (s *screen) types(text string) {
	_, err := s.master.WriteString(text)
	require.NoError(s.t, err)
}

func (s *screen) resize(rows, columns uint16) {
	raw, err := s.master.SyscallConn()
	require.NoError(s.t, err)
	require.NoError(s.t, raw.Control(func(fd uintptr) {
		require.NoError(s.t, unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns}))
	}))
}

func (s *screen) shows(text string) {
	s.t.Helper()
	eventually(s.t, "the screen shows "+text, func() bool { return strings.Contains(s.shown.String(), text) })
}

func TestExecRunsACommandInARunningTask(t *testing.T) {
	c := startCluster(t, 1, 1)
	task, id := c.task("echo up; exec sleep 1000")
	exec := func(args ...string) []string { return c.args("exec", append([]string{id, "--"}, args...)...) }
	out, errs, code := with(t, "", exec("sh", "-c", "echo $MESOS_TASK_ID; echo oops >&2; exit 3")...)
	require.Equal(t, 3, code, errs)
	require.Equal(t, id+"\n", out)
	require.Equal(t, "oops\n", errs)
	big := strings.Repeat("0123456789", 100_000)
	out, errs, code = with(t, big, exec("cat")...)
	require.Zero(t, code, errs)
	require.True(t, big == out, "%d bytes of %d", len(out), len(big))
	_, errs, code = with(t, "", exec("sh", "-c", "kill -9 $$")...)
	require.Equal(t, 137, code, errs)
	out, errs, code = with(t, "ignored", c.args("exec", "-n", "-e", "A=b c", id, "--", "sh", "-c", `cat; echo "$A"`)...)
	require.Zero(t, code, errs)
	require.Equal(t, "b c\n", out)
	_, errs, code = with(t, "", exec("/no/such/program")...)
	require.Equal(t, 1, code)
	require.Contains(t, errs, "no such file")
	_, errs, code = with(t, "", c.args("exec", "nobody", "--", "true")...)
	require.Equal(t, 1, code)
	require.Contains(t, errs, `task "nobody": no such task`)
	_, errs, code = with(t, "", c.args("exec", "-t", id, "--", "true")...)
	require.Equal(t, 2, code)
	require.Contains(t, errs, "--terminal")

	waiting := background(t, exec("sh", "-c", "trap 'exit 9' INT; echo ready; while :; do sleep 0.1; done")...)
	eventually(t, "the command is ready", func() bool { return waiting.stdout.String() == "ready\n" })
	require.NoError(t, waiting.cmd.Process.Signal(os.Interrupt))
	require.Equal(t, 9, waiting.wait())

	task.end()
	_, errs, code = with(t, "", exec("true")...)
	require.Equal(t, 1, code)
	require.Regexp(t, "has ended|no such task", errs)
}

func TestExecHasATerminalThatFollowsMine(t *testing.T) {
	c := startCluster(t, 1, 1)
	task, id := c.task("echo up; exec sleep 1000")
	s := onScreen(t, c.args("exec", "-t", id, "--", "sh", "-c", "stty size; trap 'stty size' WINCH; while :; do read word && echo got $word; done")...)
	s.shows("30 90\r\n")
	s.types("hello\n")
	s.shows("got hello\r\n")
	s.resize(40, 100)
	s.shows("40 100\r\n")
	s.types("\x03")
	<-s.job.done
	require.Equal(t, 130, s.job.cmd.ProcessState.ExitCode(), "Ctrl-C is the command's")
	task.end()
}

func TestASlaveThatIsKilledEndsACommandAndNotTheTask(t *testing.T) {
	c := startCluster(t, 1, 1)
	task, id := c.task("echo up; exec sleep 1000")
	// Its number is another one in a container with processes of its own.
	mark := fmt.Sprintf("%d.%d", 100_000, os.Getpid())
	runs := func() bool {
		files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, f := range files {
			if line, err := os.ReadFile(f); err == nil && bytes.HasPrefix(line, []byte("sleep\x00"+mark+"\x00")) {
				return true
			}
		}
		return false
	}
	exec := background(t, c.args("exec", id, "--", "sleep", mark)...)
	eventually(t, "the command runs", runs)
	c.slaves[0].kill()
	require.Equal(t, 1, exec.wait())
	require.Contains(t, exec.stderr.String(), "lost")
	eventually(t, "the command has ended", func() bool { return !runs() })
	c.slaves[0].start()
	eventually(t, "another command runs in the same task", func() bool {
		out, _, code := with(t, "", c.args("exec", id, "--", "echo", "back")...)
		return code == 0 && out == "back\n"
	})
	task.end()
}

func TestAttachShowsWhatATaskPrintsAndLeavesItRunning(t *testing.T) {
	c := startCluster(t, 1, 1)
	go1 := filepath.Join(openFolder(t), "go")
	task, id := c.task("echo before; while [ ! -e " + go1 + " ]; do echo tick; sleep 0.1; done; echo last >&2; exit 5")
	leaving := background(t, c.args("attach", id)...)
	eventually(t, "it shows something", func() bool { return strings.Contains(leaving.stdout.String(), "tick\n") })
	require.NoError(t, leaving.cmd.Process.Signal(os.Interrupt))
	require.Equal(t, 130, leaving.wait())
	require.Contains(t, leaving.stderr.String(), "the task goes on")
	require.NotContains(t, leaving.stdout.String(), "before")
	staying := background(t, c.args("attach", id)...)
	eventually(t, "it shows something", func() bool { return strings.Contains(staying.stdout.String(), "tick\n") })
	require.NoError(t, os.WriteFile(go1, nil, 0o644))
	require.Equal(t, 5, staying.wait())
	require.Equal(t, "last\n", staying.stderr.String())
	require.Equal(t, 5, task.wait())
}

func TestATaskReadsWhatIsTyped(t *testing.T) {
	c := startCluster(t, 1, 1)
	out, errs, code := with(t, "one\ntwo\n", c.args("run", "-i", "--cpus", "0.1", "--mem", "64", "--", "sh", "-c", "echo first; cat; exit 6")...)
	require.Equal(t, 6, code, errs)
	require.Equal(t, "first\none\ntwo\n", out)

	s := onScreen(t, c.args("run", "-t", "--cpus", "0.1", "--mem", "64", "--", "sh", "-c", "printf 'name? '; read name; stty size; echo hello $name; read more; exit 7")...)
	s.shows("name? ")
	s.types("me\n")
	s.shows("30 90\r\nhello me\r\n")
	second := onScreen(t, c.args("attach", "-n", c.tasks()[len(c.tasks())-1].ID)...)
	second.types("\x10\x11") // not where nothing is typed
	s.types("\n")
	<-s.job.done
	require.Equal(t, 7, s.job.cmd.ProcessState.ExitCode())
	<-second.job.done
}

func TestATerminalIsLeftByItsKeys(t *testing.T) {
	for _, c := range []struct {
		typed string
		rest  string
		left  bool
	}{{"abc", "abc", false}, {"a\x10\x11b", "", true}, {"\x10a", "\x10a", false}, {"\x10\x10\x11", "", true}, {"\x11", "\x11", false}} {
		rest, half, left := leaves([]byte(c.typed), false)
		require.Equal(t, c.left, left, "%q", c.typed)
		require.False(t, half)
		if !left {
			require.Equal(t, c.rest, string(rest))
		}
	}
	rest, half, left := leaves([]byte("a\x10"), false)
	require.Equal(t, "a", string(rest))
	require.True(t, half && !left)
	_, _, left = leaves([]byte("\x11"), half)
	require.True(t, left)
}

func TestSessionsCanBeForbidden(t *testing.T) {
	c := startCluster(t, 1, 0)
	address := ports(t, 1)[0]
	c.slaves = append(c.slaves, startNode(t, c.dir, "slave", "slave", "--listen", address, "--master", c.seeds, "--work-dir", filepath.Join(c.dir, "slave"),
		"--resources", "cpus:1;mem:256", "--sessions=false"))
	task, id := c.task("echo up; exec sleep 1000")
	_, errs, code := with(t, "", c.args("exec", id, "--", "true")...)
	require.Equal(t, 1, code)
	require.Contains(t, errs, "sessions are off")
	task.end()
}
