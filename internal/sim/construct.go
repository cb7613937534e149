package sim

import (
	"fmt"
	"iter"

	"github.com/meros-project/meros/internal/frameworkcore"
	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/internal/slavecore"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
)

// This file is the one place in which cores are made and stepped, so that a bug can be planted at their borders: Config.Plant, if it is not
// nil, sees every event before its core and every effect after it.

// A Plant is a bug for the checkers to find. Each of its functions may be nil.
type Plant struct {
	Name string
	// Rules are the numbers of the invariants of which one is broken by the bug, with a space in between.
	Rules string
	// Master, Slave and Framework change what a core that is about to begin is made of.
	Master    func(*mastercore.Config)
	Slave     func(*slavecore.Config)
	Framework func(*frameworkcore.Config)
	// MasterEvent, SlaveEvent and FrameworkEvent change an event; false swallows it. Node is the id in the trace.
	MasterEvent    func(node string, ev mastercore.Event) (mastercore.Event, bool)
	SlaveEvent     func(node string, ev slavecore.Event) (slavecore.Event, bool)
	FrameworkEvent func(node string, ev frameworkcore.Event) (frameworkcore.Event, bool)
	// MasterEffects, SlaveEffects and FrameworkEffects change the effects of a step.
	MasterEffects    func(node string, out []mastercore.Effect) []mastercore.Effect
	SlaveEffects     func(node string, out []slavecore.Effect) []slavecore.Effect
	FrameworkEffects func(node string, out []frameworkcore.Effect) []frameworkcore.Effect
	// Journal changes what a slave finds on its disk after a crash.
	Journal func(node string, records []slavecore.Record) []slavecore.Record
	// Early reports whether a slave is told that records are on its disk when they are on their way there.
	Early func(records []slavecore.Record) bool
	// Torn returns what is read of a record that a crash has torn; nil where that is noticed.
	Torn func(record slavecore.Record) slavecore.Record
	// Apply takes the place of the registry's.
	Apply func(node string, s *registry.State, e registry.Entry) []registry.Result
	// Snapshot changes what a snapshot has of a registry.
	Snapshot func(records iter.Seq[registry.Record]) iter.Seq[registry.Record]
	// Hasty reports whether a leader is told that a command is committed as soon as it has proposed it.
	Hasty func(op registry.Op) bool
	// Reignless masters take messages from those who know of a later reign.
	Reignless bool
	// Forgets is how many of the last entries a new leader does not have, of so many that are not compacted.
	Forgets func(entries int) int
}

// apply applies an entry on a master, with a bug if one is planted there.
func (m *master) apply(e registry.Entry) []registry.Result {
	if p := m.w.cfg.Plant; p != nil && p.Apply != nil {
		return p.Apply(m.id, m.state, e)
	}
	return m.state.Apply(e)
}

func (m *master) newCore() *mastercore.Core {
	w := m.w
	cfg := mastercore.Config{MasterID: m.id, Registry: m.state.View(), Seed: w.cfg.Seed,
		Allocator: allocator.New(allocator.Config{Seed: w.cfg.Seed, MaxOutstanding: mastercore.DefaultMaxOffers})}
	if p := w.cfg.Plant; p != nil && p.Master != nil {
		p.Master(&cfg)
	}
	return mastercore.New(m.time(), cfg)
}

// config is what a slave's core is made of, but for its seed and nonce.
func (s *slave) config() slavecore.Config {
	has := s.resources
	if s.shrunk {
		has = less()
	}
	info := offer.Slave{Hostname: s.id, Address: s.address, Resources: has, Version: "sim",
		Attributes: []offer.Attribute{{Name: "rack", Text: fmt.Sprintf("r%d", s.number%3)}}}
	return slavecore.Config{Slave: info, BootID: fmt.Sprintf("boot-%d", s.boots)}
}

func (s *slave) newCore() (*slavecore.Core, error) {
	w := s.w
	cfg := s.config()
	cfg.Seed, cfg.Nonce = w.random.Uint64(), w.uuid()
	if p := w.cfg.Plant; p != nil && p.Slave != nil {
		p.Slave(&cfg)
	}
	return slavecore.New(s.time(), cfg, w.carryJournal(s.disk.records))
}

func (f *framework) newCore() (*frameworkcore.Core, error) {
	w := f.w
	info := f.user.describe()
	info.ID = f.fid
	cfg := frameworkcore.Config{Framework: info, Nonce: w.uuid(), Seed: w.random.Uint64()}
	if p := w.cfg.Plant; p != nil && p.Framework != nil {
		p.Framework(&cfg)
	}
	return frameworkcore.New(f.time(), cfg)
}

func (r *reign) advance(ev mastercore.Event) []mastercore.Effect {
	p := r.m.w.cfg.Plant
	if p != nil && p.MasterEvent != nil {
		var ok bool
		if ev, ok = p.MasterEvent(r.m.id, ev); !ok {
			return nil
		}
	}
	if swap := r.m.w.cfg.Swap; swap != nil {
		r.core = swap(r.core)
	}
	now := r.m.time()
	if r.witness != nil {
		r.witness.Event(now, ev)
	}
	out := r.core.Step(now, ev, nil)
	if r.witness != nil {
		r.witness.Effects(out)
	}
	if p != nil && p.MasterEffects != nil {
		out = p.MasterEffects(r.m.id, out)
	}
	return out
}

func (s *slave) advance(ev slavecore.Event) []slavecore.Effect {
	p := s.w.cfg.Plant
	if p != nil && p.SlaveEvent != nil {
		var ok bool
		if ev, ok = p.SlaveEvent(s.id, ev); !ok {
			return nil
		}
	}
	out := s.core.Step(s.time(), ev, nil)
	if p != nil && p.SlaveEffects != nil {
		out = p.SlaveEffects(s.id, out)
	}
	return out
}

func (f *framework) advance(ev frameworkcore.Event) []frameworkcore.Effect {
	p := f.w.cfg.Plant
	if p != nil && p.FrameworkEvent != nil {
		var ok bool
		if ev, ok = p.FrameworkEvent(f.id, ev); !ok {
			return nil
		}
	}
	out := f.core.Step(f.time(), ev, nil)
	if p != nil && p.FrameworkEffects != nil {
		out = p.FrameworkEffects(f.id, out)
	}
	return out
}
