package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/slave"
)

func TestMain(m *testing.M) {
	slave.Supervise(nil)
	if len(os.Args) > 1 && strings.HasPrefix(os.Args[1], childArgument) {
		runChild(strings.TrimPrefix(os.Args[1], childArgument))
		return
	}
	os.Exit(m.Run())
}

// openFolder is a folder that tasks can reach: slaves that run as root run them as nobody.
func openFolder(t *testing.T) string {
	dir, err := os.MkdirTemp("", "meros-cluster-test-")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	return dir
}

func TestTheClusterLosesNothingWhenItsLeaderIsKilled(t *testing.T) {
	dir := openFolder(t)
	jobs := filepath.Join(dir, "jobs")
	require.NoError(t, os.WriteFile(jobs, []byte("# twenty-four short jobs\n"+strings.Repeat("echo done; sleep 0.1\n\n", 24)), 0o600))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var out bytes.Buffer
	ok, err := run(ctx, jobs, filepath.Join(dir, "data"), &out)
	require.NoError(t, err, out.String())
	require.True(t, ok, out.String())
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	for i, word := range []string{"leader", "slaves", "masters", "data", "plan", "next"} {
		require.True(t, strings.HasPrefix(lines[i], word+" "), lines[i])
	}
	require.Contains(t, out.String(), "\nkilled ")
	require.Regexp(t, regexp.MustCompile(`^ok: tasks=24 finished=24 failed=0 lost=0 duplicated=0 leaders=2 failover_ms=[1-9]\d*$`), lines[len(lines)-1])
}

func TestAFailedJobFailsTheRun(t *testing.T) {
	dir := openFolder(t)
	jobs := filepath.Join(dir, "jobs")
	require.NoError(t, os.WriteFile(jobs, []byte("true\nexit 7\ntrue\ntrue\n"), 0o600))
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var out bytes.Buffer
	ok, err := run(ctx, jobs, filepath.Join(dir, "data"), &out)
	require.NoError(t, err, out.String())
	require.False(t, ok)
	require.Contains(t, out.String(), "TASK_FAILED, exited with status 7")
	require.Contains(t, out.String(), "failed: tasks=4 finished=3 failed=1 lost=0 duplicated=0")
}

func TestTheVerdictNamesLostAndDuplicatedJobs(t *testing.T) {
	audit := t.TempDir()
	jobs := []*job{{name: "fine", done: true, state: offer.Finished, finished: 1}, {name: "lost"}, {name: "never-ran", done: true, state: offer.Finished, finished: 1},
		{name: "twice", done: true, state: offer.Finished, finished: 1}}
	require.NoError(t, os.WriteFile(filepath.Join(audit, "fine"), []byte("1 0\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(audit, "twice"), []byte("1 0\n2 0\n"), 0o600))
	v := newBatch(jobs, audit).judge()
	require.False(t, v.ok())
	require.Equal(t, []string{"lost", "never-ran"}, v.lost)
	require.Equal(t, []string{"twice"}, v.duplicated)
	require.Contains(t, v.String(), "failed: tasks=4 finished=2 failed=0 lost=2 duplicated=1")
}

func TestJobFilesAreChecked(t *testing.T) {
	jobs, err := readJobs("")
	require.NoError(t, err)
	require.Greater(t, len(jobs), 100)
	empty := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(empty, []byte("# nothing\n"), 0o600))
	_, err = readJobs(empty)
	require.ErrorContains(t, err, "no jobs")
	_, err = readJobs(filepath.Join(t.TempDir(), "missing"))
	require.ErrorIs(t, err, os.ErrNotExist)
}
