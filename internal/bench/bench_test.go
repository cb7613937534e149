package main

import (
	"bytes"
	"context"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/wire"
	"github.com/meros-project/meros/internal/zkserver"
	"github.com/meros-project/meros/isolation/isolationtest"
	"github.com/meros-project/meros/offer/resource"
	"github.com/meros-project/meros/slave"
)

func TestMain(m *testing.M) {
	slave.Supervise(nil)
	asChild()
	goleak.VerifyTestMain(m)
}

// bench runs the command and returns its exit status and output.
func bench(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	var out, progress bytes.Buffer
	code = run(ctx, args, &out, &progress)
	return code, out.String(), progress.String()
}

var lastLine = regexp.MustCompile(`^(\S+)((?: [a-z0-9_]+=-?[0-9.]+)+) goal=(\S+) met=(true|false)$`)

// figures runs a benchmark, checks the form of its last line and returns the figures. Whether the goal is met is not asked: a test machine is
// busy, and the sizes are tiny.
func figures(t *testing.T, args ...string) map[string]float64 {
	t.Helper()
	code, stdout, stderr := bench(t, args...)
	lines := strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
	m := lastLine.FindStringSubmatch(lines[len(lines)-1])
	require.NotNil(t, m, "status %d, output %q, progress:\n%s", code, stdout, stderr)
	require.Equal(t, args[0], m[1])
	require.Equal(t, map[string]int{"true": 0, "false": 1}[m[4]], code)
	out := map[string]float64{}
	for _, kv := range strings.Fields(m[2]) {
		key, value, _ := strings.Cut(kv, "=")
		v, err := strconv.ParseFloat(value, 64)
		require.NoError(t, err)
		out[key] = v
	}
	return out
}

func TestWithoutArgumentsTheBenchmarksAreListed(t *testing.T) {
	code, stdout, stderr := bench(t)
	require.Zero(t, code)
	require.Empty(t, stderr)
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	require.Len(t, lines, len(benchmarks()))
	for i, b := range benchmarks() {
		require.True(t, strings.HasPrefix(lines[i], b.name+" "), lines[i])
		require.Contains(t, lines[i], "goal: "+goalText(b.goals))
	}
}

func TestWhatIsWrongIsSaidInOneLine(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"e2e/nothing"}, `"e2e/nothing" is not a benchmark (allowed: e2e/launch, e2e/offer, e2e/failover, e2e/recover, e2e/record, mem/tasks, slave/starts, slave/recover, slave/cpu, slave/rest, launcher/place, raft/commit, election/failover, discovery/converge, `},
		{[]string{"mem/tasks", "-tasks", "x"}, `invalid value "x" for flag -tasks`},
		{[]string{"mem/tasks", "-tasks", "0"}, `-tasks is 0 (allowed: at least 1)`},
		{[]string{"mem/tasks", "-rounds", "1"}, `-rounds`},
		{[]string{"alloc/decline", "-slaves", "0"}, `-slaves is 0 (allowed: at least 1)`},
		{[]string{"alloc/curve", "-frameworks", "1"}, `-frameworks`},
		{[]string{"alloc/quota", "-cut", "0s"}, `-cut is 0s (allowed: above 0)`},
		{[]string{"mem/tasks", "more"}, `"more" is not expected`},
		{[]string{"e2e/launch", "-slaves", "0"}, `-slaves is 0 (allowed: at least 1)`},
	} {
		code, stdout, stderr := bench(t, c.args...)
		require.Equal(t, 2, code, "%v", c.args)
		require.Empty(t, stdout)
		require.Contains(t, stderr, c.want)
		require.Equal(t, 1, strings.Count(stderr, "\n"), "%q", stderr)
	}
}

func TestAGoalThatIsNotMetIsAFailure(t *testing.T) {
	var out bytes.Buffer
	r := &report{name: "x", goals: []goal{{key: "a", most: true, limit: 1.5}, {key: "b", limit: 2}}, out: &out}
	r.set("a", 1.5)
	require.False(t, r.finish(), "b has no figure")
	r.set("b", 2)
	require.True(t, r.finish())
	r.figures[0].value = 1.51
	require.False(t, r.finish())
	require.Equal(t, "x a=1.50 goal=a<=1.50,b>=2 met=false\nx a=1.50 b=2 goal=a<=1.50,b>=2 met=true\nx a=1.51 b=2 goal=a<=1.50,b>=2 met=false\n",
		out.String())
}

func TestQuantilesAreByNearestRank(t *testing.T) {
	values := []float64{5, 1, 4, 2, 3}
	require.Equal(t, 3.0, median(values))
	require.Equal(t, 5.0, quantile(values, 0.99))
	require.Equal(t, 1.0, quantile(values, 0))
	require.Equal(t, []float64{5, 1, 4, 2, 3}, values)
	require.Equal(t, 2.0, median([]float64{3, 1, 4, 2}))
	require.Zero(t, median([]time.Duration(nil)))
}

func TestHalfOfTheLabelsRepeat(t *testing.T) {
	a, b := labelsOf(1), labelsOf(99_999)
	require.Len(t, a, 10)
	same := 0
	for i := range a {
		for _, l := range []resource.Label{a[i], b[i]} {
			require.Len(t, l.Key, 10)
			require.Len(t, l.Value, 10)
		}
		if a[i] == b[i] {
			same++
		}
	}
	require.Equal(t, 5, same)
}

