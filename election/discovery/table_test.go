package discovery

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestASlowWatcherIsGivenTheWholeTable(t *testing.T) {
	ctx := context.Background()
	now := time.Unix(1000, 0)
	tb := newTable(time.Hour)
	w := tb.watch()
	defer w.Close()
	e, err := w.Next(ctx)
	require.NoError(t, err)
	require.Equal(t, Event{Kind: Resync}, e)

	tb.put(now, "a", "a:1", nil)
	meta, err := encodeMeta(map[string]string{"k": "v"}, false)
	require.NoError(t, err)
	tb.put(now, "a", "a:1", meta)
	tb.gone(now, "a")
	tb.put(now, "a", "a:2", nil)
	var kinds []Kind
	for range 4 {
		e, err := w.Next(ctx)
		require.NoError(t, err)
		kinds = append(kinds, e.Kind)
	}
	require.Equal(t, []Kind{Joined, Updated, Gone, Joined}, kinds)

	for i := range 10 * maxEvents {
		tb.put(now, fmt.Sprintf("n%04d", i), "n:1", nil)
	}
	require.LessOrEqual(t, len(w.queue), maxEvents)
	e, err = w.Next(ctx)
	require.NoError(t, err)
	require.Equal(t, Resync, e.Kind)
	require.Len(t, e.Members, 10*maxEvents+1)
	tb.gone(now, "a")
	e, err = w.Next(ctx)
	require.NoError(t, err)
	require.Equal(t, Gone, e.Kind)

	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	_, err = w.Next(cancelled)
	require.ErrorIs(t, err, context.Canceled)
}

func TestWhoDepartedIsForgotten(t *testing.T) {
	now := time.Unix(1000, 0)
	tb := newTable(time.Hour)
	for i := range maxDeparted + 10 {
		name := fmt.Sprintf("n%04d", i)
		tb.put(now, name, "n:1", nil)
		tb.gone(now.Add(time.Duration(i)), name)
	}
	members, _ := tb.snapshot(now)
	require.Len(t, members, maxDeparted)
	require.Equal(t, "n0010", members[0].Name)
	members, _ = tb.snapshot(now.Add(2 * time.Hour))
	require.Empty(t, members)
}

func TestTagsOfOthersAreReadWithCare(t *testing.T) {
	for _, bad := range []string{"\x01", "\x02\x00", "\x01\x00\x05ab", "\x01\x00\x01a\x09b", "\x01\x00\x00\x00", "\x01\x00\x01\xff\x00"} {
		tags, _, err := decodeMeta([]byte(bad))
		require.ErrorIs(t, err, errMeta, "%q", bad)
		require.Empty(t, tags)
	}
}

func FuzzMeta(f *testing.F) {
	meta, _ := encodeMeta(map[string]string{"a": "b", "c": ""}, true)
	f.Add(meta)
	f.Fuzz(func(t *testing.T, b []byte) {
		tags, leaving, err := decodeMeta(b)
		if err != nil {
			return
		}
		again, err := encodeMeta(tags, leaving)
		require.NoError(t, err)
		tags2, leaving2, err := decodeMeta(again)
		require.NoError(t, err)
		require.Equal(t, tags, tags2)
		require.Equal(t, leaving, leaving2)
	})
}
