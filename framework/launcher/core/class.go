package core

import (
	"encoding/binary"
	"slices"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// A class is members that ask for the same: where one finds no place, none does.
type class struct {
	key    string
	refs   int
	role   string
	policy Policy
	set    *set
	rules  []*rule
	widens bool

	want     resource.Resources // ports asked by count are not in it
	ports    int
	vector   vector // of want and ports
	exact    bool   // the vector does not say everything
	executor *offer.Executor

	failed        uint64 // the run in which it found no place
	failedVersion uint64 // of its set then
	note          note
	fields        []int // the rules' fields in the present run
	prepared      uint64
	tallies       []*tally // of the rules that count; nil for others
	counts        []*int   // of the driver's values, if its rule counts
	countsStale   int
	driver        *grove // the trees by the values of the rule that splits best; nil: none does
	driverRule    int
}

// classOf finds or makes the class of a member.
func (c *Core) classOf(m *member) *class {
	t := &m.task
	key := c.classKey(m)
	if found := c.classes[string(key)]; found != nil {
		found.refs++
		return found
	}
	k := &class{key: string(key), refs: 1, role: m.unit.role, policy: t.Policy, set: m.set, want: t.Task.Resources, ports: t.Ports}
	if k.policy == 0 {
		k.policy = c.cfg.Policy
	}
	if e := t.Task.Executor; e != nil {
		k.executor = e
		k.want = k.want.Add(e.Resources)
	}
	for _, con := range t.Constraints {
		r := c.rules[con]
		if r == nil {
			var err error
			if r, err = con.compile(); err != nil {
				panic(err) // it was validated
			}
			c.rules[con] = r
		}
		r.refs++
		k.rules = append(k.rules, r)
		k.widens = k.widens || r.widens()
		if r.moves() {
			m.set.watch(r.Field)
		}
	}
	k.vector = measure(k.want)
	k.vector[dimPorts] += int64(k.ports)
	k.exact = k.executor != nil || slices.ContainsFunc(k.want, func(r resource.Resource) bool {
		return r.Type != resource.ScalarType || !plain(&r) || r.Reserved() || !slices.Contains(dimNames[:dimPorts], r.Name)
	})
	c.classes[k.key] = k
	return k
}

// classKey says everything by which classes differ.
func (c *Core) classKey(m *member) []byte {
	text := func(b []byte, s string) []byte {
		return append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	t := &m.task
	b := append(c.buf[:0], byte(t.Policy))
	b = text(text(b, m.unit.role), m.set.name)
	b = binary.AppendUvarint(b, uint64(t.Ports))
	b = binary.AppendUvarint(b, uint64(len(t.Constraints)))
	for _, con := range t.Constraints {
		b = text(text(append(b, byte(con.Op)), con.Field), con.Value)
	}
	if e := t.Task.Executor; e != nil {
		b = text(b, string(e.ID))
		b = e.Resources.AppendKey(append(b, 1))
	}
	b = t.Task.Resources.AppendKey(append(b, 0))
	c.buf = b
	return b
}

func (c *Core) unclass(k *class) {
	if k.refs--; k.refs == 0 {
		delete(c.classes, k.key)
		for _, r := range k.rules {
			if r.refs--; r.refs == 0 {
				delete(c.rules, r.key)
			}
		}
	}
}

// stuck reports whether the class has found no place in this run, and cannot have one by now.
func (k *class) stuck(run uint64) bool {
	return k.failed == run && (!k.widens || k.failedVersion == k.set.version)
}

// fit is what a task of the class gets of a slot.
func (k *class) fit(s *slot) (found resource.Resources, ports resource.Ranges, ok bool) {
	want := k.want
	if k.executor != nil && slices.Contains(s.executors, k.executor.ID) {
		want, _ = want.Sub(k.executor.Resources)
	}
	found, ok = s.left.Find(want)
	if !ok || k.ports == 0 {
		return found, nil, ok
	}
	// Those asked by number are not taken twice.
	var left resource.Ranges
	for i := range s.left {
		if r := &s.left[i]; r.Name == resource.Ports && r.Type == resource.RangesType && plain(r) {
			left = left.Add(r.Ranges)
		}
	}
	left = left.Sub(found.RangesOf(resource.Ports))
	if left.Count() < uint64(k.ports) {
		return nil, nil, false
	}
	ports = left.Take(uint64(k.ports))
	more, ok := s.left.Find(resource.Resources{resource.NewRanges(resource.Ports, ports...)})
	return found.Add(more), ports, ok
}
