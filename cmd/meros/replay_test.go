package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// recordedCluster is three masters that record, and two slaves.
func recordedCluster(t *testing.T) (c *cluster, records map[string]string) {
	c = &cluster{t: t, dir: folder(t), masters: map[string]*node{}}
	records = map[string]string{}
	addresses := ports(t, 5)
	c.seeds = strings.Join(addresses[:3], ",")
	for i, a := range addresses[:3] {
		name := fmt.Sprintf("master-%d", i+1)
		records[a] = filepath.Join(c.dir, "records", name)
		c.masters[a] = startNode(t, c.dir, name, "master", "--listen", a, "--masters", c.seeds, "--work-dir", filepath.Join(c.dir, name),
			"--record", records[a], "--record-mib", "1", "--record-files", "2")
	}
	for i, a := range addresses[3:] {
		name := fmt.Sprintf("slave-%d", i+1)
		c.slaves = append(c.slaves, startNode(t, c.dir, name, "slave", "--listen", a, "--master", c.seeds, "--work-dir", filepath.Join(c.dir, name),
			"--hostname", name, "--resources", "cpus:2;mem:512"))
	}
	return c, records
}

// recordings are the files of a folder, oldest first.
func recordings(t *testing.T, dir string) []string {
	files, err := filepath.Glob(filepath.Join(dir, "*.rec"))
	require.NoError(t, err)
	slices.Sort(files)
	return files
}

