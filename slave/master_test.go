package slave

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/transport"
	"github.com/meros-project/meros/offer"
)

// A scriptedMaster stands in for a master: it leads, welcomes slaves, acknowledges updates, and keeps what it was told.
type scriptedMaster struct {
	t         testing.TB
	cluster   offer.ClusterID
	reign     uint64
	address   string
	noAck     bool
	uncounted bool        // updates may repeat
	mute      atomic.Bool // leases are not renewed

	mu       sync.Mutex
	conns    map[*transport.Conn]bool
	seen     map[offer.UUID]bool
	conn     *transport.Conn
	register chan message.Message
	updates  chan *message.StatusUpdate
	others   chan message.Message
	stop     context.CancelFunc
	wg       sync.WaitGroup
}

func newMaster(t testing.TB, network Network, address string, reign uint64) *scriptedMaster {
	m := &scriptedMaster{t: t, cluster: "cluster-1", reign: reign, address: address, conns: map[*transport.Conn]bool{}, seen: map[offer.UUID]bool{},
		register: make(chan message.Message, 100), updates: make(chan *message.StatusUpdate, 100_000), others: make(chan message.Message, 1000)}
	ctx, cancel := context.WithCancel(context.Background())
	m.stop = cancel
	ln, err := network.Listen(ctx, address)
	require.NoError(t, err)
	m.address = ln.Addr().String()
	mux := transport.NewMux(ln, transport.MuxConfig{})
	node := mux.Listener(transport.Node)
	m.wg.Go(func() { _ = mux.Run(ctx) })
	m.wg.Go(func() {
		for {
			nc, err := node.Accept()
			if err != nil {
				return
			}
			c := transport.NewConn(nc, transport.ConnConfig{})
			m.mu.Lock()
			m.conns[c] = true
			m.mu.Unlock()
			m.wg.Go(func() { m.serve(c) })
		}
	})
	t.Cleanup(m.kill)
	return m
}

// kill ends the master as a crash does.
func (m *scriptedMaster) kill() {
	m.stop()
	m.mu.Lock()
	conns := m.conns
	m.conns = map[*transport.Conn]bool{}
	m.mu.Unlock()
	for c := range conns {
		_ = c.Close()
	}
	m.wg.Wait()
}

func (m *scriptedMaster) serve(c *transport.Conn) {
	defer c.Close()
	for {
		envs, err := c.Receive(nil)
		if err != nil {
			return
		}
		for _, e := range envs {
			m.got(c, e.Message)
		}
	}
}

func (m *scriptedMaster) envelope(msg message.Message) message.Envelope {
	return message.Envelope{Cluster: m.cluster, Reign: m.reign, Message: msg}
}

func (m *scriptedMaster) got(c *transport.Conn, msg message.Message) {
	switch msg := msg.(type) {
	case *message.Watch:
		_ = c.Send(m.envelope(&message.Leader{Known: true, ID: "m", Address: m.address}))
	case *message.SlaveRegister:
		m.mu.Lock()
		m.conn = c
		m.mu.Unlock()
		_ = c.Send(m.envelope(&message.SlaveRegistered{ID: "s-1"}))
		m.register <- msg
	case *message.SlaveReregister:
		if !msg.Last {
			return
		}
		m.mu.Lock()
		m.conn = c
		m.mu.Unlock()
		_ = c.Send(m.envelope(&message.SlaveRegistered{ID: msg.Slave.ID}))
		m.register <- msg
	case *message.Renew:
		if !m.mute.Load() {
			_ = c.Send(m.envelope(&message.Renewed{Seq: msg.Seq}))
		}
	case *message.StatusUpdate:
		if !m.noAck {
			_ = c.Send(m.envelope(&message.StatusAck{Framework: msg.Framework, Task: msg.Status.TaskID, UUID: msg.Status.UUID}))
		}
		if m.uncounted {
			m.updates <- msg
			return
		}
		m.mu.Lock()
		fresh := !m.seen[msg.Status.UUID]
		m.seen[msg.Status.UUID] = true
		m.mu.Unlock()
		if fresh { // it is told at least once
			m.updates <- msg
		}
	default:
		m.others <- msg
	}
}

func (m *scriptedMaster) send(msgs ...message.Message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	require.NotNil(m.t, m.conn, "no slave is connected")
	for _, msg := range msgs {
		require.NoError(m.t, m.conn.Send(m.envelope(msg)))
	}
}

// drainRegistrations forgets registrations that nobody has looked at.
func (m *scriptedMaster) drainRegistrations() {
	for len(m.register) > 0 {
		<-m.register
	}
}

func take[T any](t testing.TB, what string, ch chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(30 * time.Second):
		require.Fail(t, "nothing came", what)
		panic("unreachable")
	}
}

// state waits for the next update and requires its task and state.
func (m *scriptedMaster) state(task offer.TaskID, want offer.State) offer.Status {
	m.t.Helper()
	up := take(m.t, "an update of "+string(task)+" with "+want.String(), m.updates)
	require.Equal(m.t, task, up.Status.TaskID)
	require.Equal(m.t, want, up.Status.State, "%+v", up.Status)
	return *up.Status
}

func command(id offer.TaskID, line string) offer.Task {
	return offer.Task{ID: id, SlaveID: "s-1", Command: &offer.Command{Shell: true, Value: line}}
}

func launch(tasks ...offer.Task) *message.Launch {
	return &message.Launch{Framework: offer.Framework{ID: "f-1", Capabilities: offer.PartitionAware | offer.KillingState}, Role: "*", Tasks: tasks}
}
