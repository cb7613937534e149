package framework_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/transport"
	"github.com/meros-project/meros/internal/transport/memtransport"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeMaster answers Watch and Subscribe and keeps what else it is told.
type fakeMaster struct {
	t       *testing.T
	address string
	reign   uint64
	mux     *transport.Mux
	wg      sync.WaitGroup
	deaf    atomic.Bool // does not handle a teardown

	mu    sync.Mutex
	conns []*transport.Conn
	front *transport.Conn // of the framework
	got   []message.Message
}

func startMaster(t *testing.T, ctx context.Context, n *memtransport.Network, address string, reign uint64) *fakeMaster {
	ln, err := n.Listen(ctx, address)
	require.NoError(t, err)
	m := &fakeMaster{t: t, address: address, reign: reign, mux: transport.NewMux(ln, transport.MuxConfig{})}
	nodes := m.mux.Listener(transport.Node)
	m.wg.Go(func() { _ = m.mux.Run(ctx) })
	m.wg.Go(func() {
		for {
			nc, err := nodes.Accept()
			if err != nil {
				return
			}
			m.wg.Go(func() { m.serve(nc) })
		}
	})
	return m
}

func (m *fakeMaster) envelope(msg message.Message) message.Envelope {
	return message.Envelope{Cluster: "c", Reign: m.reign, Message: msg}
}

func (m *fakeMaster) serve(nc net.Conn) {
	c := transport.NewConn(nc, transport.ConnConfig{})
	m.mu.Lock()
	m.conns = append(m.conns, c)
	m.mu.Unlock()
	defer c.Close()
	for {
		envs, err := c.Receive(nil)
		if err != nil {
			return
		}
		for _, e := range envs {
			switch msg := e.Message.(type) {
			case *message.Watch:
				_ = c.Send(m.envelope(&message.Leader{Known: true, ID: "m", Address: m.address}))
			case *message.Subscribe:
				id := msg.Framework.ID
				if id == "" {
					id = "fw-1"
				}
				m.mu.Lock()
				m.front = c
				m.mu.Unlock()
				_ = c.Send(m.envelope(&message.Subscribed{ID: id, Heartbeat: 15 * time.Second}))
			default:
				m.mu.Lock()
				m.got = append(m.got, msg)
				m.mu.Unlock()
				if _, is := msg.(*message.Teardown); is && !m.deaf.Load() {
					_ = c.Send(m.envelope(&message.Error{Reason: offer.ReasonFrameworkCompleted, Message: "torn down", Final: true}))
				}
			}
		}
	}
}

func (m *fakeMaster) send(msg message.Message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	_ = m.front.Send(m.envelope(msg))
}

// told returns the messages of one type that the framework sent.
func told[T message.Message](m *fakeMaster) (out []T) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, g := range m.got {
		if x, ok := g.(T); ok {
			out = append(out, x)
		}
	}
	return out
}

func (m *fakeMaster) kill() {
	_ = m.mux.Close()
	m.mu.Lock()
	conns := m.conns
	m.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
	}
	m.wg.Wait()
}

func anOffer(id offer.OfferID) offer.Offer {
	return offer.Offer{ID: id, FrameworkID: "fw-1", SlaveID: "s-1", Role: "*", Resources: resource.Must("cpus:4;mem:1024")}
}

func aTask(id offer.TaskID) offer.Task {
	return offer.Task{ID: id, Resources: resource.Must("cpus:1;mem:64"), Command: &offer.Command{Value: "true", Shell: true}}
}

func TestATaskIsLaunchedOnAnOfferAndItsStatusIsAcknowledgedWhenTheHandlerHasTakenItOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		n := memtransport.New()
		m := startMaster(t, ctx, n, "m:1", 1)
		var statuses []offer.State
		refuse := true
		s, err := framework.New(framework.Config{Name: "test", Masters: []string{"m:1"}, Network: n}, framework.Funcs{
			OnOffers: func(_ context.Context, s *framework.Session, offers []offer.Offer) error {
				return s.Launch(offers[0], aTask("t1"))
			},
			OnStatus: func(_ context.Context, _ *framework.Session, st offer.Status) error {
				statuses = append(statuses, st.State)
				if refuse {
					refuse = false
					return errors.New("not now")
				}
				return nil
			},
		})
		require.NoError(t, err)
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		<-s.Ready()
		require.Equal(t, offer.FrameworkID("fw-1"), s.ID())
		m.send(&message.Offers{Offers: []offer.Offer{anOffer("o-1")}})
		synctest.Wait()
		accepts := told[*message.Accept](m)
		require.Len(t, accepts, 1)
		require.Equal(t, offer.SlaveID("s-1"), accepts[0].Operations[0].Tasks[0].SlaveID)
		running := &message.Update{Status: &offer.Status{TaskID: "t1", SlaveID: "s-1", State: offer.Running, UUID: offer.UUID{1}}}
		m.send(running)
		synctest.Wait()
		require.Empty(t, told[*message.Acknowledge](m), "the handler refused it")
		m.send(running)
		synctest.Wait()
		require.Len(t, told[*message.Acknowledge](m), 1)
		require.Equal(t, []offer.State{offer.Running, offer.Running}, statuses)
		cancel()
		require.NoError(t, <-ended)
		m.kill()
	})
}

