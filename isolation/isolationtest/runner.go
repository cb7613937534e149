package isolationtest

import (
	"sync"
	"time"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// A Runner is an isolation.Runner without processes. Its containers are entries in a table, which outlives Close, as real containers do:
// the next Open finds them. The zero value starts everything at once and keeps it running until Exit or Kill. Its methods are safe for
// concurrent use.
type Runner struct {
	// OnStart, if not nil, decides what becomes of a container that was not started before. The zero Script lets it run.
	OnStart func(spec *isolation.Spec) Script

	mu         sync.Mutex
	events     func(isolation.Event)
	containers map[string]*running
	pids       int
	starts     map[string]int
}

// A Script is what becomes of one container.
type Script struct {
	Fail         offer.Reason // it cannot be started
	Hold         bool         // its start is not answered before Release
	Exit         *offer.Exit  // it ends at once, in this way
	IgnorePolite bool         // a polite kill does nothing
}

type running struct {
	spec     *isolation.Spec
	script   Script
	pid      int
	attached bool // the runner that is open has told of it
	held     bool
	ended    *isolation.Event
	until    time.Duration // of its lease
}

var _ isolation.Runner = (*Runner)(nil)

// Open implements isolation.Runner.
func (r *Runner) Open(known []string, events func(isolation.Event)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.containers == nil {
		r.containers, r.starts = map[string]*running{}, map[string]int{}
	}
	keep := map[string]bool{}
	for _, id := range known {
		keep[id] = true
	}
	for id, c := range r.containers {
		c.attached = false
		if !keep[id] {
			delete(r.containers, id)
		}
	}
	r.events = events
	return nil
}

// Start implements isolation.Runner.
func (r *Runner) Start(spec *isolation.Spec, recovered bool) {
	r.mu.Lock()
	c := r.containers[spec.Container]
	fresh := c == nil
	if fresh {
		c = &running{spec: spec, until: spec.LeaseUntil}
		if r.OnStart != nil {
			c.script = r.OnStart(spec)
		}
		r.containers[spec.Container] = c
		c.held = c.script.Hold
		r.starts[spec.Container]++
		r.pids++
		c.pid = r.pids
	} else if !recovered {
		r.mu.Unlock()
		return
	}
	evs := r.begin(c)
	tell := r.events
	r.mu.Unlock()
	for _, ev := range evs {
		tell(ev)
	}
}

// begin tells of a container for the first time since Open.
func (r *Runner) begin(c *running) []isolation.Event {
	id := c.spec.Container
	if c.held {
		return nil
	}
	c.attached = true
	if c.script.Fail != offer.ReasonNone {
		delete(r.containers, id)
		return []isolation.Event{{Kind: isolation.StartFailed, Container: id, Reason: c.script.Fail, Message: "scripted"}}
	}
	if c.ended != nil {
		return []isolation.Event{*c.ended}
	}
	evs := []isolation.Event{{Kind: isolation.Started, Container: id, PID: c.pid, Sandbox: c.spec.Sandbox}}
	if c.script.Exit != nil {
		evs = append(evs, *c.end(isolation.Event{Exit: *c.script.Exit, Known: true}))
	}
	return evs
}

func (c *running) end(ev isolation.Event) *isolation.Event {
	ev.Kind, ev.Container, ev.Sandbox = isolation.Exited, c.spec.Container, c.spec.Sandbox
	c.ended = &ev
	return c.ended
}

// Adopt implements isolation.Runner.
func (r *Runner) Adopt(id string) {
	r.mu.Lock()
	c := r.containers[id]
	evs := []isolation.Event{{Kind: isolation.Exited, Container: id, Message: "there is no such container"}}
	if c != nil {
		evs = r.begin(c)
	}
	tell := r.events
	r.mu.Unlock()
	for _, ev := range evs {
		tell(ev)
	}
}

// Kill implements isolation.Runner.
func (r *Runner) Kill(id string, sure bool) {
	r.mu.Lock()
	c := r.containers[id]
	if c == nil || c.ended != nil || !sure && c.script.IgnorePolite {
		r.mu.Unlock()
		return
	}
	sig := 15
	if sure {
		sig = 9
	}
	var ev isolation.Event
	if c.held {
		delete(r.containers, id)
		ev = isolation.Event{Kind: isolation.StartFailed, Container: id, Reason: offer.ReasonTaskKilledDuringLaunch}
	} else {
		ev = *c.end(isolation.Event{Exit: offer.Exit{Signal: sig}, Known: true})
	}
	tell := r.events
	r.mu.Unlock()
	tell(ev)
}

// Update implements isolation.Runner; it does nothing.
func (*Runner) Update(string, resource.Resources, []offer.Limit) {}

// Renew implements isolation.Runner; Leased tells.
func (r *Runner) Renew(id string, until time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.containers[id]; c != nil {
		c.until = max(c.until, until)
	}
}

// Leased is until when the lease of a container is good, by process.Clock, and how long it was asked to be; both zero without one.
func (r *Runner) Leased(id string) (until, lease time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.containers[id]; c != nil {
		return c.until, c.spec.Lease
	}
	return 0, 0
}

// Forget implements isolation.Runner.
func (r *Runner) Forget(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.containers, id)
	delete(r.starts, id)
}

// Close implements isolation.Runner.
func (r *Runner) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = func(isolation.Event) {}
	return nil
}

// Release lets a held container start.
func (r *Runner) Release(id string) {
	r.mu.Lock()
	var evs []isolation.Event
	if c := r.containers[id]; c != nil && c.held {
		c.held = false
		evs = r.begin(c)
	}
	tell := r.events
	r.mu.Unlock()
	for _, ev := range evs {
		tell(ev)
	}
}

// Exit ends a container. It reports false if none of that id runs.
func (r *Runner) Exit(id string, exit offer.Exit) bool {
	return r.EndWith(id, isolation.Event{Exit: exit, Known: true})
}

// EndWith ends a container with what ev says: a limitation, or an end that nobody saw.
func (r *Runner) EndWith(id string, ev isolation.Event) bool {
	r.mu.Lock()
	c := r.containers[id]
	if c == nil || c.ended != nil || c.held {
		r.mu.Unlock()
		return false
	}
	out := *c.end(ev)
	tell := r.events
	r.mu.Unlock()
	tell(out)
	return true
}

// Running returns the ids of the containers that run, by task or executor id.
func (r *Runner) Running() map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]string{}
	for id, c := range r.containers {
		if c.ended != nil {
			continue
		}
		name := string(c.spec.Task)
		if name == "" {
			name = string(c.spec.Executor)
		}
		out[name] = id
	}
	return out
}

// Starts returns how often a container was started, adoption not counted.
func (r *Runner) Starts(id string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.starts[id]
}
