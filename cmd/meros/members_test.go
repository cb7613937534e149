package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// voters are the addresses of the masters that have a vote.
func (c *cluster) voters() map[string]memberRow {
	out := map[string]memberRow{}
	for _, m := range c.members() {
		if m.Role == "master" && m.Voter {
			out[m.Address] = m
		}
	}
	return out
}

// join starts a master with an empty folder and adds it.
func (c *cluster) join(name, address string) {
	c.t.Helper()
	c.masters[address] = startNode(c.t, c.dir, name, "master", "--new-member", "--listen", address, "--work-dir", filepath.Join(c.dir, name))
	c.change("--add", address)
	eventually(c.t, name+" has a vote", func() bool { _, ok := c.voters()[address]; return ok })
}

// change is one change of the set of masters; it may take until they have elected their leader.
func (c *cluster) change(args ...string) {
	c.t.Helper()
	var errs string
	eventually(c.t, strings.Join(args, " "), func() bool {
		var code int
		_, errs, code = meros(c.t, c.args("members", args...)...)
		if code != 0 {
			c.t.Log(errs)
		}
		return code == 0
	})
}

func TestMastersAreAddedRemovedAndReplacedWhileATaskRuns(t *testing.T) {
	c := startCluster(t, 3, 1)
	fourth := ports(t, 1)[0]
	release := filepath.Join(openFolder(t), "release")
	steady := background(t, c.args("run", "--name", "steady", "--cpus", "0.1", "--mem", "32", "--", "sh", "-c",
		"echo begun; while [ ! -e "+release+" ]; do sleep 0.05; done; echo over")...)
	eventually(t, "the command runs", func() bool { return c.running("steady") == 1 })
	require.Len(t, c.voters(), 3)

	c.join("master-4", fourth)
	require.Len(t, c.voters(), 4)

	// A follower goes, by its id. It still runs, but what it remembers misleads nobody.
	leader := c.leader()
	require.NotEmpty(t, leader)
	var follower memberRow
	for a, m := range c.voters() {
		if a != leader && a != fourth {
			follower = m
		}
	}
	c.change("--remove", follower.ID)
	require.NotContains(t, c.voters(), follower.Address)
	rows := list[memberRow](t, "members", "--master", follower.Address+","+leader)
	for _, m := range rows {
		require.NotEqual(t, follower.Address, m.Address, "%+v", rows)
	}
	c.masters[follower.Address].kill()

	// The leader goes, by its address.
	c.change("--remove", leader)
	eventually(t, "another one leads", func() bool {
		next := c.leader()
		return next != "" && next != leader && c.running("steady") == 1
	})
	require.NotContains(t, c.voters(), leader)
	c.masters[leader].kill()
	c.seeds = strings.Join([]string{c.seeds, fourth}, ",")

	// The follower comes back with an empty folder, at its old address.
	c.join("master-again", follower.Address)
	require.Len(t, c.voters(), 3)

	// One dies with its disk and is replaced at the same address.
	var dead string
	for a := range c.voters() {
		if a != c.leader() && a != follower.Address {
			dead = a
		}
	}
	require.NotEmpty(t, dead)
	c.masters[dead].kill()
	c.change("--remove", dead)
	c.join("master-replaced", dead)
	require.Len(t, c.voters(), 3)
	eventually(t, "the command is still known", func() bool { return c.running("steady") == 1 })

	table, errs, code := meros(t, c.args("members")...)
	require.Zero(t, code, errs)
	lines := strings.Split(strings.TrimSpace(table), "\n")
	require.Equal(t, []string{"ID", "ADDRESS", "ROLE", "STATE"}, strings.Fields(lines[0]))
	require.Len(t, lines, 5, table)
	require.Equal(t, 1, strings.Count(table, "leader"), table)
	require.Equal(t, 2, strings.Count(table, "voter"), table)
	require.Contains(t, table, "connected", "the slave")

	require.NoError(t, os.WriteFile(release, nil, 0o600))
	require.Zero(t, steady.wait(), steady.stderr.String())
	require.Equal(t, "begun\nover\n", steady.stdout.String())
}

func TestAChangeOfMastersThatIsRefusedSaysWhy(t *testing.T) {
	c := startCluster(t, 1, 0)
	eventually(t, "it leads", func() bool { return c.leader() != "" })
	for _, test := range []struct {
		args []string
		code int
		want []string
	}{
		{[]string{"--remove", "m-0"}, 1, []string{"m-0", "not in the configuration"}},
		{[]string{"--remove", "127.0.0.1:1"}, 1, []string{"127.0.0.1:1", "no master has the address"}},
		{[]string{"--remove", c.seeds}, 1, []string{"last one with a vote"}},
		{[]string{"--remove", "a", "--add", "127.0.0.1:1"}, 2, []string{"one change at a time"}},
		{[]string{"--add", "nowhere"}, 2, []string{"--add", "nowhere", "HOST:PORT"}},
		{[]string{"--id", "m-1"}, 2, []string{"--id", "--add"}},
	} {
		out, errs, code := meros(t, c.args("members", test.args...)...)
		require.Equal(t, test.code, code, "%v: %s", test.args, errs)
		require.Empty(t, out)
		require.Equal(t, 1, strings.Count(errs, "\n"), errs)
		for _, w := range test.want {
			require.Contains(t, errs, w, "%v", test.args)
		}
	}
	nobody := ports(t, 2)
	_, errs, code := meros(t, "members", "--master", strings.Join(nobody, ","))
	require.Equal(t, 1, code)
	require.Contains(t, errs, nobody[0])
	require.Contains(t, errs, nobody[1])
	require.Contains(t, errs, "refused")
}
