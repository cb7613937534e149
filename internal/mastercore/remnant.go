package mastercore

import (
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
	"github.com/meros-project/meros/offer/resource"
)

// remnant is a task or an executor on a registered slave whose framework is no more. It is being killed there, and holds what it held until
// the slave has told of its end: before, nobody else may be offered it, least of all the volumes that it writes to (R11).
type remnant struct {
	remnantKey
	role      string
	resources resource.Resources
}

// remnantKey names a remnant on its slave: a task, or an executor if task is empty.
type remnantKey struct {
	framework offer.FrameworkID
	task      offer.TaskID
	executor  offer.ExecutorID
}

// leaveTask makes a task of a framework that is about to be removed a remnant, if it still holds anything. The allocator goes on counting it.
func (c *Core) leaveTask(t *task, s *slave) {
	if !t.has(taskHolds) {
		return
	}
	t.flags &^= taskHolds
	s.remnants = append(s.remnants, remnant{remnantKey{framework: c.frameworks.get(t.framework).info.ID, task: t.id()}, c.roleOf(t),
		c.tasks.resources.of(t.resources)})
}

// leaveExecutors does the same with its executors on one slave.
func (c *Core) leaveExecutors(n uint32, f *framework, s *slave) {
	var rest []executor
	for i := range s.executors {
		e := &s.executors[i]
		if e.framework != n {
			rest = append(rest, *e)
			continue
		}
		s.remnants = append(s.remnants, remnant{remnantKey{framework: f.info.ID, executor: e.id}, e.role, e.resources})
	}
	if len(rest) < len(s.executors) {
		s.executors = rest
	}
}

// remnantEnded gives back what a remnant has held, because its slave says that it is over.
func (c *Core) remnantEnded(n uint32, s *slave, key remnantKey) {
	for i := range s.remnants {
		if s.remnants[i].remnantKey != key {
			continue
		}
		gone := s.remnants[i]
		rest := make([]remnant, 0, len(s.remnants)-1)
		s.remnants = append(append(rest, s.remnants[:i]...), s.remnants[i+1:]...)
		if len(gone.resources) > 0 && s.allocated {
			c.apply(allocator.Recovered{Allotment: allocator.Allotment{Framework: gone.framework, Role: gone.role, Slave: s.info.ID,
				Resources: gone.resources}})
		}
		c.checkDrained(n, s)
		return
	}
}

// takeRemnant notes what a slave that registers still runs of a framework that is no more.
func (b *homecoming) takeRemnant(s *slave, key remnantKey, role string, r resource.Resources) {
	if key.framework == "" || b.remnants[key] {
		return
	}
	if b.remnants == nil {
		b.remnants = map[remnantKey]bool{}
	}
	b.remnants[key] = true
	s.remnants = append(s.remnants, remnant{key, role, r})
}

// missingRemnants keeps those of the former remnants that a repeated registration does not name: it may be older than they are. The slave
// is asked for the tasks, so that none of them stays for ever.
func (b *homecoming) missingRemnants(s *slave, former []remnant) (missing []message.TaskRef) {
	for i := range former {
		r := &former[i]
		if b.remnants[r.remnantKey] {
			continue
		}
		s.remnants = append(s.remnants, *r)
		if r.task != "" {
			missing = append(missing, message.TaskRef{Framework: r.framework, Task: r.task, Slave: s.info.ID})
		}
	}
	return missing
}
