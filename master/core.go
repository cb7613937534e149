package master

import (
	"crypto/rand"
	"encoding/binary"
	"time"

	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/offer/allocator"
)

// newCore makes the mind of one reign out of the registry.
func (m *Master) newCore(now time.Time, reign uint64, view *registry.View) *mastercore.Core {
	seed := m.cfg.Seed
	if seed == 0 {
		var b [8]byte
		_, _ = rand.Read(b[:]) // never fails, see its documentation
		seed = binary.LittleEndian.Uint64(b[:])
	}
	return mastercore.New(now, mastercore.Config{
		MasterID:          m.advertise,
		Reign:             reign,
		Allocator:         allocator.New(m.cfg.allocation(seed)),
		Registry:          view,
		Seed:              seed,
		OfferTimeout:      m.cfg.OfferTimeout,
		PingInterval:      m.cfg.PingInterval,
		PingMisses:        m.cfg.MaxMissedPings,
		ReregisterTimeout: m.cfg.ReregisterTimeout,
		Heartbeat:         m.cfg.HeartbeatInterval,
	})
}
