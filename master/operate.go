package master

import (
	"context"
	"errors"
	"fmt"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// Drain empties a slave: it gets no new tasks, and those it has are killed. It stays so until Reactivate.
func (m *Master) Drain(ctx context.Context, slave offer.SlaveID, how offer.Drain) error {
	return m.operate(ctx, "drain slave "+string(slave), message.Operate{Verb: message.VerbDrain, Slave: slave, Drain: how})
}

// Deactivate keeps a slave out of offers; its tasks go on.
func (m *Master) Deactivate(ctx context.Context, slave offer.SlaveID) error {
	return m.operate(ctx, "deactivate slave "+string(slave), message.Operate{Verb: message.VerbDeactivate, Slave: slave})
}

// Reactivate ends Drain and Deactivate.
func (m *Master) Reactivate(ctx context.Context, slave offer.SlaveID) error {
	return m.operate(ctx, "reactivate slave "+string(slave), message.Operate{Verb: message.VerbReactivate, Slave: slave})
}

// MarkGone retires a slave for ever: the operator vouches that nothing of it runs any more. Its tasks become GoneByOperator.
func (m *Master) MarkGone(ctx context.Context, slave offer.SlaveID) error {
	return m.operate(ctx, "mark slave "+string(slave)+" gone", message.Operate{Verb: message.VerbMarkGone, Slave: slave})
}

// Teardown ends a framework: its tasks are killed and its id is retired.
func (m *Master) Teardown(ctx context.Context, framework offer.FrameworkID) error {
	return m.operate(ctx, "tear down framework "+string(framework), message.Operate{Verb: message.VerbTeardown, Framework: framework})
}

// SetWeight sets a role's share relative to others, in thousandths: 1000 is every role's default.
func (m *Master) SetWeight(ctx context.Context, role string, weight resource.Scalar) error {
	return m.operate(ctx, "set weight of role "+role, message.Operate{Verb: message.VerbSetWeight, Role: role, Weight: weight})
}

// SetQuota sets what a role is guaranteed and what it may have at most, instead of what was set before. Kinds that limit does not name have no
// limit. A quota that cannot be kept is refused, see ForceQuota; offers that stand against it are rescinded.
func (m *Master) SetQuota(ctx context.Context, role string, guarantee, limit resource.Quantities) error {
	return m.operate(ctx, "set quota of role "+role,
		message.Operate{Verb: message.VerbSetQuota, Role: role, Guarantee: guarantee, Limit: limit})
}

// ForceQuota is SetQuota for a quota that it refuses: one that the cluster is too small for, that does not agree with those of the roles above
// or below, or whose limit the role is beyond already. Nothing is taken back from tasks.
func (m *Master) ForceQuota(ctx context.Context, role string, guarantee, limit resource.Quantities) error {
	return m.operate(ctx, "set quota of role "+role,
		message.Operate{Verb: message.VerbSetQuota, Role: role, Guarantee: guarantee, Limit: limit, Force: true})
}

// operate carries out a call on the core that leads here. Nil means that it is done and, where the registry is concerned, committed. When ctx
// ends first, the outcome is unknown.
func (m *Master) operate(ctx context.Context, what string, call message.Operate) error {
	r := m.current.Load()
	if r == nil {
		return fmt.Errorf("master: %s: %w", what, m.notLeading())
	}
	answer := make(chan *offer.Refusal, 1)
	r.operate(ctx, "", call, func(refusal *offer.Refusal) { answer <- refusal })
	select {
	case refusal := <-answer:
		if refusal != nil {
			return fmt.Errorf("master: %s: %w", what, refusal)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("master: %s: the outcome is unknown: %w", what, ctx.Err())
	}
}

func (m *Master) notLeading() *offer.Refusal {
	if leader, ok := m.Leader(); ok {
		return offer.Refuse(offer.ReasonNotLeader, "this master does not lead; "+leader.Address+" does")
	}
	return offer.Refuse(offer.ReasonNotLeader, "this master does not lead, and knows nobody who does")
}

// ErrFixedMembership is returned where the Elector's set of masters cannot change, or leadership cannot be moved.
var ErrFixedMembership = errors.New("master: this elector has a fixed set of masters")

func (m *Master) membership() (election.Membership, error) {
	if e, ok := m.cfg.Election.(election.Membership); ok {
		return e, nil
	}
	return nil, ErrFixedMembership
}

// Members lists the masters as far as this one knows. It may be called on any of them.
func (m *Master) Members(ctx context.Context) ([]election.Member, error) {
	e, err := m.membership()
	if errors.Is(err, ErrFixedMembership) {
		if leader, ok := m.Leader(); ok {
			return []election.Member{{Peer: leader, Voter: true, Leader: true}}, nil
		}
		return nil, nil
	}
	return e.Members(ctx)
}

// AddMember makes a master a voter, or gives it a new address. To be called on the leader: elsewhere it is refused with
// offer.ReasonNotLeader. It returns when the master has caught up and the change is committed; one that is cut short by ctx may be repeated.
func (m *Master) AddMember(ctx context.Context, p election.Peer) error {
	if err := checkMember(p); err != nil {
		return err
	}
	e, err := m.membership()
	if err != nil {
		return err
	}
	return m.member("add", p.ID, e.Add(ctx, p))
}

// RemoveMember takes a master out, and returns when that is committed. To be called on the leader, as AddMember.
func (m *Master) RemoveMember(ctx context.Context, id string) error {
	e, err := m.membership()
	if err != nil {
		return err
	}
	return m.member("remove", id, e.Remove(ctx, id))
}

// Transfer hands leadership to the master with this id, which must have a vote: before the leader's host is serviced, for one. To be called
// on the leader, as AddMember.
func (m *Master) Transfer(ctx context.Context, id string) error {
	e, ok := m.cfg.Election.(election.Transferer)
	if !ok {
		return ErrFixedMembership
	}
	return m.member("transfer leadership to", id, e.Transfer(ctx, id))
}

func (m *Master) member(verb, id string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, election.ErrDeposed):
		return fmt.Errorf("master: %s member %s: %w", verb, id, m.notLeading())
	}
	return fmt.Errorf("master: %s member %s: %w", verb, id, err)
}
