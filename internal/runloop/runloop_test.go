package runloop

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo is a core that answers each positive event by itself, and wants a tick a second after each event.
type echo struct {
	seen     []int
	deadline time.Time
}

func (c *echo) Step(now time.Time, ev int, out []int) []int {
	c.seen = append(c.seen, ev)
	c.deadline = time.Time{}
	if ev > 0 {
		c.deadline = now.Add(time.Second)
		out = append(out, ev)
	}
	return out
}

func (c *echo) Deadline() time.Time { return c.deadline }

func TestEventsAreSteppedInOrderAndTheDeadlineTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core := &echo{}
		var performed []int
		l := New(Config[int, int]{Core: core, Tick: -1, Perform: func(fs []int) error {
			performed = append(performed, fs...)
			return nil
		}})
		ctx, cancel := context.WithCancel(t.Context())
		go func() { require.NoError(t, l.Run(ctx)) }()
		require.NoError(t, l.PostAll(ctx, []int{1, 2}))
		require.NoError(t, l.Post(ctx, 3))
		synctest.Wait()
		require.Equal(t, []int{1, 2, 3}, performed)
		time.Sleep(time.Second + time.Millisecond)
		synctest.Wait()
		require.Equal(t, []int{1, 2, 3, -1}, core.seen, "one tick at the deadline, none after it")
		cancel()
		<-l.Done()
		require.ErrorIs(t, l.Post(t.Context(), 4), ErrStopped)
		require.False(t, l.TryPost(4))
	})
}

func TestAFullInboxHoldsThePosterBackButNotTheAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Config[int, int]{Core: &echo{}, Tick: -1, Inbox: 2, Perform: func([]int) error { return nil }})
		ctx := t.Context()
		require.NoError(t, l.PostAll(ctx, []int{1, 2}))
		require.False(t, l.TryPost(3))
		l.Complete(4)
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		require.ErrorIs(t, l.Post(short, 3), context.DeadlineExceeded)
		posted := make(chan error, 1)
		go func() { posted <- l.Post(ctx, 5) }()
		synctest.Wait()
		require.Empty(t, posted)
		run, stop := context.WithCancel(ctx)
		go l.Run(run)
		require.NoError(t, <-posted)
		stop()
		<-l.Done()
	})
}

func TestAFailedEffectEndsTheLoop(t *testing.T) {
	broken := errors.New("broken")
	l := New(Config[int, int]{Core: &echo{}, Tick: -1, Perform: func([]int) error { return broken }})
	require.NoError(t, l.Post(t.Context(), 1))
	require.ErrorIs(t, l.Run(t.Context()), broken)
}

func TestAShellHearsOfStepsThatHadNoEffect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, seen := &echo{}, 0
		l := New(Config[int, int]{Core: core, Tick: -1, Perform: func([]int) error { return nil }, Settled: func() { seen = len(core.seen) }})
		ctx, cancel := context.WithCancel(t.Context())
		go func() { require.NoError(t, l.Run(ctx)) }()
		require.NoError(t, l.Post(ctx, -7))
		synctest.Wait()
		require.Equal(t, 1, seen)
		cancel()
		<-l.Done()
	})
}
