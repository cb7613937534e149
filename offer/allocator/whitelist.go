package allocator

// setWhitelist is Whitelist.
func (a *Hierarchical) setWhitelist(ev Whitelist) {
	a.whitelist = nil
	if !ev.All {
		a.whitelist = make(map[string]bool, len(ev.Hosts))
		for _, host := range ev.Hosts {
			a.whitelist[host] = true
		}
	}
	for _, s := range a.slaves {
		if s != nil {
			a.settleSlave(s)
		}
	}
}

// listed reports whether the whitelist lets a slave take part.
func (a *Hierarchical) listed(s *slave) bool { return a.whitelist == nil || a.whitelist[s.hostname] }

// settleSlave has a slave take part in offers, or not, as its activity and the whitelist say.
func (a *Hierarchical) settleSlave(s *slave) {
	active := s.on && a.listed(s)
	if s.active == active {
		return
	}
	s.active = active
	a.reopen(s)
	sign := int64(-1)
	if active {
		sign = 1
	}
	a.available.addVec(a.lot(s.free).plain, sign)
	a.noteFree(s)
	a.markDirty(s)
}
