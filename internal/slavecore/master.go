package slavecore

import (
	"fmt"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
)

// fromMaster lets a message in if it comes from this cluster and from no lower reign than the highest seen (L1). A higher reign is on
// disk before anything is done on its behalf.
func (c *Core) fromMaster(ev FromMaster) {
	r := &c.registration
	env := &ev.Envelope
	if ev.Conn != r.conn || !r.linked || env.Message == nil {
		return
	}
	if _, ok := env.Message.(*message.Leader); ok { // of a master that does not lead, and speaks for no reign
		c.reconnect(offer.ReasonNotLeader, "slave: the master does not lead")
		return
	}
	if c.cluster != "" && env.Cluster != c.cluster {
		text := fmt.Sprintf("slave: message from cluster %.60q, but this slave belongs to %q", env.Cluster, c.cluster)
		c.note("other cluster", "", "", offer.ReasonWrongCluster, text)
		c.reconnect(offer.ReasonWrongCluster, text)
		return
	}
	if env.Reign < c.reign {
		text := fmt.Sprintf("slave: message of reign %d, but reign %d was seen", env.Reign, c.reign)
		c.note("old reign", "", "", offer.ReasonOldReign, text)
		c.reconnect(offer.ReasonOldReign, text)
		return
	}
	c.timers.arm(&r.ping, c.now.Add(c.cfg.PingTimeout))
	if env.Reign > c.reign {
		c.reign = env.Reign
		c.reignWrites++
		c.persist(&Reign{Reign: env.Reign}, then{kind: thenReign})
	}
	if c.reignWrites > 0 {
		if len(c.held) >= c.cfg.MaxHeld {
			c.reconnect(offer.ReasonLimitReached, "slave: too many messages wait for the disk")
			return
		}
		held := *env
		c.held = append(c.held, &held)
		return
	}
	c.obey(env.Cluster, env.Message)
}

func (c *Core) reignOnDisk() {
	c.reignWrites--
	if c.reignWrites > 0 {
		return
	}
	held := c.held
	c.held = nil
	for _, env := range held {
		if c.registration.linked && env.Reign == c.reign && !c.stopped {
			c.obey(env.Cluster, env.Message)
		}
	}
}

func (c *Core) obey(cluster offer.ClusterID, m message.Message) {
	switch m := m.(type) {
	case *message.SlaveRegistered:
		c.welcomed(cluster, m)
		return
	case *message.SlaveRefused:
		c.refused(m)
		return
	case *message.Ping:
		c.pinged(m)
		return
	}
	if !c.registration.registered {
		c.note("not registered", "", "", offer.ReasonSlaveUnknown, fmt.Sprintf("message of kind %d before the registration", m.Kind()))
		return
	}
	switch m := m.(type) {
	case *message.Launch:
		c.launch(m)
	case *message.Kill:
		c.kill(m)
	case *message.StatusAck:
		c.acknowledged(m)
	case *message.Apply:
		c.apply(m)
	case *message.OperationAck:
		c.operationAcknowledged(m)
	case *message.Resend:
		c.resend(m.Framework)
	case *message.FrameworkShutdown:
		c.shutdownFramework(m.Framework)
	case *message.ExecutorShutdown:
		c.shutdownExecutor(m)
	case *message.ToExecutor:
		c.toExecutor(m)
	case *message.Drain:
		c.drain(m.Config)
	case *message.Renewed:
		c.renewed(m)
	default:
		c.note("unknown message", "", "", offer.ReasonUnsupported, fmt.Sprintf("message of kind %d", m.Kind()))
	}
}
