package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

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

// token makes a token by which a new master can join.
func (c *cluster) token(more ...string) (token string) {
	c.t.Helper()
	eventually(c.t, "a token is made", func() bool {
		out, errs, code := meros(c.t, c.args("members", append([]string{"--token"}, more...)...)...)
		if token = strings.TrimSpace(out); code != 0 {
			c.t.Log(errs)
		}
		return code == 0
	})
	return token
}

// byToken starts a master that joins by itself.
func (c *cluster) byToken(name, address, token string, more ...string) {
	c.t.Helper()
	c.masters[address] = startNode(c.t, c.dir, name, slices.Concat([]string{"master", "--new-member", "--token", token, "--listen", address,
		"--work-dir", filepath.Join(c.dir, name)}, more)...)
}

// hasVote waits until the master at the address has a vote.
func (c *cluster) hasVote(address string) {
	c.t.Helper()
	eventually(c.t, address+" has a vote", func() bool { _, ok := c.voters()[address]; return ok })
}

// join starts a master with an empty folder and adds it.
func (c *cluster) join(name, address string) {
	c.t.Helper()
	c.masters[address] = startNode(c.t, c.dir, name, "master", "--new-member", "--listen", address, "--work-dir", filepath.Join(c.dir, name))
	c.change("--add", address)
	c.hasVote(address)
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

	// A token that one leader has made is good under the next.
	token := c.token()
	first := c.leader()
	require.NotEmpty(t, first)
	for a := range c.voters() {
		if a != first {
			c.change("--transfer", a)
			eventually(t, "it leads", func() bool { return c.leader() == a })
			break
		}
	}
	c.byToken("master-4", fourth, token)
	c.hasVote(fourth)
	require.Len(t, c.voters(), 4)

	// A follower goes, by its id. It still runs, but what it remembers misleads nobody.
	var leader string
	eventually(t, "one of the old ones leads", func() bool {
		if leader = c.leader(); leader == fourth { // there was an election
			_, _, _ = meros(t, c.args("members", "--transfer", first)...)
		}
		return leader != "" && leader != fourth
	})
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

	// One that follows without a vote gets one later.
	fifth := ports(t, 1)[0]
	c.masters[fifth] = startNode(t, c.dir, "master-5", "master", "--new-member", "--listen", fifth, "--work-dir", filepath.Join(c.dir, "master-5"))
	c.change("--add", fifth, "--non-voter")
	sixth := ports(t, 1)[0]
	c.byToken("master-6", sixth, c.token(), "--non-voter")
	silent := func() (n int) {
		for _, m := range c.members() {
			if m.State == "no vote" && (m.Address == fifth || m.Address == sixth) {
				n++
			}
		}
		return n
	}
	eventually(t, "two have no vote", func() bool { return silent() == 2 })
	require.Len(t, c.voters(), 3)
	c.change("--add", fifth)
	c.hasVote(fifth)
	require.Equal(t, 1, silent())
	for _, a := range []string{fifth, sixth} {
		if c.leader() == a {
			c.change("--transfer", follower.Address)
		}
		c.change("--remove", a)
		c.masters[a].kill()
	}

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
	c.byToken("master-replaced", dead, c.token())
	c.hasVote(dead)
	require.Len(t, c.voters(), 3)
	eventually(t, "the command is still known", func() bool { return c.running("steady") == 1 })

	table, errs, code := meros(t, c.args("members")...)
	require.Zero(t, code, errs)
	lines := strings.Split(strings.TrimSpace(table), "\n")
	require.Equal(t, []string{"ID", "ADDRESS", "ROLE", "STATE", "VERSION"}, strings.Fields(lines[0]))
	require.Len(t, lines, 5, table)
	require.Equal(t, 1, strings.Count(table, "leader"), table)
	require.Equal(t, 4, strings.Count(table, version()), table)
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
		{[]string{"--remove", "a", "--add", "127.0.0.1:1"}, 2, []string{"--add and --remove", "one change at a time"}},
		{[]string{"--token", "--transfer", "a"}, 2, []string{"one change at a time"}},
		{[]string{"--transfer", "m-0"}, 1, []string{"m-0", "not in the configuration"}},
		{[]string{"--transfer", "127.0.0.1:1"}, 1, []string{"127.0.0.1:1", "no master has the address"}},
		{[]string{"--token", "--token-life", "10ms"}, 2, []string{"--token-life", "1s to 168h"}},
		{[]string{"--token-life", "1h"}, 2, []string{"needs --token"}},
		{[]string{"--non-voter"}, 2, []string{"needs --add"}},
		{[]string{"--add", "127.0.0.1:"}, 2, []string{"--add", "HOST:PORT"}},
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

// A token lets one master join. One that is used again, has expired or is not of this cluster changes nothing, here or there.
func TestATokenThatIsOfNoUseSaysWhy(t *testing.T) {
	c := startCluster(t, 1, 0)
	good, brief, spare := c.token(), c.token("--token-life", "1s"), c.token()
	foreign := startCluster(t, 1, 0).token()
	foreign = joinToken{secret: foreign[:32], masters: []string{c.seeds}}.String()
	second := ports(t, 1)[0]
	file := filepath.Join(c.dir, "token")
	require.NoError(t, os.WriteFile(file, []byte(good+"\n"), 0o600))
	c.byToken("second", second, "file://"+file)
	c.hasVote(second)
	c.seeds += "," + second

	empty := filepath.Join(c.dir, "empty")
	var own memberRow
	for _, m := range c.voters() {
		if m.Address == second {
			own = m
		}
	}
	third := ports(t, 1)[0]
	join := func(token string, more ...string) []string {
		return append([]string{"master", "--new-member", "--work-dir", empty, "--listen", third, "--token", token}, more...)
	}
	time.Sleep(1100 * time.Millisecond) // of the brief one's life, which began before this
	for _, test := range []struct {
		args []string
		code int
		want []string
	}{
		{join(good), 1, []string{"could not join", "was used by master " + own.ID}},
		{join(brief), 1, []string{"could not join", "has expired at"}},
		{join(foreign), 1, []string{"could not join", "not one of this cluster's"}},
		{join(spare, "--id", own.ID), 1, []string{"could not join", own.ID, second, "is a member"}},
		{join(spare[:len(spare)-1]), 2, []string{"--token", "whole token"}},
		{join("abc"), 2, []string{"--token", "whole token"}},
		{join("file://" + filepath.Join(c.dir, "nothing")), 2, []string{"--token", "no such file"}},
		{join(spare, "--listen", second), 1, []string{second, "address already in use"}},
		{[]string{"master", "--work-dir", empty, "--listen", third, "--token", spare}, 2, []string{"--token", "--new-member"}},
		{[]string{"master", "--work-dir", empty, "--listen", third, "--new-member", "--non-voter"}, 2, []string{"--non-voter", "needs --token"}},
	} {
		_, errs, code := meros(t, test.args...)
		require.Equal(t, test.code, code, "%v: %s", test.args, errs)
		require.Equal(t, 1, strings.Count(errs, "\n"), errs)
		for _, w := range test.want {
			require.Contains(t, errs, w)
		}
		require.NotContains(t, errs, spare[:32], "the secret is not shown")
		require.NoDirExists(t, empty)
		require.Len(t, c.voters(), 2)
	}
	c.byToken("third", third, spare) // none of this has used it up
	c.hasVote(third)
	require.Len(t, c.voters(), 3)
}
