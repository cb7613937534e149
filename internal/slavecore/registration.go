package slavecore

import (
	"fmt"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
)

// registration is where the slave stands with its master.
type registration struct {
	conn       uint64
	linked     bool // there is a connection
	registered bool // the master has welcomed the slave on it
	attempts   int  // on this connection
	epoch      uint64
	timer      timer
	ping       timer
	endings    []message.Message // of executors and tasks that a registration under way may still name
}

func (c *Core) connected(conn uint64) {
	r := &c.registration
	if conn <= r.conn {
		return
	}
	c.unlink()
	r.conn, r.linked, r.attempts = conn, true, 0
	c.dropLate()
	c.timers.arm(&r.ping, c.now.Add(c.cfg.PingTimeout))
	if c.awaited == 0 {
		c.register()
	}
}

func (c *Core) disconnected(conn uint64) {
	if conn == c.registration.conn && c.registration.linked {
		c.unlink()
	}
}

// unlink pauses everything that needs the master. Streams rest until the next registration.
func (c *Core) unlink() {
	r := &c.registration
	r.linked, r.registered = false, false
	c.held, r.endings = nil, nil
	c.timers.stop(&r.timer)
	c.timers.stop(&r.ping)
	c.leasesUnlinked()
}

func (c *Core) reconnect(reason offer.Reason, text string) {
	var refusal *offer.Refusal
	if reason != offer.ReasonNone {
		refusal = offer.Refuse(reason, text)
	}
	c.unlink()
	c.emit(Reconnect{Refusal: refusal})
}

// register sends one attempt and sets the time of the next.
func (c *Core) register() {
	r := &c.registration
	if !r.linked || c.stop != nil {
		return
	}
	r.registered = false
	r.attempts++
	if c.slave.ID == "" {
		c.send(&message.SlaveRegister{Nonce: c.cfg.Nonce, Slave: c.slave})
	} else {
		c.reregister()
	}
	wait := c.cfg.RegisterBackoff << min(r.attempts, 16)
	c.timers.arm(&r.timer, c.now.Add(c.jitter(min(wait, c.cfg.RegisterBackoffMax))))
}

func (c *Core) registerAgain() {
	r := &c.registration
	switch {
	case !r.linked || r.registered:
	case r.attempts >= c.cfg.RegisterAttempts:
		c.note("registration unanswered", "", "", offer.ReasonMasterDisconnected, fmt.Sprintf("%d attempts", r.attempts))
		c.reconnect(offer.ReasonNone, "")
	default:
		c.register()
	}
}

// reregister names all that the slave holds, in parts well below the size of a frame.
func (c *Core) reregister() {
	part := &message.SlaveReregister{Slave: c.slave, Draining: c.draining}
	size := message.SizeOfSlave(&c.slave)
	next := func(n int) {
		if size > 0 && size+n > c.cfg.PartBytes && len(part.Tasks)+len(part.Executors) > 0 {
			c.send(part)
			part, size = &message.SlaveReregister{Part: part.Part + 1}, 0
		}
		size += n
	}
	for f := range c.frameworks.all {
		for e := range f.executors.all {
			next(message.SizeOfExecutor(&e.info))
			part.Executors = append(part.Executors, message.SlaveExecutor{Framework: f.id, Role: e.role, Executor: e.info})
		}
		for t := range f.tasks.all {
			if t.bare { // the master asks again for what it misses
				continue
			}
			var st offer.Status
			if t.last != nil {
				st = *t.last
			}
			if t.exec != nil {
				st.ExecutorID = t.exec.info.ID
			}
			if h := t.stream.head(); h != nil && h.durable {
				st = h.value.Status
			}
			next(message.SizeOfTask(t.info) + message.SizeOfStatus(&st))
			part.Tasks = append(part.Tasks, message.SlaveTask{Framework: f.id, Role: t.role, Task: *t.info, Latest: t.latest(), Status: st})
		}
	}
	part.Last = true
	c.send(part)
}

