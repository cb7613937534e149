package refalloc

import (
	"slices"
	"time"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
	"github.com/meros-project/meros/offer/resource"
)

// Allocator is the plain allocator. New makes one. It is not safe for concurrent use.
type Allocator struct {
	cfg    allocator.Config
	scarce []string

	fleet        []*slave // in the order of arrival
	slaves       map[offer.SlaveID]*slave
	slaveSeq     uint64
	frameworks   map[offer.FrameworkID]*framework
	frameworkSeq uint64
	clients      map[key]*client
	roles        map[string]*role
	top          []*role         // roles without a parent
	whitelist    map[string]bool // nil lets all take part
	runs         uint64          // those that allotted something

	now     time.Time
	changed bool // since the last run

	// Computed from all of the above at the start of each run, then kept up to date by allot.
	total     amounts // of the cluster, all scalars
	available amounts // free on active slaves, neither reserved nor revocable
	required  amounts // of it, what is to be kept for guarantees
	walk      []*client
	below     []child
	sorted    bool   // walk is up to date
	drawn     *slave // for which the Random policy has drawn
}

// key names a client: a framework in a role.
type key struct {
	framework offer.FrameworkID
	role      string
}

// New returns an allocator that knows no slave, no framework and no role. Config.MaxWork does not matter to it: a run does all its work.
func New(cfg allocator.Config) allocator.Allocator {
	if cfg.MinAllocatable == nil {
		cfg.MinAllocatable = []resource.Quantities{{{Name: resource.CPUs, Amount: 10}}, {{Name: resource.Mem, Amount: 32_000}}}
	}
	scarce := cfg.Scarce
	if !cfg.GPUsToAll {
		scarce = slices.Concat(scarce, []string{resource.GPUs})
	}
	return &Allocator{cfg: cfg, scarce: scarce, slaves: map[offer.SlaveID]*slave{}, frameworks: map[offer.FrameworkID]*framework{},
		clients: map[key]*client{}, roles: map[string]*role{}}
}

// Apply takes in what has happened; see allocator.Allocator.
func (a *Allocator) Apply(now time.Time, ev allocator.Event) error {
	if err := a.Validate(ev); err != nil {
		return err
	}
	a.now, a.changed = now, true
	switch ev := ev.(type) {
	case allocator.SlaveAdded:
		a.addSlave(ev)
	case allocator.SlaveUpdated:
		a.updateSlave(ev.Slave)
	case allocator.SlaveActive:
		if s := a.slaves[ev.Slave]; s != nil && s.active != ev.Active {
			s.active = ev.Active
			clear(s.shown)
		}
	case allocator.SlaveRemoved:
		a.removeSlave(a.slaves[ev.Slave])
	case allocator.FrameworkAdded:
		a.addFramework(ev)
	case allocator.FrameworkUpdated:
		if f := a.frameworks[ev.Framework.ID]; f != nil && f.known {
			a.describe(f, ev.Framework, ev.Suppressed)
		}
	case allocator.FrameworkActive:
		if f := a.frameworks[ev.Framework]; f != nil && f.known {
			a.activate(f, ev.Active)
		}
	case allocator.FrameworkRemoved:
		a.removeFramework(a.frameworks[ev.Framework])
	case allocator.Used:
		if s := a.slaves[ev.Slave]; s != nil && len(ev.Resources) > 0 && ev.Role != "" {
			s.hold(a.client(ev.Framework, ev.Role), ev.Resources)
		}
	case allocator.Recovered:
		a.recovered(ev)
	case allocator.Converted:
		a.converted(ev)
	case allocator.Answered:
		if s := a.slaves[ev.Slave]; s != nil && s.unanswered[key{ev.Framework, ev.Role}] > 0 {
			s.unanswered[key{ev.Framework, ev.Role}]--
		}
	case allocator.Whitelist:
		a.setWhitelist(ev)
	case allocator.SlaveUnavailable:
		a.setUnavailable(ev)
	case allocator.InverseAnswered:
		a.inverseAnswered(ev)
	case allocator.Suppressed:
		a.suppress(ev)
	case allocator.Revived:
		a.revive(ev)
	case allocator.Requested:
		if c := a.clients[key{ev.Framework, ev.Role}]; c != nil && c.subscribed {
			c.needs = slices.Clone(ev.Needs)
		}
	case allocator.RoleSet:
		a.setRole(ev)
	}
	return nil
}

// Deadline reports when to run next; see allocator.Allocator. Any event, and any run that allotted something, is work to it.
func (a *Allocator) Deadline() time.Time {
	if a.changed {
		return a.now
	}
	var first time.Time
	consider := func(at time.Time) {
		if at.After(a.now) && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	for _, s := range a.fleet {
		for _, list := range s.filters {
			for _, f := range list {
				consider(f.until)
			}
		}
		for _, q := range s.asked {
			consider(q.until)
		}
	}
	return first
}
