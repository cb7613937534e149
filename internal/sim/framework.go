package sim

import (
	"fmt"
	"time"

	"github.com/meros-project/meros/internal/frameworkcore"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
)

// A framework is a scheduler's process with a session core, and the program that uses it. The program's memory is durable; the session's
// is not.
type framework struct {
	node
	core    *frameworkcore.Core
	conn    *link
	connNo  uint64
	dialing bool
	tickAt  int64
	busy    bool
	unseen  int
	queue   []frameworkcore.Event
	inbox   []frameworkcore.Deliver // waits for the program
	working bool

	heard  int64  // when a leader was last heard of
	begun  int64  // when its process began
	fed    int64  // when it last got an offer
	hungry int64  // since when it wants one; zero if it does not
	under  uint64 // the reign of the last welcome

	user    user
	fid     offer.FrameworkID // as last told
	twin    bool              // a second process under another's id
	excused int64             // until when the session may be ended by the masters
	ended   bool              // the session is over
	why     error             // with ended; nil after a teardown
}

// A user is the program that uses a session. Its methods are called on the world's goroutine.
type user interface {
	// describe is what the program says about itself, without its id.
	describe() offer.Framework
	// handle takes a message that the session delivers; false leaves a status unacknowledged.
	handle(f *framework, m message.Message) bool
	// died says that the session's process is gone.
	died()
	// unfinished says what is left to do; empty when nothing is.
	unfinished(w *World) string
}

// outside reports whether the program is somebody's own, and not a model.
func (f *framework) outside() bool {
	_, is := f.user.(guest)
	return is
}

func (f *framework) name() string { return f.id }
func (f *framework) self() *node  { return &f.node }

func (f *framework) restart() {
	if !f.alive && !f.ended {
		f.begin()
	}
}

// begin starts the process, under the id that the program remembers.
func (f *framework) begin() {
	w := f.w
	f.life++
	f.alive, f.begun = true, w.ns
	core, err := f.newCore()
	if err != nil {
		w.violate("sim", "%s: %v", f.id, err)
		return
	}
	f.core = core
	f.queue, f.busy, f.inbox, f.working, f.dialing, f.tickAt = nil, false, nil, false, false, 0
	w.note(f.id, "begins life %d as %q", f.life, f.fid)
	f.arm()
	f.connect()
}

func (f *framework) crash() {
	if !f.alive {
		return
	}
	f.w.note(f.id, "crashes")
	f.core, f.queue, f.busy, f.inbox, f.working, f.dialing = nil, nil, false, nil, false, false
	f.died()
	f.user.died()
	if f.conn != nil {
		f.conn.sever(time.Second)
		f.conn = nil
	}
	f.w.counts.FrameworkCrashes++
}

func (f *framework) connect() {
	if f.ended || f.dialing || f.conn != nil || !f.alive {
		return
	}
	f.dialing = true
	life := f.life
	f.w.after(f.patience(), func() {
		if f.life != life {
			return
		}
		f.w.dial(f, f.w.detect(), func(l *link) {
			if f.life != life {
				if l != nil {
					l.sever(time.Millisecond)
				}
				return
			}
			f.dialing = false
			if l == nil {
				f.connect()
				return
			}
			f.conn = l
			f.connNo++
			f.step(frameworkcore.Connected{Conn: f.connNo})
		})
	})
}

func (f *framework) receive(l *link, e message.Envelope) {
	if f.conn == l && f.alive {
		f.heardOf(e)
		switch e.Message.(type) {
		case *message.Leader, *message.Error:
		default:
			f.heard = f.w.ns
		}
		f.step(frameworkcore.FromMaster{Conn: f.connNo, Envelope: e})
	}
}

func (f *framework) closed(l *link) {
	if f.conn == l && f.alive {
		f.conn = nil
		f.step(frameworkcore.Disconnected{Conn: f.connNo})
		f.connect()
	}
}

func (f *framework) step(ev frameworkcore.Event) {
	if !f.alive || f.core == nil {
		return
	}
	life := f.life
	if f.paused {
		f.later(func() {
			if f.life == life {
				f.step(ev)
			}
		})
		return
	}
	if f.queued(func() { f.step(ev) }) {
		return
	}
	f.queue = append(f.queue, ev)
	if f.busy {
		return
	}
	f.busy = true
	for len(f.queue) > 0 {
		ev, f.queue = f.queue[0], f.queue[1:]
		reign := f.core.Reign()
		out := f.advance(ev)
		f.w.history.heeded(f, ev, reign, out)
		for _, e := range out {
			if !f.outside() && f.w.diesHere() {
				f.crash()
				f.w.after(f.w.between(100*time.Millisecond, 20*time.Second), f.restart)
			}
			if f.life != life {
				return
			}
			f.perform(e)
		}
		if f.life != life {
			return
		}
		f.check(ev)
	}
	f.busy = false
	f.arm()
}

