package allocator

import (
	"fmt"
	"slices"

	"github.com/meros-project/meros/offer"
)

// checkTerms is the part of Check about who takes part at all: the whitelist, outstanding offers, needs, and constraints with their verdicts.
func (a *Hierarchical) checkTerms() error {
	outstanding := map[*framework]int{}
	slaves := make([]int, len(a.classes.list))
	for _, s := range a.slavesByID() {
		if want := s.on && a.listed(s); s.active != want {
			return fmt.Errorf("slave %s: takes part is %t, must be %t", s.id, s.active, want)
		}
		for _, u := range s.unanswered {
			outstanding[u.framework] += u.offers
		}
		if s.class != none {
			if slaves[s.class]++; a.classes.list[s.class].key != classKey(s) {
				return fmt.Errorf("slave %s: is in class %d, of others", s.id, s.class)
			}
		}
		for _, c := range a.classes.constrained {
			if err := a.checkVerdict(c, s); err != nil {
				return err
			}
		}
	}
	for id, n := range slaves {
		if a.classes.list[id].slaves != n {
			return fmt.Errorf("class %d of slaves: has %d, counted are %d", id, n, a.classes.list[id].slaves)
		}
	}
	for _, c := range a.clientsByName() {
		if f := c.framework; f.outstanding != outstanding[f] || f.bound && f.outstanding < a.cfg.MaxOutstanding {
			return fmt.Errorf("framework %s: %d offers are outstanding (bound %t), must be %d", f.id, f.outstanding, f.bound, outstanding[f])
		}
		if in := slices.Contains(a.needy, c.handle); in != (len(c.needs) > 0) || len(c.needs) != len(c.wants) {
			return fmt.Errorf("framework %s in role %s: has %d needs of %d, among the needy is %t", c.framework.id, c.role.name, len(c.needs), len(c.wants), in)
		}
		if in := slices.Contains(a.classes.constrained, c); in != (c.constraint != nil) {
			return fmt.Errorf("framework %s in role %s: among the constrained is %t", c.framework.id, c.role.name, in)
		}
	}
	return nil
}

// checkVerdict compares a verdict that is kept with a new one.
func (a *Hierarchical) checkVerdict(c *client, s *slave) error {
	x, key := c.constraint, s.handle
	if !x.rules.ByHostname() {
		key = s.class
	}
	if key == none || !x.known.has(key) {
		return nil
	}
	if want := x.rules.Pass(&offer.Slave{Hostname: s.hostname, Domain: s.domain, Attributes: s.attributes}); x.pass.has(key) != want {
		return fmt.Errorf("framework %s in role %s: slave %s passes its constraints is %t, must be %t", c.framework.id, c.role.name, s.id, !want, want)
	}
	return nil
}
