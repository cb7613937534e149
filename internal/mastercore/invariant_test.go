package mastercore

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/invariant"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
	"github.com/meros-project/meros/offer/resource"
)

// office is a core with a slave, a framework, a task of it, and an offer of what is left.
func office(t *testing.T) *Core {
	now, state := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), registry.New()
	state.Apply(registry.Entry{Commands: []registry.Command{{Key: registry.Key{1}, Op: &registry.Open{Cluster: "c", Master: "m", Level: 1}}}})
	c := New(now, Config{MasterID: "m", Registry: state.View(), Allocator: allocator.New(allocator.Config{})})
	step := func(ev Event) {
		for _, e := range c.Step(now, ev, nil) {
			if p, is := e.(Propose); is {
				results := state.Apply(registry.Entry{Reign: 1, Commands: p.Commands})
				c.Step(now, Committed{Token: p.Token, Results: results}, nil)
			}
		}
	}
	tick := func() {
		now = now.Add(2 * time.Second)
		step(Tick{})
	}
	step(Received{Conn: 1, Message: &message.SlaveRegister{Nonce: offer.UUID{1}, Slave: offer.Slave{Hostname: "h", Resources: resource.Must("cpus:4;mem:4096")}}})
	step(Received{Conn: 2, Message: &message.Subscribe{Nonce: offer.UUID{2}, Framework: offer.Framework{Name: "f", Roles: []string{"*"}, FailoverTimeout: time.Hour}}})
	tick()
	task := offer.Task{ID: "t", SlaveID: "s-1", Resources: resource.Must("cpus:1;mem:256"), Command: &offer.Command{Value: "true"}}
	step(Received{Conn: 2, Message: &message.Accept{Last: true, Offers: []offer.OfferID{"o-1-1"}, Operations: []offer.Operation{offer.Launch(task)}}})
	for range 5 {
		tick()
	}
	require.NoError(t, c.Check())
	require.Equal(t, 1, c.offers.Len(), "the rest is offered")
	require.Equal(t, 1, c.frameworks.get(1).tasks.count)
	return c
}

// Check finds what is wrong in the books, under the number of its rule: each case spoils one thing.
func TestCheckFindsWhatIsWrongInTheBooks(t *testing.T) {
	book := func(c *Core) *outstanding { _, o, _ := c.offers.Min(); return o }
	for name, x := range map[string]struct {
		rule  string
		spoil func(c *Core)
	}{
		"more is used than there is":             {"R1", func(c *Core) { c.slaves.mut(1).info.Resources = resource.Must("cpus:1;mem:256") }},
		"a task does not hold what it uses":      {"R1", func(c *Core) { c.tasks.records.mut(c.frameworks.get(1).tasks.head).flags &^= taskHolds }},
		"an offer of somebody who is away":       {"R2", func(c *Core) { c.frameworks.mut(1).conn = 0 }},
		"an offer of a slave that takes no part": {"R2", func(c *Core) { c.slaves.mut(1).inactive = true }},
		"an offer is listed twice":               {"R2", func(c *Core) { s := c.slaves.mut(1); s.offers = append(s.offers, s.offers[0]) }},
		"an offer that is not outstanding":       {"R2", func(c *Core) { c.offers.Delete(book(c).number) }},
		"an offer under another's number":        {"R2", func(c *Core) { o := *book(c); o.id = "o-1-99"; c.offers.Set(o.number, &o) }},
		"the allocator has something else":       {"R4", func(c *Core) { s := c.slaves.mut(1); s.info.Resources = s.info.Resources.Add(resource.Must("disk:1")) }},
		"a reference is lost":                    {"R5", func(c *Core) { c.tasks.resources.entries.mut(1).refs++ }},
		"an offer in another role":               {"R9", func(c *Core) { o := *book(c); o.role = "zoo"; c.offers.Set(o.number, &o) }},
		"a task is counted twice":                {"T1", func(c *Core) { c.slaves.mut(1).tasks.count++ }},
		"a task is not found":                    {"T5", func(c *Core) { c.tasks.indexed++ }},
		"slaves are miscounted":                  {"S4", func(c *Core) { c.counts.admitted++ }},
		"a slave holds another's connection":     {"S4", func(c *Core) { c.slaves.mut(1).conn = 2 }},
		"a framework holds another's connection": {"F1", func(c *Core) {
			c.offers.Clear()
			c.frameworks.mut(1).offers, c.slaves.mut(1).offers = nil, nil
			c.frameworks.mut(1).conn = 1
		}},
		"a framework is away without a deadline": {"F2", func(c *Core) {
			c.offers.Clear()
			c.frameworks.mut(1).offers, c.slaves.mut(1).offers = nil, nil
			c.frameworks.mut(1).conn = 0
		}},
		"frameworks that are away are miscounted": {"F2", func(c *Core) { c.counts.away++ }},
		"a retired framework has tasks": {"F5", func(c *Core) {
			c.offers.Clear()
			c.frameworks.mut(1).offers, c.slaves.mut(1).offers = nil, nil
			c.frameworks.mut(1).state = frameworkCompleted
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c := office(t)
			x.spoil(c)
			var v *invariant.Violation
			require.True(t, errors.As(c.Check(), &v), "nobody noticed")
			require.Equal(t, x.rule, v.Rule, "%v", v)
		})
	}
}
