package allocator

import (
	"strings"

	"github.com/meros-project/meros/offer/resource"
)

// role is a node of the tree of roles. It exists while it has frameworks, roles below it, a configuration or consumption.
type role struct {
	handle   int32
	serial   int32  // never used again for another role, but for 0, which is the root's
	name     string // the whole path
	parent   *role
	children int // nodes below, enabled or not
	members  int // clients of this very role, enabled or not
	depth    int

	weight    int64 // thousandths
	limit     vec   // noLimit where there is none; nil without any
	guarantee vec
	set       bool // a RoleSet has made it differ from the default

	held        vec    // scalars held by the frameworks in it and below
	count       uint64 // allotments ever made in it and below
	direct      vec    // scalars held by the frameworks in it
	directCount uint64

	// What counts against the quota: everything reserved to it or below, plus what its subtree holds beyond that. Nothing revocable.
	consumed     vec
	required     vec // what must be kept free for it and below: max(0, guarantee-consumed, childRequired)
	childRequire vec // sum of the children's
	needs        bool
	blocked      bool  // a limit or the headroom has cut what its subtree would have been offered
	isShort      bool  // in Hierarchical.short
	starved      bool  // no room for the smallest offer of what is plain; until it is woken
	ownMin       int   // clients with a minimum of their own
	open         int   // roles with enabled clients that are not starved, itself and below
	counted      bool  // it counts in open itself
	wokenAt      int64 // moment.wakes after it was last woken

	clients   order // enabled ones
	below     order // enabled children, and virtualLeaf if clients is not empty
	enabled   int   // enabled clients in it and below
	awake     int   // clients to try with every slave, in it and below
	place     rank
	leafPlace rank

	taken vec // scratch of cut
}

const noLimit = int64(-1)

// role returns the node of a path, making it and those above as needed.
func (a *Hierarchical) role(name string) *role {
	if r := a.roleIndex[name]; r != nil {
		return r
	}
	parent := a.root
	if i := strings.LastIndexByte(name, '/'); i > 0 {
		parent = a.role(name[:i])
	}
	a.roleSerial++
	r := &role{serial: a.roleSerial, name: name, parent: parent, weight: defaultWeight, depth: parent.depth + 1}
	parent.children++
	if n := len(a.freeRole); n > 0 {
		r.handle = a.freeRole[n-1]
		a.freeRole = a.freeRole[:n-1]
		a.roles[r.handle] = r
	} else {
		r.handle = int32(len(a.roles))
		a.roles = append(a.roles, r)
	}
	v := a.roleVecs.of(r.handle, 6)
	r.held, r.direct, r.consumed, r.required, r.childRequire, r.taken = v[0], v[1], v[2], v[3], v[4], v[5]
	a.roleIndex[name] = r
	return r
}

// release forgets a role, and those above it, if nothing needs it any more.
func (a *Hierarchical) release(r *role) {
	for r != a.root && r.children == 0 && r.members == 0 && !r.set && r.consumed.zero() && r.held.zero() {
		if r.isShort {
			a.wake(r)
			a.forgetShort(r)
		}
		delete(a.roleIndex, r.name)
		a.roles[r.handle] = nil
		a.freeRole = append(a.freeRole, r.handle)
		r.parent.children--
		r = r.parent
	}
}

// enable puts a client among those that are tried, or takes it out. The client is woken in the first case.
func (a *Hierarchical) enable(c *client, on bool) {
	if c.enabled == on {
		return
	}
	c.enabled = on
	r := c.role
	r.starved = false
	if !on {
		remove(&r.clients, a.epoch, c.handle, clientsOf{a})
		if r.clients.n == 0 {
			remove(&r.below, a.epoch, virtualLeaf, childrenOf{a, r})
		}
	} else {
		if r.clients.n == 0 {
			insert(&r.below, a.epoch, virtualLeaf, childrenOf{a, r})
		}
		insert(&r.clients, a.epoch, c.handle, clientsOf{a})
	}
	for n := r; n != a.root; n = n.parent {
		switch {
		case on:
			if n.enabled++; n.enabled == 1 {
				insert(&n.parent.below, a.epoch, n.handle, childrenOf{a, n.parent})
			}
		default:
			if n.enabled--; n.enabled == 0 {
				remove(&n.parent.below, a.epoch, n.handle, childrenOf{a, n.parent})
			}
		}
	}
	a.countOpen(r)
	if on {
		a.catchUp(c)
	} else {
		c.tried = a.tried
		if c.woken || c.stirred {
			c.tried.changes = never
		}
	}
}

