package master

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/transport"
	"github.com/meros-project/meros/offer"
)

// A conn is the connection of a slave, framework, operator, or of somebody who only asks who leads. Its first message decides.
type conn struct {
	t         *transport.Conn
	id        mastercore.ConnID // by the order in which connections were made
	principal string

	// Of the loop that performs effects.
	pending []message.Envelope
	touched bool
	closing bool

	// Of the goroutine that reads.
	reign  *reign // nil until a message was taken to a core
	events []mastercore.Event

	cluster atomic.Pointer[offer.ClusterID] // as the peer last named it
	mu      sync.Mutex
	watches bool // is told each change of the leader
}

// send queues an envelope for flush.
func (c *conn) send(e message.Envelope) { c.pending = append(c.pending, e) }

// flush writes what was queued. A connection that does not keep up is cut by the transport; its reader notices.
func (c *conn) flush() {
	if len(c.pending) > 0 {
		_ = c.t.Send(c.pending...)
		clear(c.pending)
		c.pending = c.pending[:0]
	}
}

// tell writes at once; from any goroutine.
func (c *conn) tell(e message.Envelope) { _ = c.t.Send(e) }

// close ends the connection after what was sent; it does not wait.
func (c *conn) close() { c.t.CloseAfterFlush(closeTimeout) }

func (c *conn) watch() {
	c.mu.Lock()
	c.watches = true
	c.mu.Unlock()
}

func (c *conn) isWatching() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.watches
}

// accept serves the node connections of the listener until it is closed.
func (m *Master) accept(ctx context.Context, ln net.Listener) error {
	for {
		nc, err := ln.Accept()
		switch {
		case err != nil && (ctx.Err() != nil || errors.Is(err, net.ErrClosed)):
			return nil
		case err != nil:
			return fmt.Errorf("master: accept: %w", err)
		}
		id := mastercore.ConnID(m.accepted.Add(1))
		m.wg.Go(func() { m.serve(ctx, nc, id) })
	}
}

// serve reads one connection to its end.
func (m *Master) serve(ctx context.Context, nc net.Conn, id mastercore.ConnID) {
	t := transport.NewConn(nc, transport.ConnConfig{HelloTimeout: helloTimeout, Decoders: m.decoders, KeepEncoded: m.cfg.Recorder.Dir != ""})
	c := &conn{t: t, id: id, principal: t.Principal()}
	defer func() { c.close(); <-t.Done() }()
	if !m.enter(c) {
		t.Refuse(offer.Refuse(offer.ReasonLimitReached, fmt.Sprintf("master: there are %d connections already", m.cfg.MaxConns)))
		return
	}
	defer m.leave(c)
	var envs []message.Envelope
	for {
		var err error
		if envs, err = c.t.Receive(envs); err == nil {
			err = m.take(ctx, c, envs)
		}
		if err != nil {
			if c.reign != nil {
				c.reign.detach(c.id)
			}
			m.log.Debug("connection ended", "remote", nc.RemoteAddr(), "err", err)
			return
		}
		envs = transport.Envelopes.Emptied(envs)
	}
}

// helloTimeout is how long a connection may stay without a first message.
const helloTimeout = 15 * time.Second

// closeTimeout is how long a connection that is being closed may take to deliver what was sent.
const closeTimeout = time.Second

// enter lists a connection, unless there are too many.
func (m *Master) enter(c *conn) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.conns) >= m.cfg.MaxConns || m.stopping {
		return false
	}
	m.conns[c] = struct{}{}
	return true
}

func (m *Master) leave(c *conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.conns, c)
}

// spareEvents are what connections put the events of a frame into.
var spareEvents transport.Spare[mastercore.Event]

var errTurnedAway = errors.New("turned away")

