package mastercore

import (
	"strconv"

	"github.com/meros-project/meros/internal/registry"
	"github.com/meros-project/meros/offer"
)

func utoa(n uint64) string { return strconv.FormatUint(n, 10) }

// short cuts a stranger's text for a message to people.
func short(s string) string {
	const most = 64
	if len(s) > most {
		return strconv.Quote(s[:most]) + "..."
	}
	return strconv.Quote(s)
}

// slaveOf returns the number and record of a slave id, and whether it was ever handed out. The record's state may be slaveAbsent.
func (c *Core) slaveOf(id offer.SlaveID) (uint32, *slave, bool) {
	n, ok := registry.SlaveNumber(id)
	if !ok || n > uint64(c.maxSlave) {
		return 0, nil, false
	}
	return uint32(n), c.slaves.mut(uint32(n)), true
}

// frameworkOf returns the number and record of a live framework's id.
func (c *Core) frameworkOf(id offer.FrameworkID) (uint32, *framework, bool) {
	n, ok := registry.FrameworkNumber(id)
	if !ok || n > uint64(c.maxFramework) {
		return 0, nil, false
	}
	f := c.frameworks.mut(uint32(n))
	return uint32(n), f, f.state == frameworkLive
}
