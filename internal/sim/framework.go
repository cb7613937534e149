package sim

import (
	"fmt"
	"time"

	"github.com/meros-project/meros/internal/frameworkcore"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// A framework is a scheduler's process with a session core, and the program that uses it. The program's memory is durable; the session's
// is not.
type framework struct {
	w       *World
	id      string
	alive   bool
	cutOff  bool
	life    int
	core    *frameworkcore.Core
	conn    *link
	connNo  uint64
	dialing bool
	tickAt  time.Time
	busy    bool
	queue   []frameworkcore.Event
	inbox   []frameworkcore.Deliver // waits for the program
	working bool

	program program
}

func (f *framework) name() string   { return f.id }
func (f *framework) isolated() bool { return f.cutOff || !f.alive }

// begin starts the process, under the id that the program remembers.
func (f *framework) begin() {
	w := f.w
	f.life++
	f.alive = true
	core, err := frameworkcore.New(w.now, frameworkcore.Config{
		Framework: offer.Framework{ID: f.program.framework, Name: f.id, Roles: []string{"*"}, FailoverTimeout: 24 * time.Hour,
			Capabilities: offer.PartitionAware | offer.KillingState},
		Nonce: w.uuid(), Seed: w.random.Uint64(),
	})
	if err != nil {
		w.violate("sim", "%s: %v", f.id, err)
		return
	}
	f.core = core
	f.tickAt = time.Time{}
	w.note(f.id, "begins life %d as %q", f.life, f.program.framework)
	f.arm()
	f.connect()
}

func (f *framework) crash() {
	if !f.alive {
		return
	}
	f.w.note(f.id, "crashes")
	f.alive, f.core, f.queue, f.busy, f.inbox, f.working, f.dialing = false, nil, nil, false, nil, false, false
	f.life++
	f.program.held = nil
	if f.conn != nil {
		f.conn.sever(time.Second)
		f.conn = nil
	}
	f.w.counts.FrameworkCrashes++
}

func (f *framework) connect() {
	if f.dialing || f.conn != nil || !f.alive {
		return
	}
	f.dialing = true
	life := f.life
	f.w.after(f.w.between(time.Millisecond, 300*time.Millisecond), func() {
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
			f.connected(l)
		})
	})
}

func (f *framework) connected(l *link) {
	f.conn = l
	f.connNo++
	f.step(frameworkcore.Connected{Conn: f.connNo})
}

