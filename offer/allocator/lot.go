package allocator

import (
	"github.com/meros-project/meros/offer/resource"
)

// A lot is the number of a value of resources in Hierarchical.lots: 0 is nothing. Equal values have mostly the same number, so that ten
// thousand slaves alike keep one, and what follows from a value is computed once.
type lot int32

// hugeLot is how many entries a value has that is not compared with others: it is hardly ever met twice, and reading it takes long.
const hugeLot = 128

// lotInfo is a value of resources, and what follows from it.
type lotInfo struct {
	res    resource.Resources
	all    vec // its scalars
	plain  vec // those that are neither reserved nor revocable
	hash   uint64
	used   bool // something of the allocator's state has it; scratch of sweep
	traits traits
	owner  string // the role that all of it is reserved to, if that is one
	scarce uint64 // scarce kinds that it has any of
}

// lots interns values. Those that nothing uses any more are found by sweep, when enough new ones have come.
type lots struct {
	info   []lotInfo
	unused []lot
	index  []lot // open addressing by hash; 0 where free
	filled int   // of index
	memo   []remembered
	live   int // entries after the last sweep
	fresh  int // entries that have come since
	every  int // sweep after so many fresh ones at the least
}

// remembered is the result of an operation on two values.
type remembered struct {
	x, y   lot
	result lot
	op     operation
}

type operation int32

const (
	opNone operation = iota
	opAdd
	opSub
	opContains
	opShared // y is 0
	opRest   // y is 0
	opNew
	opView // and the traits to strip; y is the serial number of the role, or 0
)

const failed = lot(-1)

func (a *Hierarchical) lot(l lot) *lotInfo { return &a.lots.info[l] }

// value returns the resources of a lot. They are immutable.
func (a *Hierarchical) value(l lot) resource.Resources { return a.lots.info[l].res }

func (t *lots) init() { t.info, t.every = make([]lotInfo, 1), 8192 }

// intern returns the lot of res, which is kept if it is new.
func (a *Hierarchical) intern(res resource.Resources) lot { return a.internValue(res, false) }

// internScratch is intern for a value whose memory will be written again.
func (a *Hierarchical) internScratch(res resource.Resources) lot { return a.internValue(res, true) }

func (a *Hierarchical) internValue(res resource.Resources, scratch bool) lot {
	t := &a.lots
	if len(res) == 0 {
		return 0
	}
	hash, slot := uint64(0), -1
	if len(res) <= hugeLot {
		if 4*(t.filled+1) > 3*len(t.index) {
			t.rehash()
		}
		hash = hashOf(res, a.cfg.Seed)
		mask := uint64(len(t.index) - 1)
		at := hash & mask
		for ; t.index[at] != 0; at = (at + 1) & mask {
			if in := &t.info[t.index[at]]; in.hash == hash && (same(in.res, res) || identical(in.res, res)) {
				return t.index[at]
			}
		}
		slot = int(at)
	}
	if scratch {
		res = append(make(resource.Resources, 0, len(res)), res...)
	}
	l := lot(len(t.info))
	if n := len(t.unused); n > 0 {
		l = t.unused[n-1]
		t.unused = t.unused[:n-1]
	} else {
		t.info = append(t.info, lotInfo{})
	}
	t.info[l] = a.inform(res, hash)
	t.fresh += len(res)
	if slot >= 0 {
		t.index[slot] = l
		t.filled++
	}
	return l
}

// identical is Equal and the same mounts: an offer shows where a volume was mounted.
func identical(x, y resource.Resources) bool {
	if !x.Equal(y) {
		return false
	}
	for i := range x {
		if v, w := x[i].Volume, y[i].Volume; v != w && *v != *w {
			return false
		}
	}
	return true
}

// inform computes what follows from a value.
func (a *Hierarchical) inform(res resource.Resources, hash uint64) lotInfo {
	in := lotInfo{res: res, hash: hash, traits: traitsOf(res), owner: ownerOfAll(res), scarce: a.scarceOf(res)}
	all := make(vec, 0, vecKinds)
	a.addScalars(&all, res, 1)
	in.all, in.plain = all, all
	if in.traits&(hasReserved|hasRevocable) != 0 {
		plain := make(vec, 0, vecKinds)
		a.addPlain(&plain, res, 1)
		in.plain = plain
	}
	return in
}

// ownerOfAll returns the role that everything is reserved to, or nothing if there is not just one.
func ownerOfAll(res resource.Resources) string {
	owner := ""
	for i := range res {
		of := ownerOf(&res[i])
		if of == "" || i > 0 && of != owner {
			return ""
		}
		owner = of
	}
	return owner
}

// hashOf reads everything that Resources.Equal compares.
func hashOf(res resource.Resources, seed uint64) uint64 {
	h := mixIn(seed, uint64(len(res)))
	for i := range res {
		e := &res[i]
		h = mixText(h, e.Name)
		h = mixIn(h, uint64(e.Type)|uint64(len(e.Reservations))<<8|uint64(flag(e.Revocable))<<62|uint64(flag(e.Shared))<<63)
		h = mixIn(h, uint64(e.Scalar)+uint64(e.Count())<<48)
		for _, x := range e.Ranges {
			h = mixIn(mixIn(h, x.Begin), x.End)
		}
		for _, item := range e.Set {
			h = mixText(h, item)
		}
		for j := range e.Reservations {
			r := &e.Reservations[j]
			h = mixText(mixText(mixIn(h, uint64(r.Type)), r.Role), r.Principal)
			for _, l := range r.Labels {
				h = mixText(mixText(h, l.Key), l.Value)
			}
		}
		if e.Volume != nil {
			h = mixText(mixText(h, e.Volume.ID), e.Volume.Principal)
		}
	}
	return h
}

