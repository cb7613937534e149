package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/election"
)

// words are a state of another program's.
type words string

func (w words) WriteTo(to io.Writer) (int64, error) {
	n, err := io.WriteString(to, string(w))
	return int64(n), err
}

func (words) Release() {}

// save saves a cluster to a new file and says what is in it.
func (c *cluster) save(path string) election.Saved {
	c.t.Helper()
	var out, errs string
	eventually(c.t, "the cluster is saved", func() bool {
		var code int
		out, errs, code = meros(c.t, append([]string{"snapshot", "save", path, "--master", c.seeds}, c.tls...)...)
		return code == 0
	})
	require.Contains(c.t, out, "saved: cluster meros-", errs)
	f, err := election.OpenSaved(path)
	require.NoError(c.t, err)
	require.NoError(c.t, f.Close())
	require.Contains(c.t, out, f.ClusterID)
	return f.Saved
}

// steady runs a command until release is called, and its output shows that it was not started twice.
func (c *cluster) steady() (release func()) {
	c.t.Helper()
	gate := filepath.Join(openFolder(c.t), "release")
	job := background(c.t, c.args("run", "--name", "steady", "--cpus", "0.1", "--mem", "32", "--", "sh", "-c",
		"echo begun; while [ ! -e "+gate+" ]; do sleep 0.05; done; echo over")...)
	eventually(c.t, "the command runs", func() bool { return c.running("steady") == 1 })
	return func() {
		require.NoError(c.t, os.WriteFile(gate, nil, 0o600))
		require.Zero(c.t, job.wait(), job.stderr.String())
		require.Equal(c.t, "begun\nover\n", job.stdout.String())
	}
}

// slaveIDs are those of the slaves that are connected.
func (c *cluster) slaveIDs() (ids []string) {
	for _, m := range c.members() {
		if m.Role == "slave" && m.State == "connected" {
			ids = append(ids, m.ID)
		}
	}
	return ids
}

// meros dev, with one master that elects nobody, becomes three masters; a command and its slave notice a pause.
func TestAStandaloneMasterBecomesThreeWhileATaskRuns(t *testing.T) {
	c := &cluster{t: t, dir: folder(t), masters: map[string]*node{}}
	addresses := ports(t, 4)
	c.seeds = strings.Join(addresses[:3], ",")
	work := filepath.Join(c.dir, "dev")
	dev := startNode(t, c.dir, "dev", "dev", "--listen", addresses[0], "--slave-listen", addresses[3], "--work-dir", work)
	release := c.steady()
	before := c.slaveIDs()
	require.Len(t, before, 1)
	file := filepath.Join(c.dir, "saved")
	about := c.save(file)
	dev.kill()

	restored := filepath.Join(c.dir, "master-0")
	out, errs, code := meros(t, "snapshot", "restore", file, "--work-dir", restored, "--advertise", addresses[0])
	require.Zero(t, code, errs)
	require.Contains(t, out, about.ClusterID)
	require.Contains(t, out, "--listen "+addresses[0]+" --work-dir "+restored)
	c.masters[addresses[0]] = startNode(t, c.dir, "master-0", "master", "--listen", addresses[0], "--work-dir", restored)
	startNode(t, c.dir, "slave", "slave", "--listen", addresses[3], "--master", c.seeds, "--work-dir", filepath.Join(work, "slave"))
	c.join("master-1", addresses[1])
	c.join("master-2", addresses[2])
	eventually(t, "the command is known to the new masters", func() bool { return c.running("steady") == 1 })
	require.Equal(t, before, c.slaveIDs())

	// The one that was restored is not needed any more.
	c.masters[addresses[0]].kill()
	eventually(t, "another one leads", func() bool {
		next := c.leader()
		return next != "" && next != addresses[0] && c.running("steady") == 1
	})
	after := c.save(filepath.Join(c.dir, "saved-again"))
	require.Equal(t, about.ClusterID, after.ClusterID)
	require.Greater(t, after.Reign, about.Reign)
	require.Greater(t, after.Index, about.Index)
	release()
}

// A cluster goes on from a file that is older than its newest slave, which comes back with its task under its own id.
func TestAClusterGoesOnFromAnOlderFile(t *testing.T) {
	c := startCluster(t, 1, 1)
	eventually(t, "a slave", func() bool { return len(c.slaveIDs()) == 1 })
	file := filepath.Join(c.dir, "saved")
	c.save(file)
	late := ports(t, 1)[0]
	c.slaves = append(c.slaves, startNode(t, c.dir, "late", "slave", "--listen", late, "--master", c.seeds,
		"--work-dir", filepath.Join(c.dir, "late"), "--resources", "cpus:2;mem:512;disk:512"))
	eventually(t, "a slave that the file does not know", func() bool { return len(c.slaveIDs()) == 2 })
	before := c.slaveIDs()
	gate := filepath.Join(openFolder(t), "release")
	for range 2 { // the framework is younger than the file, too, and is told to begin anew
		background(t, c.args("run", "--name", "young", "--cpus", "1.5", "--mem", "32", "--", "sh", "-c",
			"while [ ! -e "+gate+" ]; do sleep 0.05; done")...)
	}
	eventually(t, "one on each slave", func() bool { return c.running("young") == 2 })
	c.masters[c.seeds].kill()

	restored := filepath.Join(c.dir, "restored")
	_, errs, code := meros(t, "snapshot", "restore", file, "--work-dir", restored, "--advertise", c.seeds)
	require.Zero(t, code, errs)
	startNode(t, c.dir, "restored", "master", "--listen", c.seeds, "--work-dir", restored)
	eventually(t, "both slaves are back", func() bool { return len(c.slaveIDs()) == 2 })
	require.ElementsMatch(t, before, c.slaveIDs())
	third := ports(t, 1)[0]
	startNode(t, c.dir, "third", "slave", "--listen", third, "--master", c.seeds, "--work-dir", filepath.Join(c.dir, "third"), "--resources", "cpus:2;mem:512;disk:512")
	eventually(t, "a new slave has an id of its own", func() bool { return len(c.slaveIDs()) == 3 })
	require.NoError(t, os.WriteFile(gate, nil, 0o600))
}

