package refalloc

import (
	"fmt"
	"slices"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
	"github.com/meros-project/meros/offer/resource"
)

// Validate returns why an event is refused; see allocator.Allocator.
func (a *Allocator) Validate(ev allocator.Event) error {
	switch ev := ev.(type) {
	case allocator.SlaveAdded:
		if ev.Slave.ID == "" {
			return fmt.Errorf("slave id %q: must not be empty", ev.Slave.ID)
		}
		for _, used := range ev.Used {
			if err := validateUsed(used); err != nil {
				return err
			}
		}
	case allocator.FrameworkAdded:
		return validateFramework(ev.Framework)
	case allocator.FrameworkUpdated:
		return validateFramework(ev.Framework)
	case allocator.Used:
		return validateUsed(ev.Allotment)
	case allocator.SlaveUnavailable:
		if ev.Unavailability != nil && ev.Unavailability.Duration < 0 {
			return fmt.Errorf("unavailability duration %s: must not be negative", ev.Unavailability.Duration)
		}
	case allocator.Whitelist:
		if ev.All && len(ev.Hosts) > 0 || len(ev.Hosts) > allocator.MaxHosts || slices.Contains(ev.Hosts, "") {
			return fmt.Errorf("whitelist of %d hosts, all %t: must be all or at most %d hosts with a name", len(ev.Hosts), ev.All, allocator.MaxHosts)
		}
	case allocator.Suppressed:
		return a.validateRoles(ev.Framework, ev.Roles)
	case allocator.Revived:
		return a.validateRoles(ev.Framework, ev.Roles)
	case allocator.Requested:
		if len(ev.Needs) > allocator.MaxNeeds {
			return fmt.Errorf("needs: %d of them (allowed: at most %d)", len(ev.Needs), allocator.MaxNeeds)
		}
		for _, q := range ev.Needs {
			if err := validateQuantities("needs", q); err != nil {
				return err
			}
		}
		return a.validateRoles(ev.Framework, []string{ev.Role})
	case allocator.RoleSet:
		return a.validateRole(ev)
	}
	return nil
}

func validateUsed(al allocator.Allotment) error {
	if al.Framework == "" {
		return fmt.Errorf("used: framework id %q: must not be empty", al.Framework)
	}
	return resource.ValidateRole(al.Role)
}

func validateFramework(f offer.Framework) error {
	if f.ID == "" {
		return fmt.Errorf("framework id %q: must not be empty", f.ID)
	}
	for _, role := range f.Roles {
		if err := resource.ValidateRole(role); err != nil {
			return err
		}
		for _, q := range f.MinAllocatable[role] {
			if err := validateQuantities("min allocatable", q); err != nil {
				return err
			}
		}
	}
	return offer.ValidateConstraints(f.Constraints, rolesOf(f))
}

// rolesOf returns the roles of a framework that names some, or none.
func rolesOf(f offer.Framework) []string {
	if len(f.Roles) == 0 {
		return []string{resource.AnyRole}
	}
	return f.Roles
}

// validateRoles refuses roles that a framework, if it is known, does not subscribe to.
func (a *Allocator) validateRoles(id offer.FrameworkID, roles []string) error {
	if f := a.frameworks[id]; f != nil && f.known {
		for _, role := range roles {
			if c := f.roles[role]; c == nil || !c.subscribed {
				return fmt.Errorf("role %q: is not among those of framework %q", role, id)
			}
		}
	}
	return nil
}

func validateQuantities(field string, q resource.Quantities) error {
	seen := map[string]bool{}
	for _, x := range q {
		if err := resource.ValidateName(x.Name); err != nil {
			return err
		}
		if x.Amount < 0 || x.Amount > resource.MaxScalar || seen[x.Name] || len(q) > 64 {
			return fmt.Errorf("%s %s:%s: must be listed once, among 64, and between 0 and %s", field, x.Name, x.Amount, resource.MaxScalar)
		}
		seen[x.Name] = true
	}
	return nil
}

func (a *Allocator) validateRole(ev allocator.RoleSet) error {
	if err := resource.ValidateRole(ev.Role); err != nil {
		return err
	}
	if ev.Weight < 0 || ev.Weight > allocator.MaxWeight {
		return fmt.Errorf("weight %s: must be between 0 and %s", ev.Weight, allocator.MaxWeight)
	}
	for _, q := range []resource.Quantities{ev.Guarantee, ev.Limit} {
		if err := validateQuantities("quota", q); err != nil {
			return err
		}
	}
	for _, limit := range ev.Limit {
		if g := ev.Guarantee.Get(limit.Name); g > limit.Amount {
			return fmt.Errorf("guarantee %s:%s: must not be over its limit of %s", limit.Name, g, limit.Amount)
		}
	}
	if ev.Force {
		return nil
	}
	a.tally()
	if r := a.roles[ev.Role]; r != nil {
		for _, limit := range ev.Limit {
			if has := r.consumed[limit.Name]; has > int64(limit.Amount) {
				return fmt.Errorf("limit %s:%s: must not be under the %s that it consumes", limit.Name, limit.Amount, resource.Scalar(has))
			}
		}
	}
	return a.validateGuarantee(ev)
}

// validateGuarantee sets the quota for a moment, to see whether all guarantees are within those above, the limits and the cluster.
func (a *Allocator) validateGuarantee(ev allocator.RoleSet) error {
	r := a.role(ev.Role)
	old, limit := r.guarantee, r.limit
	r.guarantee, r.limit = ev.Guarantee, ev.Limit
	defer func() {
		r.guarantee, r.limit = old, limit
		a.prune(r)
	}()
	for _, q := range slices.Concat(old, ev.Guarantee, ev.Limit) {
		name := q.Name
		for n := r; n != nil; n = n.parent {
			for _, l := range n.limit {
				if all := promised([]*role{n}, name); l.Name == name && all > int64(l.Amount) {
					return fmt.Errorf("limit of %s of role %s: must not be under the %s promised to it and below", name, n.name, resource.Scalar(all))
				}
			}
			if own, below := int64(n.guarantee.Get(name)), promised(n.children, name); own > 0 && below > own {
				return fmt.Errorf("guarantee of %s of role %s: must not be under the %s of the roles below", name, n.name, resource.Scalar(below))
			}
		}
		if all := promised(a.top, name); ev.Guarantee.Get(name) > 0 && all > a.total[name] {
			return fmt.Errorf("guarantee of %s of role %s: must not have all, %s, be over the cluster's", name, r.name, resource.Scalar(all))
		}
	}
	return nil
}

// promised returns how much of a kind is guaranteed to roles; one with less than those below it, or none, counts as they do.
func promised(roles []*role, name string) int64 {
	sum := int64(0)
	for _, r := range roles {
		sum += max(int64(r.guarantee.Get(name)), promised(r.children, name))
	}
	return sum
}
