package refalloc

import (
	"slices"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
	"github.com/meros-project/meros/offer/resource"
)

// framework is one framework. It may be known only by what it holds.
type framework struct {
	id     offer.FrameworkID
	seq    uint64 // order of arrival
	known  bool
	active bool
	caps   offer.Capabilities
	roles  map[string]*client

	outstanding int // allotments that are not answered; computed by each run
}

// client is a framework in a role. It exists while the framework subscribes to the role or holds something in it.
type client struct {
	framework  *framework
	role       *role
	subscribed bool
	suppressed bool
	min        []resource.Quantities
	needs      []resource.Quantities
	count      uint64 // allotments ever made
	holdings   int    // slaves on which it holds something

	constraints *offer.Constraints

	held  amounts // computed by each run
	share uint64  // its dominant share, or what it has drawn; then the number of allotments decides
	turns uint64
}

func (c *client) key() key      { return key{c.framework.id, c.role.name} }
func (c *client) enabled() bool { return c.framework.active && c.subscribed && !c.suppressed }

// asked reports whether a client has said that it can use a scarce kind.
func (c *client) asked(name string) bool {
	return name == resource.GPUs && c.framework.caps.Has(offer.GPUResources) ||
		slices.ContainsFunc(c.needs, func(q resource.Quantities) bool { return q.Get(name) > 0 })
}

// client returns the client of a framework in a role, making it as needed.
func (a *Allocator) client(id offer.FrameworkID, name string) *client {
	k := key{id, name}
	if c := a.clients[k]; c != nil {
		return c
	}
	f := a.frameworks[id]
	if f == nil {
		f = &framework{id: id, roles: map[string]*client{}}
		a.frameworks[id] = f
	}
	c := &client{framework: f, role: a.role(name)}
	c.role.members++
	f.roles[name] = c
	a.clients[k] = c
	return c
}

// forget drops a client, and its framework and role, that nothing needs any more.
func (a *Allocator) forget(c *client) {
	if c.subscribed || c.holdings > 0 {
		return
	}
	a.clearFilters(c)
	delete(a.clients, c.key())
	delete(c.framework.roles, c.role.name)
	if len(c.framework.roles) == 0 && !c.framework.known {
		delete(a.frameworks, c.framework.id)
	}
	c.role.members--
	a.prune(c.role)
}

func (a *Allocator) clearFilters(c *client) {
	for _, s := range a.fleet {
		delete(s.filters, c.key())
	}
}

func (a *Allocator) forgetAsked(f *framework) {
	for _, s := range a.fleet {
		delete(s.asked, f.id)
	}
}

func (a *Allocator) addFramework(ev allocator.FrameworkAdded) {
	id := ev.Framework.ID
	f := a.frameworks[id]
	if f == nil {
		f = &framework{id: id, roles: map[string]*client{}}
		a.frameworks[id] = f
	}
	if !f.known {
		a.frameworkSeq++
		f.known, f.seq = true, a.frameworkSeq
	}
	a.activate(f, !ev.Inactive)
	a.describe(f, ev.Framework, ev.Suppressed)
}

// describe replaces what a framework has said of itself.
func (a *Allocator) describe(f *framework, from offer.Framework, suppressed []string) {
	f.caps = from.Capabilities
	roles := rolesOf(from)
	for _, name := range roles {
		c := a.client(f.id, name)
		c.subscribed = true
		c.suppressed = slices.Contains(suppressed, name)
		c.min = a.cfg.MinAllocatable
		if own, ok := from.MinAllocatable[name]; ok {
			c.min = own
		}
		c.constraints, _ = offer.CompileConstraints(from.Constraints[name]) // Validate has seen them
	}
	for name := range f.roles {
		if !slices.Contains(roles, name) {
			a.unsubscribe(f.roles[name])
		}
	}
}

func (a *Allocator) unsubscribe(c *client) {
	c.subscribed, c.suppressed, c.needs, c.constraints = false, false, nil, nil
	a.clearFilters(c)
	a.forget(c)
}

func (a *Allocator) activate(f *framework, on bool) {
	f.active = on
	if !on {
		a.forgetAsked(f)
		for _, c := range f.roles {
			a.clearFilters(c)
		}
	}
}

func (a *Allocator) removeFramework(f *framework) {
	if f == nil || !f.known {
		return
	}
	f.known, f.active = false, false
	a.forgetAsked(f)
	for _, s := range a.fleet {
		for k := range s.unanswered {
			if k.framework == f.id {
				delete(s.unanswered, k)
			}
		}
	}
	for name := range f.roles {
		a.unsubscribe(f.roles[name])
	}
}

// named returns the clients of a framework in the roles named, or in all.
func (a *Allocator) named(id offer.FrameworkID, roles []string) []*client {
	var out []*client
	if f := a.frameworks[id]; f != nil {
		for name, c := range f.roles {
			if len(roles) == 0 || slices.Contains(roles, name) {
				out = append(out, c)
			}
		}
	}
	return out
}

func (a *Allocator) suppress(ev allocator.Suppressed) {
	for _, c := range a.named(ev.Framework, ev.Roles) {
		c.suppressed = c.suppressed || c.subscribed
	}
}

func (a *Allocator) revive(ev allocator.Revived) {
	for _, c := range a.named(ev.Framework, ev.Roles) {
		c.suppressed = false
		a.clearFilters(c)
	}
}
