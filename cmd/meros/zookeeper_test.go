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
	ours := newAuthority(t)
	cert, key := ours.leaf("node")
	for says, args := range map[string][]string{
		"--zk: unknown scheme \"etcd\": must be zk://":                                    master("--zk", "etcd://u:secret@h1,h2/p"),
		"--zk: unknown scheme \"zookeeper\": must be zk://":                               master("--zk", "zookeeper://u:secret@h/p"),
		"--zk: must be zk://[USER:PASSWORD@]HOST[:PORT],.../PATH, or file:// and":         master("--zk", "zk:/u:secret@h/p"),
		"all servers stand before the one path":                                           master("--zk", "zk://u:secret@h1/p,h2"),
		"must have user:password before the @":                                            master("--zk", "zk://secret@h1/p"),
		"server \"\" must be host":                                                        master("--zk", "zk://h1,/p"),
		"--master: unknown scheme \"http\": must be HOST:PORT":                            {"tasks", "--master", "http://u:secret@h:5050"},
		"--master: must be HOST:PORT, as in 127.0.0.1:5050, or zk://":                     {"slave", "--work-dir", dir, "--master", "zk:/u:sec,secret@h1,h2/p"},
		"--zk-tls-ca, --zk-tls-cert and --zk-tls-key: need --zk\n":                        master("--zk-tls-ca", ours.ca()),
		"need --master zk://HOST,.../PATH":                                                {"tasks", "--zk-tls-ca", ours.ca(), "--master", "127.0.0.1:5050"},
		"--zk-tls-ca \"\": must be set with --zk-tls-cert":                                master("--zk", "zk://h/p", "--zk-tls-cert", cert, "--zk-tls-key", key),
		"--zk-tls-cert and --zk-tls-key: must be set together":                            master("--zk", "zk://h/p", "--zk-tls-ca", ours.ca(), "--zk-tls-cert", cert),
		"--zk-tls-ca \"/none\": open /none":                                               {"slave", "--work-dir", dir, "--master", "zk://h/p", "--zk-tls-ca", "/none"},
		"must hold at least one PEM certificate":                                          {"tasks", "--master", "zk://h/p", "--zk-tls-ca", key},
		"--zk-tls-cert \"" + ours.ca() + "\": tls: private key does not match public key": master("--zk", "zk://h/p", "--zk-tls-ca", ours.ca(), "--zk-tls-cert", ours.ca(), "--zk-tls-key", key),
		"--zk: must be zk://":                                                             master("--zk", "127.0.0.1:2181"),
		"has no path":                                                                     master("--zk", "zk://u:secret@h1,h2"),
		"is the root":                                                                     master("--zk", "zk://u:secret@h1,h2/"),
		"--zk \"file:///none\": stat /none":                                               master("--zk", "file:///none"),
		"--zk: zookeeper: address \"\" must be zk://":                                     master("--zk", "file://"+empty),
		"must be a file with one line":                                                    master("--zk", "file://"+dir),
		"--expect: must not be set with --zk":                                             master("--zk", "zk://h/p", "--expect", "3", "--join", "127.0.0.1:7946"),
		"--election-timeout: must not be set with --zk":                                   master("--zk", "zk://h/p", "--election-timeout", "1s"),
		"--zk-session-timeout \"1ms\"":                                                    master("--zk", "zk://h/p", "--zk-session-timeout", "1ms"),
		"--master: zookeeper: address":                                                    {"slave", "--work-dir", dir, "--master", "zk://u:secret@h1,h2"},
		"must have a port from 1 to 65535":                                                {"tasks", "--master", "zk://u:secret@h1:x,h2/p"},
	} {
		_, errs, code := meros(t, args...)
		require.Equal(t, 2, code, "%v: %s", args, errs)
		require.Contains(t, errs, says)
		require.NotContains(t, errs, "secret")
		require.Equal(t, 1, strings.Count(errs, "\n"), errs)
	}
	_, errs, code := meros(t, "tasks", "--master", "zk://127.0.0.1:1/p")
	require.Equal(t, 1, code)
	require.Contains(t, errs, "the leading master cannot be found by --master: the ensemble does not answer: server 127.0.0.1:1: dial tcp 127.0.0.1:1: connect: connection refused")
	require.Equal(t, 1, strings.Count(errs, "\n"), errs)
}

