package master_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/transport"
	"github.com/meros-project/meros/internal/transport/memtransport"
	"github.com/meros-project/meros/master"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A running part of a cluster, stopped by stop, which returns what Run did.
type running struct {
	cancel context.CancelFunc
	done   chan error
}

func start(ctx context.Context, run func(context.Context) error) *running {
	ctx, cancel := context.WithCancel(ctx)
	r := &running{cancel: cancel, done: make(chan error, 1)}
	go func() { r.done <- run(ctx) }()
	return r
}

func (r *running) stop() error {
	r.cancel()
	return <-r.done
}

// A batch is a scheduler that wants its tasks to finish.
type batch struct {
	mu      sync.Mutex
	waiting []offer.TaskID
	states  map[offer.TaskID][]offer.State
	left    int
	done    chan struct{}
	launch  chan offer.TaskID // gets each task that was launched
}

func newBatch(n int) *batch {
	b := &batch{states: map[offer.TaskID][]offer.State{}, left: n, done: make(chan struct{}), launch: make(chan offer.TaskID, 4*n)}
	for i := range n {
		b.waiting = append(b.waiting, offer.TaskID(fmt.Sprintf("t%d", i+1)))
	}
	return b
}

var each = resource.Must("cpus:1;mem:128")

func (b *batch) Subscribed(context.Context, *framework.Session) error { return nil }

func (b *batch) Offers(_ context.Context, s *framework.Session, offers []offer.Offer) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, o := range offers {
		var tasks []offer.Task
		left := o.Resources
		for len(b.waiting) > 0 && left.Contains(each) {
			id := b.waiting[0]
			b.waiting = b.waiting[1:]
			tasks = append(tasks, offer.Task{ID: id, Resources: each, Command: &offer.Command{Value: "true", Shell: true}})
			left, _ = left.Sub(each)
			b.launch <- id
		}
		if len(tasks) == 0 {
			if err := s.Decline([]offer.OfferID{o.ID}); err != nil {
				return err
			}
			continue
		}
		if err := s.Launch(o, tasks...); err != nil {
			return err
		}
	}
	return nil
}

func (b *batch) Status(_ context.Context, s *framework.Session, st offer.Status) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	seen := b.states[st.TaskID]
	if len(seen) > 0 && seen[len(seen)-1].Terminal() {
		return nil
	}
	b.states[st.TaskID] = append(seen, st.State)
	switch {
	case st.State == offer.Dropped || st.State == offer.Gone: // cut off on its way: it never ran
		b.waiting = append(b.waiting, st.TaskID+"-again")
		return s.Revive()
	case st.State.Terminal():
		if b.left--; b.left == 0 {
			close(b.done)
		}
	}
	return nil
}

func (b *batch) finished(t *testing.T) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, states := range b.states {
		if _, again := b.states[id+"-again"]; !again {
			require.Equal(t, offer.Finished, states[len(states)-1], "%s: %v", id, states)
		}
	}
}

func TestAWholeClusterRunsTasksToTheirEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memtransport.New()
		m, err := master.New(master.Config{Election: election.Standalone(), Listen: "m:1", Network: n})
		require.NoError(t, err)
		run := start(t.Context(), m.Run)
		<-m.Ready()
		var slaves []*running
		for i := range 3 {
			s := newSlave(t, n, fmt.Sprintf("s%d", i), "m:1")
			slaves = append(slaves, start(t.Context(), func(ctx context.Context) error { s.run(ctx); return nil }))
		}
		b := newBatch(40)
		session, err := framework.New(framework.Config{Name: "batch", Masters: []string{"m:1"}, Network: n}, b)
		require.NoError(t, err)
		fw := start(t.Context(), session.Run)
		<-b.done
		b.finished(t)
		require.NoError(t, session.Teardown())
		require.NoError(t, <-fw.done)
		for _, s := range slaves {
			require.NoError(t, s.stop())
		}
		require.NoError(t, run.stop())
	})
}

func TestALeaderThatResignsLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memtransport.New()
		terms := make(chan election.Term, 4)
		m, err := master.New(master.Config{Election: spy{election.Standalone(), terms}, Listen: "m:1", Network: n})
		require.NoError(t, err)
		run := start(t.Context(), m.Run)
		s := newSlave(t, n, "s", "m:1")
		slave := start(t.Context(), func(ctx context.Context) error { s.run(ctx); return nil })
		b := newBatch(20)
		session, err := framework.New(framework.Config{Name: "batch", Masters: []string{"m:1"}, Network: n}, b)
		require.NoError(t, err)
		fw := start(t.Context(), session.Run)
		term := <-terms
		<-b.launch
		require.NoError(t, term.Resign(t.Context()))
		<-b.done
		require.Greater(t, (<-terms).Reign(), term.Reign())
		b.finished(t)
		for id, states := range b.states {
			runs := 1
			if states[len(states)-1] != offer.Finished {
				runs = 0
			}
			require.Equal(t, runs, s.started(string(id)), "%s: %v", id, states)
		}
		require.NoError(t, fw.stop())
		require.NoError(t, slave.stop())
		require.NoError(t, run.stop())
	})
}

// A spy lets a test see the terms of an elector.
type spy struct {
	election.Elector
	seen chan election.Term
}

func (s spy) Terms() <-chan election.Term {
	out := make(chan election.Term)
	go func() {
		defer close(out)
		for t := range s.Elector.Terms() {
			s.seen <- t
			out <- t
		}
	}()
	return out
}

func TestOperatorsDrainASlaveAndTearAFrameworkDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memtransport.New()
		var mu sync.Mutex
		var notes []master.Note
		m, err := master.New(master.Config{Election: election.Standalone(), Listen: "m:1", Network: n,
			Hooks: master.Hooks{Note: func(x master.Note) { mu.Lock(); notes = append(notes, x); mu.Unlock() }}})
		require.NoError(t, err)
		require.ErrorIs(t, m.Deactivate(t.Context(), "s"), offer.Refuse(offer.ReasonNotLeader, ""), "before Run")
		run := start(t.Context(), m.Run)
		s := newSlave(t, n, "s", "m:1")
		s.runs = time.Hour
		slave := start(t.Context(), func(ctx context.Context) error { s.run(ctx); return nil })
		b := newBatch(3)
		session, err := framework.New(framework.Config{Name: "batch", Masters: []string{"m:1"}, Network: n}, b)
		require.NoError(t, err)
		fw := start(t.Context(), session.Run)
		for range 3 {
			<-b.launch
		}
		time.Sleep(time.Second)
		id := s.id()
		require.ErrorIs(t, m.Drain(t.Context(), "nobody", offer.Drain{}), offer.Refuse(offer.ReasonUnknownID, ""))
		require.NoError(t, m.Drain(t.Context(), id, offer.Drain{MaxGrace: time.Second}))
		<-b.done
		time.Sleep(time.Second) // that the slave is drained is on its way to the registry, and one change of a slave is made at a time
		require.NoError(t, m.Reactivate(t.Context(), id))
		require.NoError(t, m.SetWeight(t.Context(), "ops", 2000))
		require.NoError(t, m.Teardown(t.Context(), session.ID()))
		require.ErrorIs(t, <-fw.done, offer.Refuse(offer.ReasonFrameworkCompleted, ""))
		require.NoError(t, slave.stop())
		require.NoError(t, run.stop())
		mu.Lock()
		defer mu.Unlock()
		require.NotEmpty(t, notes)
	})
}

func TestAMasterThatDoesNotLeadSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memtransport.New()
		e := &follower{terms: make(chan election.Term), changed: make(chan struct{})}
		m, err := master.New(master.Config{Election: e, Listen: "m:1", Network: n})
		require.NoError(t, err)
		run := start(t.Context(), m.Run)
		<-m.Ready()
		dial := func() *transport.Conn {
			nc, err := transport.Dialer{Network: n}.Dial(t.Context(), "m:1", transport.Node)
			require.NoError(t, err)
			return transport.NewConn(nc, transport.ConnConfig{})
		}
		next := func(c *transport.Conn) *message.Leader {
			envs, err := c.Receive(nil)
			require.NoError(t, err)
			require.Len(t, envs, 1)
			return envs[0].Message.(*message.Leader)
		}
		watch, slave := dial(), dial()
		require.NoError(t, watch.Send(message.Envelope{Message: &message.Watch{}}))
		require.NoError(t, slave.Send(message.Envelope{Message: &message.Pong{}}))
		require.False(t, next(watch).Known)
		require.False(t, next(slave).Known)
		e.set(election.Peer{ID: "x", Address: "x:1"})
		require.Equal(t, &message.Leader{Known: true, ID: "x", Address: "x:1"}, next(watch))
		require.Equal(t, &message.Leader{Known: true, ID: "x", Address: "x:1"}, next(slave))
		watch.Close()
		slave.Close()
		require.NoError(t, run.stop())
	})
}