func (f *framework) receive(l *link, e message.Envelope) {
	if f.conn == l && f.alive {
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
	f.queue = append(f.queue, ev)
	if f.busy {
		return
	}
	f.busy = true
	life := f.life
	for len(f.queue) > 0 {
		ev, f.queue = f.queue[0], f.queue[1:]
		for _, e := range f.core.Step(f.w.now, ev, nil) {
			f.perform(e)
		}
		if f.life != life {
			return
		}
		if err := check(f.core); err != nil {
			f.w.violate("core", "%s after %T: %v", f.id, ev, err)
			return
		}
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
		w.violate("sim", "%s ends: %v", f.id, e.Refusal)
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
	if !w.calm && w.chance(0.01) {
		wait = w.between(100*time.Millisecond, 5*time.Second)
	}
	w.after(wait, func() {
		if f.life != life {
			return
		}
		ok := f.program.handle(f, d.Message)
		f.working = false
		f.step(frameworkcore.Handled{Seq: d.Seq, Ok: ok})
		f.work()
	})
}

func (f *framework) arm() {
	if f.core == nil {
		return
	}
	at := f.core.Deadline()
	if at.IsZero() || !f.tickAt.IsZero() && !at.Before(f.tickAt) {
		return
	}
	if at.Before(f.w.now) {
		at = f.w.now
	}
	f.tickAt = at
	life := f.life
	f.w.at(at, func() {
		if f.life == life && f.tickAt.Equal(at) {
			f.tickAt = time.Time{}
			f.step(frameworkcore.Tick{})
		}
	})
}

// program is the user's side: it wants so many tasks to end well, and starts another when one does not.
type program struct {
	framework offer.FrameworkID
	want      int // tasks that must end well, or by our own kill
	started   int
	tasks     []*job // in the order of their launches
	byID      map[offer.TaskID]*job
	held      []offer.Offer
}

// A job is one task as the program knows it.
type job struct {
	id     offer.TaskID
	slave  offer.SlaveID
	state  offer.State
	ended  bool
	killed bool // by us
	heard  int  // the life of the session that launched it, or last heard of it
}

var need = resource.Must("cpus:1;mem:256")

// open is how many tasks are neither ended well nor under way. Work comes in over the time of trouble.
func (p *program) open(w *World) int {
	n := min(p.want, 1+int(int64(p.want)*int64(w.now.Sub(epoch))/int64(w.cfg.Trouble)))
	for _, j := range p.tasks {
		if !j.ended || j.state == offer.Finished || j.killed {
			n--
		}
	}
	return n
}

func (p *program) handle(f *framework, m message.Message) bool {
	w := f.w
	switch m := m.(type) {
	case *message.Subscribed:
		if p.framework != "" && p.framework != m.ID {
			w.violate("F1", "%s was %s and is subscribed as %s", f.id, p.framework, m.ID)
		}
		p.framework = m.ID
		p.held = nil
		p.reconcile(f)
	case *message.Offers:
		p.offers(f, m.Offers)
	case *message.Rescind:
		for _, id := range m.Offers {
			for i := range p.held {
				if p.held[i].ID == id {
					p.held = append(p.held[:i], p.held[i+1:]...)
					break
				}
			}
		}
	case *message.Update:
		if !w.calm && w.chance(0.05) {
			return false
		}
		p.status(f, m.Status)
	case *message.Error:
		w.note(f.id, "told error %s %s", m.Reason, m.Message)
	}
	return true
}

// reconcile asks for what this life of the session has heard nothing of, again and again: it may never have reached the master, and the
// master is silent as long as it cannot know.
func (p *program) reconcile(f *framework) {
	life, conn := f.life, f.connNo
	var refs []message.TaskRef
	for _, j := range p.tasks {
		if !j.ended && j.heard != life {
			refs = append(refs, message.TaskRef{Task: j.id, Slave: j.slave})
		}
	}
	if len(refs) == 0 {
		return
	}
	f.call(&message.Reconcile{Tasks: refs})
	f.w.after(30*time.Second, func() {
		if f.life == life && f.connNo == conn {
			p.reconcile(f)
		}
	})
}

func (p *program) offers(f *framework, offers []offer.Offer) {
	w := f.w
	for _, o := range offers {
		switch {
		case !w.calm && w.chance(0.05): // keep it for a while, then try
			p.held = append(p.held, o)
			life := f.life
			w.after(w.between(time.Second, 3*time.Minute), func() {
				if f.life == life {
					p.use(f, o)
				}
			})
		case p.open(w) == 0:
			f.call(&message.Decline{Offers: []offer.OfferID{o.ID}, Filter: offer.Filter{Refuse: w.between(time.Second, 10*time.Second)}})
		default:
			p.use(f, o)
		}
	}
}

// use launches what fits and is wanted; the rest of the offer goes back.
func (p *program) use(f *framework, o offer.Offer) {
	var tasks []offer.Task
	left := o.Resources
	for n := p.open(f.w); n > 0 && left.Contains(need); n-- {
		p.started++
		t := offer.Task{ID: offer.TaskID(fmt.Sprintf("%s-t%d", f.id, p.started)), SlaveID: o.SlaveID, Resources: need,
			Command: &offer.Command{Value: "work", Shell: true}}
		tasks = append(tasks, t)
		j := &job{id: t.ID, slave: o.SlaveID, state: offer.Staging, heard: f.life}
		p.tasks = append(p.tasks, j)
		p.byID[t.ID] = j
		left, _ = left.Sub(need)
		if f.w.chance(0.05) {
			p.killLater(f, j)
		}
	}
	if len(tasks) == 0 {
		f.call(&message.Decline{Offers: []offer.OfferID{o.ID}})
		return
	}
	f.call(&message.Accept{Last: true, Offers: []offer.OfferID{o.ID}, Operations: []offer.Operation{offer.Launch(tasks...)}})
}

func (p *program) killLater(f *framework, j *job) {
	f.w.after(f.w.between(10*time.Millisecond, time.Minute), func() {
		if f.alive && !j.ended {
			j.killed = true
			f.call(&message.KillTask{Task: j.id, Slave: j.slave})
		}
	})
}

func (p *program) status(f *framework, st offer.Status) {
	w := f.w
	j := p.byID[st.TaskID]
	if j == nil {
		w.violate("T6", "%s was told of task %s, which it never launched", f.id, st.TaskID)
		return
	}
	w.history.delivered(f, st)
	if !st.UUID.IsZero() && j.ended && st.State.Terminal() && st.State != j.state && !(absent(st.State) && absent(j.state)) {
		w.violate("T2", "%s: task %s ended as %s and as %s", f.id, j.id, j.state, st.State)
	}
	if !st.UUID.IsZero() && j.ended && absent(j.state) && !st.State.Terminal() {
		w.violate("T11", "%s: task %s is %s after %s", f.id, j.id, st.State, j.state)
	}
	j.heard = f.life
	if j.ended {
		return
	}
	j.state = st.State
	j.ended = st.State.Terminal()
	w.note(f.id, "task %s is %s (%s)", j.id, st.State, st.Reason)
}

// absent reports the two words for "it is not there": the master's answer to a reconciliation may cross the slave's own.
func absent(s offer.State) bool { return s == offer.Dropped || s == offer.Gone }

func (f *framework) call(m message.Message) { f.step(frameworkcore.Called{Call: m}) }

func (f *framework) envelope(m message.Message) message.Envelope {
	return message.Envelope{Cluster: f.core.Cluster(), Reign: f.core.Reign(), Message: m}
}
