package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meros-project/meros/internal/loopback"
	"github.com/stretchr/testify/require"
)

// binary is the real program, built once for all tests of this package.
var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "meros-test-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary = filepath.Join(dir, "meros")
		if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// eventually waits for a condition on real processes, which no bubble can hold.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(45 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if cond() {
			return
		}
	}
	t.Fatalf("not in time: %s", what)
}

// ports returns n loopback addresses that nobody else is given until the test has ended.
func ports(t *testing.T, n int) []string {
	t.Helper()
	addresses := make([]string, n)
	for i := range addresses {
		p, err := loopback.Keep()
		require.NoError(t, err)
		t.Cleanup(p.Free)
		addresses[i] = p.Address()
	}
	return addresses
}

// A node is one long-running process that can be killed and started again with the same arguments.
type node struct {
	t    *testing.T
	name string
	args []string
	log  string
	cmd  *exec.Cmd
	done chan struct{}
}

func startNode(t *testing.T, dir, name string, args ...string) *node {
	n := &node{t: t, name: name, args: args, log: filepath.Join(dir, name+".log")}
	n.start()
	t.Cleanup(func() {
		n.kill()
		if t.Failed() {
			if out, err := os.ReadFile(n.log); err == nil {
				t.Logf("log of %s:\n%s", name, tail(out, 4000))
			}
		}
	})
	return n
}

func tail(b []byte, n int) []byte { return b[max(0, len(b)-n):] }

func (n *node) start() {
	n.t.Helper()
	log, err := os.OpenFile(n.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(n.t, err)
	defer log.Close()
	n.cmd = exec.Command(binary, n.args...)
	n.cmd.Stdout, n.cmd.Stderr = log, log
	require.NoError(n.t, n.cmd.Start())
	n.done = make(chan struct{})
	go func(cmd *exec.Cmd, done chan struct{}) {
		_ = cmd.Wait()
		close(done)
	}(n.cmd, n.done)
}

// kill is kill -9, and waits until the process is gone.
func (n *node) kill() {
	_ = n.cmd.Process.Kill()
	<-n.done
}

// signal sends a signal; exit waits for the process to end of its own accord.
func (n *node) signal(s os.Signal) { require.NoError(n.t, n.cmd.Process.Signal(s)) }

func (n *node) exit() int {
	n.t.Helper()
	select {
	case <-n.done:
	case <-time.After(45 * time.Second):
		n.t.Fatalf("%s does not end", n.name)
	}
	return n.cmd.ProcessState.ExitCode()
}

// said is what the process has written so far, in all of its runs.
func (n *node) said() string {
	b, err := os.ReadFile(n.log)
	require.NoError(n.t, err)
	return string(b)
}

// meros runs the program to its end.
func meros(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	stdout, stderr, code, err := run(args...)
	require.NoError(t, err, "meros %s; stderr: %s", strings.Join(args, " "), stderr)
	return stdout, stderr, code
}

// run is meros for goroutines other than the test's.
func run(args ...string) (stdout, stderr string, code int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err = cmd.Run()
	if errors.As(err, new(*exec.ExitError)) && ctx.Err() == nil {
		err = nil
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode(), err
}

// A job is one run of the program in the background.
type job struct {
	t              *testing.T
	cmd            *exec.Cmd
	stdout, stderr safeBuffer
	done           chan struct{}
}

// safeBuffer may be read while it is written.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// background starts the program and does not wait for it.
func background(t *testing.T, args ...string) *job {
	t.Helper()
	p := &job{t: t, cmd: exec.Command(binary, args...), done: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	require.NoError(t, p.cmd.Start())
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("meros %s said %q and %q", strings.Join(args, " "), tail([]byte(p.stdout.String()), 500), p.stderr.String())
		}
	})
	return p
}

// end interrupts a command, which ends its task.
func (p *job) end() {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(os.Interrupt))
	require.Equal(p.t, 130, p.wait())
}

// wait returns the exit status, -1 if a signal has ended the program.
func (p *job) wait() int {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(45 * time.Second):
		p.t.Fatal("the command does not end")
	}
	return p.cmd.ProcessState.ExitCode()
}

// openFolder is a folder in which tasks can write: slaves that run as root run them as nobody.
func openFolder(t *testing.T) string {
	dir, err := os.MkdirTemp("", "meros-notes-")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o777))
	return dir
}

// list decodes the JSON output of a command; nil while there is no leader to ask.
func list[T any](t *testing.T, args ...string) []T {
	t.Helper()
	out, _, code := meros(t, append(args, "--json")...)
	if code != 0 {
		return nil
	}
	var rows []T
	require.NoError(t, json.Unmarshal([]byte(out), &rows), out)
	return rows
}

