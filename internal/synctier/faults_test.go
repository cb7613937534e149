package synctier

import "time"

func (c *cluster) between(lo, hi time.Duration) time.Duration {
	return lo + time.Duration(c.random.Int64N(int64(hi-lo)))
}

// aWhile is mostly seconds, and now and then long enough for a slave to be given up.
func (c *cluster) aWhile() time.Duration {
	if c.random.IntN(10) == 0 {
		return c.between(time.Minute, 3*time.Minute)
	}
	return c.between(100*time.Millisecond, 15*time.Second)
}

// strike lets one fault happen. Those that last end by themselves in the background, or at heal.
func (c *cluster) strike() {
	c.faults++
	names := c.names()
	switch c.random.IntN(8) {
	case 0: // the leader hands over and stops
		if l := c.leaders(); len(l) > 0 {
			c.restartMaster(l[0], false)
		}
	case 1: // the leader dies: nobody hears a word of it
		if l := c.leaders(); len(l) > 0 {
			c.restartMaster(l[0], true)
		}
	case 2:
		c.restartMaster(c.random.IntN(3), c.random.IntN(2) == 0)
	case 3:
		i := c.random.IntN(slaves)
		c.slaves[i].stop(c.t)
		time.Sleep(c.between(0, 5*time.Second))
		c.startSlave(i)
	case 4:
		i := c.random.IntN(frameworks)
		c.fprocs[i].stop(c.t)
		time.Sleep(c.between(0, 5*time.Second))
		c.startFramework(i)
	case 5: // one host is cut off, or from some of the others only
		name, half := names[c.random.IntN(len(names))], c.random.IntN(2) == 0
		for _, other := range names {
			if other != name && (!half || c.random.IntN(2) == 0) {
				c.network.Cut(name, other)
				time.AfterFunc(c.aWhile(), func() { c.network.Heal(name, other) })
			}
		}
	case 6: // connections break
		a := names[c.random.IntN(len(names))]
		for _, b := range names {
			if c.random.IntN(2) == 0 {
				c.network.Reset(a, b)
			}
		}
	case 7: // a host is slow
		name := names[c.random.IntN(len(names))]
		c.network.delay(name, c.between(time.Millisecond, 2*time.Second))
		time.AfterFunc(c.aWhile(), func() { c.network.delay(name, 0) })
	}
}

// restartMaster stops a master and starts it again on its files. One that dies is cut off first, so that it cannot say goodbye.
func (c *cluster) restartMaster(i int, dies bool) {
	name := c.mprocs[i].name
	if dies {
		for _, other := range c.names() {
			c.network.Cut(name, other)
		}
	}
	c.mprocs[i].stop(c.t)
	for _, other := range c.names() {
		c.network.Reset(name, other)
		if dies {
			c.network.Heal(name, other)
		}
	}
	time.Sleep(c.between(0, 10*time.Second))
	c.startMaster(i)
}

// heal ends all faults.
func (c *cluster) heal() {
	names := c.names()
	for i, a := range names {
		c.network.delay(a, 0)
		for _, b := range names[i:] {
			c.network.Heal(a, b)
		}
	}
}
