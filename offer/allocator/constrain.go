package allocator

import (
	"encoding/binary"
	"slices"

	"github.com/meros-project/meros/offer"
)

// constraint is what a client asks of slaves, and its verdicts on those it was compared with: by class of slaves, or by slave when
// hostnames matter.
type constraint struct {
	groups      []offer.ConstraintGroup
	rules       *offer.Constraints
	known, pass bitset
}

// classes numbers the slaves that constraints cannot tell apart, but by hostname. Nobody pays for it before a constraint is evaluated.
type classes struct {
	index       map[string]int32
	list        []class
	unused      []int32
	constrained []*client
}

type class struct {
	key    string
	slaves int
}

// constrain replaces the constraints of a client and reports whether they are others.
func (a *Hierarchical) constrain(c *client, groups []offer.ConstraintGroup) bool {
	if len(groups) == 0 && c.constraint == nil || c.constraint != nil && slices.EqualFunc(groups, c.constraint.groups, slices.Equal) {
		return false
	}
	x := &a.classes
	if c.constraint != nil {
		c.constraint = nil
		x.constrained = slices.DeleteFunc(x.constrained, func(o *client) bool { return o == c })
	}
	if rules, err := offer.CompileConstraints(groups); err == nil && rules != nil {
		own := make([]offer.ConstraintGroup, len(groups))
		for i, g := range groups {
			own[i] = slices.Clone(g)
		}
		c.constraint = &constraint{groups: own, rules: rules}
		x.constrained = append(x.constrained, c)
	}
	return true
}

// passes reports whether a slave passes the constraints of a client that has some.
func (a *Hierarchical) passes(c *client, s *slave) bool {
	x := c.constraint
	key := s.handle
	if !x.rules.ByHostname() {
		key = a.classOf(s)
	}
	if !x.known.has(key) {
		x.known.add(key)
		x.pass.remove(key)
		if x.rules.Pass(&offer.Slave{Hostname: s.hostname, Domain: s.domain, Attributes: s.attributes}) {
			x.pass.add(key)
		}
	}
	return x.pass.has(key)
}

func (a *Hierarchical) classOf(s *slave) int32 {
	if s.class != none {
		return s.class
	}
	x := &a.classes
	key := classKey(s)
	id, ok := x.index[key]
	if !ok {
		if n := len(x.unused); n > 0 {
			id = x.unused[n-1]
			x.unused = x.unused[:n-1]
		} else {
			id = int32(len(x.list))
			x.list = append(x.list, class{})
		}
		if x.index == nil {
			x.index = make(map[string]int32)
		}
		x.index[key] = id
		x.list[id].key = key
	}
	x.list[id].slaves++
	s.class = id
	return id
}

// classKey tells all apart that constraints look at, but the hostname.
func classKey(s *slave) string {
	var b []byte
	text := func(t string) {
		b = binary.AppendUvarint(b, uint64(len(t)))
		b = append(b, t...)
	}
	text(s.domain.Region)
	text(s.domain.Zone)
	for i := range s.attributes {
		at := &s.attributes[i]
		text(at.Name)
		if at.Scalar != nil || len(at.Ranges) > 0 {
			b = append(b, 0) // its value does not matter
			continue
		}
		b = append(b, 1)
		text(at.Text)
	}
	return string(b)
}

// forgetClass drops the verdicts on a slave, which is about to change or to go.
func (a *Hierarchical) forgetClass(s *slave) {
	x := &a.classes
	for _, c := range x.constrained {
		if c.constraint.rules.ByHostname() {
			c.constraint.known.remove(s.handle)
		}
	}
	id := s.class
	if id == none {
		return
	}
	s.class = none
	if x.list[id].slaves--; x.list[id].slaves > 0 {
		return
	}
	delete(x.index, x.list[id].key)
	x.list[id] = class{}
	x.unused = append(x.unused, id)
	for _, c := range x.constrained {
		if !c.constraint.rules.ByHostname() {
			c.constraint.known.remove(id)
		}
	}
}