// reorder moves a client and the roles above it to where their ranks belong.
func (a *Hierarchical) reorder(c *client) {
	if c.enabled {
		moved(&c.role.clients, a.epoch, c.handle, clientsOf{a})
	}
	if c.role.clients.n > 0 {
		moved(&c.role.below, a.epoch, virtualLeaf, childrenOf{a, c.role})
	}
	for n := c.role; n != a.root; n = n.parent {
		if n.enabled > 0 {
			moved(&n.parent.below, a.epoch, n.handle, childrenOf{a, n.parent})
		}
	}
}

// setRole is RoleSet.
func (a *Hierarchical) setRole(ev RoleSet) {
	if ev.Role == "" {
		return
	}
	r := a.role(ev.Role)
	r.weight = int64(ev.Weight)
	if r.weight <= 0 {
		r.weight = defaultWeight
	}
	a.limits -= flag(r.limit != nil)
	a.promises -= flag(!r.guarantee.zero())
	r.limit, r.guarantee = nil, nil
	for _, q := range ev.Limit {
		k := a.kinds.intern(q.Name)
		for len(r.limit) <= k {
			r.limit = append(r.limit, noLimit)
		}
		r.limit[k] = max(int64(q.Amount), 0)
	}
	for _, q := range ev.Guarantee {
		k := a.kinds.intern(q.Name)
		amount := max(int64(q.Amount), 0)
		if k < len(r.limit) && r.limit[k] != noLimit {
			amount = min(amount, r.limit[k])
		}
		r.guarantee.add(k, amount)
	}
	a.limits += flag(r.limit != nil)
	a.promises += flag(!r.guarantee.zero())
	r.set = r.weight != defaultWeight || r.limit != nil || !r.guarantee.zero()
	a.require(r)
	if r.enabled > 0 {
		moved(&r.parent.below, a.epoch, r.handle, childrenOf{a, r.parent})
	}
	a.wake(r)
	a.release(r)
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// wake wakes every client in r and below.
func (a *Hierarchical) wake(r *role) {
	r.blocked, r.starved = false, false
	a.wakes++
	r.wokenAt = a.wakes
	a.countOpen(r)
	for h := range r.clients.all() {
		a.wakeClient(a.clients[h])
	}
	for h := range r.below.all() {
		if h != virtualLeaf {
			a.wake(a.roles[h])
		}
	}
}

// reserve counts scalars that are reserved on a slave, sign times, as consumption of the role they are reserved to and of those above.
func (a *Hierarchical) reserve(l lot, sign int64) {
	if a.lot(l).traits&hasReserved == 0 {
		return
	}
	res := a.value(l)
	for i := range res {
		e := &res[i]
		if e.Type != resource.ScalarType || e.Revocable || len(e.Reservations) == 0 {
			continue
		}
		k := a.kinds.of(e.Name)
		if k < 0 {
			continue
		}
		r := a.role(e.Reservations[len(e.Reservations)-1].Role)
		for n := r; n != a.root; n = n.parent {
			a.consume(n, k, sign*int64(e.Scalar))
		}
		a.require(r)
		a.release(r)
	}
}

func (a *Hierarchical) consume(n *role, k int, x int64) {
	n.consumed.add(k, x)
	if x < 0 && n.blocked {
		a.wake(n)
	}
}

// require recomputes what must be kept free for r and those above it.
func (a *Hierarchical) require(r *role) {
	if a.promises == 0 && a.root.childRequire.zero() {
		return
	}
	for n := r; n != a.root; n = n.parent {
		kinds := max(len(n.guarantee), len(n.required), len(n.childRequire))
		n.needs = false
		for k := range kinds {
			want := max(0, n.guarantee.at(k)-n.consumed.at(k), n.childRequire.at(k))
			n.needs = n.needs || want > 0
			was := n.required.at(k)
			if want == was {
				continue
			}
			n.required.add(k, want-was)
			n.parent.childRequire.add(k, want-was)
			if n.parent != a.root && n.parent.blocked {
				a.wake(n.parent)
			}
		}
	}
}
