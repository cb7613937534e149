package sim

import "time"

// faults schedules the troubles of a run, until calm.
func (w *World) faults() {
	if w.calm {
		return
	}
	w.after(w.between(200*time.Millisecond, 2*w.cfg.FaultEvery), func() {
		if w.calm {
			return
		}
		w.fault()
		w.faults()
	})
}

func (w *World) fault() {
	switch w.random.IntN(8) {
	case 0: // the leader dies
		if g := w.log; g.leader != nil {
			m := g.leader.m
			m.kill()
			w.after(w.between(time.Second, 20*time.Second), m.restart)
		}
	case 1: // any master dies
		m := w.masters[w.random.IntN(len(w.masters))]
		if m.alive && w.standing() > len(w.masters)/2+1 {
			m.kill()
			w.after(w.between(time.Second, 20*time.Second), m.restart)
		}
	case 2: // the leader is deposed and does not know it
		w.log.elect()
	case 3: // a slave's process dies
		s := w.slaves[w.random.IntN(len(w.slaves))]
		if s.alive {
			s.crash()
			w.after(w.between(100*time.Millisecond, 30*time.Second), func() { s.restart() })
		}
	case 4: // a framework's process dies
		if len(w.frameworks) == 0 {
			return
		}
		f := w.frameworks[w.random.IntN(len(w.frameworks))]
		if _, outside := f.user.(guest); f.alive && !outside { // an outside program's memory cannot be taken back
			f.crash()
			w.after(w.between(100*time.Millisecond, 20*time.Second), func() { f.restart() })
		}
	case 5: // a connection breaks
		if n := len(w.links); n > 0 {
			l := w.links[w.random.IntN(n)]
			w.note("net", "connection %d of %s breaks", l.number, l.client.name())
			w.counts.Cuts++
			l.sever(w.between(time.Millisecond, 30*time.Second))
		}
	case 6:
		w.partition()
	case 7: // all connections of the leader break
		if g := w.log; g.leader != nil {
			m := g.leader.m
			w.note("net", "all connections of %s break", m.id)
			w.severAll(5*time.Second, func(l *link) bool { return l.server == m })
		}
	}
}

func (w *World) standing() int {
	n := 0
	for _, m := range w.masters {
		if m.alive {
			n++
		}
	}
	return n
}

// partition cuts one node off from all others, for a while.
func (w *World) partition() {
	var cut *bool
	var affects func(*link) bool
	name := ""
	switch w.random.IntN(3) {
	case 0:
		m := w.masters[w.random.IntN(len(w.masters))]
		cut, name, affects = &m.cutOff, m.id, func(l *link) bool { return l.server == m }
		if w.log.leader != nil && w.log.leader.m == m {
			w.after(w.between(time.Second, 3*time.Second), func() {
				if m.cutOff {
					w.log.elect()
				}
			})
		}
	case 1:
		s := w.slaves[w.random.IntN(len(w.slaves))]
		cut, name, affects = &s.cutOff, s.id, func(l *link) bool { return l.client == client(s) }
	case 2:
		if len(w.frameworks) == 0 {
			return
		}
		f := w.frameworks[w.random.IntN(len(w.frameworks))]
		cut, name, affects = &f.cutOff, f.id, func(l *link) bool { return l.client == client(f) }
	}
	if *cut {
		return
	}
	*cut = true
	w.counts.Partitions++
	w.note("net", "%s is cut off", name)
	w.severAll(40*time.Second, affects)
	w.after(w.between(time.Second, 2*time.Minute), func() {
		if *cut {
			w.note("net", "%s is back", name)
			*cut = false
		}
	})
}

func (s *slave) restart() {
	if !s.alive {
		s.begin()
	}
}

func (f *framework) restart() {
	if !f.alive && !f.ended {
		f.begin()
	}
}

// heal ends all troubles: everybody is up and connected from here on.
func (w *World) heal() {
	w.calm = true
	w.note("net", "calm")
	for _, m := range w.masters {
		m.cutOff = false
		m.restart()
	}
	for _, s := range w.slaves {
		s.cutOff = false
		s.restart()
	}
	for _, f := range w.frameworks {
		f.cutOff = false
		f.restart()
	}
}

// detect says whom a client would dial: most often the leader.
func (w *World) detect() *master {
	if g := w.log; g.leader != nil && (w.calm || w.chance(0.9)) {
		return g.leader.m
	}
	return w.masters[w.random.IntN(len(w.masters))]
}