func TestReplaysOfALeaderThatWasKilledAndOfItsSuccessor(t *testing.T) {
	c, records := recordedCluster(t)
	release := filepath.Join(openFolder(t), "release")
	script := "while [ ! -e " + release + " ]; do sleep 0.05; done; exit 5"
	steady := background(t, c.args("run", "--name", "steady", "--cpus", "1", "--mem", "64", "--", "sh", "-c", script)...)
	eventually(t, "the command runs", func() bool { return c.running("steady") == 1 })
	_, errs, code := meros(t, c.args("run", "--name", "quick", "--cpus", "0.1", "--mem", "32", "--", "true")...)
	require.Zero(t, code, errs)
	task := c.tasks()[0]

	leader := c.leader()
	require.NotEmpty(t, leader)
	eventually(t, "the end of the quick one is on the leader's disk", func() bool {
		files := recordings(t, records[leader])
		if len(files) == 0 {
			return false
		}
		out, _, code := meros(t, "replay", files[len(files)-1])
		return code == 0 && strings.Contains(out, "TASK_FINISHED")
	})
	c.masters[leader].kill()
	var successor string
	eventually(t, "another one leads", func() bool {
		successor = c.leader()
		return successor != "" && successor != leader && c.running("steady") == 1
	})
	require.NoError(t, os.WriteFile(release, nil, 0o600))
	require.Equal(t, 5, steady.wait(), steady.stderr.String())
	for _, m := range c.masters {
		m.kill()
	}

	decided := regexp.MustCompile(`(?m)^\d+ events until \S+, decided as they were recorded; the recording ends: (.*)$`)
	for _, m := range []string{leader, successor} {
		files := recordings(t, records[m])
		require.NotEmpty(t, files)
		require.LessOrEqual(t, len(files), 2)
		for _, f := range files {
			out, errs, code := meros(t, "replay", f)
			require.Zero(t, code, errs)
			require.Regexp(t, decided, out)
			require.Contains(t, out, "master "+m+", reign ")
		}
	}

	// What the leader knew at its end.
	last := recordings(t, records[leader])
	file := last[len(last)-1]
	out, errs, code := meros(t, "replay", file)
	require.Zero(t, code, errs)
	require.Contains(t, out, "after a crash")
	require.Contains(t, out, `note slave admitted`)
	books, errs, code := meros(t, "replay", file, "--describe")
	require.Zero(t, code, errs)
	require.Regexp(t, `(?m)^`+task.ID+` .*TASK_RUNNING`, books)
	early, errs, code := meros(t, "replay", file, "--describe", "--at", "+0s")
	require.Zero(t, code, errs)
	require.NotContains(t, early, task.ID)
	later, errs, code := meros(t, "replay", file, "--at", "+1h")
	require.Zero(t, code, errs)
	require.Len(t, strings.Split(strings.TrimSpace(later), "\n"), 2, "nothing is left to decide")

	out, errs, code = meros(t, "replay", file, "--json")
	require.Zero(t, code, errs)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	for i, l := range lines[1 : len(lines)-1] {
		var step struct {
			N     int
			At    string
			Event struct{ Kind string }
		}
		require.NoError(t, json.Unmarshal([]byte(l), &step), l)
		require.Equal(t, i+1, step.N)
		require.NotEmpty(t, step.Event.Kind)
	}

	why, errs, code := meros(t, "replay", file, "--explain", task.FrameworkID)
	require.Zero(t, code, errs)
	require.Contains(t, why, task.FrameworkID)
	_, errs, code = meros(t, "replay", file, "--explain", "f-99")
	require.Equal(t, 2, code)
	require.Contains(t, errs, "f-99")

	// What if.
	out, errs, code = meros(t, "replay", file, "--drain", task.SlaveID, "--for", "10m")
	require.Zero(t, code, errs)
	other := map[string]string{"s-1": "s-2", "s-2": "s-1"}[task.SlaveID]
	require.Regexp(t, `(?m)^`+task.ID+` .*`+task.SlaveID+` +`+other+` `, out)
	require.Contains(t, out, "1 tasks displaced, of which 0 wait")
	out, errs, code = meros(t, "replay", file, "--drain", "s-1,s-2")
	require.Zero(t, code, errs)
	require.Contains(t, out, "1 tasks displaced, of which 1 wait")
	out, errs, code = meros(t, "replay", file, "--add-framework", "batch=q,4,cpus:1;mem:64", "--limit", "q=cpus:2", "--for", "5m")
	require.Zero(t, code, errs)
	require.Contains(t, out, "4 tasks added, of which 2 wait")
	out, errs, code = meros(t, "replay", file, "--quota", "q=cpus:100")
	require.Zero(t, code, errs)
	require.Contains(t, out, "refused: quota of role q: ")
	_, errs, code = meros(t, "replay", file, "--drain", "s-9")
	require.Equal(t, 2, code)
	require.Contains(t, errs, "s-9")

	// Folders, and what is no recording.
	out, errs, code = meros(t, "replay", records[leader])
	require.Zero(t, code, errs)
	require.Len(t, strings.Split(strings.TrimSpace(out), "\n"), 1+len(last))
	require.Contains(t, out, filepath.Base(file))
	bad := filepath.Join(c.dir, "bad.rec")
	require.NoError(t, os.WriteFile(bad, []byte("nothing"), 0o600))
	_, errs, code = meros(t, "replay", bad)
	require.Equal(t, 1, code)
	require.Contains(t, errs, "not a recording")
	_, errs, code = meros(t, "replay", filepath.Join(c.dir, "none"))
	require.Equal(t, 1, code)
	require.Contains(t, errs, "none")
}

func TestTheInstantOfAReplay(t *testing.T) {
	for text, want := range map[string]string{
		"+90s": "2026-03-04T12:31:30.250000Z", "2026-03-04T13:00:00Z": "2026-03-04T13:00:00.000000Z", "12:45:00": "2026-03-04T12:45:00.000000Z",
		"00:10:00": "2026-03-05T00:10:00.000000Z", "12:30:00": "2026-03-04T12:30:00.000000Z", "2026-03-04T13:00:00.5+01:00": "2026-03-04T12:00:00.500000Z",
	} {
		f := replayFlags{at: text}
		at, err := f.instant(time.Date(2026, 3, 4, 12, 30, 0, 250_000_000, time.UTC))
		require.NoError(t, err)
		require.Equal(t, want, stamp(at), text)
	}
}
