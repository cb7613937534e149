package framework

import (
	"context"
	"log/slog"
	"time"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
)

// A Driver runs a scheduler without a connection, a clock or a goroutine: somebody else decides when it is told what. It is what
// framework/frameworktest is made of, and of no use elsewhere.
type Driver struct {
	s   *Session
	h   *handlers
	ctx context.Context
}

// NewDriver makes a session that is driven. Config.Masters and Config.Detector are not needed. The context is what handlers get.
func NewDriver(ctx context.Context, cfg Config, scheduler Scheduler) (*Driver, error) {
	if cfg.Detector == nil && len(cfg.Masters) == 0 {
		cfg.Masters = []string{"simulated:5050"}
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if scheduler == nil {
		return nil, offer.Refuse(offer.ReasonInvalidField, "framework: scheduler is nil")
	}
	s := &Session{cfg: cfg, scheduler: scheduler, log: cfg.Logger, ready: make(chan struct{})}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.id.Store(cfg.ID)
	s.calls = newHandlers(s)
	s.calls.driven = ctx
	return &Driver{s: s, h: s.calls, ctx: ctx}, nil
}

// Session is what the handlers get. Its calls go where Bind said.
func (d *Driver) Session() *Session { return d.s }

// Describe is what the framework says about itself.
func (d *Driver) Describe() offer.Framework {
	f := d.s.cfg.framework()
	f.ID = d.s.ID()
	return f
}

// Bind says where calls go.
func (d *Driver) Bind(call func(message.Message)) { d.s.direct = call }

// BindClock gives the session its time: now, and a way to have something done later. An error of do ends the session.
func (d *Driver) BindClock(now func() time.Time, after func(d time.Duration, do func() error)) {
	d.s.clock = &clock{now: now, after: after}
}

// Handle hands a message to the scheduler. False leaves a status unacknowledged; an error ends the session.
func (d *Driver) Handle(m message.Message) (ok bool, err error) {
	d.s.told(m)
	return d.h.deliver(d.ctx, m)
}
