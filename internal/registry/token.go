package registry

import (
	"slices"
	"time"

	"github.com/meros-project/meros/offer"
)

// MaxTokens is how many tokens are kept, of those that can still be used and those that cannot. Part of the meaning of the log.
const MaxTokens = 64

// A Token lets one new master join. The secret itself is not kept, only what tells whether one is the same. It is kept until its place is
// needed, so that one that is used again hears by whom it was used.
type Token struct {
	Hash    Key       // of the secret
	Expires time.Time // the moment from which it cannot be used
	Member  string    // id of the master that has used it; empty before
}

// AddToken makes a token, which lives from At until Expires.
type AddToken struct {
	Hash    Key
	Expires time.Time
	At      time.Time
}

// UseToken uses a token up. One that is unknown, used or expired at At is refused.
type UseToken struct {
	Hash   Key
	Member string
	At     time.Time
}

// OpKind implements Op.
func (*AddToken) OpKind() OpKind { return OpAddToken }

// OpKind implements Op.
func (*UseToken) OpKind() OpKind { return OpUseToken }

func (s *State) addToken(op *AddToken) *offer.Refusal {
	at, expires := wall(op.At), wall(op.Expires)
	if op.Hash == (Key{}) || !at.Before(expires) {
		return refuse(offer.ReasonInvalidField, "token: must have a hash, and expire after it was made")
	}
	if slices.ContainsFunc(s.head.Tokens, func(t Token) bool { return t.Hash == op.Hash }) {
		return refuse(offer.ReasonDuplicateID, "token: is there already")
	}
	tokens := slices.Clone(s.head.Tokens) // views share it
	if len(tokens) >= MaxTokens {
		i := slices.IndexFunc(tokens, func(t Token) bool { return t.Member != "" || !at.Before(t.Expires) })
		if i < 0 {
			return refuse(offer.ReasonLimitReached, "tokens: %d can be used, the most that is allowed", MaxTokens)
		}
		tokens = slices.Delete(tokens, i, i+1) // the oldest that is of no use
	}
	s.head.Tokens = append(tokens, Token{Hash: op.Hash, Expires: expires})
	return nil
}

func (s *State) useToken(op *UseToken) *offer.Refusal {
	if bad := checkText("member", op.Member, maxName); bad != nil {
		return bad
	}
	i := slices.IndexFunc(s.head.Tokens, func(t Token) bool { return t.Hash == op.Hash })
	switch {
	case op.Member == "":
		return refuse(offer.ReasonInvalidField, "member: must not be empty")
	case i < 0:
		return refuse(offer.ReasonForbidden, "the token is not one of this cluster's, or has long expired")
	case s.head.Tokens[i].Member != "":
		return refuse(offer.ReasonForbidden, "the token was used by master %s: each lets one master join", s.head.Tokens[i].Member)
	case !wall(op.At).Before(s.head.Tokens[i].Expires):
		return refuse(offer.ReasonForbidden, "the token has expired at %s", s.head.Tokens[i].Expires.Format(time.RFC3339))
	}
	s.head.Tokens = slices.Clone(s.head.Tokens)
	s.head.Tokens[i].Member = op.Member
	return nil
}
