package sim

import "time"

// A partition keeps nodes from hearing masters, or masters from hearing nodes, for a while. Several may overlap.
type partition struct {
	name string
	cuts []cut
}

// A cut is one node's share: the masters, by bit, that do not hear it, and those that it does not hear.
type cut struct {
	n          *node
	mute, deaf uint32
}

// raise begins a partition and lift ends it.
func (w *World) raise(p *partition) {
	w.note("net", "partition: %s", p.name)
	w.counts.Partitions++
	w.partitions = append(w.partitions, p)
	w.connect()
}

func (w *World) lift(p *partition) {
	for i, x := range w.partitions {
		if x == p {
			w.partitions = append(w.partitions[:i], w.partitions[i+1:]...)
			w.note("net", "partition ends: %s", p.name)
			w.connect()
			return
		}
	}
}

// forAWhile raises a partition and lifts it later.
func (w *World) forAWhile(p *partition, d time.Duration) {
	w.raise(p)
	w.after(d, func() { w.lift(p) })
}

// connect works out who hears whom.
func (w *World) connect() {
	for _, n := range w.nodes() {
		n.mute, n.deaf = 0, 0
	}
	for _, p := range w.partitions {
		for _, c := range p.cuts {
			c.n.mute |= c.mute
			c.n.deaf |= c.deaf
		}
	}
	for _, l := range append([]*link(nil), w.links...) {
		l.unblock()
	}
	w.log.watch()
}

// isolate cuts a node off from everybody; in one direction if so asked.
func (w *World) isolate(n *node, mute, deaf bool) *partition {
	p := &partition{name: n.id + " alone"}
	mask := func(on bool, m uint32) uint32 {
		if on {
			return m
		}
		return 0
	}
	switch {
	case !deaf:
		p.name = "nobody hears " + n.id
	case !mute:
		p.name = n.id + " hears nobody"
	}
	p.cuts = append(p.cuts, cut{n, mask(mute, ^uint32(0)), mask(deaf, ^uint32(0))})
	for i, m := range w.masters {
		if &m.node != n {
			continue
		}
		bit := uint32(1) << i
		for _, other := range w.nodes() {
			if other != n { // what it hears of n is what n says
				p.cuts = append(p.cuts, cut{other, mask(deaf, bit), mask(mute, bit)})
			}
		}
	}
	return p
}

// split parts all nodes into two halves that do not hear each other; with a bridge, one master hears both.
func (w *World) split(bridge bool) *partition {
	p := &partition{name: "halves"}
	var left uint32
	between := -1
	if bridge {
		p.name = "halves with a bridge"
		between = w.random.IntN(len(w.masters))
	}
	for i := range w.masters {
		if w.chance(0.5) {
			left |= 1 << i
		}
	}
	for i, n := range w.nodes() {
		other := left
		if i < len(w.masters) && left&(1<<i) != 0 || i >= len(w.masters) && w.chance(0.5) {
			other = ^left
		}
		if i == between {
			continue
		}
		if between >= 0 {
			other &^= 1 << between
		}
		p.cuts = append(p.cuts, cut{n, other, other})
	}
	return p
}

// ring leaves each master its two neighbours.
func (w *World) ring() *partition {
	p := &partition{name: "ring"}
	n := len(w.masters)
	for i, m := range w.masters {
		far := ^(uint32(1)<<i | uint32(1)<<((i+1)%n) | uint32(1)<<((i+n-1)%n))
		p.cuts = append(p.cuts, cut{&m.node, far, far})
	}
	return p
}

// hears reports whether what a says reaches b.
func (w *World) hears(a, b *master) bool {
	return a == b || a.mute&(1<<b.number) == 0 && b.deaf&(1<<a.number) == 0
}

// able reports whether a master can lead: it and a majority hear each other.
func (w *World) able(m *master) bool {
	if !m.alive || m.paused || m.hung || m.out {
		return false
	}
	n, members := 0, 0
	for _, p := range w.masters {
		if p.out {
			continue
		}
		members++
		if p.alive && !p.paused && w.hears(m, p) && w.hears(p, m) {
			n++
		}
	}
	return 2*n > members
}
