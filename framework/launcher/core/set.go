package core

import "github.com/meros-project/meros/offer"

// A set is tasks that constraints count together.
type set struct {
	name    string
	members int // that wait or run
	version uint64
	slaves  map[offer.SlaveID]int // how many are placed on each
	tallies map[string]*tally     // by field
	fields  []string              // that have a tally, in the order in which they came
	placed  map[*member]struct{}  // looked up and counted, never in order
}

// A tally counts the placed tasks of a set by the value of one field.
type tally struct {
	counts map[string]*int // those of a run are kept when they are zero
	used   int             // values that any task has
	having []int           // having[n] is how many values n tasks have, for n above 0
	placed int
	low    int // what least says, if it is fresh
	stale  int // how often a count that a run may look at was dropped
	fresh  bool
}

func (c *Core) setOf(name string) *set {
	s := c.sets[name]
	if s == nil {
		s = &set{name: name, slaves: map[offer.SlaveID]int{}, tallies: map[string]*tally{}, placed: map[*member]struct{}{}}
		c.sets[name] = s
	}
	return s
}

// leave takes a task that has ended out of its set.
func (c *Core) leave(s *set) {
	if s.members--; s.members == 0 {
		delete(c.sets, s.name)
	}
}

// watch begins to count by a field.
func (s *set) watch(field string) *tally {
	t := s.tallies[field]
	if t == nil {
		t = &tally{counts: map[string]*int{}}
		s.tallies[field] = t
		s.fields = append(s.fields, field)
		for m := range s.placed { // sums do not depend on the order
			t.add(m.at.value(field), 1)
		}
	}
	return t
}

// count enters or removes a placed task.
func (s *set) count(m *member, n int) {
	if n > 0 {
		s.placed[m] = struct{}{}
	} else {
		delete(s.placed, m)
	}
	s.version++
	if s.slaves[m.at.Slave] += n; s.slaves[m.at.Slave] == 0 {
		delete(s.slaves, m.at.Slave)
	}
	for _, f := range s.fields {
		s.tallies[f].add(m.at.value(f), n)
	}
}

func (p *Placed) value(field string) value { return valueOf(field, p.Hostname, p.Domain, p.Attributes) }

func (t *tally) add(v value, n int) {
	if !v.known {
		return
	}
	p := t.at(v.text)
	old := *p
	*p += n
	t.placed += n
	for len(t.having) <= max(old, *p) {
		t.having = append(t.having, 0)
	}
	t.fresh = false
	switch {
	case old > 0:
		t.having[old]--
	case *p > 0:
		t.used++
	}
	if *p > 0 {
		t.having[*p]++
	} else if old > 0 {
		t.used--
		delete(t.counts, v.text)
		t.stale++
	}
}

// at is the count of a value, for a run to look at without searching for it.
func (t *tally) at(text string) *int {
	p := t.counts[text]
	if p == nil {
		p = new(int)
		t.counts[text] = p
	}
	return p
}

func (t *tally) of(text string) int {
	if p := t.counts[text]; p != nil {
		return *p
	}
	return 0
}

func (t *tally) groups() int { return t.used }

// least is the fewest tasks that a value has which has any.
func (t *tally) least() int {
	if t.fresh {
		return t.low
	}
	t.low, t.fresh = 0, true
	for n, values := range t.having {
		if n > 0 && values > 0 {
			t.low = n
			break
		}
	}
	return t.low
}

// above is how many values have more than n tasks.
func (t *tally) above(n int) int {
	sum := 0
	for i := n + 1; i < len(t.having); i++ {
		sum += t.having[i]
	}
	return sum
}
