package sim

import (
	"fmt"
	"time"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// program is the user's side: it wants so many tasks to end well, and starts another when one does not.
type program struct {
	want    int // tasks that must end well, or by our own kill
	started int
	tasks   []*job // in the order of their launches
	byID    map[offer.TaskID]*job
	held    []offer.Offer
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

func (p *program) describe() offer.Framework {
	return offer.Framework{Name: "program", Roles: []string{"*"}, FailoverTimeout: 24 * time.Hour,
		Capabilities: offer.PartitionAware | offer.KillingState}
}

func (p *program) died() { p.held = nil }

func (p *program) unfinished(w *World) string {
	if p.open(w) > 0 {
		return "wants more tasks"
	}
	for _, j := range p.tasks {
		if !j.ended {
			return "task " + string(j.id) + " is " + j.state.String()
		}
	}
	return ""
}

func (p *program) handle(f *framework, m message.Message) bool {
	w := f.w
	switch m := m.(type) {
	case *message.Subscribed:
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
		p.status(f, *m.Status)
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
