package allocator

import (
	"slices"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// terms is what the model knows beyond resources, roles and filters: needs, constraints, the whitelist, what is outstanding and maintenance.
type terms struct {
	cfg        Config
	needs      map[string][]resource.Quantities // by framework and role
	hosts      []string                         // on the whitelist
	listing    bool
	unanswered []Answered

	slaves     []offer.SlaveID // in the order of their arrival
	frameworks []offer.FrameworkID
	plans      map[offer.SlaveID]offer.Unavailability
	asked      map[inverseKey]time.Time // when they may be asked again; zero while the question is outstanding
}

// inverseKey names what a framework was asked for.
type inverseKey struct {
	framework offer.FrameworkID
	slave     offer.SlaveID
}

func newTerms(cfg Config) terms {
	return terms{cfg: cfg, needs: map[string][]resource.Quantities{}, plans: map[offer.SlaveID]offer.Unavailability{}, asked: map[inverseKey]time.Time{}}
}

func (x *terms) forgetNeeds(id offer.FrameworkID, kept []string) {
	for _, role := range modelRoles {
		if !slices.Contains(kept, role) {
			delete(x.needs, string(id)+" "+role)
		}
	}
}

func (x *terms) arrived(id offer.FrameworkID) { x.frameworks = append(x.frameworks, id) }

func (x *terms) left(id offer.FrameworkID) {
	x.forgetNeeds(id, nil)
	x.forgetAsked(id)
	x.frameworks = slices.DeleteFunc(x.frameworks, func(o offer.FrameworkID) bool { return o == id })
	x.unanswered = slices.DeleteFunc(x.unanswered, func(o Answered) bool { return o.Framework == id })
}

func (x *terms) forgetAsked(id offer.FrameworkID) {
	for _, s := range x.slaves {
		delete(x.asked, inverseKey{id, s})
	}
}

func (x *terms) forgetPlan(id offer.SlaveID) {
	for _, f := range x.frameworks {
		delete(x.asked, inverseKey{f, id})
	}
}

func (x *terms) slaveLeft(id offer.SlaveID) {
	x.forgetPlan(id)
	delete(x.plans, id)
	x.slaves = slices.DeleteFunc(x.slaves, func(o offer.SlaveID) bool { return o == id })
	x.unanswered = slices.DeleteFunc(x.unanswered, func(o Answered) bool { return o.Slave == id })
}

// describeSlave draws what constraints look at.
func (m *model) describeSlave(s *offer.Slave) {
	s.Hostname = "host-" + string(s.ID)
	s.Domain = offer.Domain{Region: []string{"", "here", "away"}[m.pick(3)], Zone: []string{"", "z1"}[m.pick(2)]}
	s.Attributes = nil
	level := resource.Units(int64(m.pick(3)))
	for range m.pick(3) {
		s.Attributes = append(s.Attributes, []offer.Attribute{{Name: "rack", Text: "r1"}, {Name: "rack", Text: "r2"}, {Name: "rack", Scalar: &level}}[m.pick(3)])
	}
}

func (m *model) constraints() (groups []offer.ConstraintGroup) {
	for range 1 + m.pick(2) {
		groups = append(groups, where([]string{"rack=r1", "rack!=r1&zone?", "rack!?", "host!~host-s[01]", "region~h.*", "zone=z1"}[m.pick(6)])...)
	}
	return groups
}

func (m *model) answer() {
	x := &m.terms
	if len(x.unanswered) == 0 {
		return
	}
	i := m.pick(len(x.unanswered))
	ev := x.unanswered[i]
	x.unanswered = slices.Delete(x.unanswered, i, i+1)
	m.apply(ev)
}

func (m *model) request() {
	f := m.subs[m.frameworkID()]
	if f == nil {
		return
	}
	role := f.Roles[m.pick(len(f.Roles))]
	var needs []resource.Quantities
	for range m.pick(3) {
		q := m.quantities(6)
		switch m.pick(4) {
		case 0:
			q = q.Add(resource.Quantities{{Name: resource.GPUs, Amount: resource.Units(1)}})
		case 1:
			q = q.Add(resource.Quantities{{Name: "tape", Amount: resource.Units(1)}})
		}
		needs = append(needs, q)
	}
	m.terms.needs[string(f.ID)+" "+role] = needs
	m.apply(Requested{f.ID, role, needs})
}

func (m *model) whitelist() {
	x := &m.terms
	x.hosts, x.listing = nil, m.pick(3) > 0
	for _, host := range []string{"host-s0", "host-s1", "host-s2", "host-s3"} {
		if x.listing && m.pick(2) == 0 {
			x.hosts = append(x.hosts, host)
		}
	}
	m.apply(Whitelist{All: !x.listing, Hosts: x.hosts})
}

func (m *model) maintain() {
	x := &m.terms
	id := m.slaveID()
	if m.slaves[id] == nil {
		return
	}
	if m.pick(3) == 0 {
		x.forgetPlan(id)
		delete(x.plans, id)
		m.apply(SlaveUnavailable{id, nil})
		return
	}
	plan := offer.Unavailability{Start: time.Unix(9000, 0).UTC(), Duration: time.Duration(m.pick(2)) * time.Hour}
	if old, ok := x.plans[id]; !ok || old != plan {
		x.forgetPlan(id)
	}
	x.plans[id] = plan
	m.apply(SlaveUnavailable{id, &plan})
}

// inverse compares who is asked with who holds something, and has some answer.
func (m *model) inverse() {
	x := &m.terms
	var want []Inverse
	for _, s := range x.slaves {
		plan, ok := x.plans[s]
		if !ok {
			continue
		}
		for _, f := range x.frameworks {
			if m.inactive[f] || !slices.ContainsFunc(m.out, func(al Allotment) bool { return al.Framework == f && al.Slave == s }) {
				continue
			}
			if again, ok := x.asked[inverseKey{f, s}]; ok && (again.IsZero() || m.now.Before(again)) {
				continue
			}
			x.asked[inverseKey{f, s}] = time.Time{}
			want = append(want, Inverse{f, s, plan})
		}
	}
	require.Equal(m.t, want, m.a.Inverse(m.now, nil), "%v", m.events)
	require.Equal(m.t, want, m.twin.Inverse(m.now, nil))
	for _, inv := range want {
		if m.pick(2) == 0 {
			refuse := time.Duration(1+m.pick(4)) * time.Second
			x.asked[inverseKey{inv.Framework, inv.Slave}] = m.now.Add(refuse)
			m.apply(InverseAnswered{inv.Framework, inv.Slave, m.pick(2) == 0, refuse})
		}
	}
}

// wanted checks one allotment against needs, constraints, scarce kinds and the whitelist.
func (m *model) wanted(al Allotment, f *offer.Framework, s *offer.Slave) {
	x := &m.terms
	require.True(m.t, !x.listing || slices.Contains(x.hosts, s.Hostname), show(al))
	rules, err := offer.CompileConstraints(f.Constraints[al.Role])
	require.NoError(m.t, err)
	require.True(m.t, rules.Pass(s), "%s: %v of %+v", show(al), f.Constraints[al.Role], s)
	needs := x.needs[string(al.Framework)+" "+al.Role]
	require.True(m.t, len(needs) == 0 || slices.ContainsFunc(needs, func(q resource.Quantities) bool { return q.Fits(al.Resources.Quantities()) }),
		"%s: needs %v", show(al), needs)
	asks := func(name string) bool {
		return slices.ContainsFunc(needs, func(q resource.Quantities) bool { return q.Get(name) > 0 })
	}
	require.True(m.t, s.Resources.Scalar(resource.GPUs) == 0 || f.Capabilities.Has(offer.GPUResources) || asks(resource.GPUs), show(al))
	require.True(m.t, s.Resources.Scalar("tape") == 0 || len(x.cfg.Scarce) == 0 || asks("tape"), show(al))
}

// boundKept checks the number of outstanding allotments of each framework.
func (m *model) boundKept() {
	x := &m.terms
	if x.cfg.MaxOutstanding == 0 {
		return
	}
	for _, f := range x.frameworks {
		n := 0
		for _, o := range x.unanswered {
			if o.Framework == f {
				n++
			}
		}
		require.LessOrEqual(m.t, n, x.cfg.MaxOutstanding, "offers outstanding of %s", f)
		require.Equal(m.t, n, m.a.frameworks[f].outstanding)
	}
}

// settle gives everything back: then all of every slave must be free, and nobody must hold or consume anything but reservations.
func (m *model) settle() {
	for _, al := range m.out {
		m.apply(Recovered{al, 0})
	}
	for _, o := range m.terms.unanswered {
		m.apply(o)
	}
	for id, s := range m.slaves {
		require.True(m.t, m.a.Free(id).Equal(s.Resources.NonShared()), "slave %s: %s of %s is free", id, m.a.Free(id), s.Resources)
	}
	for _, c := range m.a.clientsByName() {
		require.True(m.t, c.held.zero() && c.holdings == 0, "framework %s holds %v", c.framework.id, c.held)
	}
	for _, f := range m.a.frameworks {
		require.Zero(m.t, f.outstanding)
	}
	for _, r := range m.a.rolesByName() {
		require.True(m.t, r.held.zero(), "role %s holds %v", r.name, r.held)
	}
	for id := range m.slaves {
		m.apply(SlaveRemoved{id})
	}
	require.True(m.t, m.a.total.zero() && m.a.available.zero())
	for _, r := range m.a.rolesByName() {
		require.True(m.t, r.consumed.zero(), "role %s consumes %v", r.name, r.consumed)
	}
	require.Empty(m.t, m.a.classes.index, "classes of slaves that are gone")
}