func TestASnapshotThatCannotBeTakenOrTakenUpSaysWhy(t *testing.T) {
	c := startCluster(t, 1, 0)
	file := filepath.Join(c.dir, "saved")
	about := c.save(file)
	good, err := os.ReadFile(file)
	require.NoError(t, err)
	put := func(name string, data []byte) string {
		path := filepath.Join(c.dir, name)
		require.NoError(t, os.WriteFile(path, data, 0o600))
		return path
	}
	later := bytes.Clone(good)
	later[7] = '2'
	damaged := bytes.Clone(good)
	damaged[len(damaged)/2] ^= 1
	var newer bytes.Buffer
	require.NoError(t, election.WriteSaved(&newer, about, words("MEROSsn2 and what comes after")))
	var mixed bytes.Buffer
	f, err := election.OpenSaved(file)
	require.NoError(t, err)
	defer f.Close()
	var state bytes.Buffer
	_, err = state.ReadFrom(f.State())
	require.NoError(t, err)
	wrong := about
	wrong.ClusterID = "meros-0123456789abcdef"
	require.NoError(t, election.WriteSaved(&mixed, wrong, words(state.String())))
	used := filepath.Join(c.dir, "used")
	require.NoError(t, os.MkdirAll(filepath.Join(used, "something"), 0o700))
	empty := filepath.Join(c.dir, "empty")

	for _, test := range []struct {
		args []string
		code int
		want []string
	}{
		{[]string{"restore", put("later", later), "--work-dir", empty}, 1, []string{"format '2'", "knows '1'"}},
		{[]string{"restore", put("damaged", damaged), "--work-dir", empty}, 1, []string{"damaged"}},
		{[]string{"restore", put("short", good[:len(good)-1]), "--work-dir", empty}, 1, []string{"cut short"}},
		{[]string{"restore", put("newer", newer.Bytes()), "--work-dir", empty}, 1, []string{"version", `"2"`, `"1"`}},
		{[]string{"restore", put("mixed", mixed.Bytes()), "--work-dir", empty}, 1, []string{about.ClusterID, wrong.ClusterID}},
		{[]string{"restore", put("script", []byte("#!/bin/sh\nexit 1\n")), "--work-dir", empty}, 1, []string{"#!/bin/"}},
		{[]string{"restore", filepath.Join(c.dir, "nothing"), "--work-dir", empty}, 1, []string{"no such file"}},
		{[]string{"restore", file, "--work-dir", empty, "--cluster", "other"}, 1, []string{`"meros"`, `"other"`}},
		{[]string{"restore", file, "--work-dir", used}, 1, []string{"not empty", "something"}},
		{[]string{"restore", file}, 2, []string{"--work-dir"}},
		{[]string{"restore", file, "--work-dir", empty, "--advertise", "10.0.0.1"}, 2, []string{"--advertise", "HOST:PORT"}},
		{[]string{"restore", file, "--work-dir", empty, "--advertise", "10.0.0.1:0"}, 2, []string{"--advertise", "other than 0"}},
		{[]string{"restore", file, "--work-dir", empty, "--id", "a b"}, 1, []string{"NodeID", "a b"}},
		{[]string{"restore", "--work-dir", empty}, 2, []string{"exactly one"}},
		{[]string{"save", file, "--master", c.seeds}, 1, []string{"is there already"}},
		{[]string{"save", filepath.Join(c.dir, "no", "folder"), "--master", c.seeds}, 1, []string{"no such file"}},
		{[]string{"save", filepath.Join(c.dir, "new"), "--master", ports(t, 1)[0]}, 1, []string{"refused"}},
		{[]string{"save", filepath.Join(c.dir, "new"), "--master", "half:"}, 2, []string{"--master", "HOST:PORT"}},
		{[]string{"keep"}, 2, []string{`"keep"`, "save or restore"}},
	} {
		out, errs, code := meros(t, append([]string{"snapshot"}, test.args...)...)
		require.Equal(t, test.code, code, "%v: %s", test.args, errs)
		require.Empty(t, out)
		require.Equal(t, 1, strings.Count(errs, "\n"), errs)
		for _, w := range test.want {
			require.Contains(t, errs, w, "%v", test.args)
		}
		require.NoFileExists(t, empty)
		require.NoFileExists(t, filepath.Join(c.dir, "new"))
	}
	require.Len(t, mustRead(t, used), 1)
	same, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, good, same)
}

func mustRead(t *testing.T, dir string) []os.DirEntry {
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	return entries
}