// Masters that are given what is not theirs, and those who are not let in, say so in one line and change nothing: the first goes on leading.
func TestMastersThatAreRefusedOnZooKeeper(t *testing.T) {
	t.Parallel()
	ours, theirs := newAuthority(t), newAuthority(t)
	dir := folder(t)
	read := func(path string) []byte {
		b, err := os.ReadFile(path)
		require.NoError(t, err)
		return b
	}
	cert, key := ours.leaf("server")
	store := filepath.Join(dir, "server.pem")
	require.NoError(t, os.WriteFile(store, append(read(key), read(cert)...), 0o600))
	zk := startZooKeeper(t, zkserver.Options{KeyStore: store, TrustStore: ours.ca()})
	secret := filepath.Join(dir, "zk")
	require.NoError(t, os.WriteFile(secret, []byte("zk://meros:secret@"+zk.SecureAddress+"/test\n"), 0o600))
	secure := func(a *authority, name string) []string {
		cert, key := ours.leaf(name)
		return []string{"--zk-tls-ca", a.ca(), "--zk-tls-cert", cert, "--zk-tls-key", key}
	}
	addresses := ports(t, 3)
	master := func(name, address string, args ...string) []string {
		return append([]string{"master", "--listen", address, "--work-dir", filepath.Join(dir, name), "--zk-session-timeout", "4s"}, args...)
	}
	first := startNode(t, dir, "first", master("first", addresses[0], append(secure(ours, "first"), "--zk", "file://"+secret, "--id", "m-1")...)...)
	eventually(t, "a master leads", func() bool { return strings.Contains(first.said(), "msg=leading") })
	clients := append([]string{"--master", "zk://" + zk.SecureAddress + "/test"}, secure(ours, "client")...)
	rows := func() []memberRow { return list[memberRow](t, append([]string{"members"}, clients...)...) }
	eventually(t, "the master is found over TLS", func() bool { return len(rows()) == 1 && rows()[0].Leader })

	own := "zk://meros:secret@" + zk.Address + "/test"
	for says, args := range map[string][]string{
		`belongs to the cluster "meros", this master to "other"`: {"--zk", own, "--cluster", "other"},
		`another master has this id: m-1, at ` + addresses[0]:    {"--zk", own, "--id", "m-1"},
		`as user "meros"`:     {"--zk", "zk://meros:guess@" + zk.Address + "/test"},
		"without credentials": {"--zk", "zk://" + zk.Address + "/test"},
	} {
		_, errs, code := meros(t, master("refused", addresses[1], args...)...)
		require.Equal(t, 1, code, errs)
		var last string
		for line := range strings.Lines(errs) {
			if strings.HasPrefix(line, "meros: ") {
				require.Empty(t, last, errs)
				last = line
			}
		}
		require.Contains(t, last, says)
		require.NotContains(t, errs, "secret")
		require.NotContains(t, errs, "guess")
		require.NotContains(t, errs, "panic")
		require.NoError(t, os.RemoveAll(filepath.Join(dir, "refused")))
	}
	for says, args := range map[string][]string{
		"certificate signed by unknown authority": append(secure(theirs, "x"), "--zk", "zk://meros:secret@"+zk.SecureAddress+"/test"),
		"server " + zk.SecureAddress + ": ":       {"--zk", "zk://meros:secret@" + zk.SecureAddress + "/test"},
		"connection refused":                      {"--zk", "zk://meros:secret@127.0.0.1:1/test"},
	} {
		n := startNode(t, dir, "waits", master("waits", addresses[2], args...)...)
		eventually(t, "a line that says "+says, func() bool {
			return slices.ContainsFunc(strings.Split(n.said(), "\n"), func(line string) bool {
				return strings.Contains(line, "no server of the ensemble answers") && strings.Contains(line, says)
			})
		})
		n.kill()
		require.NotContains(t, n.said(), "secret")
		require.NoError(t, os.Remove(n.log))
	}
	_, errs, code := meros(t, append([]string{"tasks", "--master", "zk://" + zk.SecureAddress + "/test"}, secure(theirs, "y")...)...)
	require.Equal(t, 1, code)
	require.Contains(t, errs, "the ensemble does not answer: server "+zk.SecureAddress+": tls: failed to verify certificate")
	require.Equal(t, 1, strings.Count(errs, "\n"), errs)

	eventually(t, "the first master leads, and is the only one", func() bool { return len(rows()) == 1 && rows()[0].Leader })
}