type cluster struct {
	t       *testing.T
	dir     string
	masters map[string]*node // by address
	slaves  []*node
	seeds   string   // for --master
	tls     []string // flags of everybody
}

// args are those of a client's command.
func (c *cluster) args(command string, more ...string) []string {
	return slices.Concat([]string{command, "--master", c.seeds}, c.tls, more)
}

func (c *cluster) members() []memberRow { return list[memberRow](c.t, c.args("members")...) }
func (c *cluster) tasks() []taskRow     { return list[taskRow](c.t, c.args("tasks")...) }

func (c *cluster) leader() string {
	for _, m := range c.members() {
		if m.Leader {
			return m.Address
		}
	}
	return ""
}

func (c *cluster) running(name string) int {
	n := 0
	for _, task := range c.tasks() {
		if task.Name == name && task.State == "TASK_RUNNING" {
			n++
		}
	}
	return n
}

// folder is a folder for a test's processes. At the end, after they were killed, nothing that they have started may be left.
func folder(t *testing.T) string {
	dir := t.TempDir()
	t.Cleanup(func() {
		left := processesOf(dir)
		for deadline := time.Now().Add(20 * time.Second); len(left) > 0 && time.Now().Before(deadline); left = processesOf(dir) {
			time.Sleep(50 * time.Millisecond)
		}
		for pid, what := range left {
			t.Errorf("process %d is left behind: %s", pid, what)
			if p, err := os.FindProcess(pid); err == nil {
				_ = p.Kill()
			}
		}
	})
	return dir
}

// processesOf finds the processes that have the folder in their arguments, or run in it: supervisors and tasks.
func processesOf(dir string) map[int]string {
	found := map[int]string{}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		args, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		env, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		cwd, _ := os.Readlink(filepath.Join("/proc", e.Name(), "cwd"))
		if bytes.Contains(args, []byte(dir)) || bytes.Contains(env, []byte("MESOS_SANDBOX="+dir)) || strings.HasPrefix(cwd, dir) {
			found[pid] = strings.ReplaceAll(string(args), "\x00", " ")
		}
	}
	return found
}

// startCluster starts masters and slaves that know the masters' addresses.
func startCluster(t *testing.T, masters, slaves int, more ...string) *cluster {
	c := &cluster{t: t, dir: folder(t), masters: map[string]*node{}, tls: more}
	addresses := ports(t, masters+slaves)
	c.seeds = strings.Join(addresses[:masters], ",")
	for i, a := range addresses[:masters] {
		name := fmt.Sprintf("master-%d", i+1)
		c.masters[a] = startNode(t, c.dir, name, slices.Concat([]string{"master", "--listen", a, "--masters", c.seeds,
			"--work-dir", filepath.Join(c.dir, name)}, more)...)
	}
	for i, a := range addresses[masters:] {
		name := fmt.Sprintf("slave-%d", i+1)
		c.slaves = append(c.slaves, startNode(t, c.dir, name, slices.Concat([]string{"slave", "--listen", a, "--master", c.seeds,
			"--work-dir", filepath.Join(c.dir, name), "--hostname", name, "--resources", "cpus:2;mem:512;disk:512", "--attributes", "rack:" + name}, more)...))
	}
	return c
}

func startByAddress(t *testing.T) *cluster { return startCluster(t, 3, 2) }

func startByGossip(t *testing.T) *cluster {
	c := &cluster{t: t, dir: folder(t), masters: map[string]*node{}}
	addresses := ports(t, 8)
	c.seeds = strings.Join(addresses[:3], ",")
	join := addresses[5]
	for i, a := range addresses[:3] {
		name := fmt.Sprintf("master-%d", i+1)
		args := []string{"master", "--listen", a, "--gossip", addresses[5+i], "--expect", "3", "--work-dir", filepath.Join(c.dir, name)}
		if i > 0 {
			args = append(args, "--join", join)
		}
		c.masters[a] = startNode(t, c.dir, name, args...)
	}
	for i, a := range addresses[3:5] {
		name := fmt.Sprintf("slave-%d", i+1)
		c.slaves = append(c.slaves, startNode(t, c.dir, name, "slave", "--listen", a, "--gossip", "127.0.0.1:0", "--join", join,
			"--work-dir", filepath.Join(c.dir, name), "--hostname", name, "--resources", "cpus:2;mem:512;disk:512"))
	}
	return c
}