// A follower never leads.
type follower struct {
	terms   chan election.Term
	mu      sync.Mutex
	leader  election.Peer
	changed chan struct{}
	err     error
}

func (f *follower) Run(ctx context.Context, _ election.Env) error {
	defer close(f.terms)
	if f.err != nil {
		return f.err
	}
	<-ctx.Done()
	return nil
}
func (f *follower) Terms() <-chan election.Term { return f.terms }
func (f *follower) Leader() (election.Peer, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.leader, f.leader != election.Peer{}
}
func (f *follower) LeaderChanged() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}
func (f *follower) set(p election.Peer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.leader = p
	close(f.changed)
	f.changed = make(chan struct{})
}

func TestAnElectorThatFailsEndsTheMaster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		boom := errors.New("boom")
		m, err := master.New(master.Config{Election: &follower{terms: make(chan election.Term), changed: make(chan struct{}), err: boom},
			Listen: "m:1", Network: memtransport.New()})
		require.NoError(t, err)
		require.ErrorIs(t, m.Run(t.Context()), boom)
	})
}

func TestAFailureOfTheCoreEndsTheMasterAndTurnsThePeerAwayThatBroughtIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memtransport.New()
		var deposed uint64
		m, err := master.New(master.Config{Election: election.Standalone(), Listen: "m:1", Network: n, Hooks: master.Hooks{
			Note:    func(x master.Note) { panic("boom at " + x.Event) },
			Deposed: func(reign uint64) { deposed = reign },
		}})
		require.NoError(t, err)
		run := start(t.Context(), m.Run)
		<-m.Ready()
		synctest.Wait()
		nc, err := transport.Dialer{Network: n}.Dial(t.Context(), "m:1", transport.Node)
		require.NoError(t, err)
		c := transport.NewConn(nc, transport.ConnConfig{})
		defer c.Close()
		require.NoError(t, c.Send(message.Envelope{Message: &message.Subscribe{Nonce: offer.UUID{1}, Framework: offer.Framework{Name: "f", Roles: []string{"*"}}}}))
		err = <-run.done
		require.ErrorContains(t, err, "boom at")
		require.ErrorContains(t, err, "reign 1")
		require.Equal(t, uint64(1), deposed)
	})
}

func TestAFrameworkThatDoesNotReadIsCutAndOthersGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memtransport.New()
		m, err := master.New(master.Config{Election: election.Standalone(), Listen: "m:1", Network: n})
		require.NoError(t, err)
		run := start(t.Context(), m.Run)
		<-m.Ready()
		synctest.Wait()
		nc, err := transport.Dialer{Network: n}.Dial(t.Context(), "m:1", transport.Node)
		require.NoError(t, err)
		deaf := transport.NewConn(nc, transport.ConnConfig{MaxQueueBytes: 1 << 30, MaxQueueMessages: 1 << 30})
		require.NoError(t, deaf.Send(message.Envelope{Message: &message.Subscribe{Nonce: offer.UUID{1}, Framework: offer.Framework{Name: "deaf",
			Roles: []string{"*"}, FailoverTimeout: time.Hour}}}))
		_, err = deaf.Receive(nil)
		require.NoError(t, err)
		refs := make([]message.TaskRef, 1000)
		for i := range refs {
			refs[i] = message.TaskRef{Task: offer.TaskID(fmt.Sprintf("task-with-a-long-name-%d", i))}
		}
		for range 150 { // each is answered by a thousand updates that nobody reads
			require.NoError(t, deaf.Send(message.Envelope{Message: &message.Reconcile{Tasks: refs}}))
		}
		s := newSlave(t, n, "s", "m:1")
		slave := start(t.Context(), func(ctx context.Context) error { s.run(ctx); return nil })
		b := newBatch(5)
		session, err := framework.New(framework.Config{Name: "batch", Masters: []string{"m:1"}, Network: n}, b)
		require.NoError(t, err)
		fw := start(t.Context(), session.Run)
		<-b.done
		time.Sleep(time.Minute)
		for err == nil { // what had arrived, and then the end
			_, err = deaf.Receive(nil)
		}
		require.NoError(t, deaf.Close())
		require.NoError(t, fw.stop())
		require.NoError(t, slave.stop())
		require.NoError(t, run.stop())
	})
}

func TestAStrangersClusterIsTurnedAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := memtransport.New()
		m, err := master.New(master.Config{Election: election.Standalone(), Listen: "m:1", Network: n})
		require.NoError(t, err)
		run := start(t.Context(), m.Run)
		<-m.Ready()
		synctest.Wait()
		for _, msg := range []message.Message{
			&message.SlaveRegister{Nonce: offer.UUID{1}, Slave: offer.Slave{Hostname: "h", Resources: each}},
			&message.Subscribe{Nonce: offer.UUID{1}, Framework: offer.Framework{Name: "f", Roles: []string{"*"}}},
		} {
			nc, err := transport.Dialer{Network: n}.Dial(t.Context(), "m:1", transport.Node)
			require.NoError(t, err)
			c := transport.NewConn(nc, transport.ConnConfig{})
			require.NoError(t, c.Send(message.Envelope{Cluster: "other", Message: msg}))
			envs, err := c.Receive(nil)
			require.NoError(t, err)
			switch got := envs[0].Message.(type) {
			case *message.SlaveRefused:
				require.Equal(t, offer.ReasonWrongCluster, got.Reason)
				require.False(t, got.Shutdown)
			case *message.Error:
				require.Equal(t, offer.ReasonWrongCluster, got.Reason)
				require.True(t, got.Final)
			default:
				t.Fatalf("%T", got)
			}
			_, err = c.Receive(nil)
			require.Error(t, err)
			c.Close()
		}
		require.NoError(t, run.stop())
	})
}

func TestValidateNamesTheField(t *testing.T) {
	good := master.Config{Election: election.Standalone(), Listen: "127.0.0.1:0"}
	require.NoError(t, good.Validate())
	for field, change := range map[string]func(*master.Config){
		"Election":     func(c *master.Config) { c.Election = nil },
		"Listen":       func(c *master.Config) { c.Listen = "" },
		"Listen ":      func(c *master.Config) { c.Listen = "here" },
		"Advertise":    func(c *master.Config) { c.Advertise = "here" },
		"ClusterName":  func(c *master.Config) { c.ClusterName = "a/b" },
		"PingInterval": func(c *master.Config) { c.PingInterval = -1 },
		"MaxConns":     func(c *master.Config) { c.MaxConns = -1 },
		"Allocation":   func(c *master.Config) { c.Allocation.OfferShare = 1001 },
		"Allocation: m": func(c *master.Config) {
			c.MinAllocatable = []resource.Quantities{{{Name: "cpus", Amount: -1}}}
		},
	} {
		c := good
		change(&c)
		require.ErrorContains(t, c.Validate(), "Config."+field)
	}
}

func TestRealSocketsServeNodesAndHTTPOnOnePort(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	m, err := master.New(master.Config{Election: election.Standalone(election.InDir(t.TempDir())), Listener: ln})
	require.NoError(t, err)
	run := start(t.Context(), m.Run)
	address := ln.Addr().String()
	s := newSlave(t, transport.TCP(), "s", address)
	s.runs = 10 * time.Millisecond
	slave := start(t.Context(), func(ctx context.Context) error { s.run(ctx); return nil })
	b := newBatch(10)
	session, err := framework.New(framework.Config{Name: "batch", Masters: []string{address}}, b)
	require.NoError(t, err)
	fw := start(t.Context(), session.Run)
	<-b.done
	b.finished(t)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(path string) (int, []byte) {
		resp, err := client.Get("http://" + address + path)
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return resp.StatusCode, body
	}
	code, _ := get("/health")
	require.Equal(t, http.StatusOK, code)
	var slaves struct {
		Slaves []struct{ Hostname string }
	}
	require.Eventually(t, func() bool { // a view may be 50 ms old
		code, body := get("/slaves")
		require.Equal(t, http.StatusOK, code)
		require.NoError(t, json.Unmarshal(body, &slaves), "%s", body)
		return len(slaves.Slaves) == 1
	}, 30*time.Second, 10*time.Millisecond)
	require.Equal(t, "s", slaves.Slaves[0].Hostname)
	require.NoError(t, fw.stop())
	require.NoError(t, slave.stop())
	require.NoError(t, run.stop())
}