func TestTheLastStatusIsAcknowledgedEvenIfItsHandlerCancelsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memtransport.New()
		mctx, mcancel := context.WithCancel(t.Context())
		defer mcancel()
		m := startMaster(t, mctx, n, "m:1", 1)
		ctx, cancel := context.WithCancel(t.Context())
		s, err := framework.New(framework.Config{Name: "test", Masters: []string{"m:1"}, Network: n}, framework.Funcs{
			OnStatus: func(context.Context, *framework.Session, offer.Status) error { cancel(); return nil },
		})
		require.NoError(t, err)
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		<-s.Ready()
		m.send(&message.Update{Status: &offer.Status{TaskID: "t1", SlaveID: "s-1", State: offer.Finished, UUID: offer.UUID{1}}})
		require.NoError(t, <-ended)
		synctest.Wait()
		require.Len(t, told[*message.Acknowledge](m), 1)
		require.ErrorIs(t, s.Revive(), framework.ErrEnded)
		m.kill()
	})
}

func TestAHandlerThatPanicsOrFailsEndsItsSessionWithAnError(t *testing.T) {
	for name, f := range map[string]framework.Funcs{
		"panic": {OnSubscribed: func(context.Context, *framework.Session) error { panic("boom") }},
		"error": {OnSubscribed: func(context.Context, *framework.Session) error { return errors.New("boom") }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := memtransport.New()
				ctx, cancel := context.WithCancel(t.Context())
				m := startMaster(t, ctx, n, "m:1", 1)
				err := framework.Run(ctx, framework.Config{Name: "test", Masters: []string{"m:1"}, Network: n}, f)
				require.ErrorContains(t, err, "Subscribed")
				require.ErrorContains(t, err, "boom")
				cancel()
				m.kill()
			})
		})
	}
}

func TestTheSessionFollowsTheLeaderUnderTheSameID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memtransport.New()
		ctx, cancel := context.WithCancel(t.Context())
		first := startMaster(t, ctx, n, "m:1", 1)
		subscribed := make(chan offer.FrameworkID, 8)
		s, err := framework.New(framework.Config{Name: "test", Masters: []string{"m:1", "m:2"}, Network: n}, framework.Funcs{
			OnSubscribed: func(_ context.Context, s *framework.Session) error { subscribed <- s.ID(); return nil },
		})
		require.NoError(t, err)
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		require.Equal(t, offer.FrameworkID("fw-1"), <-subscribed)
		first.kill()
		second := startMaster(t, ctx, n, "m:2", 2)
		require.Equal(t, offer.FrameworkID("fw-1"), <-subscribed)
		require.NoError(t, s.Teardown())
		require.NoError(t, <-ended)
		synctest.Wait()
		require.Len(t, told[*message.Teardown](second), 1)
		cancel()
		second.kill()
	})
}

func TestATeardownThatItsMasterDidNotHandleReachesTheNext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memtransport.New()
		ctx, cancel := context.WithCancel(t.Context())
		first := startMaster(t, ctx, n, "m:1", 1)
		first.deaf.Store(true)
		subscribed := make(chan offer.FrameworkID, 8)
		s, err := framework.New(framework.Config{Name: "test", Masters: []string{"m:1", "m:2"}, Network: n}, framework.Funcs{
			OnSubscribed: func(_ context.Context, s *framework.Session) error { subscribed <- s.ID(); return nil },
		})
		require.NoError(t, err)
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		<-subscribed
		require.NoError(t, s.Teardown())
		synctest.Wait()
		require.Len(t, told[*message.Teardown](first), 1)
		first.kill()
		second := startMaster(t, ctx, n, "m:2", 2)
		require.NoError(t, <-ended)
		require.Len(t, told[*message.Teardown](second), 1)
		cancel()
		second.kill()
	})
}

