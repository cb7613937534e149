package discovery

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
)

const (
	maxKeys       = 8
	sealVersion   = 1 // of the library's two ways to encrypt, the one without padding
	nonceSize     = 12
	sealOverhead  = 1 + nonceSize + 16
	labelOverhead = 2 // beside the cluster's name
)

// A ring is a set of keys. It is never changed but replaced, so that it is read without a lock.
type ring struct {
	aeads []cipher.AEAD // the first one seals, each one opens
}

// newRing returns nil for no keys: nothing is encrypted.
func newRing(keys [][]byte) (*ring, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	if len(keys) > maxKeys {
		return nil, fmt.Errorf("discovery: there are %d keys, at most %d are allowed", len(keys), maxKeys)
	}
	r := &ring{}
	for i, k := range keys {
		if len(k) != 16 && len(k) != 24 && len(k) != 32 {
			return nil, fmt.Errorf("discovery: key %d has %d bytes, allowed are 16, 24 and 32", i+1, len(k))
		}
		if j := slices.IndexFunc(keys[:i], func(o []byte) bool { return string(o) == string(k) }); j >= 0 {
			return nil, fmt.Errorf("discovery: keys %d and %d are the same", j+1, i+1)
		}
		block, err := aes.NewCipher(k)
		if err != nil {
			return nil, err
		}
		aead, err := cipher.NewGCM(block)
		if err != nil {
			return nil, err
		}
		r.aeads = append(r.aeads, aead)
	}
	return r, nil
}

// seal appends plain to out, encrypted and authenticated together with extra.
func (r *ring) seal(out, plain, extra []byte) []byte {
	out = append(out, sealVersion)
	at := len(out)
	out = append(out, make([]byte, nonceSize)...)
	_, _ = rand.Read(out[at:]) // never fails
	return r.aeads[0].Seal(out, out[at:at+nonceSize], plain, extra)
}

var errKey = &refusal{"key", "it is encrypted with a key that this member does not hold, or was changed on its way"}

// open returns what seal was given, by whichever key.
func (r *ring) open(sealed, extra []byte) ([]byte, error) {
	if len(sealed) < sealOverhead || sealed[0] != sealVersion {
		return nil, &refusal{"plain", "it is not encrypted as this cluster's gossip is"}
	}
	for _, a := range r.aeads {
		if plain, err := a.Open(nil, sealed[1:1+nonceSize], sealed[1+nonceSize:], extra); err == nil {
			return plain, nil
		}
	}
	return nil, errKey
}

// KeyMark tells one key from another without giving it away: the first eight digits of its SHA-256, for a tag or a log.
func KeyMark(key []byte) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:4])
}

// SetKeys replaces the keys of a member that has some: the first encrypts what it says, and what others say is understood if it is
// encrypted with any of them. To change the key of a cluster without a moment in which two members do not understand each other, give
// every member the old key and the new one, in this order; when all have both, the new one and the old one; when all have changed
// over, the new one alone. An error leaves the keys as they were.
func (g *Gossip) SetKeys(keys ...[]byte) error {
	if (len(keys) == 0) != (g.ring.Load() == nil) {
		return errors.New("discovery: a running member does not change between plain and encrypted gossip")
	}
	r, err := newRing(keys)
	if err != nil {
		return err
	}
	g.ring.Store(r)
	return nil
}
