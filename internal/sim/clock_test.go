package sim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestADateMayJumpAndDeadlinesDoNotMove(t *testing.T) {
	var c clock
	before := c.at(int64(time.Second))
	c.wall = int64(-8760 * time.Hour)
	after := c.at(int64(3 * time.Second))
	require.Equal(t, 2*time.Second, after.Sub(before))
	require.True(t, before.Add(2*time.Second).Equal(after))
	require.Equal(t, epoch.Add(3*time.Second-8760*time.Hour), after.Round(0).UTC())
	require.True(t, after.Round(0).Before(before.Round(0)))
}

func TestAClockThatDriftsShowsEachReadingOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c clock
		ns := int64(0)
		for range 5 {
			was := c.reading(ns)
			c.drift(ns, rapid.Int64Range(-50_000, 50_000).Draw(t, "ppm"))
			require.Equal(t, was, c.reading(ns))
			wanted := was + rapid.Int64Range(0, int64(time.Hour)).Draw(t, "wait")
			at := c.when(wanted)
			require.GreaterOrEqual(t, c.reading(at), wanted)
			require.Less(t, c.reading(at)-wanted, int64(time.Microsecond))
			ns = max(ns, at)
		}
	})
}
