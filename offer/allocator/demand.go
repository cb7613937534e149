package allocator

import (
	"cmp"
	"slices"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// requested is Requested.
func (a *Hierarchical) requested(ev Requested) {
	c := a.findClient(ev.Framework, ev.Role)
	if c == nil || !c.subscribed {
		return
	}
	a.setNeeds(c, ev.Needs)
	a.wakeClient(c)
}

// setNeeds replaces the needs of a client, and what follows from them.
func (a *Hierarchical) setNeeds(c *client, needs []resource.Quantities) {
	if had := len(c.needs) > 0; had != (len(needs) > 0) {
		if had {
			a.needy = slices.DeleteFunc(a.needy, func(h int32) bool { return h == c.handle })
		} else {
			a.needy = append(a.needy, c.handle)
		}
	}
	c.wants = slices.Clone(needs)
	c.needs = a.compileSets(c.wants)
	a.judgeScarce(c)
}

// judgeScarce computes what scarce kinds a client has asked for.
func (a *Hierarchical) judgeScarce(c *client) {
	c.asked = 0
	for i, name := range a.scarce {
		has := name == resource.GPUs && c.framework.caps.Has(offer.GPUResources)
		for _, q := range c.wants {
			has = has || q.Get(name) > 0
		}
		if has {
			c.asked |= 1 << i
		}
	}
}

// scarceOf returns the scarce kinds that a slave has any of.
func (a *Hierarchical) scarceOf(total resource.Resources) (set uint64) {
	for i, name := range a.scarce {
		if total.Scalar(name) > 0 {
			set |= 1 << i
		}
	}
	return set
}

// scarceNames returns what is scarce: GPUs unless they are for all, and what the configuration names.
func scarceNames(cfg *Config) []string {
	var out []string
	if !cfg.GPUsToAll {
		out = append(out, resource.GPUs)
	}
	for _, name := range cfg.Scarce {
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// compileSets makes a framework's sets ready for comparison. A name that no slave has had so far is looked up again when one brings new names,
// so that frameworks cannot use the names up.
func (a *Hierarchical) compileSets(sets []resource.Quantities) []minSet {
	out := make([]minSet, 0, len(sets))
	for _, q := range sets {
		var set minSet
		for i := range q {
			k, ok := a.kinds.index[q[i].Name]
			if !ok {
				k = -1
				a.unresolved = true
			}
			set = append(set, amount{k, int64(q[i].Amount)})
		}
		out = append(out, set)
	}
	return out
}

// resolve compiles again what names kinds that were unknown, if there are new kinds.
func (a *Hierarchical) resolve() {
	if !a.unresolved || a.resolvedAt == len(a.kinds.names) {
		return
	}
	a.unresolved, a.resolvedAt = false, len(a.kinds.names)
	for _, c := range a.clients {
		if c == nil {
			continue
		}
		c.needs = a.compileSets(c.wants)
		if c.ownMin != nil {
			a.setMin(c, a.compileSets(c.ownMin))
		}
	}
}

// demanded collects what those who take part say they need, each set once.
func (a *Hierarchical) demanded() []minSet {
	out := a.run.demand[:0]
	for _, h := range a.needy {
		if c := a.clients[h]; c.enabled {
			out = append(out, c.needs...)
		}
	}
	slices.SortFunc(out, compareSets)
	return slices.CompactFunc(out, func(s, t minSet) bool { return compareSets(s, t) == 0 })
}

func compareSets(s, t minSet) int {
	return slices.CompareFunc(s, t, func(m, n amount) int { return cmp.Or(cmp.Compare(m.kind, n.kind), cmp.Compare(m.min, n.min)) })
}

// unfit reports whether a slave has free nothing that somebody needs, while there are needs.
func (a *Hierarchical) unfit(s *slave) bool {
	if len(a.run.demand) == 0 {
		return false
	}
	return !allocatable(a.run.demand, a.lot(s.free).all)
}
