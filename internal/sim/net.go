package sim

import (
	"fmt"
	"strings"
	"time"

	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
)

// A client is a slave, a framework or a stranger, as its connection sees it.
type client interface {
	name() string
	self() *node
	receive(l *link, e message.Envelope)
	closed(l *link)
}

// A way is one direction of a link. What arrives while the direction is blocked waits there, in order.
type way struct {
	last int64 // arrival of the last message
	busy int64 // until when a narrow connection is busy with those under way
	cut  bool  // nothing is delivered any more
	held []message.Envelope
}

// A link is one connection of a client to a master. Each direction keeps its order; delays are drawn for each message.
type link struct {
	w         *World
	number    int
	client    client
	server    *master
	reign     *reign            // the core that serves it; nil until the first message
	id        mastercore.ConnID // its number there
	up, down  way
	severed   bool
	stream    offer.FrameworkID // that was welcomed on it
	told      bool              // that it is over, and dismissed: closed by the master
	dismissed bool
	doomed    bool // will break if it is still blocked in a while
}

// principal is who the client is, as a master's authentication would have it.
func (l *link) principal() string {
	switch c := l.client.(type) {
	case *framework:
		return c.user.describe().Principal
	case *hostile:
		return "bad"
	}
	return ""
}

// dial tries to connect to a master; done gets nil when that failed.
func (w *World) dial(c client, m *master, done func(*link)) {
	w.after(w.between(time.Millisecond, 20*time.Millisecond), func() {
		n := c.self()
		up, down := n.cutFrom(m)
		if up || down {
			w.after(w.between(200*time.Millisecond, 3*time.Second), func() { done(nil) })
			return
		}
		if !m.alive || !n.alive {
			done(nil)
			return
		}
		if n.exhausted || m.exhausted {
			w.states.reach(StateExhausted)
			done(nil)
			return
		}
		w.lastLink++
		l := &link{w: w, number: w.lastLink, client: c, server: m}
		w.links = append(w.links, l)
		done(l)
	})
}

func (l *link) arrival(way *way, size int) int64 {
	w := l.w
	d := w.between(100*time.Microsecond, 3*time.Millisecond)
	if !w.calm && w.chance(w.swarm.delay) {
		d = w.mostly(10*time.Millisecond, w.swarm.slowest)
	}
	way.last = max(w.ns+int64(d+l.squeezed(way, size)), way.last)
	return way.last
}

// toMaster sends a message from the client.
func (l *link) toMaster(e message.Envelope) {
	if l.up.cut {
		return
	}
	e = l.w.carry(e)
	l.w.overhear(l.client)
	if l.corrupted() {
		return
	}
	size := len(l.w.sent)
	l.w.atNS(l.arrival(&l.up, size), func() { l.arriveUp(e) })
	if l.twice(e.Message) {
		l.w.states.reach(StateDuplicated)
		l.w.atNS(l.arrival(&l.up, size), func() { l.arriveUp(e) })
	}
}

// toClient sends a message from the master.
func (l *link) toClient(e message.Envelope) {
	if l.down.cut {
		return
	}
	e = l.w.carry(e)
	if l.corrupted() {
		return
	}
	size := len(l.w.sent)
	l.w.atNS(l.arrival(&l.down, size), func() { l.arriveDown(e) })
	if l.twice(e.Message) {
		l.w.atNS(l.arrival(&l.down, size), func() { l.arriveDown(e) })
	}
}

// twice draws whether a request is sent again by a layer that did not see its answer. What travels in parts is not: parts are counted.
func (l *link) twice(m message.Message) bool {
	if l.w.calm || l.w.swarm.duplicate == 0 || !l.w.chance(l.w.swarm.duplicate) {
		return false
	}
	switch m := m.(type) {
	case *message.Accept:
		return m.Part == 0 && m.Last
	case *message.Decline, *message.KillTask, *message.Acknowledge, *message.AcknowledgeOperation, *message.Reconcile, *message.Revive,
		*message.Suppress, *message.StatusUpdate, *message.OperationUpdate, *message.Pong, *message.Kill, *message.StatusAck,
		*message.Apply, *message.OperationAck, *message.Rescind, *message.Ping, *message.Drain, *message.Resend, *message.Subscribe,
		*message.SlaveRegister:
		return true
	}
	return false
}

func (l *link) arriveUp(e message.Envelope) {
	if l.up.cut {
		return
	}
	if blocked, _ := l.client.self().cutFrom(l.server); blocked || len(l.up.held) > 0 {
		l.up.held = append(l.up.held, e)
		return
	}
	l.handUp(e)
}

func (l *link) handUp(e message.Envelope) {
	if l.w.trace.keep > 0 {
		l.w.show(l.server.id, "<- %s %s", l.client.name(), describe(e.Message))
	}
	l.server.receive(l, e)
}

func (l *link) arriveDown(e message.Envelope) {
	if l.down.cut {
		return
	}
	if _, blocked := l.client.self().cutFrom(l.server); blocked || len(l.down.held) > 0 {
		l.down.held = append(l.down.held, e)
		return
	}
	l.handDown(e)
}