func TestAnEncodedRegistrationIsAFrameOfTheProtocol(t *testing.T) {
	m := &message.SlaveReregister{Last: true, Tasks: []message.SlaveTask{runningTask(7, "f-1", "s-1", resource.Must("cpus:1"))}}
	b, err := frame(m)
	require.NoError(t, err)
	envs, err := wire.DecodeBatch(nil, b[5:])
	require.NoError(t, err)
	require.Len(t, envs, 1)
	require.Equal(t, m.Tasks[0].Task.Labels, envs[0].Message.(*message.SlaveReregister).Tasks[0].Task.Labels)
}

func TestMemoryCountsEveryTask(t *testing.T) {
	f := figures(t, "mem/tasks", "-tasks", "2000", "-slaves", "20")
	require.Greater(t, f["bytes_per_task"], 100.0) // the labels that do not repeat are a hundred bytes
}

func TestLaunchRunsEveryTaskOnceOnEitherPath(t *testing.T) {
	f := figures(t, "e2e/launch", "-tasks", "300", "-slaves", "2", "-parallel", "50", "-rounds", "1")
	require.Positive(t, f["tasks_per_s"])
	require.Positive(t, f["ratio"])
}

func TestOfferMeasuresEachRound(t *testing.T) {
	f := figures(t, "e2e/offer", "-rounds", "20", "-slaves", "3", "-real", "3")
	require.Positive(t, f["p50_ms"])
	require.GreaterOrEqual(t, f["p99_ms"], f["p50_ms"])
}

func TestFailoverSurvivesAKilledLeader(t *testing.T) {
	f := figures(t, "e2e/failover", "-rounds", "2", "-slaves", "5", "-load", "10ms", "-spread", "50ms")
	require.Positive(t, f["p50_ms"])
	require.GreaterOrEqual(t, f["p99_ms"], f["p50_ms"])
	require.Contains(t, f, "elected_to_offer_ms")
	require.Contains(t, f, "false_elections")
}

func TestRecoverBringsEveryTaskBack(t *testing.T) {
	f := figures(t, "e2e/recover", "-rounds", "1", "-slaves", "10", "-tasks", "55", "-spread", "50ms")
	require.Positive(t, f["seconds"])
}

func TestRecordCountsTheLeadersTime(t *testing.T) {
	f := figures(t, "e2e/record", "-tasks", "2000", "-slaves", "2", "-parallel", "200", "-rounds", "1")
	require.Contains(t, f, "percent")
	require.Positive(t, f["us_per_task"])
	require.Positive(t, f["bytes_per_task"])
}

func TestStartsAreCountedAndCompared(t *testing.T) {
	f := figures(t, "slave/starts", "-tasks", "20", "-singles", "5", "-parallel", "4", "-rounds", "1")
	require.Positive(t, f["starts_per_s"])
	require.Positive(t, f["p99_ms"])
	require.Greater(t, f["ratio"], 1.0)
	require.Greater(t, f["ratio_ready"], 1.0)
	require.Positive(t, f["supervisor_mib"])
}

func TestTheCPUTimeOfATaskIsComparedWithWhatItAskedFor(t *testing.T) {
	isolationtest.NeedsRoot(t)
	f := figures(t, "slave/cpu", "-time", "300ms")
	require.Positive(t, f["cpus"])
	require.Contains(t, f, "percent_off")
}

func TestTheMemoryOfASlaveAtRestIsMeasured(t *testing.T) {
	f := figures(t, "slave/rest")
	require.Greater(t, f["resident_mib"], 1.0)
	require.LessOrEqual(t, f["share_mib"], f["resident_mib"])
}

func TestRegistryWritesAreCountedAndCompared(t *testing.T) {
	f := figures(t, "raft/commit", "-rounds", "1", "-time", "200ms")
	require.Positive(t, f["per_s"])
	require.Positive(t, f["plain_per_s"])
	require.Positive(t, f["ratio"])
	require.Positive(t, f["single_ratio"])
}

func TestAnElectorWhoseLeaderIsKilledGoesOn(t *testing.T) {
	f := figures(t, "election/failover", "-rounds", "2", "-zookeeper", "1", "-hung", "0")
	require.Positive(t, f["raft_p99_ms"])
	if err := zkserver.Missing(); err != nil {
		t.Logf("not measured on ZooKeeper: %v", err)
	} else {
		require.Positive(t, f["zookeeper_p99_ms"])
	}
}

func TestALeaderWhoseDiskHangsIsReplaced(t *testing.T) {
	isolationtest.NeedsRoot(t)
	_, stdout, stderr := bench(t, "election/failover", "-rounds", "1", "-zookeeper", "0", "-hung", "1", "-patience", "3s")
	if strings.Contains(stdout, "hung disk: not measured") {
		t.Skip(stdout)
	}
	require.Contains(t, stdout, "hung disk: plain hashicorp/raft: ", stderr) // what it says depends on the machine
	require.Contains(t, stdout, "hung_disk_ms=")
}

func TestAKilledMemberOfTheGossipIsNoticed(t *testing.T) {
	f := figures(t, "discovery/converge", "-nodes", "6", "-rounds", "1", "-quiet", "10ms", "-load", "10ms")
	require.Positive(t, f["joined_s"])
	require.Positive(t, f["noticed_s"])
	require.Contains(t, f, "false_suspicions")
}

func TestASlaveThatIsKilledHasItsTasksAgain(t *testing.T) {
	f := figures(t, "slave/recover", "-tasks", "5", "-rounds", "2")
	require.Equal(t, 5.0, f["recovered"])
	require.Equal(t, 5.0, f["total"])
	require.Positive(t, f["seconds"])
}
