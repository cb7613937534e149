package slave

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/slavecore"
	"github.com/meros-project/meros/internal/transport"
	"github.com/meros-project/meros/offer"
)

// The pause between two attempts to reach the leader. It is short because a failed leader's successor wants its slaves back at once,
// and random because all of them come at the same time.
const (
	minPause = 20 * time.Millisecond
	maxPause = 200 * time.Millisecond
	// farewell is how long the last messages may take to be written.
	farewell = 2 * time.Second
)

// A link is the connection to the master.
type link struct {
	mu      sync.Mutex
	n       uint64
	conn    *transport.Conn
	refusal *offer.Refusal // why it was dropped
}

// current returns the connection with this number, nil if it is not the current one.
func (l *link) current(n uint64) *transport.Conn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n != l.n {
		return nil
	}
	return l.conn
}

// set makes conn the current connection and returns its number.
func (l *link) set(conn *transport.Conn) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n++
	l.conn, l.refusal = conn, nil
	return l.n
}

// unset forgets the current connection and returns why it was dropped, if it was.
func (l *link) unset() *offer.Refusal {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn = nil
	return l.refusal
}

// drop ends the current connection; the reader notices.
func (l *link) drop(r *offer.Refusal) {
	l.mu.Lock()
	conn := l.conn
	l.refusal = r
	l.mu.Unlock()
	if conn == nil {
		return
	}
	if r != nil {
		conn.Refuse(r)
		return
	}
	conn.CloseAfterFlush(time.Second)
}

// finish lets what was sent go out and ends the connection.
func (l *link) finish() {
	l.mu.Lock()
	conn := l.conn
	l.mu.Unlock()
	if conn != nil {
		conn.CloseAfterFlush(farewell)
		<-conn.Done()
	}
}

// spareEvents are what slaves put the events of a frame into.
var spareEvents transport.Spare[slavecore.Event]

// connect keeps a connection to the leader until ctx ends.
func (s *Slave) connect(ctx context.Context) {
	pauses := 0
	for ctx.Err() == nil {
		leader, err := s.detector.Detect(ctx, election.Peer{})
		if err == nil {
			var answered bool
			answered, err = s.attend(ctx, leader)
			if answered {
				pauses = 0
			}
		}
		if ctx.Err() != nil {
			return
		}
		s.cfg.Logger.Debug("not connected to the leader", "leader", leader.Address, "err", err)
		limit := min(minPause<<min(pauses, 8), maxPause)
		switch {
		case errors.Is(err, &offer.Refusal{Reason: offer.ReasonWrongCluster}):
			limit = 50 * maxPause // this will not pass soon
		case errors.Is(err, &offer.Refusal{Reason: offer.ReasonInternal}):
			limit = 1000 * maxPause // what brought one master down must not go on to the next
		}
		pauses++
		pause(ctx, minPause/2+rand.N(limit))
	}
}

// attend connects to the leader and passes on what it says until the connection ends or somebody else leads. answered says that the
// leader said anything.
func (s *Slave) attend(ctx context.Context, leader election.Peer) (answered bool, err error) {
	nc, err := s.dialer.Dial(ctx, leader.Address, transport.Node)
	if err != nil {
		return false, err
	}
	conn := transport.NewConn(nc, transport.ConnConfig{MaxQueueBytes: 64 << 20, MaxQueueMessages: 1 << 20})
	n := s.master.set(conn)
	watchCtx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(watchCtx, func() { conn.CloseAfterFlush(farewell) })
	var wg sync.WaitGroup
	wg.Go(func() { s.watchLeader(watchCtx, leader, conn) })
	defer wg.Wait()
	defer cancel()
	defer stop()
	defer conn.Close()
	if err := s.loop.Post(ctx, slavecore.Connected{Conn: n}); err != nil {
		return false, err
	}
	var envs []message.Envelope
	var events []slavecore.Event
	for {
		if envs, err = conn.Receive(envs); err != nil {
			break
		}
		if l := leaderOf(envs); l != nil {
			err = offer.Refuse(offer.ReasonNotLeader, "slave: "+leader.Address+" does not lead")
			break
		}
		answered = true
		events = spareEvents.Room(events, len(envs))
		for _, env := range envs {
			events = append(events, slavecore.FromMaster{Conn: n, Envelope: env})
		}
		if err = s.loop.PostAll(ctx, events); err != nil {
			break
		}
		envs, events = transport.Envelopes.Emptied(envs), spareEvents.Emptied(events)
	}
	refusal := s.master.unset()
	if ctx.Err() != nil {
		return answered, err
	}
	if refusal != nil {
		err = refusal
		answered = false
	}
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
		s.cfg.Logger.Warn("the connection to the master has ended", "master", leader.Address, "err", err)
	}
	if f := s.cfg.Observer.Disconnected; f != nil {
		f(refusal)
	}
	if posted := s.loop.Post(ctx, slavecore.Disconnected{Conn: n}); posted != nil {
		return answered, posted
	}
	return answered, err
}

// watchLeader ends the connection when somebody else leads: a leader that was cut off may not notice by itself.
func (s *Slave) watchLeader(ctx context.Context, leader election.Peer, conn *transport.Conn) {
	if _, err := s.detector.Detect(ctx, leader); err == nil {
		conn.CloseAfterFlush(time.Second)
	}
}

// leaderOf finds the answer of a master that does not lead.
func leaderOf(envs []message.Envelope) *message.Leader {
	for _, e := range envs {
		if l, ok := e.Message.(*message.Leader); ok {
			return l
		}
	}
	return nil
}
