package core

import (
	"slices"
	"time"

	"github.com/tidwall/btree"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// maxFields bounds the fields that get trees of their own in one run, and maxValues the values of each.
const (
	maxFields = 16
	maxValues = 256
)

// A run is one matching of what waits with the offers at hand.
type run struct {
	id      uint64
	forests map[string]*forest // by role
	fields  []string           // that rules name
	slots   []*slot
	at      *unit // the last that was tried
	log     []step
	logging bool
}

// A forest is the offers of one role.
type forest struct {
	all     *tree
	groves  map[string]*grove
	byScore *btree.BTreeG[*slot] // nil until somebody asks
	used    *btree.BTreeG[*slot] // those on slaves with tasks of ours
	full    vector               // the most of each, by which scores are made
}

// A grove is the offers of a role by the values of one field.
type grove struct {
	values []value
	trees  []*tree
	many   bool // too many values to be of use
	turn   int
	tried  []uint64
	search uint64
}

// A step is what can be undone.
type step struct {
	s    *slot
	left resource.Resources
	free vector
	m    *member
}

// match runs when the offers at hand are due, and goes on with a run that was too much for one Step.
func (c *Core) match() {
	if c.run == nil {
		if c.book.due.IsZero() || c.book.due.After(c.now) {
			return
		}
		c.book.due = time.Time{}
		c.begin()
	}
	if c.try() {
		c.finish()
	}
}

// begin makes the trees.
func (c *Core) begin() {
	c.runs++
	r := &run{id: c.runs, forests: map[string]*forest{}, slots: slices.Clone(c.book.list)}
	c.run = r
	for _, s := range r.slots {
		s.free, s.kept, s.places, s.values, s.ordered = measure(s.left), false, s.places[:0], s.values[:0], false
		f := r.forests[s.role]
		if f == nil {
			f = &forest{all: &tree{}, groves: map[string]*grove{}}
			r.forests[s.role] = f
		}
		f.all.add(s)
		f.full.raise(&s.free)
	}
	for _, role := range c.order {
		if f := r.forests[role.name]; f != nil {
			f.all.build()
		}
	}
}

// field is the number of a field in the run; a new one is read of all slots.
func (r *run) field(name string) int {
	if i := slices.Index(r.fields, name); i >= 0 {
		return i
	}
	r.fields = append(r.fields, name)
	for _, s := range r.slots {
		s.values = append(s.values, valueOf(name, s.host, s.domain, s.attributes))
	}
	return len(r.fields) - 1
}

// grove makes the trees of a field's values.
func (r *run) grove(f *forest, name string, field int) *grove {
	if g := f.groves[name]; g != nil {
		return g
	}
	g := &grove{}
	if len(f.groves) >= maxFields {
		return &grove{many: true}
	}
	f.groves[name] = g
	at := map[value]int{}
	for _, s := range f.all.slots {
		v := s.values[field]
		if _, known := at[v]; !known {
			if at[v] = len(g.values); len(g.values) == maxValues {
				g.many, g.values = true, nil
				return g
			}
			g.values = append(g.values, v)
		}
	}
	g.trees, g.tried = make([]*tree, len(g.values)), make([]uint64, len(g.values))
	for i := range g.trees {
		g.trees[i] = &tree{}
	}
	for _, s := range f.all.slots {
		g.trees[at[s.values[field]]].add(s)
	}
	for _, t := range g.trees {
		t.build()
	}
	return g
}

// prepare readies a class for the run: where its rules' fields are, and which of them splits best.
func (c *Core) prepare(k *class, f *forest) {
	if k.prepared == c.run.id {
		return
	}
	k.prepared, k.fields, k.tallies, k.driver, k.counts = c.run.id, k.fields[:0], k.tallies[:0], nil, nil
	for i, rule := range k.rules {
		field := c.run.field(rule.Field)
		k.fields = append(k.fields, field)
		var t *tally
		if rule.moves() {
			t = k.set.watch(rule.Field)
		}
		k.tallies = append(k.tallies, t)
		if rule.Field == FieldHostname {
			continue
		}
		if g := c.run.grove(f, rule.Field, field); !g.many && (k.driver == nil || rule.Op == GroupBy) {
			k.driver, k.driverRule = g, i
		}
	}
}

// try looks for places, for as many tasks as one Step may, and reports whether that was all.
func (c *Core) try() bool {
	r := c.run
	budget := c.cfg.Work
	var done []*unit
	all := true
	visit := func(u *unit) bool {
		if r.at != nil && !lessUnit(r.at, u) {
			return true
		}
		if budget <= 0 {
			all = false
			return false
		}
		r.at = u
		budget -= len(u.members)
		if c.placeUnit(u) {
			done = append(done, u)
		}
		return true
	}
	if r.at == nil {
		c.queue.Scan(visit)
	} else {
		c.queue.Ascend(r.at, visit)
	}
	for _, u := range done {
		c.dequeue(u)
		u.phase = placed
	}
	return all
}

// placeUnit finds a place for every member, or for none.
func (c *Core) placeUnit(u *unit) bool {
	f := c.run.forests[u.role]
	if f == nil {
		return false
	}
	if !u.group {
		m := u.members[0]
		return !m.class.stuck(c.run.id) && c.place(f, m)
	}
	return c.placeGroup(f, u)
}

// place finds a slot for a member and takes what it needs.
func (c *Core) place(f *forest, m *member) bool {
	k := m.class
	if !f.all.mostCovers(&k.vector) {
		k.fail(c, f, tooLarge)
		return false
	}
	c.prepare(k, f)
	s, got := c.search(f, k)
	if s == nil {
		return false
	}
	c.take(f, s, m, got)
	return true
}

func (t *tree) mostCovers(want *vector) bool {
	most := t.most()
	return most.covers(want)
}

// take launches a member on a slot.
func (c *Core) take(f *forest, s *slot, m *member, got launch) {
	left, ok := s.left.Sub(got.found)
	if !ok {
		panic("launcher: a slot has less than was found in it")
	}
	if c.run.logging {
		c.run.log = append(c.run.log, step{s, s.left, s.free, m})
	}
	got.m = m
	s.launches = append(s.launches, got)
	m.at = Placed{Slave: s.slave, Hostname: s.host, Attributes: s.attributes, Domain: s.domain, Launched: c.now}
	m.gone = false
	m.set.count(m, 1)
	c.slaves[s.slave]++
	c.resize(f, s, left, measure(left))
}

// resize changes what is left of a slot, everywhere.
func (c *Core) resize(f *forest, s *slot, left resource.Resources, free vector) {
	if s.ordered {
		f.byScore.Delete(s)
		f.used.Delete(s)
	}
	s.left, s.free = left, free
	for _, p := range s.places {
		p.tree.update(p.pos, free)
	}
	if s.ordered {
		f.order(c, s)
	}
}

// order enters a slot into the orders by score.
func (f *forest) order(c *Core, s *slot) {
	s.score, s.ordered = f.scoreOf(&s.free), true
	f.byScore.Set(s)
	if c.slaves[s.slave] > 0 {
		f.used.Set(s)
	}
}

// scoreOf is how much there is, by the shares of what the largest offers had. What covers another vector has no lower score.
func (f *forest) scoreOf(v *vector) int64 {
	sum := int64(0)
	for d := range dimPorts {
		if f.full[d] > 0 {
			sum += int64(min(float64(v[d])/float64(f.full[d]), 1) * (1 << 20))
		}
	}
	return sum
}

func lessScore(a, b *slot) bool {
	if a.score != b.score {
		return a.score < b.score
	}
	return a.places[0].pos < b.places[0].pos
}

// orders makes the orders by score when a class first needs them.
func (f *forest) orders(c *Core) {
	if f.byScore != nil {
		return
	}
	options := btree.Options{NoLocks: true}
	f.byScore, f.used = btree.NewBTreeGOptions(lessScore, options), btree.NewBTreeGOptions(lessScore, options)
	for _, s := range f.all.slots {
		f.order(c, s)
	}
}

// undo takes back what was placed since the log had n steps.
func (c *Core) undo(f *forest, n int) {
	r := c.run
	for len(r.log) > n {
		x := r.log[len(r.log)-1]
		r.log = r.log[:len(r.log)-1]
		x.s.launches = x.s.launches[:len(x.s.launches)-1]
		x.m.set.count(x.m, -1)
		c.slaveLess(x.s.slave)
		x.m.at = Placed{}
		c.resize(f, x.s, x.left, x.free)
	}
}

func (c *Core) slaveLess(id offer.SlaveID) {
	if c.slaves[id]--; c.slaves[id] == 0 {
		delete(c.slaves, id)
	}
}

// finish accepts and declines every offer but those that are kept for a group.
func (c *Core) finish() {
	r := c.run
	c.run = nil
	fresh := c.book.list[len(r.slots):]
	var keep []*slot
	unused := map[string]*Decline{}
	for _, s := range r.slots {
		switch {
		case s.dead: // nothing is left to answer
		case len(s.launches) > 0:
			c.accept(s)
		case s.kept:
			keep = append(keep, s)
			continue
		default:
			d := unused[s.role]
			if d == nil {
				d = &Decline{}
				unused[s.role] = d
			}
			d.Offers = append(d.Offers, s.offers...)
		}
		for _, id := range s.offers {
			if c.book.by[id] == s {
				delete(c.book.by, id)
			}
		}
		if c.book.slots[s.slotKey] == s {
			delete(c.book.slots, s.slotKey)
		}
	}
	for _, role := range c.order {
		if d := unused[role.name]; d != nil {
			c.decline(role, d.Offers)
		}
	}
	c.book.list = append(keep, fresh...)
	if len(fresh) > 0 {
		c.book.due = c.now.Add(max(c.cfg.Gather, 0))
	}
	if len(keep) == 0 && c.hold.unit != nil {
		c.letGo()
	}
}

// abandon ends a run whose offers are void: what it has placed waits again.
func (c *Core) abandon() {
	if c.run == nil {
		return
	}
	for _, s := range c.run.slots {
		c.unplace(s)
	}
	c.run = nil
}

// lose takes a slot that was rescinded out of the run.
func (r *run) lose(c *Core, s *slot) {
	c.unplace(s)
	if i := slices.Index(c.book.list, s); i >= len(r.slots) {
		c.book.remove(s)
		return
	}
	c.resize(r.forests[s.role], s, nil, vector{})
}

// unplace has the units that were placed on a slot wait again, with all that they have on other slots.
func (c *Core) unplace(s *slot) {
	for len(s.launches) > 0 {
		u := s.launches[0].m.unit
		for _, m := range u.members {
			c.unplaceMember(m)
		}
		u.phase = waiting
		c.queue.Set(u)
		c.roles[u.role].ready(1)
	}
}

func (c *Core) unplaceMember(m *member) {
	for _, s := range c.run.slots {
		if s.slave != m.at.Slave {
			continue
		}
		i := slices.IndexFunc(s.launches, func(l launch) bool { return l.m == m })
		if i < 0 {
			continue
		}
		found := s.launches[i].found
		s.launches = slices.Delete(s.launches, i, i+1)
		m.set.count(m, -1)
		c.slaveLess(s.slave)
		m.at = Placed{}
		left := s.left.Add(found)
		c.resize(c.run.forests[s.role], s, left, measure(left))
		return
	}
}
