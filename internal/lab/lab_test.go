//go:build linux

package lab

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) {
	Framework()
	os.Exit(m.Run())
}

// needLab skips on machines on which there can be no lab; where every change is checked there must be.
func needLab(t *testing.T) {
	t.Helper()
	if what := Missing(); what != "" {
		if os.Getenv("CI") == "true" {
			t.Fatalf("this machine lacks %s", what)
		}
		t.Skipf("a lab of many hosts needs %s: not run", what)
	}
}

// eventually waits for a condition outside of this process.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if cond() {
			return
		}
	}
	t.Fatalf("not in time: %s", what)
}

// lines is an io.Writer to the test's log.
type lines struct{ t *testing.T }

func (l lines) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimRight(string(p), "\n"))
	return len(p), nil
}

// TestManyHostsSurviveFaults is a short run; the command in the folder run is the long one.
func TestManyHostsSurviveFaults(t *testing.T) {
	needLab(t)
	report, err := Run(t.Context(), Config{Seed: 1, Time: 45 * time.Second, Out: lines{t}})
	require.NoError(t, err)
	require.Empty(t, report.Wrong)
	require.NotEmpty(t, report.Results)
	require.Positive(t, report.Started)
	require.Empty(t, claimOf(os.Getpid()).left(), "nothing of the lab is left on the machine")
}

// TestAnInterruptedLabLeavesNothing ends a lab in its beginning: everything goes.
func TestAnInterruptedLabLeavesNothing(t *testing.T) {
	needLab(t)
	ctx, cancel := context.WithCancel(t.Context())
	var out bytes.Buffer
	stop := writerFunc(func(p []byte) (int, error) {
		if strings.Contains(string(p), "fault ") {
			cancel()
		}
		return out.Write(p)
	})
	_, err := Run(ctx, Config{Seed: 2, Time: time.Hour, Kinds: []Kind{Halves}, Out: stop})
	require.ErrorIs(t, err, context.Canceled, out.String())
	require.Empty(t, claimOf(os.Getpid()).left())
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestTheNextLabRemovesWhatAKilledOneHasLeft makes what a lab makes in the name of a process that has ended.
func TestTheNextLabRemovesWhatAKilledOneHasLeft(t *testing.T) {
	needLab(t)
	ended := exec.Command("true")
	require.NoError(t, ended.Run())
	dead := claimOf(ended.Process.Pid)
	t.Cleanup(func() { _ = dead.remove() })
	require.NoError(t, os.Mkdir(dead.dir, 0o755))
	n, err := newNetwork(dead.prefix())
	require.NoError(t, err)
	require.NoError(t, os.Mkdir(filepath.Join(dead.dir, "m3"), 0o755))
	require.NoError(t, tool("", "mount", "-t", "tmpfs", "-o", "size=1m", "meros-lab", filepath.Join(dead.dir, "m3")))
	for _, root := range cgroupRoots() {
		_ = os.MkdirAll(filepath.Join(root, dead.name, "inner"), 0o755) // where one can be made
	}
	left := exec.Command("sleep", "1000")
	require.NoError(t, n.node("s1").do(left.Start))
	gone := make(chan struct{})
	go func() {
		_ = left.Wait()
		close(gone)
	}()
	require.GreaterOrEqual(t, len(dead.left()), 1+masters+slaves+frameworks+3)

	living := claimOf(os.Getppid()) // a lab that is about to begin is left alone
	require.NoError(t, os.Mkdir(living.dir, 0o755))
	t.Cleanup(func() { _ = os.RemoveAll(living.dir) })

	require.NoError(t, Sweep())
	require.Empty(t, dead.left())
	<-gone
	require.Equal(t, syscall.SIGKILL, left.ProcessState.Sys().(syscall.WaitStatus).Signal())
	require.DirExists(t, living.dir)
}

func TestTheBridgePartsWhomItIsTold(t *testing.T) {
	needLab(t)
	require.NoError(t, Sweep())
	c := claim{name: claimOf(os.Getpid()).name + "-net", dir: filepath.Join(t.TempDir(), "none")}
	t.Cleanup(func() { require.NoError(t, c.remove()) })
	n, err := newNetwork(c.prefix())
	require.NoError(t, err)
	for _, name := range []string{"m1", "s2"} {
		var ln net.Listener
		require.NoError(t, n.node(name).do(func() (err error) {
			ln, err = net.Listen("tcp", ":5050")
			return err
		}))
		t.Cleanup(func() { ln.Close() })
		go func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				c.Close()
			}
		}()
	}
	reach := func(from space, to string) bool {
		return from.do(func() error {
			c, err := net.DialTimeout("tcp", to+":5050", 500*time.Millisecond)
			if err == nil {
				c.Close()
			}
			return err
		}) == nil
	}
	m1, s2 := address("m1", false), address("s2", false)
	open := func() bool { return reach(n.node("m1"), s2) && reach(n.node("s2"), m1) }
	eventually(t, "all hear each other", open)
	for _, f := range []Fault{
		{Kind: Halves, Nodes: []string{"m1", "m2"}, Others: []string{"s2", "m3"}},
		{Kind: OneWay, Nodes: []string{"s2"}}, // no connection comes about when one side hears nothing
		{Kind: LeaderAlone, Nodes: []string{"m1"}},
	} {
		require.NoError(t, n.filter(f.rules(allAddresses())), f.Kind)
		require.False(t, reach(n.node("m1"), s2), f.Kind)
		require.False(t, reach(n.node("s2"), m1), f.Kind)
		require.True(t, reach(n.bridge, m1), "the lab itself is parted from nobody: %s", f.Kind)
		require.NoError(t, n.filter(nil))
		eventually(t, "all hear each other again", open)
	}
	require.NoError(t, n.filter(Fault{Kind: Loss, Percent: 50}.rules(allAddresses())))
	eventually(t, "a packet is lost", func() bool { return !open() })
	eventually(t, "one is not", func() bool { return reach(n.node("m1"), s2) })
	require.NoError(t, n.filter(Fault{Kind: Halves, Nodes: []string{"m2"}, Others: []string{"s2"}}.rules(allAddresses())))
	require.True(t, open(), "others are not parted")

	require.NoError(t, n.move("s2", address("s2", true)))
	eventually(t, "it is at its other address", func() bool { return reach(n.node("m1"), address("s2", true)) })
	require.False(t, reach(n.node("m1"), s2))
}

