package sim

import (
	"slices"
	"time"

	"github.com/meros-project/meros/internal/mastercore"
	"github.com/meros-project/meros/internal/registry"
)

// confirmWatch knows which commits a leader has needed to see that it leads: without one it says nothing of what it does not know (T8).
type confirmWatch struct {
	begun  map[uint64]int64 // when each was proposed that is not known to be committed, by token; looked up
	ended  int64            // when the leader last learned that one was committed
	proven int64            // when that one was proposed
}

func (c *confirmWatch) proposed(now int64, p mastercore.Propose) {
	if !slices.ContainsFunc(p.Commands, func(x registry.Command) bool { return x.Op.OpKind() == registry.OpConfirm }) {
		return
	}
	if c.begun == nil {
		c.begun = map[uint64]int64{}
	}
	c.begun[p.Token] = now // when it is tried again, that counts
}

func (c *confirmWatch) committed(now int64, token uint64) {
	if at, is := c.begun[token]; is {
		delete(c.begun, token)
		c.ended, c.proven = now, max(c.proven, at)
	}
}

// mayWait reports whether a question that came at from may be unanswered: no commit that was proposed after it has ended, and one is under way,
// or was until just now.
func (c *confirmWatch) mayWait(now, from int64) bool {
	return c.proven <= from && (len(c.begun) > 0 || now-c.ended < int64(500*time.Millisecond))
}