func (l *link) handDown(e message.Envelope) {
	if l.w.trace.keep > 0 {
		l.w.show(l.client.name(), "<- %s %s", l.server.id, describe(e.Message))
	}
	l.client.receive(l, e)
}

// describe is a message in a few words.
func describe(m message.Message) string {
	name := strings.TrimPrefix(fmt.Sprintf("%T", m), "*message.")
	switch m := m.(type) {
	case *message.StatusUpdate:
		return fmt.Sprintf("%s %s/%s %s latest=%s %.8s", name, m.Framework, m.Status.TaskID, m.Status.State, m.Latest, m.Status.UUID)
	case *message.StatusAck:
		return fmt.Sprintf("%s %s/%s %.8s", name, m.Framework, m.Task, m.UUID)
	case *message.Update:
		return fmt.Sprintf("%s %s %s %.8s", name, m.Status.TaskID, m.Status.State, m.Status.UUID)
	case *message.Acknowledge:
		return fmt.Sprintf("%s %s %.8s", name, m.Task, m.UUID)
	case *message.Launch:
		text := name + " of " + string(m.Framework.ID)
		for i := range m.Tasks {
			text += " " + string(m.Tasks[i].ID)
		}
		return text
	case *message.SlaveReregister:
		text := name + " " + string(m.Slave.ID)
		for i := range m.Tasks {
			text += fmt.Sprintf(" %s/%s=%s", m.Tasks[i].Framework, m.Tasks[i].Task.ID, m.Tasks[i].Latest)
		}
		return text
	case *message.Offers:
		text := name
		for i := range m.Offers {
			text += fmt.Sprintf(" %s=%s:%s:%s", m.Offers[i].ID, m.Offers[i].SlaveID, m.Offers[i].Role, m.Offers[i].Resources)
		}
		return text
	case *message.Accept:
		text := fmt.Sprintf("%s %v", name, m.Offers)
		for i := range m.Operations {
			text += " " + m.Operations[i].Kind.String()
			for j := range m.Operations[i].Tasks {
				text += " " + string(m.Operations[i].Tasks[j].ID)
			}
		}
		return text
	case *message.Pong, *message.Heartbeat, *message.ToExecutor, *message.SlaveRegister:
		return name
	}
	return fmt.Sprintf("%s %.600v", name, fmt.Sprintf("%+v", m))
}

// unblock delivers what has waited, once the ways are open again, and dooms what is blocked.
func (l *link) unblock() {
	up, down := l.client.self().cutFrom(l.server)
	if (up || down) && !l.doomed {
		l.doomed = true
		l.w.after(l.w.between(3*time.Second, 40*time.Second), func() {
			l.doomed = false
			if up, down := l.client.self().cutFrom(l.server); up || down {
				l.sever(10 * time.Second)
			}
		})
	}
	if !up && len(l.up.held) > 0 {
		l.release(&l.up, func() bool { blocked, _ := l.client.self().cutFrom(l.server); return blocked }, l.handUp)
	}
	if !down && len(l.down.held) > 0 {
		l.release(&l.down, func() bool { _, blocked := l.client.self().cutFrom(l.server); return blocked }, l.handDown)
	}
}

// release delivers what has waited on one way after a moment, before anything that was sent later: that joins the end of the line until then.
func (l *link) release(way *way, blocked func() bool, hand func(message.Envelope)) {
	l.w.after(l.w.between(100*time.Microsecond, 3*time.Millisecond), func() {
		for len(way.held) > 0 && !way.cut && !blocked() {
			e := way.held[0]
			way.held = way.held[1:]
			hand(e)
		}
	})
}

// close ends the connection in order: what was sent to the client still arrives.
func (l *link) close() {
	if l.severed {
		return
	}
	l.w.atNS(l.arrival(&l.down, 0), func() { l.sever(0) })
}

// sever cuts the connection: what is under way is lost, but for part of the seeds in which what the client sent arrives all the same, perhaps
// after its next connection is up. Each side notices in its own time, up to notice.
func (l *link) sever(notice time.Duration) {
	if l.severed {
		return
	}
	w := l.w
	l.severed, l.down.cut = true, true
	w.drop(l)
	wait := func() time.Duration {
		if notice <= 0 {
			return time.Duration(w.random.Int64N(int64(time.Millisecond)))
		}
		return time.Duration(w.random.Int64N(int64(notice)))
	}
	w.after(wait(), func() { l.client.closed(l) })
	late := wait()
	if !w.calm && w.swarm.reorder > 0 && w.chance(w.swarm.reorder) {
		w.after(late, func() { l.up.cut = true })
		w.states.reach(StateReordered)
	} else {
		l.up.cut = true
	}
	w.after(late, func() { l.server.closed(l) })
}

func (w *World) drop(l *link) {
	for i, x := range w.links {
		if x == l {
			w.links = append(w.links[:i], w.links[i+1:]...)
			return
		}
	}
}

// severAll cuts all connections that f chooses.
func (w *World) severAll(notice time.Duration, f func(*link) bool) {
	for _, l := range append([]*link(nil), w.links...) {
		if f(l) {
			l.sever(notice)
		}
	}
}
