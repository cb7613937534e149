package allocator

// markDirty has a slave tried with every client at the next run.
func (a *Hierarchical) markDirty(s *slave) {
	if s.active && s.offerable() && !a.isDirty.has(s.handle) {
		a.isDirty.add(s.handle)
		a.dirtyCount++
		a.dirty = append(a.dirty, s.handle)
		a.changes.add(s, len(a.slaves))
	}
}

// noteFree keeps withFree right after a slave's free resources or its activity have changed.
func (a *Hierarchical) noteFree(s *slave) {
	switch in, was := s.active && s.offerable(), a.withFree.has(s.handle); {
	case in && !was:
		a.withFree.add(s.handle)
		a.freeCount++
	case !in && was:
		a.withFree.remove(s.handle)
		a.freeCount--
	}
}

// wakeClient has a client tried with every slave at the next run, or when it is enabled again.
func (a *Hierarchical) wakeClient(c *client) {
	if !c.enabled {
		c.tried.changes = never
		return
	}
	if !c.woken {
		c.woken = true
		a.wokenCount++
		a.woken = append(a.woken, c.handle)
	}
}

// stir has a slave tried at the next run, with the clients that are woken or stirred, if it has something to offer and is not tried anyway.
func (a *Hierarchical) stir(s *slave) bool {
	if a.isDirty.has(s.handle) || !s.active || !s.offerable() {
		return false
	}
	if !s.again {
		s.again = true
		a.again = append(a.again, s.handle)
	}
	return true
}

// stirClient has a client tried with the slaves that are stirred.
func (a *Hierarchical) stirClient(c *client) {
	if !c.stirred && !c.woken {
		c.stirred = true
		a.stirred = append(a.stirred, c.handle)
	}
}

// moment is how many slaves had been marked dirty, and how many roles woken.
type moment struct{ changes, wakes int64 }

// changes remembers which slaves were marked dirty, in order, so that a client that comes back is tried with those alone that have changed
// while it was away.
type changes struct {
	list []int32
	base int64 // how many were forgotten
}

func (x *changes) end() int64 { return x.base + int64(len(x.list)) }

func (x *changes) add(s *slave, slaves int) {
	if len(x.list) > 1024+2*slaves {
		half := len(x.list) / 2
		x.base += int64(half)
		x.list = x.list[:copy(x.list, x.list[half:])]
	}
	x.list = append(x.list, s.handle)
	s.changed = x.end()
}

// catchUp has a client that is enabled again tried with what it may not have seen: the slaves that have changed since, or all of them if it
// is not known to be the same to it as it was.
func (a *Hierarchical) catchUp(c *client) {
	since := c.tried.changes
	for n := c.role; n != a.root; n = n.parent {
		if n.wokenAt > c.tried.wakes {
			since = never
		}
	}
	if since < a.changes.base {
		a.wakeClient(c)
		return
	}
	some := false
	for i := since; i < a.changes.end(); i++ {
		if s := a.slaves[a.changes.list[i-a.changes.base]]; s != nil && s.changed == i+1 {
			some = a.stir(s) || some
		}
	}
	if some {
		a.stirClient(c)
	}
}
