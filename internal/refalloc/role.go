package refalloc

import (
	"slices"
	"strings"

	"github.com/meros-project/meros/offer/allocator"
	"github.com/meros-project/meros/offer/resource"
)

// role is a node of the tree of roles. It exists while it has frameworks, roles below it, a configuration or reservations.
type role struct {
	name     string // the whole path
	parent   *role  // nil at the top
	children []*role
	members  int // clients of this very role
	reserved int // entries of slaves that are reserved to this very role

	set       bool // a RoleSet has made it differ from the default
	weight    int64
	guarantee resource.Quantities
	limit     resource.Quantities

	count       uint64 // allotments ever made in it and below
	directCount uint64 // in it alone

	// Computed by each run.
	held        amounts // by the frameworks in it and below
	direct      amounts // by those in it alone
	consumed    amounts // what counts against the quota: all that is reserved to it or below, and what is held beyond that
	required    amounts // what is to be kept free for it and below
	share       uint64  // weighted dominant share, or what was drawn; then the number of allotments decides
	turns       uint64
	directShare uint64
	directTurns uint64
	clients     []*client // enabled ones
	below       []child   // children with enabled clients, and the role itself if it has some
}

const defaultWeight = 1000

// role returns the node of a path, making it and those above as needed.
func (a *Allocator) role(name string) *role {
	if r := a.roles[name]; r != nil {
		return r
	}
	r := &role{name: name, weight: defaultWeight}
	if i := strings.LastIndexByte(name, '/'); i > 0 {
		r.parent = a.role(name[:i])
		r.parent.children = append(r.parent.children, r)
	} else {
		a.top = append(a.top, r)
	}
	a.roles[name] = r
	return r
}

// prune forgets a role, and those above it, if nothing needs it any more.
func (a *Allocator) prune(r *role) {
	for r != nil && len(r.children) == 0 && r.members == 0 && r.reserved == 0 && !r.set {
		delete(a.roles, r.name)
		gone := func(o *role) bool { return o == r }
		if r.parent == nil {
			a.top = slices.DeleteFunc(a.top, gone)
		} else {
			r.parent.children = slices.DeleteFunc(r.parent.children, gone)
		}
		r = r.parent
	}
}

// setRole is RoleSet.
func (a *Allocator) setRole(ev allocator.RoleSet) {
	r := a.role(ev.Role)
	r.weight, r.guarantee, r.limit = int64(ev.Weight), ev.Guarantee, ev.Limit
	if r.weight <= 0 {
		r.weight = defaultWeight
	}
	r.set = r.weight != defaultWeight || len(r.limit) > 0 || !r.guarantee.Empty()
	a.prune(r)
}

// reservedTo calls do for the role of each scalar in res that is reserved and not revocable.
func (a *Allocator) reservedTo(res resource.Resources, do func(*role, *resource.Resource)) {
	for i := range res {
		if e := &res[i]; e.Type == resource.ScalarType && e.Reserved() && !e.Revocable {
			do(a.role(e.Role()), e)
		}
	}
}

func (a *Allocator) reserve(res resource.Resources) {
	a.reservedTo(res, func(r *role, _ *resource.Resource) { r.reserved++ })
}

func (a *Allocator) unreserve(res resource.Resources) {
	a.reservedTo(res, func(r *role, _ *resource.Resource) {
		r.reserved--
		a.prune(r)
	})
}

// tally computes from scratch what follows from what slaves have and clients hold.
func (a *Allocator) tally() {
	a.total, a.available = amounts{}, amounts{}
	for _, r := range a.roles {
		r.held, r.direct, r.consumed, r.clients = amounts{}, amounts{}, amounts{}, nil
	}
	a.drawn = nil
	for _, f := range a.frameworks {
		f.outstanding = 0
	}
	for _, c := range a.clients {
		c.held = amounts{}
		if c.enabled() {
			c.role.clients = append(c.role.clients, c)
		}
	}
	for _, s := range a.fleet {
		s.free = s.unheld()
		a.total.add(s.Resources, 1)
		for k, n := range s.unanswered {
			if f := a.frameworks[k.framework]; f != nil {
				f.outstanding += n
			}
		}
		if a.takesPart(s) {
			a.available.addPlain(s.free, 1)
		}
		a.reservedTo(s.Resources, func(r *role, e *resource.Resource) {
			for ; r != nil; r = r.parent {
				r.consumed[e.Name] += int64(e.Scalar)
			}
		})
		for _, h := range s.held {
			h.of.charge(h.res, 1)
		}
	}
	a.require()
	a.rankAll()
}

// charge counts resources of one slave as held by a client, sign times.
func (c *client) charge(res resource.Resources, sign int64) {
	c.held.add(res, sign)
	c.role.direct.add(res, sign)
	for r := c.role; r != nil; r = r.parent {
		r.held.add(res, sign)
	}
	for i := range res {
		e := &res[i]
		if e.Type != resource.ScalarType || e.Revocable || e.Reserved() && !resource.IsDescendant(c.role.name, e.Role()) {
			continue
		}
		// What is reserved to a role above counts there already.
		for r := c.role; r != nil && !(e.Reserved() && r.name == e.Role()); r = r.parent {
			r.consumed[e.Name] += sign * int64(e.Scalar)
		}
	}
}

// limited reports whether r or a role above it has a limit.
func (r *role) limited() bool {
	for ; r != nil; r = r.parent {
		if len(r.limit) > 0 {
			return true
		}
	}
	return false
}
