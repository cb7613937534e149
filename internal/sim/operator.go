package sim

import (
	"slices"
	"time"

	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// operator is whoever sets quotas and weights, drains slaves, and vouches for the end of machines.
type operator struct {
	w       *World
	token   uint64
	seen    uint64          // how much of the registry it has seen
	calls   map[uint64]call // looked up
	changed int64           // when a quota was last changed
	away    int64           // when somebody was last away
	looking bool
	limits  map[string]bool // roles whose quota was touched; looked up
	weights map[string]bool
}

// A call is one under way.
type call struct {
	reign *reign
	op    message.Operate
	write *registerOp // nil if it is none
}

// offerLife is longer than an offer lives.
const offerLife = 3 * time.Minute

var operatorRoles = []string{"a", "b", "c", "a/x", "*"}

// ask makes a call to the true leader.
func (o *operator) ask(op message.Operate) {
	r := o.w.log.leader
	if r == nil || r.m.paused {
		return
	}
	g := &o.w.history.registers
	view := r.core.View()
	for _, role := range operatorRoles { // whoever changes one looks at all
		g.readRole(view, role)
	}
	g.readSlave(r, view, op.Slave)
	o.w.history.read("op", &o.seen, r.m.state.View())
	o.token++
	o.calls[o.token] = call{r, op, g.asked(&op)}
	r.step(mastercore.Called{Token: o.token, Call: op})
}

// answered checks that what was answered with yes is in the registry of whoever answers (L4).
func (o *operator) answered(r *reign, e mastercore.Answer) {
	c, ok := o.calls[e.Token]
	if !ok || c.reign != r {
		o.w.violate("L4", "%s answers call %d, which nobody made", r.m.id, e.Token)
		return
	}
	delete(o.calls, e.Token)
	o.w.history.registers.done(c.write, e.Refusal != nil)
	if e.Refusal != nil {
		o.w.note("op", "is refused: %v", e.Refusal)
		return
	}
	v := r.m.state.View()
	switch c.op.Verb {
	case message.VerbMarkGone:
		if !v.Gone(c.op.Slave) {
			o.w.violate("L4", "%s says that %s is gone, and its registry does not", r.m.id, c.op.Slave)
		}
	case message.VerbTeardown:
		if !v.Removed(c.op.Framework) {
			o.w.violate("L4", "%s says that %s is torn down, and its registry does not", r.m.id, c.op.Framework)
		}
	case message.VerbDrain:
		r.watch.mustDrain(c.op.Slave)
	case message.VerbSetQuota:
		rec, ok := v.Role(c.op.Role)
		for _, other := range o.calls {
			if other.op.Verb == message.VerbSetQuota && other.op.Role == c.op.Role {
				return // the later one may be committed as well
			}
		}
		if ok != (len(c.op.Limit)+len(c.op.Guarantee) > 0 || ok && rec.Weight != registry.DefaultWeight) || ok && !rec.Limit.Equal(c.op.Limit) {
			o.w.violate("L4", "%s says that the quota of %s is set, and its registry does not", r.m.id, c.op.Role)
		}
	}
}

// act does one thing that operators do.
func (o *operator) act() {
	w := o.w
	if w.log.leader == nil {
		return
	}
	role := operatorRoles[w.random.IntN(len(operatorRoles))]
	s := w.anySlave()
	switch w.random.IntN(8) {
	case 0:
		o.weights[role] = true
		o.ask(message.Operate{Verb: message.VerbSetWeight, Role: role, Weight: resource.Scalar(500 + w.random.Int64N(4000))})
	case 1, 2:
		o.quota(role)
		if w.chance(0.3) { // somebody else has another idea at the same time
			w.after(w.between(0, 3*time.Second), func() {
				if w.log.leader != nil && !w.calm {
					o.quota(role)
				}
			})
		}
	case 3:
		grace := w.between(0, 30*time.Second)
		if w.chance(0.3) {
			grace = -1
		}
		o.ask(message.Operate{Verb: message.VerbDrain, Slave: s.sid, Drain: offer.Drain{MaxGrace: grace, MarkGone: w.chance(0.2)}})
		back := s.sid
		w.after(w.mostly(10*time.Second, 10*time.Minute), func() {
			if !w.calm {
				o.ask(message.Operate{Verb: message.VerbReactivate, Slave: back})
			}
		})
	case 4:
		verb := message.VerbDeactivate
		if w.chance(0.6) {
			verb = message.VerbReactivate
		}
		o.ask(message.Operate{Verb: verb, Slave: s.sid})
	case 5:
		if s.sid != "" && w.history.unreachable(s.sid) {
			o.ask(message.Operate{Verb: message.VerbMarkGone, Slave: s.sid})
		}
	case 6:
		if len(w.frameworks) == 0 || !w.chance(0.3) {
			return
		}
		f := w.frameworks[w.random.IntN(len(w.frameworks))]
		if f.outside() || f.fid == "" {
			return
		}
		w.history.torn[f.fid] = true
		if w.chance(0.5) {
			o.ask(message.Operate{Verb: message.VerbTeardown, Framework: f.fid})
		} else if f.alive {
			f.call(&message.Teardown{})
		}
	case 7:
		o.reserve(s)
	}
}

// quota sets, lowers or removes the quota of a role.
func (o *operator) quota(role string) {
	w := o.w
	o.changed = w.ns
	o.limits[role] = true
	o.look()
	limit := resource.Units(1 + w.random.Int64N(int64(2*len(w.slaves))))
	op := message.Operate{Verb: message.VerbSetQuota, Role: role}
	if w.chance(0.8) {
		op.Limit = resource.Quantities{{Name: resource.CPUs, Amount: limit}}
		if w.chance(0.4) {
			op.Guarantee = resource.Quantities{{Name: resource.CPUs, Amount: min(limit, resource.Units(2))}}
		}
		var used resource.Scalar
		for t := range w.log.leader.core.View().Tasks() {
			if t.Role == role || resource.IsDescendant(t.Role, role) {
				used += t.Resources.CPUs()
			}
		}
		if used > resource.Units(1) && w.chance(0.5) {
			limit = used / 2
			op.Limit[0].Amount, op.Guarantee = limit, nil
		}
		if used > limit {
			w.states.reach(StateQuotaLowered)
		}
	}
	o.ask(op)
}

// reserve makes a reservation for a role; whoever is offered it gives it back.
func (o *operator) reserve(s *slave) {
	rs, err := resource.Must("disk:32").Reserve(resource.Reservation{Type: resource.Dynamic, Role: "a"})
	if err != nil {
		o.w.violate("sim", "reserve: %v", err)
		return
	}
	verb := message.VerbReserve
	if o.w.chance(0.5) {
		verb = message.VerbUnreserve
	}
	o.ask(message.Operate{Verb: verb, Slave: s.sid, Resources: rs})
}

// touched reports whether anybody has set the quota of a role, or of one above it.
func (o *operator) touched(role string) bool {
	return o.limits[role] || slices.ContainsFunc(resource.RoleAncestors(role), func(r string) bool { return o.limits[r] })
}

// look begins to keep an eye on who is away, which matters where there are limits.
func (o *operator) look() {
	if o.looking {
		return
	}
	o.looking = true
	o.away = o.w.ns
	var watch func()
	watch = func() {
		if r := o.w.log.leader; r == nil {
			o.away = o.w.ns
		} else if s := r.core.View().Summary(); s.Recovering > 0 || s.Silent > 0 || s.QuotaHeld || s.Admitted < len(o.w.slaves) {
			o.away = o.w.ns
		}
		o.w.after(5*time.Second, watch)
	}
	watch()
}

func (o *operator) lastAway(r *reign) int64 {
	if o.w.log.leader != r {
		return o.w.ns
	}
	return o.away
}

// tidy is what an operator does when it is calm: quotas are lifted, and slaves are looked after.
func (o *operator) tidy() {
	w := o.w
	r := w.log.leader
	if r == nil {
		return
	}
	for _, role := range operatorRoles {
		if rec, ok := r.m.state.View().Role(role); ok && len(rec.Limit)+len(rec.Guarantee) > 0 {
			o.changed = w.ns
			o.ask(message.Operate{Verb: message.VerbSetQuota, Role: role})
		}
	}
	o.vouch()
}

// vouch lets slaves take part again, and marks those gone that no machine is any more, because they lost their identity before it was on disk.
func (o *operator) vouch() {
	w := o.w
	r := w.log.leader
	if r == nil {
		return
	}
	held := map[offer.SlaveID]bool{} // looked up
	for _, s := range w.slaves {
		held[s.sid] = true
	}
	var calls []message.Operate
	for s := range r.core.View().Slaves() {
		switch {
		case s.State == mastercore.SlaveUnreachable && !held[s.ID]:
			w.note("op", "marks %s gone", s.ID)
			w.counts.MarkedGone++
			calls = append(calls, message.Operate{Verb: message.VerbMarkGone, Slave: s.ID})
		case !s.Active && s.State != mastercore.SlaveGone && held[s.ID] && (s.Drain == nil || !s.Drain.MarkGone):
			calls = append(calls, message.Operate{Verb: message.VerbReactivate, Slave: s.ID})
		}
	}
	for _, op := range calls {
		o.ask(op)
	}
}
