package frameworkcore

import (
	"time"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
)

// ending is a teardown that was asked for. It is over when a master says that the framework is no more: one that has sent it knows nothing
// yet, because the connection may break, the leader may be deposed, or another change of the framework may be under way. Until then it is said
// again, and the user's program hears of nothing else.
type ending struct {
	asked bool
	until time.Time     // then the session gives up
	again time.Time     // then it is said again on this connection; zero: not set
	wait  time.Duration // until the time after that
}

// tearDown ends the framework: at once if nobody has heard of it, else when a master has confirmed it.
func (c *Core) tearDown() {
	if c.framework.ID == "" && !c.asked {
		c.end(nil)
		return
	}
	c.ending = ending{asked: true, until: c.now.Add(c.cfg.TeardownTimeout)}
	c.reconcile.at, c.again = zeroTime, again{}
	if c.subscribed {
		c.beginTeardown()
	}
}

// beginTeardown says it for the first time on a connection.
func (c *Core) beginTeardown() {
	c.ending.wait = c.cfg.SubscribeBackoff
	c.sayTeardown()
}

func (c *Core) sayTeardown() {
	e := &c.ending
	c.send(&message.Teardown{})
	e.again = c.now.Add(c.jitter(2 * e.wait))
	e.wait = min(2*e.wait, c.cfg.SubscribeBackoffMax)
}

func (c *Core) expireTeardown() {
	switch e := &c.ending; {
	case c.ended:
	case due(e.until, c.now):
		c.end(offer.Refuse(offer.ReasonMasterDisconnected, "framework: teardown: no master has confirmed it within "+c.cfg.TeardownTimeout.String()))
	case due(e.again, c.now):
		c.sayTeardown()
	}
}

// tornDown reports whether a master's last word confirms a teardown.
func (c *Core) tornDown(m *message.Error) bool {
	return c.ending.asked && m.Final && m.Reason == offer.ReasonFrameworkCompleted
}
