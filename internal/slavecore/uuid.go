package slavecore

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/meros-project/meros/offer"
)

func newRandom(cfg Config) *rand.ChaCha8 {
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:8], cfg.Seed)
	copy(seed[8:24], cfg.Nonce[:])
	return rand.NewChaCha8(seed)
}

// uuid draws a random UUID (RFC 9562, version 4).
func (c *Core) uuid() (u offer.UUID) {
	for u.IsZero() {
		binary.LittleEndian.PutUint64(u[:8], c.random.Uint64())
		binary.LittleEndian.PutUint64(u[8:], c.random.Uint64())
	}
	u[6] = u[6]&0x0f | 0x40
	u[8] = u[8]&0x3f | 0x80
	return u
}

// jitter returns a time between half of d and d.
func (c *Core) jitter(d time.Duration) time.Duration {
	half := uint64(d / 2)
	if half == 0 {
		return d
	}
	return time.Duration(half + c.random.Uint64()%half)
}
