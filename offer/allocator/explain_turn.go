package allocator

import (
	"math"

	"github.com/meros-project/meros/offer/resource"
)

// sides returns the nearest role above two clients, and what below it leads to each; if they are of that very role, themselves.
func sides(x, y *client) (r *role, from, to int32, clients bool) {
	r, q := x.role, y.role
	if r == q {
		return r, x.handle, y.handle, true
	}
	from, to = virtualLeaf, virtualLeaf
	for r != q {
		if r.depth >= q.depth {
			from, r = r.handle, r.parent
		} else {
			to, q = q.handle, q.parent
		}
	}
	return r, from, to, false
}

// before reports whether p comes before q on a slave, with the ranks that they have now.
func (x *explainer) before(p, q *client, s *slave) bool {
	r, from, to, clients := sides(p, q)
	if x.a.cfg.Policy == Random {
		f, t := x.time(r, from, s, clients), x.time(r, to, s, clients)
		switch {
		case f != t:
			return f < t
		case clients:
			return clientsOf{x.a}.tie(from, to) < 0
		}
		return childrenOf{x.a, r}.tie(from, to) < 0
	}
	if clients {
		return comesBefore(from, to, clientsOf{x.a})
	}
	return comesBefore(from, to, childrenOf{x.a, r})
}

func comesBefore[R ranked](from, to int32, of R) bool {
	f, t := entry{of.rank(from), from, of.seq(from)}, entry{of.rank(to), to, of.seq(to)}
	return compareEntries(&f, &t, of) < 0
}

// time is how long a child waits for a slave under the Random policy.
func (x *explainer) time(r *role, h int32, s *slave, clients bool) uint64 {
	a := x.a
	draw := func(child uint64) uint64 { return minusLog2(mix64(a.cfg.Seed, a.runs, s.seq, child)) }
	switch {
	case clients:
		return draw(a.clients[h].framework.seq)
	case h == virtualLeaf:
		return draw(hashName(r.name + "/."))
	}
	return mulDiv(draw(hashName(a.roles[h].name)), defaultWeight, uint64(a.roles[h].weight))
}

// first returns the client that is given something of the slave before u, which would take some; nil if nobody is. After maxRivals looks nobody
// else is. And it tells whether who comes first does so because of a guarantee.
func (x *explainer) first(u *subject, s *slave) (first *client, guaranteed bool) {
	a := x.a
	promised := a.promises > 0 && !a.root.childRequire.zero()
	best, bestFirst := u.c, promised && x.takes(u, s, true)
	for _, c := range a.clients {
		if c == nil || !c.enabled || c == u.c {
			continue
		}
		ahead := x.before(c, best, s)
		if bestFirst && !ahead || !promised && !ahead {
			continue
		}
		if x.rivals++; x.rivals > maxRivals {
			break
		}
		rival := x.subject(c)
		switch {
		case promised && x.takes(rival, s, true):
			best, bestFirst = c, true
		case !bestFirst && ahead && x.takes(rival, s, false):
			best = c
		}
	}
	if best == u.c {
		return nil, bestFirst
	}
	return best, bestFirst
}

// rival says how q stands to c, and what it holds of a slave.
func (x *explainer) rival(c, q *client, s *slave) *Rival {
	a := x.a
	r, from, to, clients := sides(c, q)
	out := &Rival{Framework: q.framework.id, Role: q.role.name, Level: r.name, Later: !x.before(q, c, s), random: a.cfg.Policy == Random}
	if clients {
		out.Mine, out.Its = string(c.framework.id), string(q.framework.id)
		out.MyShare, out.ItsShare = millionths(a.share(c.held)), millionths(a.share(q.held))
	} else {
		of := childrenOf{a, r}
		out.Mine, out.Its = of.label(from), of.label(to)
		out.MyShare, out.ItsShare = millionths(of.rank(from).key), millionths(of.rank(to).key)
	}
	if out.random {
		out.MyShare, out.ItsShare = 0, 0
	}
	if i := a.holder(s, q.handle); i >= 0 {
		out.Resources = a.value(a.holding(s, i).lot())
	}
	return out
}

// millionths rounds to the nearest.
func millionths(share uint64) int64 {
	half := min(mulDiv(share, 2_000_000, 1<<shareBits), math.MaxInt64)
	return int64(half/2 + half%2)
}

// holder adds which other client holds most of what is missing on a slave.
func (x *explainer) holder(u *subject, s *slave, missing []amount) {
	a := x.a
	var most *client
	amount := int64(-1)
	for _, h := range a.words.words(s.held) {
		c := a.clients[holding(h).client()]
		if c == u.c {
			continue
		}
		sum := int64(0)
		for _, m := range missing {
			sum += a.lot(holding(h).lot()).all.at(m.kind)
		}
		if sum > amount {
			most, amount = c, sum
		}
	}
	if most == nil {
		return
	}
	r := x.rival(u.c, most, s)
	change := Change{} // whatever becomes free
	if !r.Later {
		change = x.overtake(u.c, most, false)
	}
	x.add(u, s, Finding{Cause: OthersTurn, Rival: r, Change: change}, most, -amount)
}

// overtake is what lets c come before q.
func (x *explainer) overtake(c, q *client, guaranteed bool) Change {
	a := x.a
	r, from, to, clients := sides(c, q)
	if clients || guaranteed || from == virtualLeaf || a.cfg.Policy == Random {
		return Change{Kind: AwaitTurn}
	}
	its := childrenOf{a, r}.rank(to).key
	n := a.roles[from]
	if its == 0 {
		return Change{Kind: AwaitTurn}
	}
	weight := mulDiv(a.share(n.held), defaultWeight, its)
	if weight >= uint64(MaxWeight) {
		return Change{Kind: AwaitTurn}
	}
	return Change{Kind: RaiseWeight, Role: n.name, From: resource.Scalar(n.weight), To: resource.Scalar(max(int64(weight), n.weight) + 1)}
}
