package allocator

import (
	"cmp"
	"slices"
	"time"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// explainSlave adds the findings about one client and one slave.
func (x *explainer) explainSlave(u *subject, s *slave) {
	before := x.found
	x.gates(u, s)
	v := x.look(u, s, false)
	what := v.view.res
	fits := !v.empty && allocatable(u.min, v.got.qty) && allocatable(u.needs, v.got.qty)
	if fits {
		what = v.got.res
	} else {
		x.lack(u, s, &v)
	}
	if until, refused := x.covering(u, s, what); until != never && len(what) > 0 {
		x.add(u, s, Finding{Cause: Filtered, Resources: refused, Wait: time.Duration(until - x.now),
			Change: Change{Kind: WaitOrRevive, Role: u.c.role.name, Wait: time.Duration(until - x.now)}}, nil, until-x.now)
	}
	if x.found > before || u.blocked {
		return
	}
	q, guaranteed := x.first(u, s)
	if q == nil {
		if guaranteed { // first what is missing of its guarantee, then the rest if nobody else comes before
			v = x.look(u, s, true)
			what = v.got.res
		}
		x.add(u, s, Finding{Cause: NextRun, Resources: what}, nil, 0)
		return
	}
	r := x.rival(u.c, q, s)
	r.Resources, r.guaranteed = nil, guaranteed
	x.add(u, s, Finding{Cause: OthersTurn, Rival: r, Change: x.overtake(u.c, q, guaranteed)}, q, 0)
}

// gates adds what keeps a client from a slave whatever that has free.
func (x *explainer) gates(u *subject, s *slave) {
	a, c := x.a, u.c
	if !s.on {
		x.add(u, s, Finding{Cause: SlaveInactive, Change: Change{Kind: ActivateSlave, Slave: s.id}}, nil, 0)
	}
	if !a.listed(s) {
		x.add(u, s, Finding{Cause: NotListed, Of: s.hostname, Change: Change{Kind: ListHost, Host: s.hostname}}, nil, 0)
	}
	switch pass, known := x.meets(c, s); {
	case !known:
		x.add(u, s, Finding{Cause: NotCompared, Change: Change{Kind: AwaitTurn}}, nil, 0)
	case !pass:
		f := Finding{Cause: Constrained, Change: Change{Kind: RelaxConstraint, Role: c.role.name}}
		failed := int64(0)
		if x.compared < maxCompared {
			x.compared++
			miss, _ := c.constraint.rules.Nearest(described(s))
			f.Miss, failed = &miss, int64(miss.Failed)
		}
		x.add(u, s, f, nil, failed)
	}
	for i, name := range a.scarce {
		if (a.lot(s.total).scarce&^c.asked)>>i&1 != 0 {
			x.add(u, s, Finding{Cause: ScarceKind, Of: name, Change: Change{Kind: AskFor, Role: c.role.name, Name: name}}, nil, 0)
		}
	}
	if s.remote && c.framework.caps&offer.RegionAware == 0 {
		x.add(u, s, Finding{Cause: Remote, Of: s.domain.Region, Capability: offer.RegionAware,
			Change: Change{Kind: AddCapability, Capability: offer.RegionAware}}, nil, 0)
	}
}

// lack adds why what a slave has free for a client is not worth an offer to it.
func (x *explainer) lack(u *subject, s *slave, v *look) {
	f, sets := Finding{Cause: BelowMinimum}, u.min
	if v.view.enough(u.min) {
		if v.view.enough(u.needs) {
			x.lacksRoom(u, s, v)
			return
		}
		f.Cause, sets = NotNeeded, u.needs
	}
	all := stock{x.a.value(s.total), x.a.lot(s.total).all}
	total := x.visible(u, s, all)
	inOpen, inTotal := v.open.enough(sets), total.enough(sets)
	within := all.qty
	if inOpen {
		within = v.open.qty
	} else if inTotal {
		within = total.qty
	}
	set := nearest(sets, v.view.qty, within)
	missing := lacking(sets, set, v.view.qty)
	if x.holds(u, s, v, sets, &total) {
		return
	}
	switch {
	case inOpen && x.hidden(u, s, &v.open, missing, v.view.qty):
	case inTotal:
		for _, m := range missing {
			g := x.missing(u, s, f, set, m, v, &total)
			g.Change = Change{Kind: FreeOn, Slave: s.id, Name: g.Name, Amount: g.Want - g.Have}
			x.add(u, s, g, nil, int64(g.Change.Amount))
		}
		if len(missing) == 0 {
			f.Change = Change{Kind: FreeOn, Slave: s.id}
			x.add(u, s, f, nil, 0)
		}
		x.holder(u, s, missing)
	case all.enough(sets) && x.hidden(u, s, &all, missing, v.view.qty):
	default:
		for _, m := range missing {
			g := x.missing(u, s, f, set, m, v, &total)
			g.Change = Change{Kind: AskLess, Role: u.c.role.name, Name: g.Name, Amount: g.Total}
			x.add(u, s, g, nil, int64(g.Want-g.Total))
		}
		if len(missing) == 0 {
			f.Change = Change{Kind: AddSlave}
			x.add(u, s, f, nil, 0)
		}
	}
}

// missing completes a finding about an amount of a set.
func (x *explainer) missing(u *subject, s *slave, f Finding, set int, m amount, v *look, total *stock) Finding {
	f.Set = u.quantities(x.a, f.Cause, set)
	f.Name = x.name(m, f.Set)
	f.Want, f.Have, f.Total = resource.Scalar(m.min), resource.Scalar(v.view.qty.at(m.kind)), resource.Scalar(total.qty.at(m.kind))
	return f
}

// name returns the name of an amount's kind. One that no slave has had is the one of the set that has no number.
func (x *explainer) name(m amount, set resource.Quantities) string {
	if m.kind >= 0 {
		return x.a.kinds.names[m.kind]
	}
	i := slices.IndexFunc(set, func(q resource.Quantity) bool { return x.kind(q.Name) < 0 })
	return set[i].Name
}

// quantities returns a set as it was given.
func (u *subject) quantities(a *Hierarchical, cause Cause, set int) resource.Quantities {
	switch {
	case cause == NotNeeded:
		return u.c.wants[set]
	case u.c.ownMin != nil:
		return u.c.ownMin[set]
	}
	return a.cfg.MinAllocatable[set]
}

// nearest returns the set of which least is missing in v, in proportion, of those that are in another vector if any is; -1 if there is no set.
func nearest(sets []minSet, v, within vec) int {
	best, least := -1, uint64(0)
	for i, set := range sets {
		worst := uint64(flag(!allocatable(sets[i:i+1], within))) << 32
		for _, m := range set {
			if lack := m.min - v.at(m.kind); lack > 0 {
				worst = worst>>32<<32 | max(worst&(1<<32-1), mulDiv(uint64(lack), 1<<20, uint64(m.min)))
			}
		}
		if best < 0 || worst < least {
			best, least = i, worst
		}
	}
	return best
}

// lacking returns the amounts of a set that are not in v.
func lacking(sets []minSet, set int, v vec) (out []amount) {
	if set < 0 {
		return nil
	}
	for _, m := range sets[set] {
		if v.at(m.kind) < m.min {
			out = append(out, m)
		}
	}
	return out
}

// holds adds that the client itself holds what is missing. It reports whether nobody else does, or offers of it are known to be outstanding.
func (x *explainer) holds(u *subject, s *slave, v *look, sets []minSet, total *stock) bool {
	a := x.a
	i := a.holder(s, u.c.handle)
	if i < 0 {
		return false
	}
	mine := a.value(a.holding(s, i).lot())
	own := x.scalars(mine)
	both := slices.Clone(v.view.qty)
	both.addVec(own, 1)
	if !allocatable(sets, both) {
		return false
	}
	f := Finding{Cause: Holding, Resources: mine}
	for _, n := range s.unanswered {
		if n.framework == u.c.framework && n.role == u.c.role.name {
			f.Offers = n.offers
		}
	}
	x.add(u, s, f, nil, 0)
	others := slices.Clone(total.qty)
	others.addVec(own, -1)
	return f.Offers > 0 || len(a.words.words(s.held)) == 1 || !allocatable(sets, others)
}

// hidden adds for whom or for what capability those entries are of which something is missing. It reports whether there are any.
func (x *explainer) hidden(u *subject, s *slave, from *stock, missing []amount, have vec) bool {
	found := x.found
	for i := range from.res {
		e := &from.res[i]
		at := slices.IndexFunc(missing, func(m amount) bool { return e.Type == resource.ScalarType && m.kind == x.kind(e.Name) })
		if len(missing) > 0 && at < 0 {
			continue
		}
		f := Finding{Name: e.Name, Resources: resource.Resources{*e}, Want: 1}
		if at >= 0 {
			f.Want, f.Have = resource.Scalar(missing[at].min), resource.Scalar(have.at(missing[at].kind))
		}
		if need := u.hides(e); !u.mayHave(e) {
			f.Cause, f.Of = Reserved, ownerOf(e)
			f.Change = Change{Kind: Subscribe, Role: f.Of}
			if u.mayHaveUnreserved(e) {
				f.Change = Change{Kind: Unreserve, Role: f.Of, Slave: s.id, Name: e.Name, Amount: min(e.Scalar, f.Want-f.Have)}
			}
		} else if need != 0 {
			f.Cause, f.Capability = Hidden, need
			f.Change = Change{Kind: AddCapability, Capability: need}
		} else {
			continue
		}
		x.add(u, s, f, nil, int64(f.Want-f.Have))
	}
	return x.found > found
}

// mayHaveUnreserved reports whether it is enough for a client that an operator undoes the last reservation of an entry.
func (u *subject) mayHaveUnreserved(e *resource.Resource) bool {
	n := len(e.Reservations) - 1
	if e.Type != resource.ScalarType || e.Volume != nil || e.Reservations[n].Type != resource.Dynamic {
		return false
	}
	rest := *e
	rest.Reservations = e.Reservations[:n]
	return u.mayHave(&rest) && u.hides(&rest) == 0
}

// lacksRoom adds the limits and the guarantees that cut what a client would be offered to less than is worth an offer: each of them that would
// do so alone.
func (x *explainer) lacksRoom(u *subject, s *slave, v *look) {
	target := x.target(u, v)
	found := x.found
	for _, m := range target {
		for j, n := range u.path {
			left, limited := n.left(m.kind)
			need := x.room(u, v, m, j+1)
			if !limited || need <= left {
				continue
			}
			limit, used := resource.Scalar(n.limit[m.kind]), resource.Scalar(n.consumed.at(m.kind))
			name := x.a.kinds.names[m.kind]
			x.add(u, s, Finding{Cause: OverLimit, Of: n.name, Name: name, Limit: limit, Consumed: used, Want: resource.Scalar(need),
				Have:   resource.Scalar(max(0, left)),
				Change: Change{Kind: RaiseLimit, Role: n.name, Name: name, From: limit, To: used + resource.Scalar(need)}}, nil, need-left)
		}
		bound, need := u.relief.at(m.kind)+x.a.surplus(m.kind), x.room(u, v, m, len(u.path))
		if x.a.promises == 0 || need <= bound {
			continue
		}
		name, lack := x.a.kinds.names[m.kind], need-u.relief.at(m.kind)-(x.a.available.at(m.kind)-x.a.root.childRequire.at(m.kind))
		x.add(u, s, Finding{Cause: KeptBack, Name: name, Want: resource.Scalar(need), Have: resource.Scalar(bound), Promises: x.promises(u, m.kind),
			Change: Change{Kind: FreeAnywhere, Name: name, Amount: resource.Scalar(lack)}}, nil, lack)
	}
	if x.found == found { // several together: whatever was cut is as near as it gets
		x.add(u, s, Finding{Cause: BelowMinimum, Change: Change{Kind: FreeOn, Slave: s.id}}, nil, 0)
	}
}

// target returns what is missing of the set, or of the sets of minimum and needs together, that what was cut comes nearest to.
func (x *explainer) target(u *subject, v *look) []amount {
	var sets []minSet
	for _, m := range slices.Concat(u.min, make([]minSet, flag(len(u.min) == 0))) {
		for _, d := range slices.Concat(u.needs, make([]minSet, flag(len(u.needs) == 0))) {
			if set := slices.Concat(m, d); allocatable([]minSet{set}, v.part.qty) {
				sets = append(sets, set)
			}
		}
	}
	missing := lacking(sets, nearest(sets, v.got.qty, v.part.qty), v.got.qty)
	if len(missing) == 0 {
		for i, n := range v.amounts {
			if n == 0 {
				return []amount{{x.kind(v.part.res[i].Name), 1}} // anything would do
			}
		}
	}
	slices.SortFunc(missing, func(m, n amount) int { return cmp.Or(cmp.Compare(m.kind, n.kind), cmp.Compare(n.min, m.min)) })
	return slices.CompactFunc(missing, func(m, n amount) bool { return m.kind == n.kind })
}

// room returns how much of a kind must fit below a bound, so that an amount of it is offered: what is reserved to a role of the path before
// from is not bound, and entries come in the order of cut.
func (x *explainer) room(u *subject, v *look, m amount, from int) int64 {
	lack, need := m.min, int64(0)
	for below := -1; below <= len(u.path); below++ {
		for i := range v.part.res {
			e := &v.part.res[i]
			if e.Type != resource.ScalarType || x.kind(e.Name) != m.kind || lack <= 0 {
				continue
			}
			level := u.level(e)
			if e.Revocable {
				level = -1
			}
			switch {
			case level != below:
			case level < from:
				lack -= int64(e.Scalar)
			default:
				take := min(lack, int64(e.Scalar))
				if e.Volume != nil || e.Shared {
					take = int64(e.Scalar)
				} else if m.kind == gpuKind {
					take = min((take+999)/1000*1000, int64(e.Scalar))
				}
				lack, need = lack-take, need+take
			}
		}
	}
	return need
}

// promises returns the guarantees of a kind that are not met, those first of which most is missing, without those of the client's own roles.
func (x *explainer) promises(u *subject, k int) []Promise {
	key := x.a.kinds.names[k] + " " + u.c.role.name
	if list, ok := x.promised[key]; ok {
		return list
	}
	var list []Promise
	for _, r := range x.a.rolesByName() {
		if r.guarantee.at(k) > r.consumed.at(k) && !slices.Contains(u.path, r) {
			list = append(list, Promise{r.name, resource.Scalar(r.guarantee.at(k)), resource.Scalar(r.consumed.at(k))})
		}
	}
	slices.SortStableFunc(list, func(p, q Promise) int { return cmp.Compare(q.Guarantee-q.Consumed, p.Guarantee-p.Consumed) })
	list = slices.Clip(list[:min(len(list), maxNamed)])
	if x.promised == nil {
		x.promised = map[string][]Promise{}
	}
	x.promised[key] = list
	return list
}