// take hands messages to the core of the reign, or answers them with who leads.
func (m *Master) take(ctx context.Context, c *conn, envs []message.Envelope) error {
	events := spareEvents.Room(c.events, len(envs))
	defer func() { c.events = spareEvents.Emptied(events) }()
	var first *encoded // of the events
	for i, e := range envs {
		if known := c.cluster.Load(); e.Cluster != "" && (known == nil || *known != e.Cluster) {
			cluster := e.Cluster
			c.cluster.Store(&cluster)
		}
		switch msg := e.Message.(type) {
		case *message.Watch:
			c.watch()
			c.tell(m.outside(c, m.leaderMessage()))
			continue
		case *message.Operate:
			m.takeOperate(ctx, c, msg)
			continue
		}
		if c.reign == nil && !m.attach(c) {
			c.watch()
			c.tell(m.outside(c, m.leaderMessage()))
			continue
		}
		if err := c.reign.admit(c, e); err != nil {
			return err
		}
		var ev mastercore.Event = mastercore.Received{Conn: c.id, Principal: c.principal, Message: e.Message}
		if c.reign.recorder != nil {
			if first == nil {
				first = c.encoded(ev, i)
				ev = first
			} else {
				first.add(i)
			}
		}
		events = append(events, ev)
	}
	if len(events) == 0 {
		return nil
	}
	return c.reign.loop.PostAll(ctx, events)
}

// attach binds a connection to the present reign; false when this master does not lead.
func (m *Master) attach(c *conn) bool {
	r := m.current.Load()
	if r == nil {
		return false
	}
	ok := r.attach(c)
	if ok {
		c.reign = r
	}
	return ok
}

// admit refuses what comes from another cluster, and what has seen a later reign than this one.
func (r *reign) admit(c *conn, e message.Envelope) error {
	if e.Cluster != "" && e.Cluster != r.cluster {
		why := fmt.Sprintf("this is cluster %s, not %.60s", r.cluster, e.Cluster)
		if k := e.Message.Kind(); k >= message.KindSlaveRegister && k < message.KindSlaveRegistered {
			c.tell(r.envelope(&message.SlaveRefused{Reason: offer.ReasonWrongCluster, Message: why}))
		} else {
			c.tell(r.envelope(&message.Error{Reason: offer.ReasonWrongCluster, Message: why, Final: true}))
		}
		return errTurnedAway
	}
	if e.Reign > r.term.Reign() {
		r.log.Warn("a peer has seen a later reign", "theirs", e.Reign)
		c.tell(message.Envelope{Cluster: r.cluster, Message: &message.Leader{}})
		return errTurnedAway
	}
	return nil
}

// takeOperate carries an operator's call over a node connection.
func (m *Master) takeOperate(ctx context.Context, c *conn, call *message.Operate) {
	answer := func(refusal *offer.Refusal) {
		out := &message.Operated{Seq: call.Seq}
		if refusal != nil {
			out.Reason, out.Message = refusal.Reason, refusal.Message
		}
		c.tell(m.outside(c, out))
	}
	r := m.current.Load()
	if r == nil {
		answer(m.notLeading())
		return
	}
	r.operate(ctx, c.principal, *call, answer)
}

// outside wraps a message that is sent on behalf of no reign. A master that has not learned yet which cluster it is in takes the peer's word.
func (m *Master) outside(c *conn, msg message.Message) message.Envelope {
	cluster := m.fsm.view().ClusterID()
	if theirs := c.cluster.Load(); cluster == "" && theirs != nil {
		cluster = *theirs
	}
	return message.Envelope{Cluster: cluster, Message: msg}
}

// closeAll ends the connections that no reign has ended.
func (m *Master) closeAll() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopping = true
	for c := range m.conns {
		c.close()
	}
}

// push tells all who watch that the leader has changed.
func (m *Master) push() {
	leader := m.leaderMessage()
	m.mu.Lock()
	var watching []*conn
	for c := range m.conns {
		if c.isWatching() {
			watching = append(watching, c)
		}
	}
	m.mu.Unlock()
	for _, c := range watching {
		c.tell(m.outside(c, leader))
	}
}
