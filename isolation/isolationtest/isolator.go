package isolationtest

import (
	"context"
	"fmt"
	"sync"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// An Isolator does nothing but remember, and fails where it is told to. It implements every optional part. The zero value works.
type Isolator struct {
	// ID is its name. Defaults to "fake".
	ID string
	// Fail maps a method, in lower case, to the error it returns.
	Fail map[string]error
	// Gives is what it enforces, and Missing what it cannot.
	Gives   []isolation.Feature
	Missing []string
	// Log, if not nil, gets a line for each call: the name, the method and the container.
	Log *Log

	mu     sync.Mutex
	limits map[string]chan isolation.Limitation
}

// A Log is lines in the order in which they came. The zero value is empty.
type Log struct {
	mu    sync.Mutex
	lines []string
}

// Add appends a line.
func (l *Log) Add(line string) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, line)
}

// Take returns the lines and empties the log.
func (l *Log) Take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines := l.lines
	l.lines = nil
	return lines
}

// Name implements isolation.Isolator.
func (f *Isolator) Name() string {
	if f.ID == "" {
		return "fake"
	}
	return f.ID
}

func (f *Isolator) call(method, container string) error {
	f.Log.Add(fmt.Sprintf("%s %s %s", f.Name(), method, container))
	return f.Fail[method]
}

// Recover implements isolation.Recoverer.
func (f *Isolator) Recover(_ context.Context, running []isolation.Recovered) error {
	return f.call("recover", fmt.Sprint(len(running)))
}

// Prepare implements isolation.Isolator.
func (f *Isolator) Prepare(_ context.Context, spec *isolation.Spec, plan *isolation.Plan) error {
	plan.Setenv("FAKE_"+f.Name(), spec.Container)
	return f.call("prepare", spec.Container)
}

// Attach implements isolation.Isolator.
func (f *Isolator) Attach(_ context.Context, container string, _ int) error {
	return f.call("attach", container)
}

// Update implements isolation.Updater.
func (f *Isolator) Update(_ context.Context, container string, _ resource.Resources, _ []offer.Limit) error {
	return f.call("update", container)
}

// Usage implements isolation.Meter.
func (f *Isolator) Usage(_ context.Context, container string) (isolation.Usage, error) {
	return isolation.Usage{}, f.call("usage", container)
}

// Watch implements isolation.Watcher.
func (f *Isolator) Watch(ctx context.Context, container string) (isolation.Limitation, error) {
	if err := f.call("watch", container); err != nil {
		return isolation.Limitation{}, err
	}
	limits := f.limit(container)
	select {
	case l := <-limits:
		return l, nil
	case <-ctx.Done():
	}
	select {
	case l := <-limits:
		return l, nil
	default:
		return isolation.Limitation{}, ctx.Err()
	}
}

// Kill implements isolation.Killer.
func (f *Isolator) Kill(_ context.Context, container string) error {
	return f.call("kill", container)
}

// Enforces implements isolation.Enforcer.
func (f *Isolator) Enforces() []isolation.Feature { return f.Gives }

// Lacks implements isolation.Lacker.
func (f *Isolator) Lacks() []string { return f.Missing }

// Cleanup implements isolation.Isolator.
func (f *Isolator) Cleanup(_ context.Context, container string) error {
	return f.call("cleanup", container)
}

// Limit makes Watch of a container return l.
func (f *Isolator) Limit(container string, l isolation.Limitation) { f.limit(container) <- l }

func (f *Isolator) limit(container string) chan isolation.Limitation {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.limits == nil {
		f.limits = map[string]chan isolation.Limitation{}
	}
	if f.limits[container] == nil {
		f.limits[container] = make(chan isolation.Limitation, 1)
	}
	return f.limits[container]
}