func (c *Core) welcomed(cluster offer.ClusterID, m *message.SlaveRegistered) {
	r := &c.registration
	switch {
	case r.attempts == 0 || c.stop != nil:
		return
	case c.slave.ID == "" && invalidWelcome(cluster, m.ID) != nil: // they become parts of paths
		err := invalidWelcome(cluster, m.ID)
		c.note("invalid registration", "", "", offer.ReasonInvalidField, err.Error())
		c.reconnect(offer.ReasonInvalidField, "slave: "+err.Error())
		return
	case m.ID == "" || c.slave.ID != "" && c.slave.ID != m.ID:
		c.note("foreign registration", "", "", offer.ReasonSlaveConflict, fmt.Sprintf("welcomed as %.60q, but is %q", m.ID, c.slave.ID))
		c.reconnect(offer.ReasonSlaveConflict, fmt.Sprintf("slave: welcomed as %.60q, but is %q", m.ID, c.slave.ID))
		return
	}
	if c.slave.ID == "" {
		c.slave.ID, c.cluster = m.ID, cluster
		c.persist(&Registered{Cluster: c.cluster, Slave: c.slave}, then{})
		c.note("registered", "", "", offer.ReasonNone, string(m.ID))
	}
	repeated := r.registered
	r.registered = true
	c.timers.stop(&r.timer)
	c.answerReconcile(m.Reconcile)
	if repeated { // the answer to an attempt that was repeated: everything is under way
		return
	}
	r.attempts = 1
	r.epoch++
	c.askRenewal()
	for _, m := range r.endings {
		c.send(m)
	}
	r.endings = nil
	for f := range c.frameworks.all {
		for t := range f.tasks.all {
			c.pump(t)
		}
	}
	for o := range c.operations.all {
		c.pumpOperation(o)
	}
}

// sayEnded tells the master once that an executor, or a task that nobody acknowledges, has ended: at once, or when it has welcomed the slave as
// the registration describes it.
func (c *Core) sayEnded(m message.Message) {
	r := &c.registration
	switch {
	case r.registered:
		c.send(m)
	case r.linked && r.attempts > 0:
		r.endings = append(r.endings, m)
	}
}

func invalidWelcome(cluster offer.ClusterID, id offer.SlaveID) error {
	if err := offer.ValidateID("slave id", string(id)); err != nil {
		return err
	}
	return offer.ValidateID("cluster id", string(cluster))
}

// answerReconcile tells the master about tasks that it expected and the slave did not name.
func (c *Core) answerReconcile(refs []message.TaskRef) {
	for _, ref := range refs {
		t := c.task(ref.Framework, ref.Task)
		switch {
		case t == nil:
			c.answer(offer.Framework{ID: ref.Framework}, "", ref.Task, offer.Dropped, offer.ReasonSlaveRestarted, "the launch never reached the slave's disk")
		case len(t.stream.entries) == 0 && t.state != offer.Staging:
			c.update(t, c.report(t, t.state, offer.ReasonReconciliation, ""), nil)
		}
	}
}

func (c *Core) refused(m *message.SlaveRefused) {
	text := m.Message
	if len(text) > 1000 {
		text = text[:1000]
	}
	c.note("refused", "", "", m.Reason, text)
	switch {
	case m.Shutdown:
		c.beginStop(false, offer.Refuse(m.Reason, text))
	case m.Reason == offer.ReasonNotLeader, m.Reason == offer.ReasonInternal:
		c.reconnect(m.Reason, text)
	default:
		c.registration.registered = false
		if !c.registration.timer.armed() {
			c.registration.attempts = max(c.registration.attempts, 1)
			c.timers.arm(&c.registration.timer, c.now.Add(c.jitter(c.cfg.RegisterBackoff*2)))
		}
	}
}

func (c *Core) pinged(m *message.Ping) {
	c.send(&message.Pong{})
	if !m.Connected && c.registration.registered {
		c.note("disowned", "", "", offer.ReasonSlaveDisconnected, "the master does not count the slave as registered")
		c.registration.attempts = 0
		c.register()
	}
}

func (c *Core) pingMissed() {
	if !c.registration.linked {
		return
	}
	c.note("master silent", "", "", offer.ReasonMasterDisconnected, c.cfg.PingTimeout.String())
	c.reconnect(offer.ReasonNone, "")
}
