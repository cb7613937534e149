package master

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/meros-project/meros/election"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/offer"
)

// A JoinToken is the secret that lets one new master join.
type JoinToken [16]byte

// hash is what the registry keeps of a token.
func (t JoinToken) hash() registry.Key {
	sum := sha256.Sum256(t[:])
	return registry.Key(sum[:16])
}

// The least and the most that a token may live.
const (
	MinTokenLife = time.Second
	MaxTokenLife = 7 * 24 * time.Hour
)

// NewToken makes a token that can be used once until life is over, MinTokenLife to MaxTokenLife from now. It is kept by the masters, whoever
// leads them. To be called on the leader, as AddMember.
func (m *Master) NewToken(ctx context.Context, life time.Duration) (token JoinToken, expires time.Time, err error) {
	if life < MinTokenLife || life > MaxTokenLife {
		return token, expires, offer.Refuse(offer.ReasonInvalidField, fmt.Sprintf("life of a token %s: allowed is %s to %s", life, MinTokenLife, MaxTokenLife))
	}
	if _, ok := m.cfg.Election.(election.NonVoters); !ok {
		return token, expires, ErrFixedMembership
	}
	r := m.current.Load()
	if r == nil {
		return token, expires, fmt.Errorf("master: make a token: %w", m.notLeading())
	}
	_, _ = rand.Read(token[:]) // never fails, see its documentation
	now := m.clock()().UTC().Round(0)
	expires = now.Add(life)
	if err := m.commit(ctx, r, randomKey(), &registry.AddToken{Hash: token.hash(), Expires: expires, At: now}); err != nil {
		return token, expires, fmt.Errorf("master: make a token: %w", err)
	}
	return token, expires, nil
}

// JoinMember uses up a token and adds a new master without a vote, see PromoteMember. attempt is drawn at random for each attempt of a new
// master and kept while it is repeated, so that an answer that was lost does not cost the token. A master whose id or address is a member's
// is refused, and the token stays good. To be called on the leader, as AddMember.
func (m *Master) JoinMember(ctx context.Context, p election.Peer, token JoinToken, attempt [16]byte) error {
	if err := checkMember(p); err != nil {
		return err
	}
	e, ok := m.cfg.Election.(election.NonVoters)
	if !ok {
		return ErrFixedMembership
	}
	r := m.current.Load()
	if r == nil {
		return fmt.Errorf("master: %s joins: %w", p.ID, m.notLeading())
	}
	members, err := e.Members(ctx)
	if err != nil {
		return m.member("join", p.ID, err)
	}
	for _, o := range members {
		same := o.Peer == p && !o.Voter // perhaps of this attempt
		if (o.ID == p.ID || o.Address == p.Address) && !same {
			return offer.Refuse(offer.ReasonDuplicateID, fmt.Sprintf("master %s at %s cannot join: %s at %s is a member; remove it first, or choose another id", p.ID, p.Address, o.ID, o.Address))
		}
	}
	if err := m.commit(ctx, r, registry.Key(attempt), &registry.UseToken{Hash: token.hash(), Member: p.ID, At: m.clock()().UTC().Round(0)}); err != nil {
		return fmt.Errorf("master: %s joins: %w", p.ID, err)
	}
	return m.member("join", p.ID, e.AddNonVoter(ctx, p))
}

// AddNonVoter adds a master that follows the log without a vote. To be called on the leader, as AddMember.
func (m *Master) AddNonVoter(ctx context.Context, p election.Peer) error {
	if err := checkMember(p); err != nil {
		return err
	}
	e, ok := m.cfg.Election.(election.NonVoters)
	if !ok {
		return ErrFixedMembership
	}
	return m.member("add", p.ID, e.AddNonVoter(ctx, p))
}

// PromoteMember gives a member its vote, as AddMember does, but never takes in one that is not a member any more.
func (m *Master) PromoteMember(ctx context.Context, p election.Peer) error {
	e, err := m.membership()
	if err != nil {
		return err
	}
	if m.current.Load() == nil {
		return m.member("promote", p.ID, election.ErrDeposed)
	}
	members, err := e.Members(ctx)
	if err != nil {
		return m.member("promote", p.ID, err)
	}
	for _, o := range members {
		if o.Peer == p {
			return m.AddMember(ctx, p)
		}
	}
	return offer.Refuse(offer.ReasonUnknownID, fmt.Sprintf("master %s at %s is not a member", p.ID, p.Address))
}

func checkMember(p election.Peer) error {
	if err := offer.ValidateID("member id", p.ID); err != nil {
		return offer.Refuse(offer.ReasonInvalidField, "master: add member: "+err.Error())
	}
	if p.Address == "" {
		return offer.Refuse(offer.ReasonInvalidField, "master: add member "+p.ID+": address is empty (allowed: host:port)")
	}
	return nil
}
