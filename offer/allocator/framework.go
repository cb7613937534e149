package allocator

import (
	"cmp"
	"slices"
	"strings"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// framework is one framework. It may be known only by what it holds: a slave has come back before it.
type framework struct {
	id      offer.FrameworkID
	seq     uint64 // order of arrival
	known   bool
	active  bool
	caps    offer.Capabilities
	keeps   traits    // what is not stripped from its offers
	clients []*client // by the name of the role

	outstanding int  // allotments that are not answered; counted if they are bounded
	bound       bool // it was refused something because of them
}

// client is a framework in a role. It exists while the framework subscribes to the role or holds something in it.
type client struct {
	handle     int32
	framework  *framework
	role       *role
	subscribed bool
	suppressed bool
	enabled    bool   // is in its role's order
	woken      bool   // to be tried with every slave
	stirred    bool   // to be tried with the slaves in Hierarchical.again at the next run
	awake      bool   // is being tried with the slaves of this run
	tried      moment // while it is not enabled: until when it was; with changes as never, or if it must be tried with all slaves
	min        []minSet
	ownMin     []resource.Quantities // what min was made of, if not of the default
	needs      []minSet
	wants      []resource.Quantities // what needs was made of
	asked      uint64                // scarce kinds
	constraint *constraint           // nil for none

	held     vec
	count    uint64 // allotments ever made
	place    rank
	holdings int // slaves on which it holds something
	filters  int32
}

func (a *Hierarchical) framework(id offer.FrameworkID) *framework {
	f := a.frameworks[id]
	if f == nil {
		f = &framework{id: id}
		a.frameworks[id] = f
	}
	return f
}

func (f *framework) client(role string) *client {
	i, ok := slices.BinarySearchFunc(f.clients, role, func(c *client, role string) int { return strings.Compare(c.role.name, role) })
	if !ok {
		return nil
	}
	return f.clients[i]
}

func (a *Hierarchical) findClient(id offer.FrameworkID, role string) *client {
	if f := a.frameworks[id]; f != nil {
		return f.client(role)
	}
	return nil
}

// client returns the client of a framework in a role, making it as needed.
func (a *Hierarchical) client(f *framework, role string) *client {
	if c := f.client(role); c != nil {
		return c
	}
	c := &client{framework: f, role: a.role(role), filters: none, min: a.min, tried: moment{changes: never}}
	c.role.members++
	if n := len(a.freeClient); n > 0 {
		c.handle = a.freeClient[n-1]
		a.freeClient = a.freeClient[:n-1]
		a.clients[c.handle] = c
	} else {
		c.handle = int32(len(a.clients))
		a.clients = append(a.clients, c)
	}
	c.held = a.clientVecs.of(c.handle, 1)[0]
	f.clients = append(f.clients, c)
	slices.SortFunc(f.clients, func(x, y *client) int { return strings.Compare(x.role.name, y.role.name) })
	return c
}

// forgetClient drops a client, and its framework and role, that nothing needs any more.
func (a *Hierarchical) forgetClient(c *client) {
	if c.subscribed || c.holdings > 0 {
		return
	}
	a.clearClient(c)
	if c.woken {
		c.woken = false
		if a.wokenCount--; a.wokenCount == 0 {
			a.woken = a.woken[:0]
		}
	}
	c.stirred = false
	a.setMin(c, a.min)
	f := c.framework
	f.clients = slices.DeleteFunc(f.clients, func(o *client) bool { return o == c })
	if len(f.clients) == 0 && !f.known {
		delete(a.frameworks, f.id)
	}
	a.clients[c.handle] = nil
	a.freeClient = append(a.freeClient, c.handle)
	c.role.members--
	a.release(c.role)
}

func (a *Hierarchical) addFramework(ev FrameworkAdded) {
	f := a.framework(ev.Framework.ID)
	if !f.known {
		a.frameworkSeq++
		f.known, f.seq = true, a.frameworkSeq
	}
	if f.active && ev.Inactive {
		a.activateFramework(FrameworkActive{Framework: f.id})
	}
	f.active = !ev.Inactive
	a.maintained.all = true
	a.describeFramework(f, ev.Framework, ev.Suppressed)
}

func (a *Hierarchical) updateFramework(ev FrameworkUpdated) {
	if f := a.frameworks[ev.Framework.ID]; f != nil && f.known {
		a.describeFramework(f, ev.Framework, ev.Suppressed)
	}
}

// describeFramework replaces a framework's roles, capabilities, minimum allocatable and suppressed roles.
func (a *Hierarchical) describeFramework(f *framework, from offer.Framework, suppressed []string) {
	widened := f.caps != from.Capabilities
	f.caps, f.keeps = from.Capabilities, 0
	for _, kept := range []struct {
		cap   offer.Capabilities
		trait traits
	}{{offer.RevocableResources, hasRevocable}, {offer.SharedResources, hasShared}, {offer.ReservationRefinement, hasRefined}} {
		if f.caps.Has(kept.cap) {
			f.keeps |= kept.trait
		}
	}
	roles := subscribed(from.Roles)
	for _, role := range roles {
		c := a.client(f, role)
		c.subscribed = true
		c.suppressed = slices.Contains(suppressed, role)
		min, own := a.min, from.MinAllocatable[role]
		if _, ok := from.MinAllocatable[role]; ok {
			min = a.compileSets(own)
		}
		others := a.constrain(c, from.Constraints[role])
		a.judgeScarce(c)
		if widened || others || !sameMin(min, c.min) {
			a.forgetVerdicts(c)
			a.wakeClient(c)
		}
		c.ownMin = slices.Clone(own)
		a.setMin(c, min)
		a.settle(c)
	}
	for _, c := range slices.Clone(f.clients) {
		if c.subscribed && !slices.Contains(roles, c.role.name) {
			a.unsubscribe(c)
		}
	}
}

func sameMin(x, y []minSet) bool {
	return slices.EqualFunc(x, y, func(s, t minSet) bool { return slices.Equal(s, t) })
}

// setMin replaces the smallest offer worth making to a client.
func (a *Hierarchical) setMin(c *client, min []minSet) {
	more := flag(!sameMin(min, a.min)) - flag(!sameMin(c.min, a.min))
	c.role.ownMin += more
	a.ownMins += more
	c.min = min
	c.role.starved = false
	a.countOpen(c.role)
}

// settle enables or disables a client as its state says.
func (a *Hierarchical) settle(c *client) {
	a.enable(c, c.framework.active && c.subscribed && !c.suppressed)
}

func (a *Hierarchical) unsubscribe(c *client) {
	c.subscribed, c.suppressed = false, false
	a.setNeeds(c, nil)
	a.constrain(c, nil)
	a.settle(c)
	a.clearClient(c)
	c.tried.changes = never
	a.forgetClient(c)
}

func (a *Hierarchical) activateFramework(ev FrameworkActive) {
	f := a.frameworks[ev.Framework]
	if f == nil || !f.known || f.active == ev.Active {
		return
	}
	f.active = ev.Active
	a.maintained.all = true
	if !f.active {
		a.forgetAsked(f)
	}
	for _, c := range f.clients {
		a.settle(c)
		if !f.active {
			a.clearClient(c)
			c.tried.changes = never
		}
	}
}

func (a *Hierarchical) removeFramework(ev FrameworkRemoved) {
	f := a.frameworks[ev.Framework]
	if f == nil || !f.known {
		return
	}
	f.known, f.active = false, false
	a.forgetAsked(f)
	a.answerFramework(f)
	for _, c := range slices.Clone(f.clients) {
		a.unsubscribe(c)
	}
}

// eachClient calls do for the clients of a framework in the roles named, or in all roles.
func (a *Hierarchical) eachClient(id offer.FrameworkID, roles []string, do func(*client)) {
	f := a.frameworks[id]
	if f == nil {
		return
	}
	if len(roles) == 0 {
		for _, c := range f.clients {
			do(c)
		}
		return
	}
	for _, role := range roles {
		if c := f.client(role); c != nil {
			do(c)
		}
	}
}

func (a *Hierarchical) suppress(ev Suppressed) {
	a.eachClient(ev.Framework, ev.Roles, func(c *client) {
		if c.subscribed {
			c.suppressed = true
			a.settle(c)
		}
	})
}

func (a *Hierarchical) revive(ev Revived) {
	a.eachClient(ev.Framework, ev.Roles, func(c *client) {
		c.suppressed = false
		a.settle(c)
		if c.filters != none && c.enabled && !c.woken {
			some := false
			for id := c.filters; id != none; id = a.filters.slab.at(id).next {
				some = a.stir(a.slaves[a.filters.slab.at(id).slave]) || some
			}
			if some {
				a.stirClient(c)
			}
		}
		a.clearClient(c)
	})
}

func (a *Hierarchical) slavesByID() []*slave {
	out := make([]*slave, 0, len(a.slaveIndex))
	for _, s := range a.slaves {
		if s != nil {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(x, y *slave) int { return cmp.Compare(x.id, y.id) })
	return out
}

func (a *Hierarchical) clientsByName() []*client {
	out := make([]*client, 0, len(a.clients))
	for _, c := range a.clients {
		if c != nil {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(x, y *client) int {
		return cmp.Or(cmp.Compare(x.framework.id, y.framework.id), cmp.Compare(x.role.name, y.role.name))
	})
	return out
}

func (a *Hierarchical) rolesByName() []*role {
	out := make([]*role, 0, len(a.roles))
	for _, r := range a.roles {
		if r != nil {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(x, y *role) int { return cmp.Compare(x.name, y.name) })
	return out
}