func TestRunStreamsOutputAndTakesOverTheExitStatus(t *testing.T) {
	c := startByAddress(t)
	out, errs, code := meros(t, "run", "--master", c.seeds, "--cpus", "1", "--mem", "64", "--", "sh", "-c", "echo hi; echo oops >&2; exit 3")
	require.Equal(t, 3, code, errs)
	require.Equal(t, "hi\n", out)
	require.Contains(t, errs, "oops\n")

	out, errs, code = meros(t, "run", "--master", c.seeds, "--cpus", "0.1", "--mem", "32", "--on", "rack=slave-2", "-e", "GREETING=hello", "--", "sh", "-c", `echo "$GREETING"; kill -9 $$`)
	require.Equal(t, 137, code, errs)
	require.Equal(t, "hello\n", out)

	_, errs, code = meros(t, "run", "--master", c.seeds, "--cpus", "0.1", "--mem", "32", "--", "/no/such/program")
	require.NotZero(t, code)
	require.Contains(t, errs, "/no/such/program")
}

func TestNothingIsLostWhateverIsKilled(t *testing.T) {
	for name, start := range map[string]func(*testing.T) *cluster{"by address": startByAddress, "by gossip": startByGossip} {
		t.Run(name, func(t *testing.T) { testKills(t, start(t)) })
	}
}

// testKills runs four commands through the death of the leader, of a slave, and of all masters. Each notes its start and its end in a file.
func testKills(t *testing.T, c *cluster) {
	const commands = 4
	dir := openFolder(t)
	release := filepath.Join(dir, "release")
	notes := func(i int) string { return filepath.Join(dir, fmt.Sprintf("notes-%d", i)) }
	codes, said, errs := make([]int, commands), make([]string, commands), make([]error, commands)
	var wg sync.WaitGroup
	for i := range commands {
		script := fmt.Sprintf("echo start $$ >> %s; while [ ! -e %s ]; do sleep 0.05; done; echo end $$ >> %s; exit %d", notes(i), release, notes(i), 10+i)
		wg.Go(func() {
			_, said[i], codes[i], errs[i] = run("run", "--master", c.seeds, "--name", "steady", "--cpus", "0.5", "--mem", "32", "--", "sh", "-c", script)
		})
	}
	eventually(t, "all commands run", func() bool { return c.running("steady") == commands })

	leader := c.leader()
	require.NotEmpty(t, leader)
	c.masters[leader].kill()
	eventually(t, "another master leads and knows the tasks", func() bool {
		next := c.leader()
		return next != "" && next != leader && c.running("steady") == commands
	})
	c.masters[leader].start()

	c.slaves[0].kill()
	c.slaves[0].start()
	eventually(t, "the tasks of the restarted slave are known", func() bool { return c.running("steady") == commands })

	for _, m := range c.masters {
		m.kill()
	}
	for _, m := range c.masters {
		m.start()
	}
	eventually(t, "the tasks are known after all masters were killed", func() bool { return c.running("steady") == commands })

	// One more slave dies, and the commands end before it is back: their exit status must be there all the same.
	c.slaves[1].kill()
	require.NoError(t, os.WriteFile(release, nil, 0o600))
	eventually(t, "all commands have noted their end", func() bool {
		for i := range commands {
			if b, _ := os.ReadFile(notes(i)); !strings.Contains(string(b), "end") {
				return false
			}
		}
		return true
	})
	c.slaves[1].start()
	wg.Wait()
	for i := range commands {
		require.NoError(t, errs[i], said[i])
		require.Equal(t, 10+i, codes[i], "exit status of command %d; it said %s", i, said[i])
		b, err := os.ReadFile(notes(i))
		require.NoError(t, err)
		lines := strings.Split(strings.TrimSpace(string(b)), "\n")
		require.Len(t, lines, 2, "command %d must start once and end once: %q", i, lines)
		require.Equal(t, strings.Replace(lines[0], "start", "end", 1), lines[1], "and be the same process")
	}
}

