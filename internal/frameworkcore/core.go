package frameworkcore

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
)

// A Core decides everything that a framework's session does. It is not safe for concurrent use: one goroutine calls Step.
type Core struct {
	cfg    Config
	random *rand.Rand
	now    time.Time
	out    []Effect

	cluster   offer.ClusterID
	framework offer.Framework // with its id once known
	reign     uint64
	suppress  suppression
	owed      debt

	conn       uint64
	linked     bool
	subscribed bool
	attempts   int  // to subscribe, on this connection
	asked      bool // a subscription was ever sent
	heartbeat  time.Duration

	subscribeAt, silentAt time.Time // zero: not set

	offers    map[offer.OfferID]offer.SlaveID
	tasks     map[offer.TaskID]*known
	calls     []message.Message // wait for a subscription
	deliver   deliveries
	reconcile reconciliation
	again     again
	ending    ending
	ended     bool
}

// New returns a core that waits for its first connection.
func New(now time.Time, cfg Config) (*Core, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	c := &Core{cfg: cfg, now: now, cluster: cfg.Cluster, framework: cfg.Framework, offers: map[offer.OfferID]offer.SlaveID{},
		tasks: map[offer.TaskID]*known{}, random: rand.New(rand.NewPCG(cfg.Seed, 0x6d65726f73))}
	if len(c.framework.Roles) == 0 {
		c.framework.Roles = []string{"*"}
	}
	c.framework.Roles = slices.Clone(c.framework.Roles)
	c.suppress.set(cfg.Suppressed)
	c.deliver.init()
	return c, nil
}

// FrameworkID returns the id that the master has assigned, or nothing.
func (c *Core) FrameworkID() offer.FrameworkID { return c.framework.ID }

// Cluster returns the cluster that the framework belongs to, or nothing before its first subscription.
func (c *Core) Cluster() offer.ClusterID { return c.cluster }

// Reign returns the highest reign seen.
func (c *Core) Reign() uint64 { return c.reign }

// Subscribed reports whether the session is subscribed on its current connection.
func (c *Core) Subscribed() bool { return c.subscribed }

// Ended reports whether the session is over.
func (c *Core) Ended() bool { return c.ended }

// Offer returns the slave of an offer that can be used now.
func (c *Core) Offer(id offer.OfferID) (offer.SlaveID, bool) {
	s, ok := c.offers[id]
	return s, ok && c.subscribed
}

// Deadline reports when the core next wants a Tick; zero means never.
func (c *Core) Deadline() time.Time {
	var first time.Time
	if c.ended {
		return first
	}
	for _, t := range [...]time.Time{c.subscribeAt, c.silentAt, c.ending.until, c.ending.again, c.reconcile.at, c.again.at} {
		if !t.IsZero() && (first.IsZero() || t.Before(first)) {
			first = t
		}
	}
	return first
}

// Step advances the core by one event and appends its effects to out. After an End effect it does nothing any more.
func (c *Core) Step(now time.Time, ev Event, out []Effect) []Effect {
	if c.ended {
		return out
	}
	c.now, c.out = now, out
	switch ev := ev.(type) {
	case Connected:
		c.connected(ev.Conn)
	case Disconnected:
		if ev.Conn == c.conn {
			c.unlink()
		}
	case FromMaster:
		c.fromMaster(ev)
	case Called:
		c.called(ev.Call)
	case Handled:
		c.handled(ev)
	case Tick:
	}
	c.expire()
	c.handOver()
	out, c.out = c.out, nil
	return out
}

func due(at, now time.Time) bool { return !at.IsZero() && !at.After(now) }

func (c *Core) expire() {
	c.expireTeardown()
	if !c.ended && due(c.subscribeAt, c.now) {
		c.subscribeAgain()
	}
	if !c.ended && due(c.silentAt, c.now) {
		c.note("master silent", "", offer.ReasonMasterDisconnected, fmt.Sprintf("%d heartbeats missed", c.cfg.HeartbeatMisses))
		c.reconnect(offer.ReasonNone, "")
	}
	if !c.ended && due(c.reconcile.at, c.now) {
		c.reconcileAgain()
	}
	if !c.ended && due(c.again.at, c.now) {
		c.tellAgain()
	}
}

func (c *Core) emit(e Effect) { c.out = append(c.out, e) }

func (c *Core) send(m message.Message) { c.emit(Send{Conn: c.conn, Message: m}) }

func (c *Core) note(event string, t offer.TaskID, r offer.Reason, text string) {
	c.emit(Note{Event: event, Task: t, Reason: r, Text: text})
}

func (c *Core) reconnect(reason offer.Reason, text string) {
	var refusal *offer.Refusal
	if reason != offer.ReasonNone {
		refusal = offer.Refuse(reason, text)
	}
	c.unlink()
	c.emit(Reconnect{Refusal: refusal})
}

// end ends the session. What the handler has not taken over stays unacknowledged, so the next session gets it.
func (c *Core) end(refusal *offer.Refusal) {
	c.emit(End{Refusal: refusal})
	c.ended = true
}

// jitter returns a time between half of d and d.
func (c *Core) jitter(d time.Duration) time.Duration {
	if d < 2 {
		return d
	}
	return d/2 + time.Duration(c.random.Int64N(int64(d/2)))
}
