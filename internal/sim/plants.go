package sim

import (
	"maps"
	"slices"

	"github.com/meros-project/meros/internal/frameworkcore"
	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/internal/slavecore"
	"github.com/meros-project/meros/offer"
)

// Plants are the bugs that can be named in a scenario file. Each returns one that has seen nothing yet.
var Plants = byName(slavePlants, diskPlants, masterPlants, answerPlants, offerPlants, logPlants, frameworkPlants)

func byName(parts ...[]func() *Plant) map[string]func() *Plant {
	all := map[string]func() *Plant{}
	for _, part := range parts {
		for _, plant := range part {
			name := plant().Name
			if all[name] != nil {
				panic("sim: two plants are named " + name)
			}
			all[name] = plant
		}
	}
	return all
}

// PlantNames are the names of all plants, sorted.
func PlantNames() []string { return slices.Sorted(maps.Keys(Plants)) }

// fromMaster changes what slaves are told; false swallows it.
func fromMaster(name, rules string, change func(node string, e *message.Envelope) bool) *Plant {
	return &Plant{Name: name, Rules: rules, SlaveEvent: func(node string, ev slavecore.Event) (slavecore.Event, bool) {
		m, ok := ev.(slavecore.FromMaster)
		if !ok {
			return ev, true
		}
		ok = change(node, &m.Envelope)
		return m, ok
	}}
}

// slaveDeaf is a slave that does not hear messages of a kind.
func slaveDeaf(name, rules string, kind message.Kind) *Plant {
	return fromMaster(name, rules, func(_ string, e *message.Envelope) bool { return e.Message.Kind() != kind })
}

// slaveSays changes what slaves send; nil swallows it.
func slaveSays(name, rules string, change func(node string, m message.Message) message.Message) *Plant {
	return &Plant{Name: name, Rules: rules, SlaveEffects: func(node string, out []slavecore.Effect) []slavecore.Effect {
		kept := make([]slavecore.Effect, 0, len(out))
		for _, e := range out {
			if s, ok := e.(slavecore.Send); ok {
				if s.Message = change(node, s.Message); s.Message == nil {
					continue
				}
				e = s
			}
			kept = append(kept, e)
		}
		return kept
	}}
}

// slaveWrites changes what slaves write; false leaves a record out.
func slaveWrites(name, rules string, keep func(slavecore.Record) bool) *Plant {
	return &Plant{Name: name, Rules: rules, SlaveEffects: func(_ string, out []slavecore.Effect) []slavecore.Effect {
		for i, e := range out {
			if c, ok := e.(slavecore.Checkpoint); ok {
				c.Records = slices.DeleteFunc(slices.Clone(c.Records), func(r slavecore.Record) bool { return !keep(r) })
				out[i] = c
			}
		}
		return out
	}}
}

// masterHears changes what masters are told; false swallows it.
func masterHears(name, rules string, change func(node string, r *mastercore.Received) bool) *Plant {
	return &Plant{Name: name, Rules: rules, MasterEvent: func(node string, ev mastercore.Event) (mastercore.Event, bool) {
		r, ok := ev.(mastercore.Received)
		if !ok {
			return ev, true
		}
		ok = change(node, &r)
		return r, ok
	}}
}

// masterDeaf is a master that does not hear messages of a kind.
func masterDeaf(name, rules string, kind message.Kind) *Plant {
	return masterHears(name, rules, func(_ string, r *mastercore.Received) bool { return r.Message.Kind() != kind })
}

// masterSays changes what masters send: what is returned takes the place of the message.
func masterSays(name, rules string, change func(node string, s mastercore.Send) []mastercore.Send) *Plant {
	return &Plant{Name: name, Rules: rules, MasterEffects: func(node string, out []mastercore.Effect) []mastercore.Effect {
		kept := make([]mastercore.Effect, 0, len(out))
		for _, e := range out {
			s, ok := e.(mastercore.Send)
			if !ok {
				kept = append(kept, e)
				continue
			}
			for _, s := range change(node, s) {
				kept = append(kept, s)
			}
		}
		return kept
	}}
}

// masterMute is a master that does not send messages of a kind.
func masterMute(name, rules string, kind message.Kind) *Plant {
	return masterSays(name, rules, func(_ string, s mastercore.Send) []mastercore.Send {
		if s.Message.Kind() == kind {
			return nil
		}
		return []mastercore.Send{s}
	})
}

// sessionSays changes what frameworks send; nil swallows it.
func sessionSays(name, rules string, change func(node string, m message.Message) message.Message) *Plant {
	return &Plant{Name: name, Rules: rules, FrameworkEffects: func(node string, out []frameworkcore.Effect) []frameworkcore.Effect {
		kept := make([]frameworkcore.Effect, 0, len(out))
		for _, e := range out {
			if s, ok := e.(frameworkcore.Send); ok {
				if s.Message = change(node, s.Message); s.Message == nil {
					continue
				}
				e = s
			}
			kept = append(kept, e)
		}
		return kept
	}}
}

// applies changes what masters apply; false leaves a command out.
func applies(name, rules string, change func(node string, c *registry.Command) bool) *Plant {
	return &Plant{Name: name, Rules: rules, Apply: func(node string, s *registry.State, e registry.Entry) []registry.Result {
		out := registry.Entry{Reign: e.Reign}
		var kept []int
		for i, c := range e.Commands {
			if change(node, &c) {
				out.Commands = append(out.Commands, c)
				kept = append(kept, i)
			}
		}
		results := make([]registry.Result, len(e.Commands)) // what is left out looks as if it had gone well
		for i, r := range s.Apply(out) {
			results[kept[i]] = r
		}
		return results
	}}
}

// update is a status update that a slave sends, with a status of its own to change.
func update(m message.Message) (*message.StatusUpdate, bool) {
	u, ok := m.(*message.StatusUpdate)
	if !ok || u.Status.UUID.IsZero() {
		return nil, false
	}
	copied, status := *u, *u.Status
	copied.Status = &status
	return &copied, true
}

// counter makes UUIDs that nobody else makes.
type counter struct{ n uint64 }

func (c *counter) next() (u offer.UUID) {
	c.n++
	for i := range 8 {
		u[15-i] = byte(c.n >> (8 * i))
	}
	u[0] = 0xbd
	return u
}
