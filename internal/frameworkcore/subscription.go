package frameworkcore

import (
	"fmt"
	"slices"
	"time"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
)

func (c *Core) connected(conn uint64) {
	if conn <= c.conn {
		return
	}
	c.unlink()
	c.conn, c.linked, c.attempts = conn, true, 0
	c.owed.update = false // it is said now
	c.subscribe()
}

// unlink forgets the connection. Offers stay in the table until the next subscription, which rescinds them.
func (c *Core) unlink() {
	lost := c.subscribed
	c.linked, c.subscribed = false, false
	c.subscribeAt, c.silentAt, c.reconcile.at, c.ending.again = zeroTime, zeroTime, zeroTime, zeroTime
	if lost && !c.ending.asked {
		c.push(delivery{message: &message.Leader{}})
	}
}

func (c *Core) subscribe() {
	c.attempts++
	c.asked = true
	c.send(&message.Subscribe{Nonce: c.cfg.Nonce, Framework: c.framework, Suppressed: c.suppress.list(c.framework.Roles)})
	wait := c.cfg.SubscribeBackoff << min(c.attempts, 16)
	c.subscribeAt = c.now.Add(c.jitter(min(wait, c.cfg.SubscribeBackoffMax)))
}

func (c *Core) subscribeAgain() {
	c.subscribeAt = zeroTime
	switch {
	case !c.linked || c.subscribed:
	case c.attempts >= c.cfg.SubscribeAttempts:
		c.note("subscription unanswered", "", offer.ReasonMasterDisconnected, fmt.Sprintf("%d attempts", c.attempts))
		c.reconnect(offer.ReasonNone, "")
	default:
		c.subscribe()
	}
}

// fromMaster lets a message in if it comes from this cluster and from no lower reign than the highest seen (L1).
func (c *Core) fromMaster(ev FromMaster) {
	env := ev.Envelope
	if ev.Conn != c.conn || !c.linked || env.Message == nil {
		return
	}
	if _, ok := env.Message.(*message.Leader); ok { // of a master that does not lead, and speaks for no reign
		c.reconnect(offer.ReasonNotLeader, "framework: the master does not lead")
		return
	}
	if c.cluster != "" && env.Cluster != c.cluster {
		c.end(offer.Refuse(offer.ReasonWrongCluster, fmt.Sprintf("framework: answered by cluster %.60q, but belongs to %q", env.Cluster, c.cluster)))
		return
	}
	if env.Reign < c.reign {
		text := fmt.Sprintf("framework: message of reign %d, but reign %d was seen", env.Reign, c.reign)
		c.note("old reign", "", offer.ReasonOldReign, text)
		c.reconnect(offer.ReasonOldReign, text)
		return
	}
	c.reign = env.Reign
	if c.subscribed {
		c.listen()
	}
	switch m := env.Message.(type) {
	case *message.Subscribed:
		c.welcome(env.Cluster, m)
		return
	case *message.Error:
		c.failed(m)
		return
	case *message.Heartbeat:
		return
	}
	if !c.subscribed {
		c.note("not subscribed", "", offer.ReasonFrameworkUnknown, fmt.Sprintf("message of kind %d before the subscription", env.Message.Kind()))
		return
	}
	if c.ending.asked {
		return
	}
	switch m := env.Message.(type) {
	case *message.Offers:
		c.offered(m)
	case *message.Rescind:
		c.rescinded(m)
	case *message.Update:
		c.updated(m)
	case *message.OperationUpdate:
		c.operationUpdated(m)
	case *message.Failure:
		c.push(delivery{message: m})
		if m.Executor == "" {
			c.slaveLost(m.Slave)
		}
	case *message.FromExecutor:
		c.push(delivery{message: m})
	default:
		c.note("unknown message", "", offer.ReasonUnsupported, fmt.Sprintf("message of kind %d", m.Kind()))
	}
}

// listen sets the time at which a silent master counts as lost.
func (c *Core) listen() {
	c.silentAt = c.now.Add(c.heartbeat * time.Duration(c.cfg.HeartbeatMisses))
}

func (c *Core) welcome(cluster offer.ClusterID, m *message.Subscribed) {
	if m.ID == "" || c.framework.ID != "" && c.framework.ID != m.ID {
		text := fmt.Sprintf("framework: subscribed as %.60q, but is %q", m.ID, c.framework.ID)
		c.note("foreign subscription", "", offer.ReasonFrameworkConflict, text)
		c.reconnect(offer.ReasonFrameworkConflict, text)
		return
	}
	if c.subscribed { // the answer to an attempt that was repeated
		return
	}
	isNew := c.framework.ID == ""
	c.framework.ID, c.cluster = m.ID, cluster
	c.subscribed = true
	c.subscribeAt = zeroTime
	c.heartbeat = m.Heartbeat
	if c.heartbeat <= 0 {
		c.heartbeat = c.cfg.Heartbeat
	}
	c.listen()
	if c.ending.asked {
		c.beginTeardown()
		return
	}
	c.rescindAll()
	c.push(delivery{message: m})
	c.payOwed()
	calls := c.calls
	c.calls = nil
	for _, call := range calls {
		c.send(call)
	}
	c.killAgain()
	c.beginReconcile(isNew)
}

func (c *Core) failed(m *message.Error) {
	switch {
	case c.tornDown(m):
		c.end(nil)
		return
	case !m.Final && c.ending.asked:
		c.note("teardown refused", "", m.Reason, m.Message)
		return
	case !m.Final:
		c.push(delivery{message: m})
		return
	}
	c.deliver.seq++
	c.emit(Deliver{Seq: c.deliver.seq, Message: m})
	c.end(offer.Refuse(m.Reason, m.Message))
}

// suppression is the set of roles that want no offers, kept so that a new subscription says so again.
type suppression struct{ roles []string }

func (s *suppression) set(roles []string) {
	s.roles = slices.Compact(slices.Sorted(slices.Values(roles)))
}

func (s *suppression) add(roles []string) { s.set(append(slices.Clone(roles), s.roles...)) }

func (s *suppression) remove(roles []string) {
	s.roles = slices.DeleteFunc(slices.Clone(s.roles), func(r string) bool { return slices.Contains(roles, r) })
}

// list returns the suppressed roles that the framework still has.
func (s *suppression) list(roles []string) []string {
	var out []string
	for _, r := range s.roles {
		if slices.Contains(roles, r) {
			out = append(out, r)
		}
	}
	return out
}
