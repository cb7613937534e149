package framework

import (
	"crypto/rand"
	"encoding/binary"
	"time"

	"github.com/meros-project/meros/internal/frameworkcore"
	"github.com/meros-project/meros/offer"
)

// newCore makes the session's mind. The nonce tells this session's attempts to subscribe from those of any other.
func newCore(cfg Config) (*frameworkcore.Core, error) {
	var random [24]byte
	_, _ = rand.Read(random[:]) // never fails, see its documentation
	seed := cfg.Seed
	if seed == 0 {
		seed = binary.LittleEndian.Uint64(random[16:])
	} else {
		binary.LittleEndian.PutUint64(random[:8], seed)
		binary.LittleEndian.PutUint64(random[8:16], ^seed)
	}
	return frameworkcore.New(time.Now(), frameworkcore.Config{
		Framework:  cfg.framework(),
		Suppressed: cfg.Suppressed,
		Nonce:      offer.UUID(random[:16]),
		Seed:       seed,
	})
}
