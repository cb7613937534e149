package supervisor

import (
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/isolation/process"
	"github.com/meros-project/meros/offer"
)

// A keeper is a supervisor's side of its container's lease.
type keeper struct {
	alarm *alarm
	mu    sync.Mutex
	until time.Duration // by process.Clock
	over  bool          // it has run out, for ever
}

func newKeeper(until time.Duration) (*keeper, error) {
	a, err := newAlarm()
	if err != nil {
		return nil, err
	}
	k := &keeper{alarm: a, until: until}
	return k, a.set(until)
}

// expired reports whether the lease has run out. A nil keeper has none.
func (k *keeper) expired() bool {
	if k == nil {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.look()
}

func (k *keeper) look() bool {
	k.over = k.over || process.Clock() >= k.until
	return k.over
}

// renew takes a later deadline over, unless the one before it has passed: a supervisor that was stopped may read both at once.
func (k *keeper) renew(until time.Duration) {
	if k == nil {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.look() && until > k.until {
		k.until = until
		_ = k.alarm.set(until)
	}
}

// keepLease ends the container when its lease has run out.
func (s *supervisorState) keepLease() {
	for !s.lease.expired() {
		s.lease.alarm.wait()
	}
	s.killAll()
}

// endedByLease reports whether it is the lease that a container has ended by.
func (s *supervisorState) endedByLease(exit offer.Exit, known bool, failed string) bool {
	return s.lease != nil && s.lease.expired() && (!known || failed != "" || exit.Signal == int(syscall.SIGKILL))
}

// hearLease takes over what a slave says behind sayLease.
func (s *supervisorState) hearLease(line string) {
	if text, ok := strings.CutPrefix(line, sayLease+" "); ok {
		if until, err := strconv.ParseInt(text, 10, 64); err == nil {
			s.lease.renew(time.Duration(until))
		}
	}
}

// renew is the slave's side: it has the supervisor told of a later deadline. A lease that ran out before there was a supervisor is over.
func (c *container) renew(until time.Duration) {
	c.mu.Lock()
	over := c.until > 0 && process.Clock() >= c.until
	if !over {
		c.until = max(c.until, until)
	}
	c.mu.Unlock()
	if over {
		c.limit(isolation.Limitation{Reason: offer.ReasonLeaseExpired, Message: c.leaseText()})
		return
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// leasedUntil is the deadline as far as it is known; zero after a restart, until it is renewed.
func (c *container) leasedUntil() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.until
}

// sayLease tells the supervisor of a deadline that it was not told of; said is the last one.
func (c *container) sayLease(conn net.Conn, said time.Duration) time.Duration {
	until := c.leasedUntil()
	if until > said {
		_, _ = conn.Write([]byte(sayLease + " " + strconv.FormatInt(int64(until), 10) + "\n"))
	}
	return until
}

// mayStart refuses to start a container whose lease has run out, as it may while it is prepared. So may have what an earlier run of the slave
// was given and did not use.
func (c *container) mayStart(recovered bool) error {
	if c.spec.Lease > 0 && (recovered || process.Clock() >= c.leasedUntil()) {
		return offer.Refuse(offer.ReasonLeaseExpired, c.leaseText())
	}
	return nil
}

func (c *container) leaseText() string {
	if c.spec == nil || c.spec.Lease == 0 {
		return "its lease was not renewed in time"
	}
	return "its lease of " + c.spec.Lease.String() + " was not renewed in time"
}
