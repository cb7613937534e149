package main

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"runtime"
	"time"

	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/internal/wire"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
	"github.com/meros-project/meros/offer/resource"
)

func memoryBenchmark() benchmark {
	return benchmark{
		name:  "mem/tasks",
		what:  "bytes of the leader's heap for a running task with ten labels of 10 + 10 bytes, of which half repeat",
		goals: []goal{{key: "bytes_per_task", most: true, limit: 350}},
		flags: func(fs *flag.FlagSet) func(context.Context, *report) error {
			var o memoryOptions
			fs.IntVar(&o.tasks, "tasks", 100_000, "running tasks")
			fs.IntVar(&o.slaves, "slaves", 10_000, "slaves that hold them")
			return o.run
		},
	}
}

type memoryOptions struct{ tasks, slaves int }

// run lets slaves re-register with a leader's core twice, without and with tasks, every message encoded and decoded as on the wire, and
// compares the heaps.
func (o *memoryOptions) run(_ context.Context, r *report) error {
	for _, err := range []error{atLeast("tasks", o.tasks, 1), atLeast("slaves", o.slaves, 1)} {
		if err != nil {
			return err
		}
	}
	c := newCoreHarness()
	if err := c.admit(o.slaves); err != nil {
		return err
	}
	without, known, err := c.measure(0)
	if err != nil {
		return err
	}
	if known != 0 {
		return fmt.Errorf("%d tasks are known and none was reported", known)
	}
	with, known, err := c.measure(o.tasks)
	if err != nil {
		return err
	}
	if known != o.tasks {
		return fmt.Errorf("%d tasks are known and %d were reported", known, o.tasks)
	}
	r.keep = c
	r.print("heap with %d slaves: %d bytes without tasks, %d with %d", o.slaves, without, with, o.tasks)
	r.set("bytes_per_task", float64(with-without)/float64(o.tasks))
	return nil
}

// A coreHarness drives a master's core as its shell does, with a registry of its own and peers that are only messages.
type coreHarness struct {
	state     *registry.State
	core      *mastercore.Core
	now       time.Time
	framework offer.FrameworkID
	slaves    []offer.SlaveID
	key       uint64
	lastConn  mastercore.ConnID
	registers int // SlaveRegistered seen
	statuses  map[offer.TaskID]struct{}
	failed    error
}

func newCoreHarness() *coreHarness {
	return &coreHarness{state: registry.New(), now: time.Unix(1_767_225_600, 0)}
}

// begin opens a reign with a fresh core. Of the registry it keeps what is there.
func (c *coreHarness) begin() error {
	c.key++
	var key registry.Key
	binary.BigEndian.PutUint64(key[:], c.key)
	res := c.state.Apply(registry.Entry{Commands: []registry.Command{{Key: key, Op: &registry.Open{Cluster: "bench-1", Master: "m", Level: 1}}}})
	if res[0].Err != nil {
		return res[0].Err
	}
	c.core = mastercore.New(c.now, mastercore.Config{MasterID: "m", Allocator: allocator.New(allocator.Config{Seed: 1}), Registry: c.state.View(), Seed: 1})
	return nil
}

// receive sends a message through the encoding to the core.
func (c *coreHarness) receive(conn mastercore.ConnID, m message.Message) error {
	b, err := frame(m)
	if err != nil {
		return err
	}
	envs, err := wire.DecodeBatch(nil, b[5:])
	if err != nil {
		return err
	}
	c.step(mastercore.Received{Conn: conn, Message: envs[0].Message})
	return c.failed
}

// step feeds the core and does what it asks for.
func (c *coreHarness) step(ev mastercore.Event) {
	c.now = c.now.Add(time.Microsecond)
	for _, e := range c.core.Step(c.now, ev, nil) {
		switch e := e.(type) {
		case mastercore.Propose:
			results := c.state.Apply(registry.Entry{Reign: c.state.View().Reign(), Commands: e.Commands})
			c.step(mastercore.Committed{Token: e.Token, Results: results})
		case mastercore.Send:
			c.sent(e.Message)
		case mastercore.Close:
			c.failed = errors.Join(c.failed, fmt.Errorf("a connection was closed: %w", e.Refusal))
		case mastercore.Resign:
			c.failed = errors.Join(c.failed, fmt.Errorf("the core resigns: %w", e.Refusal))
		}
	}
}

