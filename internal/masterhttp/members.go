package masterhttp

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"time"

	"github.com/meros-project/meros/offer"
)

// addTimeout is for a new master to catch up; less than clients wait, so that they hear how far it has come.
const addTimeout = 20 * time.Second

// A Member is one master.
type Member struct {
	ID      string `json:"id"`
	Address string `json:"address"`
	Voter   bool   `json:"voter"`
	Leader  bool   `json:"leader"`
}

// A Joining is a master that is to be added: as a voter, or at most one of the others.
type Joining struct {
	ID, Address string
	NonVoter    bool      // without a vote
	Promote     bool      // it is a member without a vote
	Token       *[16]byte // it shows this, and is added without a vote
	Attempt     [16]byte  // with Token: the same as long as one attempt is repeated
}

// members answers for the leader, and if nobody is known to lead, with what this master remembers.
func (h *handler) members(w http.ResponseWriter, r *http.Request) {
	if _, known := h.s.Leader(); known && !h.s.Leading() {
		h.redirect(w, r)
		return
	}
	members, err := h.s.Members(r.Context())
	if err != nil {
		fail(w, statusOf(err), err)
		return
	}
	if members == nil {
		members = []Member{}
	}
	reply(w, map[string]any{"members": members})
}

// decode reads a body of which no field may be unknown, and answers one that is not.
func decode(w http.ResponseWriter, r *http.Request, in any, want string) bool {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(in)
	if err != nil {
		fail(w, http.StatusBadRequest, offer.Refuse(offer.ReasonMalformed, "body: want "+want+": "+err.Error()))
	}
	return err == nil
}

func (h *handler) addMember(w http.ResponseWriter, r *http.Request) {
	var in struct {
		ID, Address    string
		NonVoter       bool `json:"non_voter"`
		Promote        bool
		Token, Attempt string
	}
	if !decode(w, r, &in, `{"id": ..., "address": "host:port"}`) {
		return
	}
	j := Joining{ID: in.ID, Address: in.Address, NonVoter: in.NonVoter, Promote: in.Promote}
	token := in.Token != "" || in.Attempt != ""
	if in.NonVoter && in.Promote || token && (in.NonVoter || in.Promote) {
		fail(w, http.StatusBadRequest, offer.Refuse(offer.ReasonInvalidField, "body: non_voter, promote, and token with attempt exclude each other"))
		return
	}
	if token {
		j.Token = new([16]byte)
		if !digits(w, "token", in.Token, j.Token) || !digits(w, "attempt", in.Attempt, &j.Attempt) {
			return
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), addTimeout)
	defer cancel()
	if err := h.s.AddMember(ctx, j); err != nil {
		fail(w, statusOf(err), err)
		return
	}
	reply(w, map[string]string{"id": in.ID, "address": in.Address})
}

// digits decodes 32 hexadecimal digits that are not all zero. A refusal does not repeat them: they may be a secret.
func digits(w http.ResponseWriter, field, value string, to *[16]byte) bool {
	b, err := hex.DecodeString(value)
	if err == nil && len(b) == len(to) && [16]byte(b) != [16]byte{} {
		*to = [16]byte(b)
		return true
	}
	fail(w, http.StatusBadRequest, offer.Refuse(offer.ReasonInvalidField, field+": must be 32 hexadecimal digits"))
	return false
}

func (h *handler) removeMember(w http.ResponseWriter, r *http.Request) {
	if err := h.s.RemoveMember(r.Context(), r.PathValue("id")); err != nil {
		fail(w, statusOf(err), err)
		return
	}
	reply(w, struct{}{})
}

func (h *handler) transfer(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), addTimeout)
	defer cancel()
	if err := h.s.Transfer(ctx, r.PathValue("id")); err != nil {
		fail(w, statusOf(err), err)
		return
	}
	reply(w, struct{}{})
}

func (h *handler) newToken(w http.ResponseWriter, r *http.Request) {
	in := struct {
		Life int64 `json:"life_s"`
	}{}
	if !decode(w, r, &in, `{"life_s": SECONDS}`) {
		return
	}
	const most = 1 << 30 // of which a Duration holds the nanoseconds
	if in.Life < 1 || in.Life > most {
		fail(w, http.StatusBadRequest, offer.Refuse(offer.ReasonInvalidField, "life_s: must be at least 1"))
		return
	}
	token, expires, err := h.s.NewToken(r.Context(), time.Duration(in.Life)*time.Second)
	if err != nil {
		fail(w, statusOf(err), err)
		return
	}
	reply(w, map[string]any{"token": hex.EncodeToString(token[:]), "expires": expires})
}
