package allocator

import (
	"cmp"
	"slices"
)

// draw is a child that has drawn a number.
type draw struct {
	key    uint64
	handle int32
}

// visitDrawn is visit for the Random policy. Each child of a role waits for a time that it draws, exponentially distributed with its
// weight as the rate; who waits for the shortest time comes first. So the first is chosen in proportion to the weights, and so is each next one among the rest
// (Efraimidis and Spirakis, 2006).
func (a *Hierarchical) visitDrawn(r *role, guaranteed bool) bool {
	x := &a.run
	base := len(x.draws)
	plain := a.lot(x.open).traits == 0
	for h := range r.below.all() {
		x.work++
		weight, name := int64(defaultWeight), r.name+"/."
		if h != virtualLeaf {
			n := a.roles[h]
			if !x.full && n.awake == 0 || guaranteed && r == a.root && !n.needs || plain && n.open == 0 {
				continue
			}
			weight, name = n.weight, n.name
		}
		x.draws = append(x.draws, draw{mulDiv(minusLog2(a.drawn(hashName(name))), defaultWeight, uint64(weight)), h})
	}
	end := len(x.draws)
	of := childrenOf{a, r}
	slices.SortFunc(x.draws[base:], func(d, e draw) int {
		if d.key != e.key {
			return cmp.Compare(d.key, e.key)
		}
		return of.tie(d.handle, e.handle)
	})
	found := false
	for i := base; i < end && !found; i++ {
		if h := x.draws[i].handle; h == virtualLeaf {
			found = a.visitDrawnClients(r, guaranteed)
		} else {
			found = a.visitDrawn(a.roles[h], guaranteed)
		}
	}
	x.draws = x.draws[:base]
	return found
}

// visitDrawnClients is visitClients for the Random policy. Frameworks weigh the same, so that the largest number drawn is the shortest time:
// times are computed for those that come to be asked.
func (a *Hierarchical) visitDrawnClients(r *role, guaranteed bool) bool {
	x := &a.run
	base := len(x.draws)
	for h := range r.clients.all() {
		if c := a.clients[h]; (x.full || c.awake) && !a.filtered(x.slave, h) {
			x.draws = append(x.draws, draw{a.drawn(c.framework.seq), h})
		}
	}
	heap := x.draws[base:]
	x.work += len(heap) / 16
	for i := len(heap)/2 - 1; i >= 0; i-- {
		sinkDraw(heap, i)
	}
	found := false
	for len(heap) > 0 && !found {
		time, before := minusLog2(heap[0].key), heap
		for len(heap) > 0 && minusLog2(heap[0].key) == time {
			heap[0], heap[len(heap)-1] = heap[len(heap)-1], heap[0]
			heap = heap[:len(heap)-1]
			sinkDraw(heap, 0)
		}
		group := before[len(heap):] // those whose times are the same
		if len(group) > 1 {
			slices.SortFunc(group, func(d, e draw) int { return (clientsOf{a}).tie(d.handle, e.handle) })
		}
		for i := 0; i < len(group) && !found; i++ {
			if c := a.clients[group[i].handle]; a.takes(c, guaranteed) {
				x.client, found = c, true
			}
		}
	}
	x.draws = x.draws[:base]
	return found
}

// sinkDraw restores a heap with the largest key on top.
func sinkDraw(h []draw, i int) {
	for {
		big := 2*i + 1
		if big >= len(h) {
			return
		}
		if big+1 < len(h) && h[big+1].key > h[big].key {
			big++
		}
		if h[i].key >= h[big].key {
			return
		}
		h[i], h[big] = h[big], h[i]
		i = big
	}
}

// drawn returns the number that a child draws for the slave at hand.
func (a *Hierarchical) drawn(child uint64) uint64 {
	return mix64(a.cfg.Seed, a.runs, a.run.slave.seq, child)
}

// hashName is FNV-1a with 64 bits.
func hashName(name string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(name) {
		h = (h ^ uint64(name[i])) * 1099511628211
	}
	return h
}
