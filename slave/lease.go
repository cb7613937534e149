package slave

import (
	"time"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/isolation/process"
)

// leaseClock knows when the last questions for leases were sent, by the clock that leases are measured by. Of the loop.
type leaseClock struct {
	asked []renewal // oldest first
}

type renewal struct {
	seq uint64
	at  time.Duration
}

// maxRenewals is more than the core remembers.
const maxRenewals = 64

// leaving is called for each message before it is sent, so that no lease counts from later than that.
func (r *leaseClock) leaving(m message.Message) {
	q, ok := m.(*message.Renew)
	if !ok {
		return
	}
	if len(r.asked) == maxRenewals {
		r.asked = append(r.asked[:0], r.asked[1:]...)
	}
	r.asked = append(r.asked, renewal{q.Seq, process.Clock()})
}

// until is when a lease is over that counts from a question; zero if that is not known.
func (r *leaseClock) until(seq uint64, lease time.Duration) time.Duration {
	for _, q := range r.asked {
		if q.seq == seq {
			return q.at + lease
		}
	}
	return 0
}
