package mastercore

import (
	"slices"

	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/offer/allocator"
	"github.com/meros-project/meros/offer/resource"
)

// sorted returns a sorted copy without repeats; nil for nothing.
func sorted(list []string) []string {
	if len(list) == 0 {
		return nil
	}
	out := slices.Clone(list)
	slices.Sort(out)
	return slices.Compact(out)
}

func union(a, b []string) []string { return sorted(append(slices.Clone(a), b...)) }

// without returns a, which is sorted, less what is in b, which is sorted.
func without(a, b []string) (out []string) {
	for _, s := range a {
		if _, found := slices.BinarySearch(b, s); !found {
			out = append(out, s)
		}
	}
	return out
}

// hasQuota reports whether a role, or one above it, has a guarantee or a limit.
func (c *Core) hasQuota(role string) bool {
	quota := func(name string) bool {
		r, ok := c.roles.Get(name)
		return ok && (len(r.Guarantee) > 0 || len(r.Limit) > 0)
	}
	return quota(role) || slices.ContainsFunc(resource.RoleAncestors(role), quota)
}

// holdQuotaRoles keeps offers from a framework's roles with a quota for as long as too few slaves are back: what they use already is not
// known yet (R8).
func (c *Core) holdQuotaRoles(f *framework) {
	f.held = nil
	if !c.quotaHeld {
		return
	}
	for _, role := range f.info.Roles {
		if c.hasQuota(role) {
			f.held = append(f.held, role)
		}
	}
	f.held = sorted(f.held)
	if len(f.held) > 0 {
		c.apply(allocator.Suppressed{Framework: f.info.ID, Roles: f.held})
	}
}

// checkQuotaHold ends the hold once enough of the slaves known at the beginning of the reign are back, or their time is over.
func (c *Core) checkQuotaHold() {
	back := c.counts.atStart - c.counts.recovering
	if !c.quotaHeld || back*100 < c.counts.atStart*c.cfg.QuotaPercent && c.tick < moment(c.cfg.ReregisterTimeout) {
		return
	}
	c.quotaHeld = false
	c.note(Note{Event: "quota released"})
	for n := uint32(1); n <= c.maxFramework; n++ {
		f := c.frameworks.get(n)
		if f == nil || len(f.held) == 0 || f.state != frameworkLive {
			continue
		}
		f = c.frameworks.mut(n)
		open := without(f.held, f.suppressed)
		f.held = nil
		if len(open) > 0 {
			c.apply(allocator.Revived{Framework: f.info.ID, Roles: open})
		}
	}
}

// setRole takes over a role's new record and tells the allocator. Outstanding offers of the role are rescinded when its limit changes,
// so that accepting all that remain keeps it (R8).
func (c *Core) setRole(r registry.RoleRecord, quota bool) {
	next := r
	if next.Weight == registry.DefaultWeight && len(next.Guarantee) == 0 && len(next.Limit) == 0 {
		c.roles.Delete(r.Role)
	} else {
		c.roles.Set(r.Role, &next)
	}
	if quota {
		c.rescindRole(r.Role)
	}
	c.apply(allocator.RoleSet{Role: r.Role, Weight: r.Weight, Guarantee: r.Guarantee, Limit: r.Limit, Force: true})
	if !quota || !c.quotaHeld {
		return
	}
	for n := uint32(1); n <= c.maxFramework; n++ {
		if f := c.frameworks.get(n); f != nil && f.state == frameworkLive {
			f = c.frameworks.mut(n)
			was := f.held
			c.holdQuotaRoles(f)
			if open := without(without(was, f.held), f.suppressed); len(open) > 0 { // their quota is gone, and the hold with it
				c.apply(allocator.Revived{Framework: f.info.ID, Roles: open})
			}
		}
	}
}
