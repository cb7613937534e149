package allocator

import (
	"fmt"
	"slices"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// Validate says whether Apply would refuse an event now, and why; see Allocator.
func (a *Hierarchical) Validate(ev Event) error {
	switch ev := ev.(type) {
	case SlaveAdded:
		if ev.Slave.ID == "" {
			return fmt.Errorf("slave id %q: must not be empty", ev.Slave.ID)
		}
		for i := range ev.Used {
			if err := a.validateUsed(&ev.Used[i]); err != nil {
				return err
			}
		}
	case FrameworkAdded:
		return validateFramework(&ev.Framework)
	case FrameworkUpdated:
		return validateFramework(&ev.Framework)
	case Used:
		return a.validateUsed(&ev.Allotment)
	case SlaveUnavailable:
		if u := ev.Unavailability; u != nil && u.Duration < 0 {
			return fmt.Errorf("unavailability duration %s: must not be negative", u.Duration)
		}
	case Whitelist:
		return validateWhitelist(ev)
	case Suppressed:
		return a.validateRoles("suppressed", ev.Framework, ev.Roles)
	case Revived:
		return a.validateRoles("revived", ev.Framework, ev.Roles)
	case Requested:
		return a.validateRequested(ev)
	case RoleSet:
		return a.validateRole(ev)
	}
	return nil
}

func (a *Hierarchical) validateUsed(al *Allotment) error {
	if al.Framework == "" {
		return fmt.Errorf("used: framework id %q: must not be empty", al.Framework)
	}
	if a.roleIndex[al.Role] != nil {
		return nil
	}
	if err := resource.ValidateRole(al.Role); err != nil {
		return fmt.Errorf("used by framework %.64q: %w", al.Framework, err)
	}
	return nil
}

func validateFramework(f *offer.Framework) error {
	if f.ID == "" {
		return fmt.Errorf("framework id %q: must not be empty", f.ID)
	}
	for _, role := range f.Roles {
		if err := resource.ValidateRole(role); err != nil {
			return fmt.Errorf("framework %.64q: %w", f.ID, err)
		}
		for _, q := range f.MinAllocatable[role] {
			if err := validateQuantities("min allocatable of role "+role, q); err != nil {
				return fmt.Errorf("framework %.64q: %w", f.ID, err)
			}
		}
	}
	if err := offer.ValidateConstraints(f.Constraints, subscribed(f.Roles)); err != nil {
		return fmt.Errorf("framework %.64q: %w", f.ID, err)
	}
	return nil
}

// subscribed returns the roles of a framework that names some, or none.
func subscribed(roles []string) []string {
	if len(roles) == 0 {
		return []string{resource.AnyRole}
	}
	return roles
}

func validateWhitelist(ev Whitelist) error {
	if ev.All && len(ev.Hosts) > 0 {
		return fmt.Errorf("whitelist: has %d hosts and all of them (allowed: one of the two)", len(ev.Hosts))
	}
	if len(ev.Hosts) > MaxHosts {
		return fmt.Errorf("whitelist: %d hosts (allowed: at most %d)", len(ev.Hosts), MaxHosts)
	}
	if i := slices.Index(ev.Hosts, ""); i >= 0 {
		return fmt.Errorf("whitelist: host %d %q: must not be empty", i, "")
	}
	return nil
}

// validateRoles refuses roles that a framework, if it is known, does not subscribe to.
func (a *Hierarchical) validateRoles(what string, id offer.FrameworkID, roles []string) error {
	f := a.frameworks[id]
	if f == nil || !f.known {
		return nil
	}
	for _, role := range roles {
		if c := f.client(role); c == nil || !c.subscribed {
			return fmt.Errorf("%s role %.64q: is not among those of framework %.64q", what, role, id)
		}
	}
	return nil
}

func (a *Hierarchical) validateRequested(ev Requested) error {
	if err := a.validateRoles("requested", ev.Framework, []string{ev.Role}); err != nil {
		return err
	}
	if len(ev.Needs) > MaxNeeds {
		return fmt.Errorf("requested needs: %d of them (allowed: at most %d)", len(ev.Needs), MaxNeeds)
	}
	for _, q := range ev.Needs {
		if err := validateQuantities("requested needs", q); err != nil {
			return err
		}
	}
	return nil
}

// maxQuantities bounds the names in one list of quantities.
const maxQuantities = 64

// validateQuantities lets zeros and any order pass, as a limit of nothing is one, and what is computed need not be sorted.
func validateQuantities(field string, q resource.Quantities) error {
	if len(q) > maxQuantities {
		return fmt.Errorf("%s: %d names (allowed: at most %d)", field, len(q), maxQuantities)
	}
	for i := range q {
		if err := resource.ValidateName(q[i].Name); err != nil {
			return fmt.Errorf("%s: %w", field, err)
		}
		if q[i].Amount < 0 || q[i].Amount > resource.MaxScalar {
			return fmt.Errorf("%s %s:%s: must be between 0 and %s", field, q[i].Name, q[i].Amount, resource.MaxScalar)
		}
		for j := range q[:i] {
			if q[j].Name == q[i].Name {
				return fmt.Errorf("%s %s:%s: must not be listed twice", field, q[i].Name, q[i].Amount)
			}
		}
	}
	return nil
}

func (a *Hierarchical) validateRole(ev RoleSet) error {
	if err := resource.ValidateRole(ev.Role); err != nil {
		return err
	}
	if ev.Weight < 0 || ev.Weight > MaxWeight {
		return fmt.Errorf("weight %s of role %s: must be between 0.001 and %s, or 0 for the default of 1", ev.Weight, ev.Role, MaxWeight)
	}
	if err := validateQuantities("guarantee of role "+ev.Role, ev.Guarantee); err != nil {
		return err
	}
	if err := validateQuantities("limit of role "+ev.Role, ev.Limit); err != nil {
		return err
	}
	for _, limit := range ev.Limit {
		if g := ev.Guarantee.Get(limit.Name); g > limit.Amount {
			return fmt.Errorf("guarantee %s:%s of role %s: must not be over its limit of %s", limit.Name, g, ev.Role, limit.Amount)
		}
	}
	if ev.Force {
		return nil
	}
	return a.validateQuota(ev)
}

// validateQuota is what Force passes over.
func (a *Hierarchical) validateQuota(ev RoleSet) error {
	r := a.roleIndex[ev.Role]
	for _, limit := range ev.Limit {
		k, known := a.kinds.index[limit.Name]
		if !known || r == nil {
			continue
		}
		if has := r.consumed.at(k); has > int64(limit.Amount) {
			return fmt.Errorf("limit %s:%s of role %s: must not be under the %s that it consumes", limit.Name, limit.Amount, ev.Role, resource.Scalar(has))
		}
	}
	changed := make([]string, 0, len(ev.Guarantee))
	for _, g := range ev.Guarantee {
		changed = append(changed, g.Name)
	}
	for _, limit := range ev.Limit {
		if !slices.Contains(changed, limit.Name) {
			changed = append(changed, limit.Name)
		}
	}
	if r != nil {
		for k, old := range r.guarantee {
			if name := a.kinds.names[k]; old > 0 && !slices.Contains(changed, name) {
				changed = append(changed, name) // lifted: what is promised below counts above from now on
			}
		}
	}
	if len(changed) == 0 {
		return nil
	}
	var kids map[*role][]*role
	for _, name := range changed {
		if kids == nil {
			kids = a.childrenByRole()
		}
		if err := a.validateGuarantee(ev, name, kids); err != nil {
			return err
		}
	}
	return nil
}

func (a *Hierarchical) childrenByRole() map[*role][]*role {
	kids := make(map[*role][]*role)
	for _, r := range a.rolesByName() {
		kids[r.parent] = append(kids[r.parent], r)
	}
	return kids
}

// validateGuarantee checks one kind: what the roles below are promised fits their parent's guarantee, at every level above the role
// and at its own, what a role and those below it are promised fits its limit, and all promises fit the cluster. A role without a guarantee of its own promises what its children promise.
func (a *Hierarchical) validateGuarantee(ev RoleSet, name string, kids map[*role][]*role) error {
	k, known := a.kinds.index[name]
	at := func(v vec) int64 {
		if known {
			return v.at(k)
		}
		return 0
	}
	target, above := a.roleIndex[ev.Role], a.root
	if target == nil {
		for _, name := range resource.RoleAncestors(ev.Role) {
			if r := a.roleIndex[name]; r != nil {
				above = r
				break
			}
		}
	}
	var bad error
	var promise func(r *role) int64
	promise = func(r *role) int64 {
		below := int64(0)
		for _, child := range kids[r] {
			below = addPromise(below, promise(child))
		}
		own := at(r.guarantee)
		if r == target {
			own = int64(ev.Guarantee.Get(name))
		} else if target == nil && r == above {
			below = addPromise(below, int64(ev.Guarantee.Get(name)))
		}
		if bad == nil && own > 0 && below > own && (r == target || resource.IsDescendant(ev.Role, r.name)) {
			bad = fmt.Errorf("guarantee %s:%s of role %s: must not have the roles below %s promised %s, over its guarantee of %s",
				name, ev.Guarantee.Get(name), ev.Role, r.name, resource.Scalar(below), resource.Scalar(own))
		}
		all, limit := max(own, below), noLimit
		switch {
		case r == target:
			limit = limitOf(ev.Limit, name)
		case known && k < len(r.limit):
			limit = r.limit[k]
		}
		if bad == nil && limit != noLimit && all > limit && (r == target || resource.IsDescendant(ev.Role, r.name)) {
			bad = fmt.Errorf("limit %s:%s of role %s: must not be under the %s that it and the roles below are promised", name,
				resource.Scalar(limit), r.name, resource.Scalar(all))
		}
		return all
	}
	sum := promise(a.root)
	if bad == nil && ev.Guarantee.Get(name) > 0 && sum > at(a.total) {
		bad = fmt.Errorf("guarantee %s:%s of role %s: must not have all guarantees promise %s, over the cluster's %s",
			name, ev.Guarantee.Get(name), ev.Role, resource.Scalar(sum), resource.Scalar(at(a.total)))
	}
	return bad
}

func limitOf(q resource.Quantities, name string) int64 {
	for i := range q {
		if q[i].Name == name {
			return int64(q[i].Amount)
		}
	}
	return noLimit
}

func addPromise(x, y int64) int64 {
	if sum := x + y; sum >= x {
		return sum
	}
	return 1<<63 - 1
}