func TestEveryWrongFlagGetsOneLineAndStatusTwo(t *testing.T) {
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"dance"}, []string{"dance", "master", "slave"}},
		{[]string{"master", "--colour", "red"}, []string{"--colour"}},
		{[]string{"master", "extra"}, []string{"extra"}},
		{[]string{"master"}, []string{"--work-dir", "required"}},
		{[]string{"master", "--work-dir", "x", "--listen", "here"}, []string{"--listen", "here", "HOST:PORT"}},
		{[]string{"master", "--work-dir", "x", "--listen", "127.0.0.1:5050", "--masters", "127.0.0.1:1,127.0.0.1:2"}, []string{"--masters", "127.0.0.1:5050"}},
		{[]string{"master", "--work-dir", "x", "--listen", "127.0.0.1:0"}, []string{"--advertise", "127.0.0.1:0", "port"}},
		{[]string{"master", "--work-dir", "x", "--listen", "127.0.0.1:70000"}, []string{"--listen", "127.0.0.1:70000", "65535"}},
		{[]string{"master", "--work-dir", "x", "--join", "127.0.0.1:7946"}, []string{"--expect"}},
		{[]string{"master", "--work-dir", "x", "--expect", "3"}, []string{"--expect", "--gossip"}},
		{[]string{"master", "--work-dir", "x", "--new-member", "--masters", "127.0.0.1:5050"}, []string{"--new-member", "--masters"}},
		{[]string{"master", "--work-dir", "x", "--election-timeout", "-1s"}, []string{"--election-timeout", "-1s"}},
		{[]string{"master", "--work-dir", "x", "--election-timeout", "1ms"}, []string{"--election-timeout", "1ms", "20ms"}},
		{[]string{"master", "--work-dir", "x", "--cluster", "two words"}, []string{"two words"}},
		{[]string{"master", "--work-dir", "x", "--log-level", "loud"}, []string{"--log-level", "loud", "debug"}},
		{[]string{"master", "--work-dir", "x", "--tls-ca", "/none"}, []string{"--tls-cert"}},
		{[]string{"master", "--work-dir", "x", "--listen", "192.0.2.1:5050"}, []string{"192.0.2.1:5050", "loopback"}},
		{[]string{"slave", "--work-dir", "x"}, []string{"--master"}},
		{[]string{"slave", "--work-dir", "x", "--master", "127.0.0.1:5050", "--resources", "cpus:many"}, []string{"--resources", "cpus"}},
		{[]string{"slave", "--work-dir", "x", "--master", "127.0.0.1:5050", "--attributes", "rack"}, []string{"--attributes", "NAME:VALUE"}},
		{[]string{"slave", "--work-dir", "x", "--master", "127.0.0.1:5050", "--listen", "0.0.0.0:5051"}, []string{"--listen", "loopback", "--insecure"}},
		{[]string{"slave", "--work-dir", "x", "--master", "127.0.0.1:5050", "--fetch-files", "/no/such"}, []string{"--fetch-files", "/no/such", "exists"}},
		{[]string{"slave", "--work-dir", "x", "--master", "127.0.0.1:5050", "--fetch-allow", "127.0.0.1"}, []string{"--fetch-allow", "127.0.0.0/8"}},
		{[]string{"slave", "--work-dir", "x", "--master", "127.0.0.1:5050", "--fetch-cache", "-1"}, []string{"--fetch-cache", "-1"}},
		{[]string{"run", "--uri", "ftp://h/x", "--", "true"}, []string{"--uri", "ftp://h/x", "https://"}},
		{[]string{"run", "--uri", "http://h/x,as=../x", "--", "true"}, []string{"--uri", "../x", "inside the sandbox"}},
		{[]string{"run"}, []string{"no command"}},
		{[]string{"run", "--health-tcp", "70000", "--", "true"}, []string{"--health-tcp", "70000", "65535"}},
		{[]string{"run", "--health-tcp", "80", "--health-cmd", "true", "--", "true"}, []string{"--health-tcp", "only one"}},
		{[]string{"run", "--health-http", "80/a b", "--", "true"}, []string{"--health-http", "80/a b", "space"}},
		{[]string{"run", "--health-http", "80", "--health-interval", "1ms", "--", "true"}, []string{"interval 1ms", "100ms"}},
		{[]string{"run", "--health-http", "80", "--health-failures", "0", "--", "true"}, []string{"--health-failures", "at least 1"}},
		{[]string{"run", "--check-tcp", "70000", "--", "true"}, []string{"--check-tcp", "70000", "65535"}},
		{[]string{"run", "--check-tcp", "80", "--check-cmd", "true", "--", "true"}, []string{"--check-tcp", "only one of --check-cmd"}},
		{[]string{"run", "--check-http", "80/a b", "--", "true"}, []string{"--check-http", "80/a b", "space"}},
		{[]string{"run", "--check-cmd", "true", "--check-interval", "1ms", "--", "true"}, []string{"--check-cmd", "interval 1ms", "100ms"}},
		{[]string{"run", "--check-cmd", "true", "--check-delay", "-1s", "--", "true"}, []string{"--check-delay", "-1s", "negative"}},
		{[]string{"run", "--check-cmd", "true", "--check-timeout", "0", "--", "true"}, []string{"--check-timeout", "above zero"}},
		{[]string{"run", "--health-cmd", "true", "--health-grace", "-1s", "--", "true"}, []string{"--health-grace", "-1s", "negative"}},
		{[]string{"run", "--lease", "10ms", "--", "true"}, []string{"--lease", "10ms", "from 1s to 12h0m0s"}},
		{[]string{"run", "--lease", "-1m", "--", "true"}, []string{"--lease", "-1m0s", "from 1s to 12h0m0s"}},
		{[]string{"run", "--role", "bad role", "--", "true"}, []string{"--role", "bad role"}},
		{[]string{"run", "--on", "rack", "--", "true"}, []string{"--on", "NAME=VALUE"}},
		{[]string{"members", "--gossip", "127.0.0.1:0"}, []string{"--join", "required"}},
		{[]string{"run", "--cpus", "none", "--", "true"}, []string{"--cpus", "none"}},
		{[]string{"run", "--cpus", "0", "--", "true"}, []string{"--cpus", "above zero"}},
		{[]string{"run", "--mem", "-1", "--", "true"}, []string{"--mem", "-1"}},
		{[]string{"run", "--env", "X", "--", "true"}, []string{"--env", "NAME=VALUE"}},
		{[]string{"tasks", "--master", "nowhere"}, []string{"--master", "nowhere", "HOST:PORT"}},
		{[]string{"master", "--work-dir", "x", "--record", "y", "--record-mib", "0"}, []string{"--record-mib", "0", "1048576"}},
		{[]string{"master", "--work-dir", "x", "--record", "y", "--record-files", "0"}, []string{"--record-files", "0", "100000"}},
		{[]string{"replay"}, []string{"0 arguments", "one"}},
		{[]string{"replay", "x", "y"}, []string{"2 arguments"}},
		{[]string{"replay", "x", "--at", "noon"}, []string{"--at", "noon", "12:30:00"}},
		{[]string{"replay", "x", "--drain", "a b"}, []string{"--drain", "a b"}},
		{[]string{"replay", "x", "--quota", "web"}, []string{"--quota", "web", "ROLE=RESOURCES"}},
		{[]string{"replay", "x", "--limit", "web=lots"}, []string{"--limit", "lots", "ROLE=RESOURCES"}},
		{[]string{"replay", "x", "--add-framework", "batch=web,20"}, []string{"--add-framework", "NAME=ROLE,TASKS,RESOURCES"}},
		{[]string{"replay", "x", "--add-framework", "batch=web,none,cpus:1"}, []string{"--add-framework", "100000"}},
		{[]string{"replay", "x", "--for", "0s"}, []string{"--for", "0s"}},
		{[]string{"replay", "x", "--explain", "a b"}, []string{"--explain", "a b"}},
		{[]string{"explain"}, []string{"explain", "one framework"}},
		{[]string{"explain", "f-1", "f-2"}, []string{"explain", "one framework"}},
		{[]string{"explain", "f-1", "--master", "nowhere"}, []string{"--master", "nowhere", "HOST:PORT"}},
		{[]string{"version", "please"}, []string{"please"}},
	} {
		out, errs, code := meros(t, c.args...)
		require.Equal(t, 2, code, "%v: %s", c.args, errs)
		require.Empty(t, out, "%v", c.args)
		require.Equal(t, 1, strings.Count(errs, "\n"), "%v: %s", c.args, errs)
		for _, w := range c.want {
			require.Contains(t, errs, w, "%v", c.args)
		}
	}
}

func TestHelpAndVersion(t *testing.T) {
	out, _, code := meros(t, "--help")
	require.Zero(t, code)
	for _, name := range []string{"dev", "master", "slave", "run", "tasks", "explain", "members", "replay", "version", "exec", "attach"} {
		require.Contains(t, out, "  "+name+" ")
		help, _, code := meros(t, name, "--help")
		require.Zero(t, code)
		require.Contains(t, help, "Usage:")
	}
	out, _, code = meros(t, "version")
	require.Zero(t, code)
	require.True(t, strings.HasPrefix(out, "meros "), out)
}

func TestDevIsAClusterInOneProcess(t *testing.T) {
	dir, addresses := folder(t), ports(t, 2)
	startNode(t, dir, "dev", "dev", "--listen", addresses[0], "--slave-listen", addresses[1], "--work-dir", filepath.Join(dir, "data"))
	var out string
	eventually(t, "a command runs", func() bool {
		var code int
		out, _, code = meros(t, "run", "--master", addresses[0], "--cpus", "0.1", "--mem", "32", "--", "echo", "hello")
		return code == 0
	})
	require.Equal(t, "hello\n", out)
}
