package framework_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/internal/transport/memtransport"
)

func TestAfterCallsAFunctionLaterBetweenHandlersUnlessItIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		n := memtransport.New()
		m := startMaster(t, ctx, n, "m:1", 1)
		var called []time.Duration
		began, first := time.Now(), true
		note := func(_ context.Context, s *framework.Session) error {
			called = append(called, s.Now().Sub(began))
			return nil
		}
		s, err := framework.New(framework.Config{Name: "test", Masters: []string{"m:1"}, Network: n}, framework.Funcs{
			OnSubscribed: func(_ context.Context, s *framework.Session) error {
				if !first { // this master has no heartbeats: the session comes back again and again
					return nil
				}
				first = false
				s.After(time.Minute, func(ctx context.Context, s *framework.Session) error {
					s.After(time.Minute, note)
					return note(ctx, s)
				})
				stop := s.After(time.Nanosecond, note)
				time.Sleep(time.Second) // it is due already, and waits for this handler to return
				stop()
				return nil
			},
		})
		require.NoError(t, err)
		s.After(time.Hour, note) // before Run
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		time.Sleep(61 * time.Minute)
		synctest.Wait()
		require.Len(t, called, 3)
		require.InDelta(t, time.Minute.Seconds(), called[0].Seconds(), 0.5)
		require.InDelta(t, 2*time.Minute.Seconds(), called[1].Seconds(), 0.5)
		require.Equal(t, time.Hour, called[2])
		s.After(time.Minute, note)
		cancel()
		require.NoError(t, <-ended)
		s.After(0, note)
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Len(t, called, 3, "the session has ended")
		m.kill()
	})
}

func TestAnErrorAndAPanicOfAFunctionGivenToAfterEndTheSession(t *testing.T) {
	for name, f := range map[string]func(context.Context, *framework.Session) error{
		"error": func(context.Context, *framework.Session) error { return errors.New("boom") },
		"panic": func(context.Context, *framework.Session) error { panic("boom") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, err := framework.New(framework.Config{Name: "test", Masters: []string{"m:1"}, Network: memtransport.New()}, framework.Funcs{})
				require.NoError(t, err)
				s.After(time.Minute, f)
				err = s.Run(t.Context())
				require.ErrorContains(t, err, "After: ")
				require.ErrorContains(t, err, "boom")
			})
		})
	}
}
