package core

// enough is how many slots without a task of the set are compared by what is left of them.
const enough = 4

// A hunt is one search for a slot.
type hunt struct {
	c      *Core
	f      *forest
	k      *class
	driven bool // by the values of the driver's field, which need not be looked at again

	best     *slot
	got      launch
	count    int // of the best: tasks of the set on its slave
	score    int64
	looked   int // slots that are large enough
	good     int
	rejected [MaxConstraints]int
	unfit    int // large enough, but not what is asked for
	example  [MaxConstraints]*slot
}

// search finds the slot that the policy wants, or notes why there is none.
func (c *Core) search(f *forest, k *class) (*slot, launch) {
	x := hunt{c: c, f: f, k: k}
	if k.policy != Spread {
		f.orders(c)
		if k.policy == Pack {
			x.ordered(f)
		}
		if x.best == nil && x.inOrder(f.byScore.Ascend) {
			return x.done()
		}
		if x.best != nil {
			return x.done()
		}
	}
	if k.driver != nil {
		x.driven = true
		x.byValue(k.driver)
	} else {
		x.in(f.all)
	}
	return x.done()
}

func (x *hunt) ordered(f *forest) { x.inOrder(f.used.Ascend) }

func (x *hunt) done() (*slot, launch) {
	if x.best == nil {
		x.k.failAfter(x)
		return nil, launch{}
	}
	if !x.k.exact {
		found, ports, ok := x.k.fit(x.best)
		if !ok {
			panic("launcher: a slot that is large enough does not fit")
		}
		x.got = launch{found: found, ports: ports}
	}
	return x.best, x.got
}

// inOrder takes the first good slot of an order, among the next few that may be large enough. True means that there is no other one.
func (x *hunt) inOrder(ascend func(pivot *slot, visit func(*slot) bool)) (all bool) {
	pivot := &slot{score: x.f.scoreOf(&x.k.vector), places: []place{{nil, -1}}}
	budget := 2 * x.c.cfg.Look
	all = true
	ascend(pivot, func(s *slot) bool {
		if budget--; budget < 0 {
			all = false
			return false
		}
		if s.free.covers(&x.k.vector) && !s.kept && x.accepts(s) {
			x.best = s
			return false
		}
		return true
	})
	return all
}

// accepts looks at a slot that is large enough: the constraints, and what amounts do not say.
func (x *hunt) accepts(s *slot) bool {
	k := x.k
	x.looked++
	for i, r := range k.rules {
		if x.driven && i == k.driverRule {
			continue
		}
		v := s.values[k.fields[i]]
		n := 0
		if t := k.tallies[i]; t != nil {
			n = t.of(v.text)
		}
		if !r.passes(v, n, k.tallies[i], k.set.members) {
			x.reject(i, s, 1)
			return false
		}
	}
	if k.exact {
		found, ports, ok := k.fit(s)
		if !ok {
			x.unfit++
			return false
		}
		x.got = launch{found: found, ports: ports}
	}
	return true
}

func (x *hunt) reject(rule int, s *slot, n int) {
	x.rejected[rule] += n
	if x.example[rule] == nil {
		x.example[rule] = s
	}
}

// in goes through a tree, from where the last search ended, until it has compared enough.
func (x *hunt) in(t *tree) {
	n := len(t.slots)
	if n == 0 {
		return
	}
	start := 0
	if x.k.policy == Spread {
		start = t.turn % n
	}
	for _, span := range [2][2]int{{start, n}, {0, start}} {
		for pos := t.next(span[0], span[1], &x.k.vector); pos >= 0; pos = t.next(pos+1, span[1], &x.k.vector) {
			s := t.slots[pos]
			if s.kept {
				continue
			}
			got := x.got
			if x.accepts(s) && x.better(s) {
				t.turn = pos + 1
			} else {
				x.got = got
			}
			if x.best != nil && (x.good >= enough || x.looked >= x.c.cfg.Look) {
				return
			}
		}
	}
}

// better compares a slot with the best one so far.
func (x *hunt) better(s *slot) bool {
	score := x.f.scoreOf(&s.free)
	count := 0
	if x.k.policy == Spread {
		count = x.k.set.slaves[s.slave]
		score = -score
	}
	if count == 0 && x.k.policy == Spread {
		x.good++
	}
	if x.best != nil && (count > x.count || count == x.count && score >= x.score) {
		return false
	}
	x.best, x.count, x.score = s, count, score
	return true
}

// byValue goes through the values of the driver's field, those first that the fewest tasks of the set have.
func (x *hunt) byValue(g *grove) {
	k := x.k
	rule, t := k.rules[k.driverRule], k.tallies[k.driverRule]
	// Where most values have a task, all counts are at hand; where few have, one without is found at once.
	many := t != nil && 2*t.used >= len(g.values)
	if many && (k.counts == nil || k.countsStale != t.stale) {
		k.counts, k.countsStale = make([]*int, len(g.values)), t.stale
		for i, v := range g.values {
			k.counts[i] = t.at(v.text)
		}
	}
	g.search++
	for {
		best, least := -1, 0
		for i, at := 0, g.turn; i < len(g.values); i, at = i+1, at+1 {
			if at >= len(g.values) {
				at = 0
			}
			n := 0
			if many {
				n = *k.counts[at]
			} else if t != nil {
				n = t.of(g.values[at].text)
			}
			if g.tried[at] == g.search || best >= 0 && n >= least {
				continue
			}
			if !g.trees[at].mostCovers(&k.vector) {
				g.tried[at] = g.search
				continue
			}
			if !rule.passes(g.values[at], n, t, k.set.members) {
				g.tried[at] = g.search
				x.looked += len(g.trees[at].slots)
				x.reject(k.driverRule, g.trees[at].largest(dimCPUs), len(g.trees[at].slots))
				continue
			}
			if best, least = at, n; n == 0 {
				break
			}
		}
		if best < 0 {
			return
		}
		g.tried[best] = g.search
		if x.in(g.trees[best]); x.best != nil {
			g.turn = best + 1
			return
		}
	}
}
