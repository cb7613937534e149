package synctier

import (
	"context"
	"fmt"
	"sync"

	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// A program is a scheduler that gets its jobs done: what does not finish is tried again under another id. Its memory outlives its session's
// process, as a database would.
type program struct {
	name string

	mu      sync.Mutex
	session *framework.Session
	id      offer.FrameworkID
	waiting []string // jobs
	tried   map[string]int
	of      map[offer.TaskID]string // the job of each task that was launched
	states  map[offer.TaskID]offer.State
	order   []offer.TaskID
	done    map[string]int
}

func newProgram(name string, jobs int) *program {
	p := &program{name: name, tried: map[string]int{}, of: map[offer.TaskID]string{}, states: map[offer.TaskID]offer.State{}, done: map[string]int{}}
	for i := range jobs {
		p.waiting = append(p.waiting, fmt.Sprintf("%s-job%d", name, i))
	}
	return p
}

func (p *program) use(s *framework.Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.session = s
}

func (p *program) remembered() offer.FrameworkID {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.id
}

// Subscribed asks for all that is not over: this may be another process, whose session knows nothing.
func (p *program) Subscribed(_ context.Context, s *framework.Session) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.id != "" && p.id != s.ID() {
		return fmt.Errorf("%s was %s and is %s", p.name, p.id, s.ID())
	}
	p.id = s.ID()
	var open []framework.TaskRef
	for _, id := range p.order {
		if !p.states[id].Terminal() {
			open = append(open, framework.TaskRef{Task: id})
		}
	}
	if len(open) == 0 {
		return nil
	}
	return s.Reconcile(open...)
}

var need = resource.Must("cpus:1;mem:64")

func (p *program) Offers(_ context.Context, s *framework.Session, offers []offer.Offer) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range offers {
		var tasks []offer.Task
		for left := o.Resources; len(p.waiting) > 0 && left.Contains(need); left, _ = left.Sub(need) {
			job := p.waiting[0]
			p.waiting = p.waiting[1:]
			p.tried[job]++
			id := offer.TaskID(fmt.Sprintf("%s-%d", job, p.tried[job]))
			p.of[id], p.states[id] = job, offer.Staging
			p.order = append(p.order, id)
			tasks = append(tasks, offer.Task{ID: id, Resources: need, Command: &offer.Command{Value: "work", Shell: true}})
		}
		var err error
		if len(tasks) == 0 {
			err = s.Decline([]offer.OfferID{o.ID})
		} else {
			err = s.Launch(o, tasks...)
		}
		if err != nil && err != framework.ErrEnded {
			return err
		}
	}
	return nil
}

func (p *program) Status(_ context.Context, s *framework.Session, st offer.Status) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	job, known := p.of[st.TaskID]
	if !known || p.states[st.TaskID].Terminal() {
		return nil
	}
	p.states[st.TaskID] = st.State
	switch {
	case st.State == offer.Finished:
		p.done[job]++
	case st.State.Terminal():
		p.waiting = append(p.waiting, job)
		_ = s.Revive()
	}
	return nil
}

// unfinished says what is left to do.
func (p *program) unfinished() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting) > 0 {
		return fmt.Sprintf("%s: %d jobs wait", p.name, len(p.waiting))
	}
	for _, id := range p.order {
		if st := p.states[id]; !st.Terminal() {
			return fmt.Sprintf("%s: %s is %s", p.name, id, st)
		}
	}
	return ""
}
