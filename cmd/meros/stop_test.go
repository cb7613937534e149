package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAMasterThatIsStoppedHandsOverAndASlaveLeavesItsTasks(t *testing.T) {
	c := startCluster(t, 3, 1)
	release := filepath.Join(openFolder(t), "release")
	steady := background(t, c.args("run", "--name", "steady", "--cpus", "0.1", "--mem", "32", "--", "sh", "-c",
		"while [ ! -e "+release+" ]; do sleep 0.05; done; exit 5")...)
	eventually(t, "the command runs", func() bool { return c.running("steady") == 1 })

	leader := c.leader()
	require.NotEmpty(t, leader)
	c.masters[leader].signal(syscall.SIGTERM)
	require.Zero(t, c.masters[leader].exit())
	require.Contains(t, c.masters[leader].said(), "no longer leading")
	require.NotContains(t, c.masters[leader].said(), "level=ERROR")
	eventually(t, "another one leads", func() bool {
		next := c.leader()
		return next != "" && next != leader && c.running("steady") == 1
	})
	c.masters[leader].start()

	c.slaves[0].signal(os.Interrupt)
	require.Zero(t, c.slaves[0].exit())
	require.NotContains(t, c.slaves[0].said(), "level=ERROR")
	c.slaves[0].start()
	eventually(t, "the command was left alone", func() bool { return c.running("steady") == 1 })
	require.NoError(t, os.WriteFile(release, nil, 0o600))
	require.Equal(t, 5, steady.wait(), steady.stderr.String())
}

func TestDevLeavesNothingBehind(t *testing.T) {
	dir, addresses := folder(t), ports(t, 2)
	t.Setenv("TMPDIR", dir) // of the processes that this test starts
	dev := startNode(t, dir, "dev", "dev", "--listen", addresses[0], "--slave-listen", addresses[1], "--resources", "cpus:1;mem:64")
	p := background(t, "run", "--master", addresses[0], "--cpus", "0.1", "--mem", "32", "--", "sh", "-c", "echo ready; exec sleep 1000")
	eventually(t, "a command runs", func() bool { return p.stdout.String() == "ready\n" })
	require.Contains(t, dev.said(), "meros run --master "+addresses[0])
	dev.signal(os.Interrupt)
	require.Zero(t, dev.exit())
	left, err := filepath.Glob(filepath.Join(dir, "meros-dev-*"))
	require.NoError(t, err)
	require.Empty(t, left)
	_ = p.cmd.Process.Kill() // it may have heard that its task is gone, and have ended
	p.wait()
	require.False(t, strings.Contains(dev.said(), "panic"))
}