func TestAProcessThatEndsByItselfIsNoted(t *testing.T) {
	needLab(t)
	c := claim{name: claimOf(os.Getpid()).name + "-one", dir: filepath.Join(t.TempDir(), "none")}
	t.Cleanup(func() { require.NoError(t, c.remove()) })
	n, err := newNetwork(c.prefix())
	require.NoError(t, err)
	dir := t.TempDir()
	blamed := make(chan string, 100)
	p := &process{name: "m1", space: n.node("m1"), log: filepath.Join(dir, "log"), blame: func(s string) { blamed <- s },
		command: func() []string { return []string{"sh", "-c", "echo once >> runs; echo the reason; exit 3"} }}
	p.excuse(true)
	require.NoError(t, p.start())
	eventually(t, "it is started again", func() bool {
		runs, _ := os.ReadFile(filepath.Join(dir, "runs"))
		return strings.Count(string(runs), "once") >= 2
	})
	require.Empty(t, blamed)
	p.excuse(false)
	require.Contains(t, <-blamed, "m1 has ended by itself (exit status 3): the reason")
	p.kill()
	p.wg.Wait()

	for len(blamed) > 0 {
		<-blamed
	}
	p.command = func() []string { return []string{"sleep", "1000"} }
	require.NoError(t, p.start())
	for range 50 { // one that is killed, and another that is started at once
		p.kill()
		require.NoError(t, p.start())
	}
	p.kill()
	p.wg.Wait()
	require.Empty(t, blamed)
}
