package framework

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/internal/frameworkcore"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/runloop"
	"github.com/meros-project/meros/internal/transport"
	"github.com/meros-project/meros/offer"
)

const (
	minBackoff   = 50 * time.Millisecond
	maxBackoff   = 5 * time.Second
	flushTimeout = time.Second // for what was sent when the session ends
)

// A link keeps one connection to whoever leads, and makes a new one when it is lost.
type link struct {
	detector election.Detector
	own      *transport.AddressDetector // closed with the link; nil if the detector is the user's
	dialer   transport.Dialer
	log      *slog.Logger

	// Of the loop that performs effects.
	pending []message.Envelope

	mu       sync.Mutex
	conn     *transport.Conn // the present one
	number   uint64          // of the present one
	identity message.Envelope
	leader   election.Peer // at the other end of conn once it has answered as the leader
}

func newLink(cfg Config, log *slog.Logger) *link {
	l := &link{detector: cfg.Detector, log: log, dialer: transport.Dialer{Network: cfg.Network, TLS: cfg.TLS, Insecure: cfg.Insecure}}
	if l.detector == nil {
		own := transport.Addresses(cfg.Masters, l.dialer, log)
		l.detector, l.own = own, own
	}
	return l
}

// spareEvents are what sessions put the events of a frame into.
var spareEvents transport.Spare[frameworkcore.Event]

type loop = runloop.Loop[frameworkcore.Event, frameworkcore.Effect]

// run finds the leader and reads from it, again and again, until ctx ends.
func (l *link) run(ctx context.Context, lp *loop) {
	if l.own != nil {
		defer l.own.Close()
	}
	backoff := minBackoff
	var last election.Peer
	for ctx.Err() == nil {
		leader, err := l.detector.Detect(ctx, election.Peer{})
		if err == nil {
			if leader != last { // it may have been elected this very moment, and not be ready yet
				backoff, last = minBackoff, leader
			}
			var alive bool
			if alive, err = l.session(ctx, lp, leader); alive {
				backoff = minBackoff
			}
		}
		if ctx.Err() != nil {
			return
		}
		l.log.Debug("no connection to the leading master", "leader", leader.Address, "err", err, "again_in", backoff)
		l.pause(ctx, leader, backoff/2+rand.N(backoff/2+1))
		backoff = min(2*backoff, maxBackoff)
	}
}

// pause waits before the next attempt, but not after another leader is known.
func (l *link) pause(ctx context.Context, failed election.Peer, wait time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if _, err := l.detector.Detect(ctx, failed); err != nil {
		<-ctx.Done()
	}
}

// session serves one connection to its end. Alive says that the master has answered with more than who leads.
func (l *link) session(ctx context.Context, lp *loop, leader election.Peer) (alive bool, err error) {
	nc, err := l.dialer.Dial(ctx, leader.Address, transport.Node)
	if err != nil {
		return false, err
	}
	c := transport.NewConn(nc, transport.ConnConfig{})
	defer c.Close()
	l.mu.Lock()
	l.number++
	l.conn = c
	number := l.number
	l.mu.Unlock()
	stop := context.AfterFunc(ctx, func() { c.CloseAfterFlush(flushTimeout) })
	defer stop()
	wctx, cancel := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { // another leader: this one may be cut off without knowing
		if p, err := l.detector.Detect(wctx, leader); err == nil {
			l.log.Info("another master leads", "address", p.Address)
			_ = c.Close()
		}
	})
	defer watch.Wait()
	defer cancel()
	l.log.Info("connected", "leader", leader.Address)
	if err := lp.Post(ctx, frameworkcore.Connected{Conn: number}); err != nil {
		return false, err
	}
	defer lp.Complete(frameworkcore.Disconnected{Conn: number})
	var envs []message.Envelope
	var events []frameworkcore.Event
	for {
		if envs, err = c.Receive(envs); err != nil {
			if ctx.Err() != nil {
				<-c.Done() // what was sent last, such as an acknowledgement, goes out
			}
			return alive, err
		}
		events = spareEvents.Room(events, len(envs))
		for _, e := range envs {
			if _, is := e.Message.(*message.Leader); !is && !alive {
				alive = true
				l.leads(leader)
				defer l.leads(election.Peer{})
			}
			events = append(events, frameworkcore.FromMaster{Conn: number, Envelope: e})
		}
		if err := lp.PostAll(ctx, events); err != nil {
			return alive, err
		}
		envs, events = transport.Envelopes.Emptied(envs), spareEvents.Emptied(events)
	}
}

// leads notes who is at the other end; the zero Peer means nobody.
func (l *link) leads(p election.Peer) {
	l.mu.Lock()
	l.leader = p
	l.mu.Unlock()
}

// send queues a message for flush, on the connection if it is still the present one. Loop only.
func (l *link) send(number uint64, m message.Message) {
	l.mu.Lock()
	present := number == l.number
	l.mu.Unlock()
	if present {
		l.pending = append(l.pending, l.envelope(m))
	}
}

func (l *link) envelope(m message.Message) message.Envelope {
	return message.Envelope{Cluster: l.identity.Cluster, Reign: l.identity.Reign, Message: m}
}

// know remembers whose messages the session has accepted, to say so in its own. Loop only.
func (l *link) know(cluster offer.ClusterID, reign uint64) {
	l.identity.Cluster, l.identity.Reign = cluster, reign
}

// flush writes what was queued, in one go. Loop only.
func (l *link) flush() {
	if len(l.pending) == 0 {
		return
	}
	l.mu.Lock()
	c := l.conn
	l.mu.Unlock()
	if c != nil {
		if err := c.Send(l.pending...); err != nil {
			l.log.Debug("send failed", "err", err)
		}
	}
	clear(l.pending)
	l.pending = l.pending[:0]
}

// reconnect drops the present connection at once; run makes another.
func (l *link) reconnect() {
	l.mu.Lock()
	c := l.conn
	l.mu.Unlock()
	if c != nil {
		_ = c.Close()
	}
}
