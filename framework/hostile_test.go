package framework_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/transport"
	"github.com/meros-project/meros/internal/transport/memtransport"
	"github.com/meros-project/meros/offer"
)

// A counter counts what a scheduler is told.
type counter struct {
	mu                     sync.Mutex
	subscribed, lost       int
	offers, statuses, odds int
}

func (c *counter) add(p *int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	*p++
	return nil
}
func (c *counter) get(p *int) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return *p
}
func (c *counter) Subscribed(context.Context, *framework.Session) error { return c.add(&c.subscribed) }
func (c *counter) Offers(_ context.Context, s *framework.Session, o []offer.Offer) error {
	_ = c.add(&c.offers)
	return s.Decline(framework.IDs(o))
}
func (c *counter) Status(context.Context, *framework.Session, offer.Status) error {
	return c.add(&c.statuses)
}
func (c *counter) Disconnected(context.Context, *framework.Session)            { _ = c.add(&c.lost) }
func (c *counter) Refused(context.Context, *framework.Session, *offer.Refusal) { _ = c.add(&c.odds) }

// hostile runs a session against a master that act has misbehave, and requires that the session is well afterwards.
func hostile(t *testing.T, name string, act func(t *testing.T, m *fakeMaster, c *counter)) {
	t.Run(name, func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			n := memtransport.New()
			m := startMaster(t, ctx, n, "m:1", 5)
			c := &counter{}
			s, err := framework.New(framework.Config{Name: "test", Masters: []string{"m:1"}, Network: n}, c)
			require.NoError(t, err)
			done := make(chan error, 1)
			go func() { done <- s.Run(ctx) }()
			<-s.Ready()
			time.Sleep(time.Second)
			act(t, m, c)
			time.Sleep(time.Minute)
			require.Equal(t, offer.FrameworkID("fw-1"), s.ID())
			before := c.get(&c.offers)
			m.send(&message.Offers{Offers: []offer.Offer{anOffer("o-good")}})
			m.send(&message.Update{Status: &offer.Status{TaskID: "t-good", SlaveID: "s-1", State: offer.Running, UUID: offer.UUID{77}}})
			time.Sleep(time.Second)
			require.Equal(t, before+1, c.get(&c.offers), "it still gets offers")
			acks := told[*message.Acknowledge](m)
			require.NotEmpty(t, acks)
			require.Equal(t, offer.UUID{77}, acks[len(acks)-1].UUID, "and acknowledges")
			cancel()
			require.NoError(t, <-done)
			m.kill()
		})
	})
}

func TestASessionSurvivesAMasterThatMisbehaves(t *testing.T) {
	raw := func(m *fakeMaster, e message.Envelope) {
		m.mu.Lock()
		defer m.mu.Unlock()
		require.NoError(m.t, m.front.Send(e))
	}
	hostile(t, "a lower reign", func(t *testing.T, m *fakeMaster, c *counter) {
		raw(m, message.Envelope{Cluster: "c", Reign: 4, Message: &message.Offers{Offers: []offer.Offer{anOffer("o-1")}}})
		time.Sleep(time.Minute)
		require.Zero(t, c.get(&c.offers))
		require.Equal(t, 1, c.get(&c.lost), "it left, and came back")
	})
	hostile(t, "another framework's subscription", func(t *testing.T, m *fakeMaster, c *counter) {
		raw(m, m.envelope(&message.Subscribed{ID: "../../fw-2"}))
		time.Sleep(time.Minute)
		require.Equal(t, 1, c.get(&c.lost))
	})
	hostile(t, "what is not for a framework", func(t *testing.T, m *fakeMaster, c *counter) {
		for _, msg := range []message.Message{&message.Launch{}, &message.Kill{}, &message.Ping{}, &message.SlaveRegistered{ID: "s"}, &message.Subscribe{}, &message.Watch{},
			&message.Operate{}, &message.ExecutorSubscribe{}, &message.StatusUpdate{}} {
			raw(m, m.envelope(msg))
		}
		time.Sleep(time.Second)
		require.Zero(t, c.get(&c.statuses)+c.get(&c.offers)+c.get(&c.lost))
	})
	hostile(t, "rescissions of what was never offered", func(t *testing.T, m *fakeMaster, c *counter) {
		raw(m, m.envelope(&message.Rescind{Offers: []offer.OfferID{"x", "", offer.OfferID(strings.Repeat("o", 1<<20))}}))
		raw(m, m.envelope(&message.Offers{}))
		raw(m, m.envelope(&message.Update{}))
		raw(m, m.envelope(&message.Update{Status: &offer.Status{TaskID: "../..", State: 250}}))
		raw(m, m.envelope(&message.Failure{}))
	})
	hostile(t, "ten thousand updates and offers", func(t *testing.T, m *fakeMaster, c *counter) {
		for i := range 10_000 {
			raw(m, m.envelope(&message.Update{Status: &offer.Status{TaskID: "t", SlaveID: "s-1", State: offer.Running, UUID: offer.UUID{1, byte(i), byte(i >> 8)}}}))
			raw(m, m.envelope(&message.Offers{Offers: []offer.Offer{anOffer("o-same")}}))
			if i%100 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
	})
	hostile(t, "a refusal frame, and the end of the connection", func(t *testing.T, m *fakeMaster, c *counter) {
		m.mu.Lock()
		m.front.Refuse(offer.Refuse(offer.ReasonInternal, "go away"))
		m.mu.Unlock()
		time.Sleep(time.Minute)
		require.Equal(t, 1, c.get(&c.lost))
		require.Equal(t, 2, c.get(&c.subscribed))
	})
}

func TestGarbageFromAMasterIsNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		n := memtransport.New()
		ln, err := n.Listen(ctx, "m:1")
		require.NoError(t, err)
		mux := transport.NewMux(ln, transport.MuxConfig{})
		nodes := mux.Listener(transport.Node)
		ended := make(chan struct{})
		go func() { defer close(ended); _ = mux.Run(ctx) }()
		c := &counter{}
		s, err := framework.New(framework.Config{Name: "test", Masters: []string{"m:1"}, Network: n}, c)
		require.NoError(t, err)
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		for _, b := range [][]byte{{0xff, 0xff, 0xff, 0xff, 1}, []byte("HTTP/1.1 400 Bad Request\r\n\r\n"), {0, 0, 0, 4, 1, 0xc1, 0xc1, 0xc1},
			append([]byte{0, 0x10, 0, 1, 1}, make([]byte, 1<<20)...), {0, 0, 0, 9, 2, 1}} {
			nc, err := nodes.Accept()
			require.NoError(t, err)
			_, _ = nc.Write(b)
			_ = nc.Close()
		}
		_ = mux.Close()
		<-ended
		m := startMaster(t, ctx, n, "m:1", 1)
		<-s.Ready()
		cancel()
		require.NoError(t, <-done)
		m.kill()
	})
}

func TestAnotherClusterEndsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		n := memtransport.New()
		m := startMaster(t, ctx, n, "m:1", 5)
		s, err := framework.New(framework.Config{Name: "test", Masters: []string{"m:1"}, Network: n}, &counter{})
		require.NoError(t, err)
		done := make(chan error, 1)
		go func() { done <- s.Run(ctx) }()
		<-s.Ready()
		m.mu.Lock()
		require.NoError(t, m.front.Send(message.Envelope{Cluster: "another", Reign: 9, Message: &message.Heartbeat{}}))
		m.mu.Unlock()
		require.ErrorIs(t, <-done, &offer.Refusal{Reason: offer.ReasonWrongCluster})
		cancel()
		m.kill()
	})
}