func (c *coreHarness) sent(m message.Message) {
	switch m := m.(type) {
	case *message.Subscribed:
		c.framework = m.ID
	case *message.SlaveRegistered:
		c.registers++
		c.slaves = append(c.slaves, m.ID)
	case *message.Update:
		if c.statuses != nil {
			c.statuses[m.Status.TaskID] = struct{}{}
		}
	case *message.SlaveRefused:
		c.failed = fmt.Errorf("a slave was refused: %s: %s", m.Reason, m.Message)
	}
}

// settle lets the core do what it has put off.
func (c *coreHarness) settle() {
	for range 1_000_000 {
		d := c.core.Deadline()
		if d.IsZero() || d.After(c.now.Add(10*time.Millisecond)) {
			return
		}
		if d.After(c.now) {
			c.now = d
		}
		c.step(mastercore.Tick{})
	}
}

func (c *coreHarness) describe(i int, id offer.SlaveID) offer.Slave {
	return offer.Slave{ID: id, Hostname: fmt.Sprintf("node-%05d", i), Resources: resource.Must("cpus:64;mem:65536"), Version: "bench"}
}

// admit registers a framework and slaves.
func (c *coreHarness) admit(slaves int) error {
	if err := c.begin(); err != nil {
		return err
	}
	if err := c.subscribe(); err != nil {
		return err
	}
	for i := range slaves {
		var nonce offer.UUID
		binary.BigEndian.PutUint64(nonce[:], uint64(i)+1)
		c.lastConn++
		if err := c.receive(c.lastConn, &message.SlaveRegister{Nonce: nonce, Slave: c.describe(i, "")}); err != nil {
			return err
		}
		c.settle()
	}
	if c.registers != slaves {
		return fmt.Errorf("%d of %d slaves were admitted", c.registers, slaves)
	}
	return nil
}

func (c *coreHarness) subscribe() error {
	c.lastConn++
	return c.receive(c.lastConn, &message.Subscribe{Nonce: offer.UUID{1}, Framework: offer.Framework{ID: c.framework, Name: "bench",
		Roles: []string{resource.AnyRole}, FailoverTimeout: time.Hour, Capabilities: offer.PartitionAware}})
}

// measure lets everybody come back to a new leader, and returns its heap and how many tasks it can tell of.
func (c *coreHarness) measure(tasks int) (heap int64, known int, err error) {
	c.core, c.statuses = nil, nil
	slaves := c.slaves
	c.slaves, c.registers = nil, 0
	before := heapNow()
	if err := c.begin(); err != nil {
		return 0, 0, err
	}
	if err := c.subscribe(); err != nil {
		return 0, 0, err
	}
	framework := c.lastConn
	rs := resource.Must("cpus:0.1;mem:5")
	for i, id := range slaves {
		m := &message.SlaveReregister{Slave: c.describe(i, id), Last: true}
		for n := i; n < tasks; n += len(slaves) {
			m.Tasks = append(m.Tasks, runningTask(n, c.framework, id, rs))
		}
		c.lastConn++
		if err := c.receive(c.lastConn, m); err != nil {
			return 0, 0, err
		}
		c.settle()
	}
	if c.registers != len(slaves) {
		return 0, 0, fmt.Errorf("%d of %d slaves came back", c.registers, len(slaves))
	}
	heap = heapNow() - before
	c.statuses = map[offer.TaskID]struct{}{}
	if err := c.receive(framework, &message.Reconcile{}); err != nil {
		return 0, 0, err
	}
	c.settle()
	known = len(c.statuses)
	runtime.KeepAlive(c.core)
	return heap, known, nil
}

func heapNow() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
