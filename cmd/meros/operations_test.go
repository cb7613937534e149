package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestTheOperationsPageRuns carries the page out, line by line, on a cluster with a command that runs all the while.
func TestTheOperationsPageRuns(t *testing.T) {
	c := startCluster(t, 3, 0)
	own := append(strings.Split(c.seeds, ","), ports(t, 2)...)
	c.seeds += "," + own[3] // the slave is told of it, too
	startNode(t, c.dir, "slave", "slave", "--listen", own[4], "--master", c.seeds, "--work-dir", filepath.Join(c.dir, "slave"))
	release := c.steady()
	survivor := own[3]
	here := strings.NewReplacer("10.0.0.1:5050", own[0], "10.0.0.2:5050", own[1], "10.0.0.3:5050", own[2], "10.0.0.4:5050", own[3],
		"/var/lib/meros/master", filepath.Join(c.dir, "master-4"), "/var/lib/meros/survivor", filepath.Join(c.dir, "master-4"),
		"/var/lib/meros/restored", filepath.Join(c.dir, "restored"), " backup ", " "+filepath.Join(c.dir, "backup")+" ")
	token := ""
	leads := func(address string) {
		eventually(t, "it leads, and the command is known", func() bool { return c.leader() == address && c.running("steady") == 1 })
	}
	// carry runs a command, again while the masters elect their leader.
	carry := func(args []string) (out string) {
		eventually(t, strings.Join(args, " "), func() bool {
			var errs string
			var code int
			if out, errs, code = meros(t, args...); code != 0 {
				t.Log(errs)
			}
			return code == 0
		})
		return out
	}
	var ran []string
	for _, line := range commandsOf(t, "docs/operations.md") {
		t.Log(line)
		args := strings.Fields(strings.ReplaceAll(here.Replace(line), "TOKEN", token))[1:]
		what := args[0]
		if i := slices.IndexFunc(args, func(a string) bool {
			return slices.Contains([]string{"save", "restore", "--token", "--transfer", "--remove"}, a)
		}); i > 0 {
			what += " " + args[i]
		}
		ran = append(ran, what)
		switch what {
		case "members":
			require.Equal(t, 5, strings.Count(carry(args), "\n"))
		case "members --token":
			token = strings.TrimSpace(carry(args))
		case "master --token":
			c.masters[survivor] = startNode(t, c.dir, "joined", args...)
			c.hasVote(survivor)
		case "members --transfer":
			carry(args)
			leads(survivor)
		case "members --remove":
			carry(args)
			require.Len(t, c.voters(), 3)
			c.masters[own[2]].kill()
		case "snapshot save":
			require.Contains(t, carry(args), "saved: cluster meros-")
		case "snapshot restore":
			c.masters[survivor].kill()
			require.Contains(t, carry(args), "restored: cluster meros-")
		case "master":
			startNode(t, c.dir, "restored", args...)
			leads(own[0])
		case "recover-quorum":
			for _, m := range c.masters {
				m.kill()
			}
			require.Contains(t, carry(args), survivor+" is a cluster of its own")
			c.masters[survivor].start()
			leads(survivor)
		default:
			t.Errorf("nothing is known about this command: %s", line)
		}
	}
	require.Equal(t, []string{"members", "members --token", "master --token", "members --transfer", "members --remove", "recover-quorum",
		"snapshot save", "snapshot restore", "master"}, ran)
	release()
}
