package frameworktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
)

// An observer sits between the world and a session: it notes what is said, and whether the scheduler stays inside the world.
type observer struct {
	f *Framework
	d *framework.Driver
}

// observe makes a session for the scheduler.
func (f *Framework) observe(scheduler framework.Scheduler) *observer {
	f.c.t.Helper()
	d, err := framework.NewDriver(f.c.t.Context(), f.cfg, scheduler)
	if err != nil {
		f.c.t.Fatalf("frameworktest: %v", err)
	}
	f.scheduler, f.session = scheduler, d.Session()
	return &observer{f: f, d: d}
}

// Describe implements sim.User.
func (o *observer) Describe() offer.Framework { return o.d.Describe() }

// Bind implements sim.User.
func (o *observer) Bind(call func(message.Message)) {
	o.d.Bind(func(m message.Message) {
		if o.f.c.stranger(fmt.Sprintf("Session.%s", name(m))) {
			return
		}
		o.f.said(m)
		call(m)
	})
}

// bindClock gives the session its time, once the world knows the framework.
func (o *observer) bindClock() {
	g, c := o.f.guest, o.f.c
	o.d.BindClock(g.Now, func(d time.Duration, do func() error) {
		if !c.stranger("Session.After") {
			g.After(d, func() error {
				var err error
				c.inside("the function given to Session.After", func() { err = do() })
				return errors.Join(err, c.complained())
			})
		}
	})
}

// Handle implements sim.User.
func (o *observer) Handle(m message.Message) (ok bool, err error) {
	c := o.f.c
	c.inside("the handler of "+name(m), func() { ok, err = o.d.Handle(m) })
	if ok {
		o.f.heard(m)
	}
	return ok, errors.Join(err, c.complained())
}

func name(m message.Message) string {
	_, kind, _ := strings.Cut(fmt.Sprintf("%T", m), ".")
	return kind
}

var clusters atomic.Uint64

const label = "frameworktest"

// watch readies a cluster to notice a scheduler that leaves the world.
func (c *Cluster) watch() {
	c.owner, c.began = goroutine(), c.Now()
	c.mark = strconv.FormatUint(clusters.Add(1), 10)
	c.marked = pprof.WithLabels(context.Background(), pprof.Labels(label, c.mark))
	c.clean = runtime.NumGoroutine()
}

// inside calls a handler. Goroutines inherit the label of the one that starts them, and time stands still while it runs.
//
//go:noinline
func (c *Cluster) inside(handler string, f func()) {
	var began time.Time
	if !c.bubble.IsZero() {
		c.follow()
		began = time.Now()
	}
	pprof.SetGoroutineLabels(c.marked)
	for _, step := range [...]func(){c.locate, f} { // both are called from the same place
		step()
	}
	pprof.SetGoroutineLabels(context.Background())
	if runtime.NumGoroutine() > c.clean {
		c.strays(handler)
	}
	if began.IsZero() {
		return
	}
	if d := time.Since(began); d > 0 {
		c.bubble = c.bubble.Add(d)
		c.complain("%s waited for %v by the machine's clock: a handler returns at once, and Session.After calls a function later", handler, d)
	}
}

// follow moves the machine's clock, which is a bubble's, to the virtual time.
func (c *Cluster) follow() {
	if d := c.Now().Sub(c.began) - time.Since(c.bubble); d > 0 {
		time.Sleep(d)
	}
}

// strays looks for goroutines that handlers have started and that live on.
func (c *Cluster) strays(handler string) {
	var b bytes.Buffer
	n := runtime.NumGoroutine()
	if err := pprof.Lookup("goroutine").WriteTo(&b, 1); err != nil {
		return
	}
	_, stack, found := strings.Cut(b.String(), fmt.Sprintf("%q:%q}\n", label, c.mark))
	if !found {
		c.clean = n
		return
	}
	stack, _, _ = strings.Cut(stack, "\n\n")
	if last := c.latest(); last != "" {
		stack = last
	}
	c.complain("%s has started a goroutine that outlives it:\n%s\nWhat it does is outside the simulated world. Do it in a handler, or later in one by "+
		"Session.After", handler, stack)
}

// latest is the stack of the last goroutine that the test's has started, if it lives: other than the profile, it says where.
func (c *Cluster) latest() (last string) {
	b := make([]byte, 1<<20)
	highest := 0
	for block := range strings.SplitSeq(string(b[:runtime.Stack(b, true)]), "\n\n") {
		id, _, _ := strings.Cut(strings.TrimPrefix(block, "goroutine "), " ")
		if n, _ := strconv.Atoi(id); n > highest && strings.Contains(block, " in goroutine "+c.owner+"\n") {
			highest, last = n, block
		}
	}
	return last
}

// stranger complains of a call that does not come from the test's goroutine.
func (c *Cluster) stranger(call string) bool {
	if c.handling() || goroutine() == c.owner {
		return false
	}
	c.complain("%s was called by a goroutine of the scheduler's own:\n%s\nIn the simulated world calls come from handlers, from functions given to "+
		"Session.After, or from the test between two calls of the Cluster", call, debug.Stack())
	return true
}

// complain keeps the first complaint; it may come from any goroutine.
func (c *Cluster) complain(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.complaint == "" {
		c.complaint = fmt.Sprintf(format, args...)
	}
}

// complained ends a session that has left the world.
func (c *Cluster) complained() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.complaint == "" {
		return nil
	}
	return errors.New(c.complaint)
}

// locate notes from where handlers are called.
func (c *Cluster) locate() {
	var pcs [1]uintptr
	runtime.Callers(2, pcs[:])
	c.site.Store(pcs[0])
}

// handling reports whether a handler calls, and not a goroutine of its own. It costs a fraction of what the name of the goroutine does.
func (c *Cluster) handling() bool {
	var pcs [64]uintptr
	site := c.site.Load()
	return slices.Contains(pcs[:runtime.Callers(3, pcs[:])], site)
}

// goroutine names the one that calls it.
func goroutine() string {
	var b [40]byte
	s := strings.TrimPrefix(string(b[:runtime.Stack(b[:], false)]), "goroutine ")
	id, _, _ := strings.Cut(s, " ")
	return id
}
