package offer

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestNothingFollowsATerminalState(t *testing.T) {
	for from := State(0); from < states; from++ {
		for to := State(0); to < states; to++ {
			if from.Terminal() {
				require.False(t, CanFollow(from, to), "%s -> %s", from, to)
			}
		}
		if !from.Terminal() {
			require.True(t, CanFollow(from, GoneByOperator), "an operator may vouch for the end of %s", from)
		}
	}
	require.False(t, CanFollow(Running, Staging))
	require.False(t, CanFollow(Running, Dropped), "what ran was not dropped")
	require.False(t, CanFollow(Killing, Running))
	require.True(t, CanFollow(Staging, Finished), "updates between may have been compacted away")
	require.True(t, CanFollow(Unreachable, Running), "a partition may heal")
	require.False(t, CanFollow(State(200), Running))
	require.False(t, CanFollow(Running, State(200)))
}

func TestStatesAreToldAsTheFrameworkUnderstandsThem(t *testing.T) {
	require.Equal(t, Lost, Unreachable.ForFramework(0))
	require.Equal(t, Unreachable, Unreachable.ForFramework(PartitionAware))
	require.Equal(t, Running, Killing.ForFramework(PartitionAware))
	require.Equal(t, Killing, Killing.ForFramework(KillingState))
	require.Equal(t, Finished, Finished.ForFramework(0))
	for s := State(0); s < states; s++ {
		require.Equal(t, s, s.ForFramework(PartitionAware|KillingState))
	}
}

func TestStatesAndReasonsReadWhatTheyWrite(t *testing.T) {
	for s := State(0); s < states; s++ {
		var back State
		b, err := json.Marshal(s)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(b, &back))
		require.Equal(t, s, back)
	}
	seen := map[string]Reason{}
	for r := Reason(0); r < endReasons; r++ {
		if r >= mesosReasons && r < ReasonWrongCluster {
			continue
		}
		var back Reason
		b, err := json.Marshal(r)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(b, &back))
		require.Equal(t, r, back)
		_, twice := seen[r.String()]
		require.False(t, twice, r.String())
		seen[r.String()] = r
	}
	require.Error(t, new(State).UnmarshalText([]byte("TASK_DREAMING")))
	require.Error(t, new(Reason).UnmarshalText([]byte("REASON_WHIM")))
}

func TestReasonsKeepMesosNumbers(t *testing.T) {
	for reason, want := range map[Reason]int{ReasonCommandExecutorFailed: 0, ReasonInvalidOffers: 6, ReasonReconciliation: 9, ReasonSlaveRestarted: 12,
		ReasonContainerLimitation: 19, ReasonTaskKilledDuringLaunch: 30, ReasonSlaveDraining: 34} {
		got, ok := reason.Number()
		require.True(t, ok)
		require.Equal(t, want, got, reason.String())
	}
	_, ok := ReasonNone.Number()
	require.False(t, ok)
	_, ok = ReasonWrongCluster.Number()
	require.False(t, ok)
	require.Equal(t, "REASON_WRONG_CLUSTER", ReasonWrongCluster.String())
	require.Equal(t, "REASON_UNSUPPORTED", ReasonUnsupported.String())
}

func TestIdsThatCouldLeaveAFolderAreRefused(t *testing.T) {
	for _, id := range []string{"", ".", "..", "a/b", "../x", `a\b`, "a\nb", "a\x00", "\x7f", " a", strings.Repeat("x", 256)} {
		require.ErrorContains(t, ValidateID("task id", id), "task id", "%q", id)
	}
	for _, id := range []string{"a", "web.1", "..x", "job-2026:1", strings.Repeat("x", 255), "naïve"} {
		require.NoError(t, ValidateID("task id", id))
	}
}

func TestUUIDsReadWhatTheyWrite(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var u UUID
		copy(u[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "bytes"))
		back, err := ParseUUID(u.String())
		require.NoError(t, err)
		require.Equal(t, u, back)
	})
	_, err := ParseUUID("42")
	require.Error(t, err)
}

func TestFiltersHaveADefaultAndBounds(t *testing.T) {
	require.Equal(t, 5*time.Second, Filter{}.Duration())
	require.Zero(t, Filter{Refuse: NoFilter}.Duration())
	require.Equal(t, MaxRefuse, Filter{Refuse: MaxRefuse * 2}.Duration())
	require.Equal(t, time.Minute, Filter{Refuse: time.Minute}.Duration())
	require.Equal(t, DefaultKillGrace, KillPolicy{}.Duration())
	require.Zero(t, KillPolicy{Grace: -1}.Duration())
}

func TestRefusalsAreFoundByReason(t *testing.T) {
	err := fmt.Errorf("master: accept o-1-2: %w", Refuse(ReasonInvalidOffers, "offer o-1-2 is not outstanding"))
	require.ErrorIs(t, err, &Refusal{Reason: ReasonInvalidOffers})
	require.NotErrorIs(t, err, &Refusal{Reason: ReasonInUse})
	var refusal *Refusal
	require.True(t, errors.As(err, &refusal))
	require.Contains(t, err.Error(), "REASON_INVALID_OFFERS")
}