func TestASlowHandlerDoesNotStopHeartbeatsAndCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memtransport.New()
		ctx, cancel := context.WithCancel(t.Context())
		m := startMaster(t, ctx, n, "m:1", 1)
		release := make(chan struct{})
		s, err := framework.New(framework.Config{Name: "test", Masters: []string{"m:1"}, Network: n}, framework.Funcs{
			OnOffers: func(context.Context, *framework.Session, []offer.Offer) error { <-release; return nil },
		})
		require.NoError(t, err)
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		<-s.Ready()
		for i := range 1000 {
			m.send(&message.Offers{Offers: []offer.Offer{anOffer(offer.OfferID("o-" + string(rune('a'+i%26)) + string(rune('a'+i/26))))}})
			m.send(&message.Heartbeat{})
		}
		synctest.Wait()
		require.NoError(t, s.Suppress())
		synctest.Wait()
		require.Len(t, told[*message.Suppress](m), 1, "calls do not wait for the handler")
		close(release)
		cancel()
		require.NoError(t, <-ended)
		m.kill()
	})
}

func TestARefusalIsReturnedWithItsReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memtransport.New()
		ctx, cancel := context.WithCancel(t.Context())
		m := startMaster(t, ctx, n, "m:1", 1)
		s, err := framework.New(framework.Config{Name: "test", ID: "fw-9", Masters: []string{"m:1"}, Network: n}, framework.Funcs{})
		require.NoError(t, err)
		ended := make(chan error, 1)
		go func() { ended <- s.Run(ctx) }()
		<-s.Ready()
		m.send(&message.Error{Reason: offer.ReasonFrameworkCompleted, Message: "torn down", Final: true})
		require.ErrorIs(t, <-ended, offer.Refuse(offer.ReasonFrameworkCompleted, ""))
		cancel()
		m.kill()
	})
}

func TestBadInputIsRefusedBeforeItIsSent(t *testing.T) {
	s, err := framework.New(framework.Config{Name: "test", Masters: []string{"127.0.0.1:1"}}, framework.Funcs{})
	require.NoError(t, err)
	noResources, twoKinds, badID := aTask("t"), aTask("t"), aTask("a/b")
	noResources.Resources = nil
	twoKinds.Function = "f"
	launch := func(tasks ...offer.Task) error {
		return s.Accept([]offer.OfferID{"o-1"}, []offer.Operation{offer.Launch(tasks...)})
	}
	for _, c := range []struct {
		err    error
		reason offer.Reason
		text   string
	}{
		{launch(), offer.ReasonInvalidField, "operations[0].tasks"},
		{launch(aTask("t"), aTask("t")), offer.ReasonDuplicateID, "tasks[1].id"},
		{launch(badID), offer.ReasonInvalidField, "tasks[0].id"},
		{launch(noResources), offer.ReasonInvalidField, "tasks[0].resources"},
		{launch(twoKinds), offer.ReasonInvalidField, "exactly one"},
		{s.Accept(nil, nil), offer.ReasonInvalidOffers, "offers is empty"},
		{s.Accept([]offer.OfferID{"o", "o"}, nil), offer.ReasonInvalidOffers, "twice"},
		{s.Accept([]offer.OfferID{"o"}, []offer.Operation{{}}), offer.ReasonInvalidField, "kind"},
		{s.Kill("..", ""), offer.ReasonInvalidField, "task"},
		{s.Message("s", "e", make([]byte, 2<<20)), offer.ReasonTooLarge, "data"},
		{s.Request("a//b"), offer.ReasonInvalidField, "role"},
	} {
		require.ErrorIs(t, c.err, offer.Refuse(c.reason, ""), "%v", c.err)
		require.ErrorContains(t, c.err, c.text)
	}
	require.ErrorIs(t, launch(aTask("t")), framework.ErrEnded, "Run has not begun")
}

func TestValidateNamesTheField(t *testing.T) {
	good := framework.Config{Name: "x", Masters: []string{"127.0.0.1:5050"}}
	require.NoError(t, good.Validate())
	for field, change := range map[string]func(*framework.Config){
		"Name":       func(c *framework.Config) { c.Name = "" },
		"ID":         func(c *framework.Config) { c.ID = "a/b" },
		"Roles[0]":   func(c *framework.Config) { c.Roles = []string{"-x"} },
		"Roles[1]":   func(c *framework.Config) { c.Roles = []string{"a", "a"} },
		"Suppressed": func(c *framework.Config) { c.Suppressed = []string{"b"} },
		"Masters":    func(c *framework.Config) { c.Masters = nil },
		"Masters[0]": func(c *framework.Config) { c.Masters = []string{"nohost"} },
		"MaxPending": func(c *framework.Config) { c.MaxPending = -1 },
		"Constraints": func(c *framework.Config) {
			c.Constraints = map[string][]offer.ConstraintGroup{"other": {{{Of: offer.OfHostname, Op: offer.Exists}}}}
		},
	} {
		c := good
		change(&c)
		require.ErrorContains(t, c.Validate(), "Config."+field)
	}
}
