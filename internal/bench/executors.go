package main

import (
	"sync"
	"time"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// executors are simulated containers: each runs as soon as it is started and ends with status 0 right after. It implements isolation.Runner.
type executors struct {
	ending func() // called right before a container ends; may be nil

	mu        sync.Mutex
	events    func(isolation.Event)
	queue     []string
	wake      chan struct{}
	done      chan struct{}
	worker    sync.WaitGroup
	started   int
	forgotten int
	changed   chan struct{} // has a token when forgotten has changed
}

func newExecutors() *executors {
	return &executors{wake: make(chan struct{}, 1), done: make(chan struct{}), changed: make(chan struct{}, 1)}
}

var _ isolation.Runner = (*executors)(nil)

// Open implements isolation.Runner.
func (x *executors) Open(_ []string, events func(isolation.Event)) error {
	x.events = events
	x.worker.Go(x.run)
	return nil
}

func (x *executors) run() {
	for {
		select {
		case <-x.wake:
		case <-x.done:
			return
		}
		x.mu.Lock()
		batch := x.queue
		x.queue = nil
		x.mu.Unlock()
		for _, c := range batch {
			x.events(isolation.Event{Kind: isolation.Started, Container: c, PID: 1})
		}
		for _, c := range batch {
			if x.ending != nil {
				x.ending()
			}
			x.events(isolation.Event{Kind: isolation.Exited, Container: c, Known: true})
		}
	}
}

// Start implements isolation.Runner.
func (x *executors) Start(spec *isolation.Spec, _ bool) {
	x.mu.Lock()
	x.started++
	x.queue = append(x.queue, spec.Container)
	x.mu.Unlock()
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// Adopt implements isolation.Runner: nothing is left of an earlier run.
func (x *executors) Adopt(container string) {
	x.events(isolation.Event{Kind: isolation.Exited, Container: container})
}

// Kill implements isolation.Runner: containers end by themselves.
func (x *executors) Kill(string, bool) {}

// Update implements isolation.Runner.
func (x *executors) Update(string, resource.Resources, []offer.Limit) {}

// Renew implements isolation.Runner.
func (x *executors) Renew(string, time.Duration) {}

// Forget implements isolation.Runner. The slave calls it once the last status of the task was acknowledged.
func (x *executors) Forget(string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.forgotten++
	select {
	case x.changed <- struct{}{}:
	default:
	}
}

// Close implements isolation.Runner.
func (x *executors) Close() error {
	close(x.done)
	x.worker.Wait()
	return nil
}

// count tells how many containers were forgotten, and how many were started and not. For one caller at a time.
func (x *executors) count() (forgotten, left int, changed <-chan struct{}) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.forgotten, x.started - x.forgotten, x.changed
}
