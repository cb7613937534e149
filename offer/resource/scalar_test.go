package resource_test

import (
	"encoding/json"
	"math"
	"math/big"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/offer/resource"
)

func TestParseScalar(t *testing.T) {
	for text, want := range map[string]resource.Scalar{
		"0": 0, "4": 4000, "0.1": 100, "0.10": 100, "0.001": 1, "1.25": 1250, "007": 7000, "9007199254740.991": resource.MaxScalar,
	} {
		got, err := resource.ParseScalar(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for text, want := range map[string]string{
		"": "decimal number", ".5": "decimal number", "5.": "decimal number", "+1": "decimal number", "1e3": "decimal number", "NaN": "decimal number",
		"Infinity": "decimal number", "0x10": "decimal number", "1_000": "decimal number", "1.2.3": "decimal number", " 1": "decimal number",
		"-1": "negative", "-0": "negative", "0.0005": "3 decimals", "0.5000": "3 decimals",
		"9007199254740.992": "at most 9007199254740.991", "18446744073709551616": "at most 9007199254740.991",
	} {
		_, err := resource.ParseScalar(text)
		require.ErrorContains(t, err, want, text)
		var e *resource.Error
		require.ErrorAs(t, err, &e)
	}
}

func TestErrorsShowHugeInputShortened(t *testing.T) {
	_, err := resource.ParseScalar(strings.Repeat("x", 1<<20))
	require.Error(t, err)
	require.Less(t, len(err.Error()), 200)
}

func TestScalarString(t *testing.T) {
	for s, want := range map[resource.Scalar]string{
		0: "0", 1: "0.001", 100: "0.1", 4000: "4", 1250: "1.25", -1500: "-1.5", resource.Units(100): "100",
		math.MaxInt64: "9223372036854775.807", math.MinInt64: "-9223372036854775.808",
	} {
		require.Equal(t, want, s.String())
	}
}

func TestUnitsSaturates(t *testing.T) {
	require.Equal(t, resource.Scalar(math.MaxInt64), resource.Units(math.MaxInt64/1000+1))
	require.Equal(t, resource.Scalar(math.MinInt64), resource.Units(math.MinInt64/1000-1))
	require.Equal(t, resource.Scalar(-3000), resource.Units(-3))
}

func TestFromFloatRoundsToTheNearestThousandth(t *testing.T) {
	for f, want := range map[float64]resource.Scalar{0: 0, 0.1: 100, 0.1 + 0.2: 300, 0.0004: 0, 0.0005: 1, 4: 4000} {
		got, err := resource.FromFloat(f)
		require.NoError(t, err)
		require.Equal(t, want, got, f)
	}
	for _, f := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, -0.001, 1e300, 9007199254740.992} {
		_, err := resource.FromFloat(f)
		require.ErrorContains(t, err, "must be between 0 and 9007199254740.991", f)
	}
	require.Equal(t, 0.1, resource.Scalar(100).Float())
}

func TestScalarJSONIsReadFromTheLiteral(t *testing.T) {
	var s struct{ A, B resource.Scalar }
	require.NoError(t, json.Unmarshal([]byte(`{"A":9007199254740.991,"B":null}`), &s))
	require.Equal(t, resource.MaxScalar, s.A)
	out, err := json.Marshal(s)
	require.NoError(t, err)
	require.Equal(t, `{"A":9007199254740.991,"B":0}`, string(out))
	for _, bad := range []string{`"1"`, `1e3`, `-1`, `0.0001`, `true`, `{}`} {
		require.Error(t, json.Unmarshal([]byte(bad), &s.A), bad)
	}
}

// FuzzScalar holds ParseScalar against exact rational arithmetic.
func FuzzScalar(f *testing.F) {
	for _, seed := range []string{"4", "0.1", "0.0005", "9007199254740.991", "9007199254740.992", "1e3", "-1", ".5"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := resource.ParseScalar(text)
		if err != nil {
			return
		}
		exact, ok := new(big.Rat).SetString(text)
		require.True(t, ok, text)
		require.Zero(t, exact.Cmp(big.NewRat(int64(s), 1000)), text)
		require.LessOrEqual(t, s, resource.MaxScalar)
		again, err := resource.ParseScalar(s.String())
		require.NoError(t, err)
		require.Equal(t, s, again)
	})
}
