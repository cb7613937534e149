package offer

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestALeaseHasBounds(t *testing.T) {
	for _, good := range []time.Duration{0, time.Second, 30 * time.Second, 12 * time.Hour} {
		require.NoError(t, ValidateLease(good))
	}
	for bad, text := range map[time.Duration]string{
		-time.Second:           "lease -1s: must be zero or from 1s to 12h0m0s",
		time.Second - 1:        "lease 999.999999ms: must be zero or from 1s to 12h0m0s",
		12*time.Hour + 1:       "lease 12h0m0.000000001s: must be zero or from 1s to 12h0m0s",
		300 * time.Microsecond: "lease 300µs: must be zero or from 1s to 12h0m0s",
	} {
		require.EqualError(t, ValidateLease(bad), text)
	}
	require.Equal(t, 4*time.Second, LeaseMargin(30*time.Second))
}
