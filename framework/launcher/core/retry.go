package core

import (
	"math"
	"strings"
	"time"

	"github.com/meros-project/meros/offer"
)

// What zero fields of a Retry and an Unreachable mean.
const (
	DefaultRetryFirst  = time.Second
	DefaultRetryMax    = 5 * time.Minute
	DefaultRetryFactor = 1.15
	DefaultReplace     = 5 * time.Minute
)

// Never, as Retry.Losses, makes a loss final; Forever, as Retry.Failures, has a task tried again whatever happens; Wait, as Unreachable.Replace,
// waits for an unreachable task for as long as it takes.
const (
	Never   = -1
	Forever = -1
	Wait    = time.Duration(-1)
)

// maxTime bounds every time that can be configured.
const maxTime = 365 * 24 * time.Hour

// A Retry says what is tried again, and when. The zero value tries again what was lost and nothing else.
//
// A failure is the task's own: it ended with another status than 0, broke a limit, or was killed for its health. A loss is not: it was never
// started, its slave is gone or being drained, its lease ran out. A task that is invalid (TASK_ERROR) is never tried again.
type Retry struct {
	// Failures is how many failures are followed by another attempt; Forever for all. Defaults to 0: none.
	Failures int
	// Losses is how many losses are followed by another attempt; Never for none. Defaults to 0: all.
	Losses int
	// Finished starts a task anew that has ended well: for services. It is counted as a failure. Defaults to false.
	Finished bool
	// First is the delay after the first failure, and after a loss without having run. Defaults to DefaultRetryFirst.
	First time.Duration
	// Factor multiplies the delay with each further one, from 1 to 100. Defaults to DefaultRetryFactor.
	Factor float64
	// Max is the longest delay. A delay that has not grown for so long begins at First again. Defaults to DefaultRetryMax.
	Max time.Duration
}

func (r *Retry) validate(path string) error {
	switch {
	case r.Failures < Forever:
		return bad(path+".Failures", r.Failures, "must be a number of failures, or -1 for all")
	case r.Losses < Never:
		return bad(path+".Losses", r.Losses, "must be a number of losses, 0 for all, or -1 for none")
	case r.First < 0 || r.First > maxTime:
		return bad(path+".First", r.First, "must be from 0 to a year")
	case r.Max < 0 || r.Max > maxTime:
		return bad(path+".Max", r.Max, "must be from 0 to a year")
	case r.Factor != 0 && !(r.Factor >= 1 && r.Factor <= 100):
		return bad(path+".Factor", r.Factor, "must be from 1 to 100, or 0 for the default")
	case r.Max != 0 && r.Max < r.First:
		return bad(path+".Max", r.Max, "must not be below First")
	}
	return nil
}

func (r Retry) withDefaults() Retry {
	if r.First == 0 {
		r.First = DefaultRetryFirst
	}
	if r.Max == 0 {
		r.Max = max(DefaultRetryMax, r.First)
	}
	if r.Factor == 0 {
		r.Factor = DefaultRetryFactor
	}
	return r
}

// An Unreachable says what is done about a task whose slave does not answer.
//
// When its time is over, another attempt takes its place. If the old one comes back before the new one was launched, it goes on and the new one
// is not needed; after that, the old one is killed.
type Unreachable struct {
	// Replace is how long the task is waited for; Wait for ever: then only its certain end, such as that of its lease, is followed by another
	// attempt. Defaults to DefaultReplace.
	Replace time.Duration
}

func (u *Unreachable) validate(path string) error {
	if u.Replace < Wait || u.Replace > maxTime {
		return bad(path+".Replace", u.Replace, "must be from 0 to a year, or -1 to wait for ever")
	}
	return nil
}

func (u Unreachable) withDefaults() Unreachable {
	if u.Replace == 0 {
		u.Replace = DefaultReplace
	}
	return u
}

// An end is what the end of an attempt means.
type end uint8

const (
	endedWell end = iota
	endedFailed
	endedLost
	endedInvalid
)

// judge tells failures from losses.
func judge(st *offer.Status) end {
	switch st.State {
	case offer.Finished:
		return endedWell
	case offer.Error:
		return endedInvalid
	case offer.Failed:
		return endedFailed
	case offer.Killed:
		switch st.Reason {
		case offer.ReasonMaxCompletionTimeReached, offer.ReasonTaskHealthCheckStatusUpdated, offer.ReasonContainerLimitation,
			offer.ReasonContainerLimitationMemory, offer.ReasonContainerLimitationDisk:
			return endedFailed
		}
		if st.Healthy != nil && !*st.Healthy {
			return endedFailed
		}
	}
	return endedLost
}

// A backoff is the delay of those that fail together.
type backoff struct {
	key   string
	delay time.Duration // of the last failure; zero before the first
	until time.Time
	over  time.Time // when it is forgotten
}

// lessBackoff orders by when they are forgotten.
func lessBackoff(a, b *backoff) bool {
	if !a.over.Equal(b.over) {
		return a.over.Before(b.over)
	}
	return strings.Compare(a.key, b.key) < 0
}

// fail lengthens the delay and says until when to rest.
func (c *Core) fail(key string, r Retry) time.Time {
	b := c.backoffs[key]
	if b == nil {
		b = &backoff{key: key}
		c.backoffs[key] = b
	} else {
		c.fading.Delete(b)
	}
	if b.delay == 0 {
		b.delay = r.First
	} else if next := float64(b.delay) * r.Factor; next < math.MaxInt64/2 {
		b.delay = time.Duration(next)
	}
	b.delay = min(b.delay, r.Max)
	b.until = c.now.Add(b.delay)
	b.over = b.until.Add(r.Max)
	c.fading.Set(b)
	return b.until
}

// rest is until when those of a key rest; zero if they need not.
func (c *Core) rest(key string) time.Time {
	if b := c.backoffs[key]; b != nil && b.until.After(c.now) {
		return b.until
	}
	return time.Time{}
}

// forget drops the delays that have not grown for long.
func (c *Core) forget() {
	for b, ok := c.fading.Min(); ok && !b.over.After(c.now); b, ok = c.fading.Min() {
		c.fading.Delete(b)
		delete(c.backoffs, b.key)
	}
}
