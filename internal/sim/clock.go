package sim

import (
	"time"
	"unsafe"
)

// A clock is one node's idea of time. Its monotonic part runs on at a rate of its own; its wall part may jump. The times that it makes carry
// both, as those of time.Now do, so that a core sees what it would see on a machine whose clock is set: deadlines do not move, dates do.
type clock struct {
	since int64 // virtual time at which the rate was set
	mono  int64 // monotonic reading at that moment
	ppm   int64 // how much faster than true time it runs, in millionths
	wall  int64 // how far the date is ahead of the monotonic reading
}

// reading is the monotonic part at a virtual time, in nanoseconds.
func (c *clock) reading(ns int64) int64 {
	if c.ppm == 0 {
		return c.mono + ns - c.since
	}
	d := ns - c.since
	return c.mono + d + d/1_000_000*c.ppm + d%1_000_000*c.ppm/1_000_000
}

// when is the virtual time at which the clock shows a monotonic reading, or a little later.
func (c *clock) when(reading int64) int64 {
	d := reading - c.mono
	if c.ppm == 0 {
		return c.since + d
	}
	ns := c.since + d/(1_000_000+c.ppm)*1_000_000
	for step := int64(1 << 20); step > 0; step >>= 1 {
		for c.reading(ns) < reading {
			ns += step
		}
		if step > 1 && c.reading(ns-step) >= reading {
			ns -= step
		}
	}
	return ns
}

// drift sets the rate from now on.
func (c *clock) drift(ns, ppm int64) {
	c.mono, c.since, c.ppm = c.reading(ns), ns, ppm
}

// at is the time that the node reads.
func (c *clock) at(ns int64) time.Time {
	m := c.reading(ns)
	return stamp(epoch.Add(time.Duration(m+c.wall)), m)
}

// instant is what a time.Time is made of. The layout is older than modules, and a test holds it to its word.
type instant struct {
	wall uint64
	ext  int64
	loc  *time.Location
}

// since1885 is the second from which times with a monotonic part count.
var since1885 = time.Date(1885, 1, 1, 0, 0, 0, 0, time.UTC).Unix()

// stamp makes a time of a date and a monotonic reading that have nothing to do with each other, which package time has no way to do.
func stamp(wall time.Time, mono int64) time.Time {
	const monotonic = 1 << 63
	var t time.Time
	i := (*instant)(unsafe.Pointer(&t))
	i.wall = monotonic | uint64(wall.Unix()-since1885)<<30 | uint64(wall.Nanosecond())
	i.ext = mono + 1
	return t
}
