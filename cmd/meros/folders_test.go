package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// lastLine is the program's own message, behind its log.
func lastLine(errs string) string {
	lines := strings.Split(strings.TrimSpace(errs), "\n")
	return lines[len(lines)-1]
}

func TestAMastersFolderIsOfOneProcessOneClusterAndNotOfThePast(t *testing.T) {
	c := startCluster(t, 1, 0)
	eventually(t, "it leads", func() bool { return c.leader() != "" })
	master := c.masters[c.seeds]
	dir := filepath.Join(c.dir, "master-1")

	second := background(t, "master", "--listen", ports(t, 1)[0], "--work-dir", dir)
	require.Equal(t, 1, second.wait())
	message := lastLine(second.stderr.String())
	require.Contains(t, message, dir)
	require.Contains(t, message, "held by process "+strconv.Itoa(master.cmd.Process.Pid))
	require.Contains(t, message, "this is process "+strconv.Itoa(second.cmd.Process.Pid))
	master.kill()

	_, errs, code := meros(t, "master", "--listen", ports(t, 1)[0], "--work-dir", dir, "--cluster", "other")
	require.Equal(t, 1, code)
	require.Contains(t, lastLine(errs), `"meros"`)
	require.Contains(t, lastLine(errs), `"other"`)

	old, err := os.ReadFile(filepath.Join(dir, "raft.db"))
	require.NoError(t, err)
	master.start()
	eventually(t, "it leads again, in a later term", func() bool { return c.leader() != "" })
	master.signal(os.Interrupt)
	require.Zero(t, master.exit())
	require.NoError(t, os.WriteFile(filepath.Join(dir, "raft.db"), old, 0o600))
	_, errs, code = meros(t, master.args...)
	require.Equal(t, 1, code)
	require.Contains(t, lastLine(errs), "older")
	marks := regexp.MustCompile(`term \d+, entry \d+`).FindAllString(lastLine(errs), -1)
	require.Len(t, marks, 2, lastLine(errs))
	require.NotEqual(t, marks[0], marks[1])

	master.args = append(master.args, "--recover")
	master.start()
	eventually(t, "it leads when the loss is accepted", func() bool { return c.leader() != "" })
}

func TestASlavesFolderIsOfOneProcessAndOneCluster(t *testing.T) {
	c := startCluster(t, 1, 1)
	slave, dir := c.slaves[0], filepath.Join(c.dir, "slave-1")
	listed := func(c *cluster) bool {
		for _, m := range c.members() {
			if m.Role == "slave" {
				return true
			}
		}
		return false
	}
	eventually(t, "the slave is listed", func() bool { return listed(c) })
	_, errs, code := meros(t, "slave", "--listen", ports(t, 1)[0], "--master", c.seeds, "--work-dir", dir)
	require.Equal(t, 1, code)
	require.Contains(t, lastLine(errs), dir)
	require.Contains(t, lastLine(errs), "process "+strconv.Itoa(slave.cmd.Process.Pid))
	slave.signal(os.Interrupt)
	require.Zero(t, slave.exit())

	other := startCluster(t, 1, 0)
	eventually(t, "the other cluster has a leader", func() bool { return other.leader() != "" })
	lost := startNode(t, c.dir, "lost", "slave", "--listen", ports(t, 1)[0], "--master", other.seeds, "--work-dir", dir)
	ids := regexp.MustCompile(`meros-[0-9a-f]{16}`)
	eventually(t, "both clusters are named", func() bool {
		seen := map[string]bool{}
		for _, line := range strings.Split(lost.said(), "\n") {
			if strings.Contains(line, "level=WARN") || strings.Contains(line, "level=ERROR") {
				for _, id := range ids.FindAllString(line, -1) {
					seen[id] = true
				}
			}
		}
		return len(seen) == 2
	})
	require.False(t, listed(other), "and it is not taken in")
}

func TestAPortInUseIsNamed(t *testing.T) {
	c := startCluster(t, 1, 0)
	eventually(t, "it leads", func() bool { return c.leader() != "" })
	for _, args := range [][]string{
		{"master", "--listen", c.seeds, "--work-dir", filepath.Join(c.dir, "m")},
		{"slave", "--listen", c.seeds, "--master", c.seeds, "--work-dir", filepath.Join(c.dir, "s")},
		{"dev", "--listen", c.seeds, "--slave-listen", ports(t, 1)[0]},
		{"dev", "--listen", ports(t, 1)[0], "--slave-listen", c.seeds},
	} {
		_, errs, code := meros(t, args...)
		require.Equal(t, 1, code, "%v: %s", args, errs)
		require.Contains(t, lastLine(errs), c.seeds, "%v", args)
		require.Contains(t, lastLine(errs), "address already in use", "%v", args)
		require.True(t, strings.HasPrefix(lastLine(errs), "meros: "), errs)
	}
}
