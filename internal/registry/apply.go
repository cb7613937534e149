package registry

import (
	"slices"
	"time"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// apply carries out one op. The switch is exhaustive; an op of a kind that this build does not know never gets here, because the node
// that decodes it stops.
func (s *State) apply(op Op) Result {
	switch op := op.(type) {
	case *Open:
		return s.open(op)
	case *AdmitSlave:
		return s.admitSlave(op)
	case *UpdateSlave:
		return fail(s.updateSlave(op))
	case *MarkUnreachable:
		return fail(s.markUnreachable(op))
	case *MarkReachable:
		return fail(s.markReachable(op))
	case *MarkGone:
		return fail(s.markGone(op))
	case *RemoveSlave:
		return fail(s.removeSlave(op))
	case *DrainSlave:
		return fail(s.changeSlave(op.ID, func(r *SlaveRecord) {
			drain := op.Drain
			r.Drain, r.Drained, r.Inactive = &drain, false, true
		}))
	case *SlaveDrained:
		return fail(s.slaveDrained(op))
	case *ActivateSlave:
		return fail(s.changeSlave(op.ID, func(r *SlaveRecord) {
			r.Inactive = !op.Active
			if op.Active {
				r.Drain, r.Drained = nil, false
			}
		}))
	case *AdmitFramework:
		return s.admitFramework(op)
	case *UpdateFramework:
		return fail(s.updateFramework(op))
	case *CountDown:
		return fail(s.countDown(op))
	case *RemoveFramework:
		return fail(s.removeFramework(op))
	case *SetRole:
		return fail(s.setRole(op))
	case *PruneSlaves:
		return fail(s.pruneSlaves(op))
	case *AddToken:
		return fail(s.addToken(op))
	case *UseToken:
		return fail(s.useToken(op))
	}
	return fail(refuse(offer.ReasonUnsupported, "command: unknown op"))
}

func fail(r *offer.Refusal) Result { return Result{Err: r} }

// wall is a time as every master stores it: no monotonic reading, no location.
func wall(t time.Time) time.Time { return t.UTC().Round(0) }

func (s *State) open(op *Open) Result {
	if s.head.Cluster == "" {
		if err := offer.ValidateID("cluster", string(op.Cluster)); err != nil {
			return fail(refuse(offer.ReasonInvalidField, "%v", err))
		}
	}
	if bad := checkText("master", op.Master, maxName); bad != nil {
		return fail(bad)
	}
	if s.head.Cluster == "" {
		s.head.Cluster = op.Cluster
	}
	s.head.Reign++
	s.head.Master, s.head.Level = op.Master, op.Level
	return Result{Reign: s.head.Reign, Cluster: s.head.Cluster}
}

func (s *State) admitSlave(op *AdmitSlave) Result {
	if bad := ValidateSlave(&op.Slave); bad != nil {
		return fail(bad)
	}
	if s.slaves.Len() >= MaxSlaves {
		return fail(refuse(offer.ReasonLimitReached, "slaves: %d are on record, the most that is allowed", MaxSlaves))
	}
	s.head.NextSlave++
	r := &SlaveRecord{Slave: op.Slave}
	r.Slave.ID = slaveID(s.head.NextSlave)
	s.slaves.Set(s.head.NextSlave, r)
	return Result{Slave: r.Slave.ID}
}

// findSlave returns the record of an id, or why there is none. A gone slave is found too.
func (s *State) findSlave(id offer.SlaveID) (uint64, *SlaveRecord, *offer.Refusal) {
	n, ok := SlaveNumber(id)
	if !ok || n > s.head.NextSlave {
		return 0, nil, refuse(offer.ReasonUnknownID, "slave %.40q: was never admitted", id)
	}
	if r, ok := s.slaves.Get(n); ok {
		return n, r, nil
	}
	if _, ok := s.gone.Get(n); ok {
		return n, nil, refuse(offer.ReasonSlaveGone, "slave %s: is gone", id)
	}
	return n, nil, refuse(offer.ReasonUnknownID, "slave %s: is no longer on record", id)
}

// changeSlave replaces the record of a slave that is not gone by a changed copy.
func (s *State) changeSlave(id offer.SlaveID, change func(*SlaveRecord)) *offer.Refusal {
	n, r, bad := s.findSlave(id)
	if bad != nil {
		return bad
	}
	if r.State == SlaveGone {
		return refuse(offer.ReasonSlaveGone, "slave %s: is gone", id)
	}
	next := *r
	change(&next)
	s.slaves.Set(n, &next)
	return nil
}

func (s *State) updateSlave(op *UpdateSlave) *offer.Refusal {
	if bad := ValidateSlave(&op.Slave); bad != nil {
		return bad
	}
	return s.changeSlave(op.Slave.ID, func(r *SlaveRecord) { r.Slave = op.Slave })
}

func (s *State) markUnreachable(op *MarkUnreachable) *offer.Refusal {
	return s.changeSlave(op.ID, func(r *SlaveRecord) {
		if r.State == SlaveAdmitted {
			r.State, r.Since = SlaveUnreachable, wall(op.At)
		}
	})
}

func (s *State) markReachable(op *MarkReachable) *offer.Refusal {
	if bad := ValidateSlave(&op.Slave); bad != nil {
		return bad
	}
	n, r, bad := s.findSlave(op.Slave.ID)
	if r != nil {
		return s.changeSlave(op.Slave.ID, func(r *SlaveRecord) {
			r.Slave, r.State, r.Since = op.Slave, SlaveAdmitted, time.Time{}
		})
	}
	if n == 0 || bad.Reason == offer.ReasonSlaveGone {
		return bad
	}
	if s.slaves.Len() >= MaxSlaves {
		return refuse(offer.ReasonLimitReached, "slaves: %d are on record, the most that is allowed", MaxSlaves)
	}
	s.slaves.Set(n, &SlaveRecord{Slave: op.Slave})
	return nil
}

func (s *State) markGone(op *MarkGone) *offer.Refusal {
	n, r, bad := s.findSlave(op.ID)
	switch {
	case n == 0:
		return bad
	case r == nil:
		s.retire(n)
		return nil
	case r.State == SlaveGone:
		return nil
	}
	// What a gone slave had is of no use any more; who it was is shown to operators until it is pruned.
	next := &SlaveRecord{State: SlaveGone, Since: wall(op.At), Inactive: true,
		Slave: offer.Slave{ID: r.Slave.ID, Hostname: r.Slave.Hostname, Address: r.Slave.Address}}
	s.slaves.Set(n, next)
	return nil
}

func (s *State) retire(n uint64) {
	s.gone.Set(n, struct{}{})
	for s.gone.Len() > MaxGone {
		s.gone.PopMin()
	}
}

func (s *State) removeSlave(op *RemoveSlave) *offer.Refusal {
	n, r, bad := s.findSlave(op.ID)
	switch {
	case n == 0:
		return bad
	case r == nil:
		return nil
	case r.State == SlaveGone:
		return refuse(offer.ReasonSlaveGone, "slave %s: is gone", op.ID)
	}
	s.slaves.Delete(n)
	return nil
}

func (s *State) slaveDrained(op *SlaveDrained) *offer.Refusal {
	_, r, bad := s.findSlave(op.ID)
	if bad != nil {
		return bad
	}
	if r.Drain == nil && r.State != SlaveGone {
		return refuse(offer.ReasonInvalidField, "slave %s: is not draining", op.ID)
	}
	return s.changeSlave(op.ID, func(r *SlaveRecord) { r.Drained = true })
}

func (s *State) pruneSlaves(op *PruneSlaves) *offer.Refusal {
	if len(op.IDs) > MaxPrune {
		return refuse(offer.ReasonTooLarge, "prune: %d ids are more than the allowed %d", len(op.IDs), MaxPrune)
	}
	for _, id := range op.IDs {
		n, r, _ := s.findSlave(id)
		if r == nil || r.State == SlaveAdmitted {
			continue
		}
		s.slaves.Delete(n)
		if r.State == SlaveGone {
			s.retire(n)
		}
	}
	return nil
}

func (s *State) admitFramework(op *AdmitFramework) Result {
	f := op.Framework
	f.Roles = slices.Clone(f.Roles)
	if len(f.Roles) == 0 {
		f.Roles = []string{resource.AnyRole}
	}
	if bad := ValidateFramework(&f); bad != nil {
		return fail(bad)
	}
	if s.frameworks.Len() >= MaxFrameworks {
		return fail(refuse(offer.ReasonLimitReached, "frameworks: %d are on record, the most that is allowed", MaxFrameworks))
	}
	s.head.NextFramework++
	f.ID = frameworkID(s.head.NextFramework)
	s.frameworks.Set(s.head.NextFramework, &FrameworkRecord{Framework: f, Connected: true, Remaining: f.FailoverTimeout})
	return Result{Framework: f.ID}
}

func (s *State) findFramework(id offer.FrameworkID) (uint64, *FrameworkRecord, *offer.Refusal) {
	n, ok := FrameworkNumber(id)
	if !ok || n > s.head.NextFramework {
		return 0, nil, refuse(offer.ReasonUnknownID, "framework %.40q: was never admitted", id)
	}
	if r, ok := s.frameworks.Get(n); ok {
		return n, r, nil
	}
	return n, nil, refuse(offer.ReasonFrameworkCompleted, "framework %s: is retired", id)
}

func (s *State) updateFramework(op *UpdateFramework) *offer.Refusal {
	n, r, bad := s.findFramework(op.Framework.ID)
	if bad != nil {
		return bad
	}
	f := op.Framework
	f.Roles = slices.Clone(f.Roles)
	if len(f.Roles) == 0 {
		f.Roles = []string{resource.AnyRole}
	}
	if bad := ValidateFramework(&f); bad != nil {
		return bad
	}
	if f.Principal != r.Framework.Principal {
		return refuse(offer.ReasonPrincipalChanged, "framework %s: principal is %q and cannot become %q", f.ID, r.Framework.Principal, f.Principal)
	}
	next := *r
	next.Framework = f
	next.Remaining = min(next.Remaining, f.FailoverTimeout)
	if next.Connected {
		next.Remaining = f.FailoverTimeout
	}
	s.frameworks.Set(n, &next)
	return nil
}

func (s *State) countDown(op *CountDown) *offer.Refusal {
	if len(op.Frameworks) > MaxCountDown {
		return refuse(offer.ReasonTooLarge, "count down: %d frameworks are more than the allowed %d", len(op.Frameworks), MaxCountDown)
	}
	for _, c := range op.Frameworks {
		n, r, bad := s.findFramework(c.ID)
		if bad != nil {
			continue // retired meanwhile
		}
		next := *r
		next.Connected, next.Remaining = c.Remaining < 0, c.Remaining
		if next.Connected {
			next.Remaining = r.Framework.FailoverTimeout
		}
		s.frameworks.Set(n, &next)
	}
	return nil
}

func (s *State) removeFramework(op *RemoveFramework) *offer.Refusal {
	n, r, bad := s.findFramework(op.ID)
	if n == 0 {
		return bad
	}
	if r != nil {
		s.frameworks.Delete(n)
	}
	return nil
}

// ValidateRole checks a SetRole against the role's record, which may be nil.
func ValidateRole(op *SetRole, old *RoleRecord) (RoleRecord, *offer.Refusal) {
	next := RoleRecord{Role: op.Role, Weight: DefaultWeight}
	if old != nil {
		next = *old
	}
	if err := resource.ValidateRole(op.Role); err != nil {
		return next, refuse(offer.ReasonInvalidField, "%v", err)
	}
	if op.Weight != nil {
		if *op.Weight <= 0 || *op.Weight > resource.Units(1_000_000) {
			return next, refuse(offer.ReasonInvalidField, "weight of role %s: %v must be above 0 and at most %d", op.Role, *op.Weight, 1_000_000)
		}
		next.Weight = *op.Weight
	}
	if op.Guarantee != nil {
		if bad := checkQuantities("guarantee of role "+op.Role, *op.Guarantee); bad != nil {
			return next, bad
		}
		next.Guarantee = *op.Guarantee
	}
	if op.Limit != nil {
		if bad := checkQuantities("limit of role "+op.Role, *op.Limit); bad != nil {
			return next, bad
		}
		next.Limit = *op.Limit
	}
	for _, l := range next.Limit {
		if g := next.Guarantee.Get(l.Name); g > l.Amount {
			return next, refuse(offer.ReasonInvalidField, "quota of role %s: guarantee %s:%v must not be above its limit %v", op.Role, l.Name, g, l.Amount)
		}
	}
	return next, nil
}

// DefaultWeight is what a role without a record weighs, in thousandths.
const DefaultWeight resource.Scalar = 1000

func (s *State) setRole(op *SetRole) *offer.Refusal {
	old, _ := s.roles.Get(op.Role)
	next, bad := ValidateRole(op, old)
	if bad != nil {
		return bad
	}
	if next.Weight == DefaultWeight && len(next.Guarantee) == 0 && len(next.Limit) == 0 {
		s.roles.Delete(op.Role)
		return nil
	}
	if old == nil && s.roles.Len() >= MaxRoles {
		return refuse(offer.ReasonLimitReached, "roles: %d are configured, the most that is allowed", MaxRoles)
	}
	s.roles.Set(op.Role, &next)
	return nil
}
