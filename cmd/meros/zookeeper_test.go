package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/zkserver"
)

// startZooKeeper starts a server of the test's own.
func startZooKeeper(t *testing.T, o zkserver.Options) *zkserver.Server {
	if missing := zkserver.Missing(); missing != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%v: in CI it must be there", missing)
		}
		t.Skipf("%v to run this test", missing)
	}
	o.Dir = t.TempDir()
	servers, err := zkserver.Start(o)
	require.NoError(t, err)
	t.Cleanup(func() { zkserver.Close(servers) })
	return servers[0]
}

// Masters, slaves and commands that know only the ensemble make up a cluster, and go on when the leading master is killed.
func TestAClusterOnZooKeeper(t *testing.T) {
	t.Parallel()
	zk := startZooKeeper(t, zkserver.Options{}).Address
	dir, addresses := folder(t), ports(t, 3)
	secret := filepath.Join(dir, "zk")
	require.NoError(t, os.WriteFile(secret, []byte("zk://meros:secret@"+zk+",127.0.0.1:1/test\n"), 0o600))
	var masters []*node
	for i, a := range addresses[:2] {
		name := fmt.Sprintf("master-%d", i)
		masters = append(masters, startNode(t, dir, name, "master", "--listen", a, "--zk", "file://"+secret, "--zk-session-timeout", "4s",
			"--work-dir", filepath.Join(dir, name)))
	}
	public := "zk://127.0.0.1:1," + zk + "/test" // a server that is down, and no password: who leads is for all to read
	startNode(t, dir, "slave", "slave", "--master", public, "--listen", addresses[2], "--work-dir", filepath.Join(dir, "s"))
	hello := func(text string) {
		t.Helper()
		out, errs, code := meros(t, "run", "--master", public, "--cpus", "0.1", "--mem", "32", "--", "echo", text)
		require.Zero(t, code, errs)
		require.Equal(t, text+"\n", out)
	}
	hello("before")
	leads := -1
	eventually(t, "a master leads", func() bool {
		for i, m := range masters {
			if strings.Contains(m.said(), "msg=leading") {
				leads = i
			}
		}
		return leads >= 0
	})
	masters[leads].kill()
	hello("after")
	masters[leads].start()
	eventually(t, "both masters are members", func() bool {
		slavesToo := list[memberRow](t, "members", "--master", public)
		masters := slices.DeleteFunc(slavesToo, func(m memberRow) bool { return m.Role != "master" })
		return len(masters) == 2 && masters[0].Leader != masters[1].Leader
	})
	_, errs, code := meros(t, "members", "--master", public, "--remove", "m-1")
	require.Equal(t, 1, code)
	require.Contains(t, errs, "masters come and go by themselves")

	_, errs, code = meros(t, "master", "--listen", ports(t, 1)[0], "--zk", "zk://meros:guess@"+zk+"/test", "--work-dir", filepath.Join(dir, "x"))
	require.Equal(t, 1, code)
	require.Equal(t, 1, strings.Count("\n"+errs, "\nmeros: "), errs)
	require.Contains(t, errs, `not allowed with these credentials: /test/meros`)
	require.NotContains(t, errs, "guess")
}

func TestFlagsOfZooKeeperThatAreRefused(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	empty := filepath.Join(dir, "empty")
	require.NoError(t, os.WriteFile(empty, nil, 0o600))
	master := func(args ...string) []string {
		return append([]string{"master", "--work-dir", filepath.Join(dir, "m")}, args...)
	}
	for says, args := range map[string][]string{
		"--zk: must be zk://":                           master("--zk", "127.0.0.1:2181"),
		"has no path":                                   master("--zk", "zk://u:secret@h1,h2"),
		"is the root":                                   master("--zk", "zk://u:secret@h1,h2/"),
		"--zk \"file:///none\": stat /none":             master("--zk", "file:///none"),
		"--zk: zookeeper: address \"\" must be zk://":   master("--zk", "file://"+empty),
		"must be a file with one line":                  master("--zk", "file://"+dir),
		"--expect: must not be set with --zk":           master("--zk", "zk://h/p", "--expect", "3", "--join", "127.0.0.1:7946"),
		"--election-timeout: must not be set with --zk": master("--zk", "zk://h/p", "--election-timeout", "1s"),
		"--zk-session-timeout \"1ms\"":                  master("--zk", "zk://h/p", "--zk-session-timeout", "1ms"),
		"--master: zookeeper: address":                  {"slave", "--work-dir", dir, "--master", "zk://u:secret@h1,h2"},
		"must have a port from 1 to 65535":              {"tasks", "--master", "zk://u:secret@h1:x,h2/p"},
	} {
		_, errs, code := meros(t, args...)
		require.Equal(t, 2, code, "%v: %s", args, errs)
		require.Contains(t, errs, says)
		require.NotContains(t, errs, "secret")
		require.Equal(t, 1, strings.Count(errs, "\n"), errs)
	}
	_, errs, code := meros(t, "tasks", "--master", "zk://127.0.0.1:1/p")
	require.Equal(t, 1, code)
	require.Contains(t, errs, "the leading master cannot be found by --master: the ensemble does not answer, or no master leads")
	require.Equal(t, 1, strings.Count(errs, "\n"), errs)
}
