package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/election/discovery"
)

// keyFile writes a key of gossip to a file.
func keyFile(t *testing.T, fill byte) (path string, key []byte) {
	key = bytes.Repeat([]byte{fill}, 32)
	path = filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(path, []byte(base64.StdEncoding.EncodeToString(key)+"\n"), 0o600))
	return path, key
}

func TestAnyProgramWithTheKeyIsListedByTheGossip(t *testing.T) {
	t.Parallel()
	dir, addresses := folder(t), ports(t, 3)
	file, key := keyFile(t, 'k')
	startNode(t, dir, "master", "master", "--listen", addresses[0], "--gossip", addresses[1], "--expect", "1", "--gossip-key", file, "--work-dir", filepath.Join(dir, "m"))
	startNode(t, dir, "slave", "slave", "--listen", addresses[2], "--gossip", "127.0.0.1:0", "--join", addresses[1], "--gossip-key", file,
		"--work-dir", filepath.Join(dir, "s"))

	database, err := discovery.New(discovery.Config{Name: "db-1", Bind: "127.0.0.1:0", Key: key, Cluster: "meros", Join: []string{addresses[1]},
		Tags: map[string]string{discovery.TagRole: "database", discovery.TagAddress: "127.0.0.1:5432", "shard": "7"}})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- database.Run(ctx) }()
	defer func() {
		cancel()
		require.NoError(t, <-ended)
	}()
	var rows []memberRow
	eventually(t, "all three are listed", func() bool {
		rows = list[memberRow](t, "members", "--join", addresses[1], "--gossip-key", file)
		return len(rows) == 3 && rows[1].Leader
	})
	require.Equal(t, []string{"database", "master", "slave"}, []string{rows[0].Role, rows[1].Role, rows[2].Role})
	require.Equal(t, memberRow{ID: "db-1", Address: "127.0.0.1:5432", Role: "database", State: "alive",
		Tags: map[string]string{discovery.TagRole: "database", discovery.TagAddress: "127.0.0.1:5432", "shard": "7"}}, rows[0])
	require.Equal(t, addresses[0], rows[1].Address)
	table, errs, code := meros(t, "members", "--join", addresses[1], "--gossip-key", file)
	require.Zero(t, code, errs)
	require.Contains(t, table, "alive, leader")
	require.Contains(t, table, "db-1")

	wrong, _ := keyFile(t, 'w')
	var strangers []*job
	for _, args := range [][]string{{"--gossip-key", wrong}, {}, {"--gossip-key", file, "--cluster", "other"}} {
		strangers = append(strangers, background(t, append([]string{"members", "--join", addresses[1]}, args...)...))
	}
	for _, s := range strangers {
		require.Equal(t, 1, s.wait(), "%v: %s", s.cmd.Args, s.stdout.String())
		require.Empty(t, s.stdout.String())
		require.Equal(t, 1, strings.Count(s.stderr.String(), "\n"), s.stderr.String())
		require.Contains(t, s.stderr.String(), addresses[1])
		require.Contains(t, s.stderr.String(), "--gossip-key")
	}
	_, errs, code = meros(t, "members", "--join", addresses[1], "--gossip-key", "/none")
	require.Equal(t, 2, code)
	require.Contains(t, errs, "/none")
}

func TestTheKeyOfTheGossipIsChangedWhileItRuns(t *testing.T) {
	t.Parallel()
	dir, addresses := folder(t), ports(t, 3)
	text := func(fill byte) string {
		return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{fill}, 32)) + "\n"
	}
	write := func(path, content string) {
		require.NoError(t, os.WriteFile(path+".new", []byte(content), 0o600))
		require.NoError(t, os.Rename(path+".new", path))
	}
	files := []string{filepath.Join(dir, "master.key"), filepath.Join(dir, "slave.key")}
	for _, f := range files {
		write(f, "# of the gossip\n"+text('o'))
	}
	startNode(t, dir, "master", "master", "--listen", addresses[0], "--gossip", addresses[1], "--expect", "1", "--gossip-key", files[0], "--work-dir", filepath.Join(dir, "m"))
	startNode(t, dir, "slave", "slave", "--listen", addresses[2], "--gossip", "127.0.0.1:0", "--join", addresses[1], "--gossip-key", files[1],
		"--work-dir", filepath.Join(dir, "s"))
	mark := func(fill byte) string { return discovery.KeyMark(bytes.Repeat([]byte{fill}, 32)) }
	client := filepath.Join(dir, "client.key")
	agree := func(keys, want string) {
		write(client, keys)
		eventually(t, "both have the keys "+want, func() bool {
			out, _, code := meros(t, "members", "--json", "--join", addresses[1], "--gossip-key", client)
			return code == 0 && strings.Count(out, `"keys": "`+want+`"`) == 2 && strings.Count(out, `"alive"`) == 2
		})
	}
	agree(text('o'), mark('o'))
	for _, step := range []struct{ keys, want string }{
		{text('o') + text('n'), mark('o') + " " + mark('n')},
		{text('n') + text('o'), mark('n') + " " + mark('o')},
		{text('n'), mark('n')},
	} {
		for _, f := range files {
			write(f, step.keys)
		}
		agree(step.keys, step.want)
	}
	write(files[0], "nonsense")
	agree(text('n'), mark('n'))
}

func TestMoreMastersThanExpectedAreRefused(t *testing.T) {
	t.Parallel()
	dir, addresses := folder(t), ports(t, 6)
	args := func(i int) []string {
		return []string{"master", "--listen", addresses[i], "--gossip", addresses[3+i], "--join", addresses[3], "--expect", "2",
			"--work-dir", filepath.Join(dir, "m-"+addresses[i])}
	}
	startNode(t, dir, "master-1", args(0)...)
	startNode(t, dir, "master-2", args(1)...)
	seeds := strings.Join(addresses[:2], ",")
	eventually(t, "two form a cluster", func() bool { return len(list[memberRow](t, "members", "--master", seeds)) == 2 })
	_, errs, code := meros(t, args(2)...)
	require.Equal(t, 2, code, errs)
	require.Contains(t, lastLine(errs), "3 masters have met")
	require.Contains(t, lastLine(errs), addresses[0])
	require.Len(t, list[memberRow](t, "members", "--master", seeds), 2)
}
