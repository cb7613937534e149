package offer

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLimitsSurviveJSON(t *testing.T) {
	limits := []Limit{{Name: "cpus", Amount: 1500}, {Name: "mem", Amount: NoLimit}, {Name: "x"}}
	b, err := json.Marshal(limits)
	require.NoError(t, err)
	require.JSONEq(t, `[{"Name":"cpus","Amount":1.5},{"Name":"mem","Amount":"Infinity"},{"Name":"x","Amount":0}]`, string(b))
	var again []Limit
	require.NoError(t, json.Unmarshal(b, &again))
	require.Equal(t, limits, again)
	for _, bad := range []string{`{"Name":"mem"}`, `{"Name":"mem","Amount":-1}`, `{"Name":"mem","Amount":"infinite"}`, `7`} {
		require.Error(t, json.Unmarshal([]byte(bad), &again[0]), bad)
	}
}