func mixIn(h, x uint64) uint64 {
	h = (h ^ x) * 0x9e3779b97f4a7c15
	return h ^ h>>29
}

func mixText(h uint64, s string) uint64 {
	h = mixIn(h, uint64(len(s)))
	for ; len(s) >= 8; s = s[8:] {
		h = mixIn(h, uint64(s[0])|uint64(s[1])<<8|uint64(s[2])<<16|uint64(s[3])<<24|uint64(s[4])<<32|uint64(s[5])<<40|uint64(s[6])<<48|uint64(s[7])<<56)
	}
	x := uint64(0)
	for i := range len(s) {
		x = x<<8 | uint64(s[i])
	}
	return mixIn(h, x)
}

// rehash makes room in the index.
func (t *lots) rehash() {
	size := 64
	for 3*size < 8*(t.filled+1) {
		size *= 2
	}
	t.index, t.filled = make([]lot, size), 0
	for l := range t.info {
		if in := &t.info[l]; len(in.res) > 0 && len(in.res) <= hugeLot {
			t.place(lot(l))
		}
	}
}

func (t *lots) place(l lot) {
	mask := uint64(len(t.index) - 1)
	at := t.info[l].hash & mask
	for t.index[at] != 0 {
		at = (at + 1) & mask
	}
	t.index[at] = l
	t.filled++
}

// recall returns where the result of an operation is remembered, or is to be.
func (t *lots) recall(op operation, x, y lot) (m *remembered, known bool) {
	if size := min(1<<13, 256+4*len(t.info)); len(t.memo)*2 < size {
		n := 256
		for n < size {
			n *= 2
		}
		t.memo = make([]remembered, min(n, 1<<13))
	}
	h := (uint64(x)<<32 ^ uint64(y)<<4 ^ uint64(op)) * 0x9e3779b97f4a7c15
	m = &t.memo[h>>40&uint64(len(t.memo)-1)]
	return m, m.op == op && m.x == x && m.y == y
}

// add returns x and y together.
func (a *Hierarchical) add(x, y lot) lot {
	switch {
	case x == 0:
		return y
	case y == 0:
		return x
	}
	m, known := a.lots.recall(opAdd, x, y)
	if !known {
		*m = remembered{x, y, a.intern(a.value(x).Add(a.value(y))), opAdd}
	}
	return m.result
}

// sub returns what is left of x without y, or failed when y is not in x.
func (a *Hierarchical) sub(x, y lot) lot {
	switch {
	case y == 0:
		return x
	case x == y:
		return 0
	}
	m, known := a.lots.recall(opSub, x, y)
	if !known {
		result := failed
		if left, ok := a.value(x).Sub(a.value(y)); ok {
			result = a.intern(left)
		}
		*m = remembered{x, y, result, opSub}
	}
	return m.result
}

// contains reports whether y is in x.
func (a *Hierarchical) contains(x, y lot) bool {
	if x == y || y == 0 {
		return true
	}
	m, known := a.lots.recall(opContains, x, y)
	if !known {
		*m = remembered{x, y, lot(flag(a.value(x).Contains(a.value(y)))), opContains}
	}
	return m.result == 1
}

// sharedOf returns the shared volumes of a lot, and restOf what else is in it.
func (a *Hierarchical) sharedOf(l lot) lot {
	if a.lot(l).traits&hasShared == 0 {
		return 0
	}
	m, known := a.lots.recall(opShared, l, 0)
	if !known {
		*m = remembered{l, 0, a.intern(only(a.value(l), true)), opShared}
	}
	return m.result
}

func (a *Hierarchical) restOf(l lot) lot {
	if a.lot(l).traits&hasShared == 0 {
		return l
	}
	m, known := a.lots.recall(opRest, l, 0)
	if !known {
		*m = remembered{l, 0, a.intern(only(a.value(l), false)), opRest}
	}
	return m.result
}

// sweep forgets the values that nothing uses, if enough new ones have come since it last did.
func (a *Hierarchical) sweep() {
	t := &a.lots
	if t.fresh < max(t.every, t.live/4) {
		return
	}
	for _, s := range a.slaves {
		if s == nil {
			continue
		}
		for _, l := range [...]lot{s.total, s.free, s.shared, s.seen} {
			t.info[l].used = true
		}
		for _, h := range a.words.words(s.held) {
			t.info[holding(h).lot()].used = true
		}
		for _, p := range a.words.words(s.filters) {
			t.info[a.filters.slab.at(pair(p).id()).refused].used = true
		}
	}
	t.live, t.fresh, t.unused = 0, 0, t.unused[:0]
	t.info[0].used = false
	for l := 1; l < len(t.info); l++ {
		in := &t.info[l]
		if !in.used {
			*in = lotInfo{}
			t.unused = append(t.unused, lot(l))
		}
		in.used = false
		t.live += len(in.res)
	}
	clear(t.memo)
	t.filled = len(t.info) - 1 - len(t.unused)
	t.rehash()
}
