package sim

import (
	"time"

	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/message"
)

// A client is a slave or a framework, as its connection sees it.
type client interface {
	name() string
	connected(l *link)
	receive(l *link, e message.Envelope)
	closed(l *link)
	isolated() bool
}

// A link is one connection of a client to a master. Each direction keeps its order; delays are drawn for each message.
type link struct {
	w      *World
	number int
	client client
	server *master
	reign  *reign            // the core that serves it; nil until the first message
	id     mastercore.ConnID // its number there
	cut    bool              // nothing is delivered any more
	up     time.Time         // arrival of the last message to the master
	down   time.Time         // arrival of the last message to the client
}

// dial tries to connect to a master; done gets nil when that failed.
func (w *World) dial(c client, m *master, done func(*link)) {
	w.after(w.between(time.Millisecond, 20*time.Millisecond), func() {
		if !m.alive || m.cutOff || c.isolated() {
			done(nil)
			return
		}
		w.lastLink++
		l := &link{w: w, number: w.lastLink, client: c, server: m, up: w.now, down: w.now}
		w.links = append(w.links, l)
		done(l)
	})
}

func (l *link) delay(last *time.Time) time.Time {
	w := l.w
	d := w.between(100*time.Microsecond, 3*time.Millisecond)
	if !w.calm && w.chance(0.01) {
		d = w.between(10*time.Millisecond, 2*time.Second)
	}
	at := w.now.Add(d)
	if at.Before(*last) {
		at = *last
	}
	*last = at
	return at
}

// toMaster sends a message from the client.
func (l *link) toMaster(e message.Envelope) {
	if l.cut {
		return
	}
	e = l.w.carry(e)
	l.w.at(l.delay(&l.up), func() {
		if !l.cut {
			l.server.receive(l, e)
		}
	})
}

// toClient sends a message from the master.
func (l *link) toClient(e message.Envelope) {
	if l.cut {
		return
	}
	e = l.w.carry(e)
	l.w.at(l.delay(&l.down), func() {
		if !l.cut {
			l.client.receive(l, e)
		}
	})
}

// close ends the connection in order: what was sent to the client still arrives.
func (l *link) close() {
	if l.cut {
		return
	}
	l.w.at(l.delay(&l.down), func() { l.sever(0) })
}

// sever cuts the connection: what is under way is lost. Each side notices in its own time, up to notice.
func (l *link) sever(notice time.Duration) {
	if l.cut {
		return
	}
	l.cut = true
	l.w.drop(l)
	wait := func() time.Duration {
		if notice <= 0 {
			return time.Duration(l.w.random.Int64N(int64(time.Millisecond)))
		}
		return time.Duration(l.w.random.Int64N(int64(notice)))
	}
	l.w.after(wait(), func() { l.client.closed(l) })
	l.w.after(wait(), func() { l.server.closed(l) })
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