func (f *framework) perform(e frameworkcore.Effect) {
	w := f.w
	switch e := e.(type) {
	case frameworkcore.Send:
		if f.conn != nil && e.Conn == f.connNo {
			f.conn.toMaster(f.envelope(e.Message))
		}
	case frameworkcore.Reconnect:
		w.note(f.id, "reconnects: %v", e.Refusal)
		if f.conn != nil {
			f.conn.sever(time.Millisecond)
			f.conn = nil
		}
		f.connect()
	case frameworkcore.Deliver:
		f.inbox = append(f.inbox, e)
		f.work()
	case frameworkcore.End:
		f.end(e.Refusal)
	case frameworkcore.Note:
		w.note(f.id, "%s task=%s %s %s", e.Event, e.Task, e.Reason, e.Text)
	default:
		w.violate("sim", "effect %s is not known", fmt.Sprintf("%T", e))
	}
}

// work runs the program's handlers, one at a time.
func (f *framework) work() {
	if f.working || len(f.inbox) == 0 {
		return
	}
	f.working = true
	w, life := f.w, f.life
	d := f.inbox[0]
	f.inbox = f.inbox[1:]
	wait := w.between(10*time.Microsecond, time.Millisecond)
	if !w.calm && w.chance(w.swarm.slowUser) {
		wait = w.mostly(100*time.Millisecond, time.Minute)
	}
	var handle func()
	handle = func() {
		if f.life != life || f.later(handle) {
			return
		}
		ok := f.take(d.Message)
		if f.life != life {
			return
		}
		f.working = false
		f.step(frameworkcore.Handled{Seq: d.Seq, Ok: ok})
		f.work()
	}
	w.after(wait, handle)
}

// take hands a message to the program and keeps the observer's books.
func (f *framework) take(m message.Message) bool {
	if f.twin {
		return f.user.handle(f, m)
	}
	h := &f.w.history
	if m, is := m.(*message.Subscribed); is {
		if f.fid != "" && f.fid != m.ID {
			f.w.violate("F1", "%s was %s and is subscribed as %s", f.id, f.fid, m.ID)
		}
		f.fid = m.ID
		h.subscribed(f)
	}
	if m, is := m.(*message.Update); is {
		h.hearsay(f, *m.Status)
		h.toldGone(f, *m.Status)
	}
	ok := f.user.handle(f, m)
	if m, is := m.(*message.Update); is && ok {
		h.delivered(f, *m.Status)
	}
	return ok
}

// end is the end of the session for good.
func (f *framework) end(refusal *offer.Refusal) {
	f.w.note(f.id, "ends: %v", refusal)
	f.ended = true
	if refusal != nil {
		f.why = refusal
	}
	f.leave()
	if p, is := f.user.(*program); is {
		if f.sentAway(refusal) {
			if refusal.Reason == offer.ReasonFrameworkConflict {
				f.w.states.reach(StateTwin)
			}
			f.w.after(f.w.between(time.Second, 20*time.Second), func() { p.resumeSession(f) })
			return
		}
		if refusal != nil && refusal.Reason != offer.ReasonFrameworkCompleted && !f.w.history.torn[f.fid] { // F1: nobody else ends it
			f.w.violate("F1", "%s is ended: %v", f.id, refusal)
		}
		f.w.after(f.w.between(time.Second, 20*time.Second), func() { p.again(f) })
	}
}

// leave ends the process once what was sent last is on its way.
func (f *framework) leave() {
	f.w.after(0, func() {
		f.died()
		if f.conn != nil {
			f.conn.close()
			f.conn = nil
		}
	})
}

func (f *framework) arm() {
	if f.core == nil {
		return
	}
	at := f.core.Deadline()
	if at.IsZero() {
		return
	}
	due := max(f.when(at), f.w.ns)
	if f.tickAt != 0 && due >= f.tickAt {
		return
	}
	f.tickAt = due
	life := f.life
	f.w.atNS(due, func() {
		if f.life == life && f.tickAt == due {
			f.tickAt = 0
			f.step(frameworkcore.Tick{})
		}
	})
}

func (f *framework) call(m message.Message) { f.step(frameworkcore.Called{Call: m}) }

func (f *framework) envelope(m message.Message) message.Envelope {
	return message.Envelope{Cluster: f.core.Cluster(), Reign: f.core.Reign(), Message: m}
}
