package allocator

import (
	"cmp"
	"math/bits"
	"slices"
)

// warmAhead is how many slaves are read at once.
const warmAhead = 16

// ticket is a slave to be looked at.
type ticket struct {
	key    uint64 // see the package comment
	seq    uint64
	handle int32
	full   bool
	unfit  bool // nobody needs what it has free, while somebody needs something
}

// gather makes todo and awake from what is dirty, woken and stirred, which it empties, and puts todo in order.
func (a *Hierarchical) gather() {
	x := &a.run
	x.todo, x.awake, x.demand = x.todo[:0], x.awake[:0], a.demanded()
	for _, h := range a.woken {
		if c := a.clients[h]; c != nil && c.woken {
			c.woken = false
			a.rise(h)
		}
	}
	a.woken, a.wokenCount = a.woken[:0], 0
	x.all = len(x.awake) > 0
	for _, h := range a.stirred {
		if c := a.clients[h]; c != nil && c.stirred {
			c.stirred = false
			a.rise(h)
		}
	}
	a.stirred = a.stirred[:0]
	for _, h := range a.again {
		s := a.slaves[h]
		if s == nil || !s.again {
			continue
		}
		s.again = false
		if !x.all && !a.isDirty.has(h) && a.withFree.has(h) {
			x.todo = append(x.todo, a.ticket(h, false))
		}
	}
	a.again = a.again[:0]
	if x.all {
		for h := range a.withFree.all() {
			if !a.isDirty.has(h) {
				x.todo = append(x.todo, a.ticket(h, false))
			}
		}
	}
	for _, h := range a.dirty { // without a look at the slaves themselves, which are all over the memory
		if !a.isDirty.has(h) {
			continue
		}
		a.isDirty.remove(h)
		if a.withFree.has(h) {
			x.todo = append(x.todo, a.ticket(h, true))
		}
	}
	a.dirty, a.dirtyCount = a.dirty[:0], 0
	a.tried = moment{a.changes.end(), a.wakes}
	x.sortTickets()
}

// sortTickets puts todo in order. Keys are spread evenly, so that putting each where it is expected leaves little to sort.
func (x *run) sortTickets() {
	n := len(x.todo)
	if n <= 64 {
		slices.SortFunc(x.todo, compareTickets)
		return
	}
	size := bits.Len(uint(n)) // 1<<size buckets for those that fit, and as many for those that do not
	place := func(t *ticket) uint64 { return uint64(flag(t.unfit))<<size | t.key>>(64-size) }
	x.starts = slices.Grow(x.starts[:0], 2<<size+1)[:2<<size+1]
	clear(x.starts)
	for i := range x.todo {
		x.starts[place(&x.todo[i])+1]++
	}
	for i := 1; i < len(x.starts); i++ {
		x.starts[i] += x.starts[i-1]
	}
	x.sorted = slices.Grow(x.sorted[:0], n)[:n]
	for i := range x.todo {
		at := &x.starts[place(&x.todo[i])]
		x.sorted[*at] = x.todo[i]
		*at++
	}
	x.todo, x.sorted = x.sorted, x.todo
	for i := 1; i < n; i++ {
		t := x.todo[i]
		j := i
		for ; j > 0 && compareTickets(t, x.todo[j-1]) < 0; j-- {
			x.todo[j] = x.todo[j-1]
		}
		x.todo[j] = t
	}
}

// warm reads of some slaves what serve will need. Slaves come in no order, so that each would be waited for; this waits for all of them at once.
func (a *Hierarchical) warm(todo []ticket) {
	for i := range todo {
		s := a.slaves[todo[i].handle]
		a.run.warmed += s.seq + uint64(s.free)
	}
}

// extend adds to what comes after i in todo the slaves with something free whose turn that is.
func (a *Hierarchical) extend(i int) {
	x := &a.run
	n := len(x.todo)
	for h := range a.withFree.all() {
		t := a.ticket(h, false)
		if a.slaves[h].served == x.serial || compareTickets(t, x.todo[i]) <= 0 {
			continue
		}
		if _, in := slices.BinarySearchFunc(x.todo[i+1:n], t, compareTickets); !in {
			x.todo = append(x.todo, t)
		}
	}
	slices.SortFunc(x.todo[i+1:], compareTickets)
}

func (a *Hierarchical) ticket(h int32, full bool) ticket {
	seq := a.slaveSeqs[h]
	return ticket{mix64(a.cfg.Seed, a.runs, seq), seq, h, full, len(a.run.demand) > 0 && a.unfit(a.slaves[h])}
}

func compareTickets(s, t ticket) int {
	switch {
	case s.unfit != t.unfit:
		return flag(s.unfit) - flag(t.unfit)
	case s.key != t.key:
		return cmp.Compare(s.key, t.key)
	}
	return cmp.Compare(s.seq, t.seq)
}
