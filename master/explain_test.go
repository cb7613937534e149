package master_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/internal/transport/memtransport"
	"github.com/meros-project/meros/master"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
)

func TestAFrameworkIsToldWhyItIsOfferedNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memtransport.New()
		m, err := master.New(master.Config{Election: election.Standalone(), Listen: "m:1", Network: n})
		require.NoError(t, err)
		_, err = m.Explain(t.Context(), "f-1", "", "")
		require.ErrorIs(t, err, offer.Refuse(offer.ReasonNotLeader, ""), "before Run")
		run := start(t.Context(), m.Run)
		s := newSlave(t, n, "s", "m:1")
		slave := start(t.Context(), func(ctx context.Context) error { s.run(ctx); return nil })
		session, err := framework.New(framework.Config{Name: "picky", Roles: []string{"web"}, Masters: []string{"m:1"}, Network: n}, framework.Funcs{
			OnOffers: func(_ context.Context, s *framework.Session, offers []offer.Offer) error {
				return s.Decline(framework.IDs(offers), framework.Refuse(time.Hour))
			},
		})
		require.NoError(t, err)
		fw := start(t.Context(), session.Run)
		time.Sleep(time.Second)

		e, err := m.Explain(t.Context(), session.ID(), "web", s.id())
		require.NoError(t, err)
		require.Len(t, e.Findings, 1)
		require.Equal(t, allocator.Filtered, e.Findings[0].Cause)
		require.Equal(t, allocator.Change{Kind: allocator.WaitOrRevive, Role: "web", Wait: e.Findings[0].Wait}, e.Findings[0].Change)
		require.InDelta(t, time.Hour, e.Findings[0].Wait, float64(2*time.Second))
		require.Contains(t, e.String(), "has refused")
		_, err = m.Explain(t.Context(), "f-9", "", "")
		require.ErrorIs(t, err, offer.Refuse(offer.ReasonFrameworkUnknown, ""))

		// Many at once: each is answered, or told that there are too many.
		var asking sync.WaitGroup
		var mu sync.Mutex
		codes := map[int]int{}
		for range 100 {
			asking.Go(func() {
				w := httptest.NewRecorder()
				m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/explain?framework="+string(session.ID()), nil))
				mu.Lock()
				codes[w.Code]++
				mu.Unlock()
			})
		}
		asking.Wait()
		require.Positive(t, codes[http.StatusOK])
		require.Equal(t, 100, codes[http.StatusOK]+codes[http.StatusTooManyRequests], "%v", codes)

		gone, cancel := context.WithCancel(t.Context())
		cancel()
		for range 20 { // those who have gone leave no question behind
			_, _ = m.Explain(gone, session.ID(), "", "")
			time.Sleep(time.Millisecond)
		}
		require.NoError(t, session.Revive())
		time.Sleep(time.Second)
		_, err = m.Explain(t.Context(), session.ID(), "", "")
		require.NoError(t, err)
		require.NoError(t, fw.stop())
		require.NoError(t, slave.stop())
		require.NoError(t, run.stop())
		_, err = m.Explain(t.Context(), session.ID(), "", "")
		require.ErrorIs(t, err, offer.Refuse(offer.ReasonNotLeader, ""), "after Run")
	})
}
