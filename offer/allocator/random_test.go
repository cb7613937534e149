package allocator

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// TestRandomEvents drives an allocator with random events and checks after each that the books are right (R1, R2), and after each run that every
// allotment was allowed: role, capabilities, filters, limits, headroom, minimum; that nothing that could be offered was
// forgotten; and that a second allocator does the same.
func TestRandomEvents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := rapid.IntRange(0, 1<<20)
		m := newModel(t, func(n int) int { return draw.Draw(t, "n") % n })
		for range rapid.IntRange(1, 80).Draw(t, "events") {
			m.step()
		}
		m.settle()
	})
}

// FuzzStep is TestRandomEvents with the choices taken from the input.
func FuzzStep(f *testing.F) {
	f.Add([]byte("\x00\x01\x02\x03\x04\x05\x06\x07\x08"))
	f.Add([]byte{0, 3, 1, 1, 9, 2, 2, 1, 14, 3, 3, 14, 8, 1, 0, 14, 13, 2, 40, 80, 14, 9, 9, 9, 14, 10, 1, 1, 14})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 2000 {
			return
		}
		m := newModel(t, func(n int) int {
			if len(data) == 0 {
				return 0
			}
			x := int(data[0])
			data = data[1:]
			return x % n
		})
		for len(data) > 0 {
			m.step()
		}
		m.settle()
	})
}

type refusal struct {
	al    Allotment
	until time.Time
}

// model is what the test knows of an allocator and of its twin.
type model struct {
	t        require.TestingT
	pick     func(n int) int
	a, twin  *Hierarchical
	now      time.Time
	slaves   map[offer.SlaveID]*offer.Slave
	inactive map[any]bool
	subs     map[offer.FrameworkID]*offer.Framework
	quiet    map[string]bool // framework/role
	out      []Allotment     // held by somebody
	refusals []refusal
	limits   map[string]resource.Quantities
	events   []string
	terms    terms
}

var modelRoles = []string{"*", "a", "a/b", "a/c", "b"}

func newModel(t require.TestingT, pick func(int) int) *model {
	cfg := Config{Seed: uint64(pick(4)), Region: "here", MaxWork: []int{0, 3, 20}[pick(3)], Policy: Policy(pick(4) / 3)}
	if pick(3) == 0 {
		cfg.OfferShare = []resource.Scalar{1, 250, 500, 1000}[pick(4)]
	}
	if pick(3) == 0 {
		cfg.MaxOutstanding = 1 + pick(3)
	}
	if pick(3) == 0 {
		cfg.Scarce = []string{"tape"}
	}
	a := New(cfg)
	a.lots.every = 1 + 20*pick(20) // values are forgotten all the time; the twin hardly ever does
	return &model{t: t, pick: pick, a: a, twin: New(cfg), now: time.Unix(5000, 0).UTC(), slaves: map[offer.SlaveID]*offer.Slave{},
		inactive: map[any]bool{}, subs: map[offer.FrameworkID]*offer.Framework{}, quiet: map[string]bool{}, limits: map[string]resource.Quantities{},
		terms: newTerms(cfg)}
}

func (m *model) apply(ev Event) {
	m.events = append(m.events, fmt.Sprintf("%+v", ev))
	require.NoError(m.t, m.a.Apply(m.now, ev))
	require.NoError(m.t, m.twin.Apply(m.now, ev))
	require.NoError(m.t, m.a.Check(), "after %+v", ev)
}

func (m *model) role() string                   { return modelRoles[m.pick(len(modelRoles))] }
func (m *model) slaveID() offer.SlaveID         { return offer.SlaveID(fmt.Sprint("s", m.pick(4))) }
func (m *model) frameworkID() offer.FrameworkID { return offer.FrameworkID(fmt.Sprint("f", m.pick(5))) }

func (m *model) quantities(n int) resource.Quantities {
	var q resource.Quantities
	for i, name := range []string{resource.CPUs, resource.Mem} {
		if x := m.pick(n); x > 0 {
			q = append(q, resource.Quantity{Name: name, Amount: resource.Units(int64(x * (1 + 15*i)))})
		}
	}
	return q
}

func (m *model) resources() resource.Resources {
	r := resource.Must(fmt.Sprintf("cpus:%d;mem:%d;ports:[1-%d]", 1+m.pick(8), 32+m.pick(100), 1+m.pick(20)))
	for range m.pick(3) {
		e := resource.NewScalar(resource.CPUs, resource.Units(int64(1+m.pick(4))))
		switch m.pick(6) {
		case 0:
			e.Revocable = true
		case 5:
			e.Name = "tape"
		case 1:
			e.Name = resource.GPUs
		case 2:
			e = resource.NewScalar(resource.Disk, resource.Units(10))
			e.Reservations = []resource.Reservation{{Role: "a", Type: resource.Dynamic}}
			e.Volume = &resource.Volume{ID: "v", ContainerPath: "data"}
			e.Shared = m.pick(2) == 0
			if len(r.Volumes()) > 0 {
				continue
			}
		case 3:
			e.Reservations = []resource.Reservation{{Role: "a"}, {Role: "a/b", Type: resource.Dynamic}}
		default:
			e.Reservations = []resource.Reservation{{Role: modelRoles[1+m.pick(len(modelRoles)-1)]}}
		}
		r = r.Add(resource.Resources{e})
	}
	return r
}

func (m *model) describe(id offer.FrameworkID) (offer.Framework, []string) {
	f := offer.Framework{ID: id, Capabilities: offer.Capabilities(m.pick(128))}
	for range 1 + m.pick(2) {
		if role := m.role(); !slices.Contains(f.Roles, role) {
			f.Roles = append(f.Roles, role)
		}
	}
	if m.pick(4) == 0 {
		f.MinAllocatable = map[string][]resource.Quantities{f.Roles[0]: {m.quantities(3)}}
	}
	var suppressed []string
	for _, role := range f.Roles {
		m.quiet[string(id)+" "+role] = m.pick(6) == 0
		if m.quiet[string(id)+" "+role] {
			suppressed = append(suppressed, role)
		}
	}
	if m.pick(3) == 0 {
		f.Constraints = map[string][]offer.ConstraintGroup{f.Roles[0]: m.constraints()}
	}
	m.terms.forgetNeeds(id, f.Roles)
	m.refusals = slices.DeleteFunc(m.refusals, func(r refusal) bool { return r.al.Framework == id && !slices.Contains(f.Roles, r.al.Role) })
	m.subs[id] = &f
	return f, suppressed
}

// step makes one random event, or a run.
func (m *model) step() {
	switch m.pick(24) {
	case 0, 1:
		m.addSlave()
	case 2:
		if s := m.slaves[m.slaveID()]; s != nil {
			n := *s
			if n.Resources = m.resources(); m.pick(3) == 0 {
				m.describeSlave(&n)
				m.refusals = slices.DeleteFunc(m.refusals, func(r refusal) bool { return r.al.Slave == s.ID }) // if anything has changed
			}
			m.slaves[s.ID] = &n
			m.apply(SlaveUpdated{n})
		}
	case 3:
		id := m.slaveID()
		if m.slaves[id] != nil {
			m.inactive[id] = m.pick(2) == 0
			m.apply(SlaveActive{id, !m.inactive[id]})
		}
	case 4:
		id := m.slaveID()
		m.dropSlave(id)
		m.apply(SlaveRemoved{id})
	case 5, 6:
		id := m.frameworkID()
		if m.subs[id] == nil {
			f, suppressed := m.describe(id)
			m.inactive[id] = m.pick(8) == 0
			m.terms.arrived(id)
			m.apply(FrameworkAdded{f, suppressed, m.inactive[id]})
		}
	case 7:
		if id := m.frameworkID(); m.subs[id] != nil {
			f, suppressed := m.describe(id)
			m.apply(FrameworkUpdated{f, suppressed})
		}
	case 8:
		if id := m.frameworkID(); m.subs[id] != nil {
			m.inactive[id] = m.pick(2) == 0
			if m.inactive[id] {
				m.clear(id, "")
				m.terms.forgetAsked(id)
			}
			m.apply(FrameworkActive{id, !m.inactive[id]})
		}
	case 9:
		if id := m.frameworkID(); m.pick(3) == 0 && m.subs[id] != nil {
			m.clear(id, "")
			delete(m.subs, id)
			m.terms.left(id)
			m.apply(FrameworkRemoved{id})
		}
	case 10:
		if id := m.slaveID(); m.slaves[id] != nil {
			al := Allotment{m.frameworkID(), m.role(), id, resource.Must(fmt.Sprintf("cpus:%d;ports:[3-%d]", 1+m.pick(3), 3+m.pick(4)))}
			m.out = append(m.out, al)
			m.apply(Used{al})
		}
	case 11:
		m.convert()
	case 12:
		m.quota()
	case 13:
		m.suppressOrRevive()
	case 14:
		m.now = m.now.Add(time.Duration(m.pick(5)) * time.Second)
	case 15, 16:
		m.recover()
	case 17:
		m.answer()
	case 18:
		m.request()
	case 19:
		m.whitelist()
	case 20:
		m.maintain()
	case 21:
		m.inverse()
	default:
		m.run()
	}
}

func (m *model) addSlave() {
	id := m.slaveID()
	m.dropSlave(id)
	s := &offer.Slave{ID: id, Resources: m.resources()}
	m.describeSlave(s)
	m.slaves[id] = s
	m.terms.slaves = append(m.terms.slaves, id)
	m.inactive[id] = m.pick(5) == 0
	m.apply(SlaveAdded{Slave: *s, Inactive: m.inactive[id]})
}

func (m *model) dropSlave(id offer.SlaveID) {
	delete(m.slaves, id)
	m.terms.slaveLeft(id)
	m.out = slices.DeleteFunc(m.out, func(al Allotment) bool { return al.Slave == id })
	m.refusals = slices.DeleteFunc(m.refusals, func(r refusal) bool { return r.al.Slave == id })
}

func (m *model) clear(id offer.FrameworkID, role string) {
	m.refusals = slices.DeleteFunc(m.refusals, func(r refusal) bool { return r.al.Framework == id && (role == "" || r.al.Role == role) })
}

// convert reserves the first unreserved scalar of something that is held, or undoes the first dynamic reservation.
func (m *model) convert() {
	if len(m.out) == 0 {
		return
	}
	i := m.pick(len(m.out))
	al := m.out[i]
	for _, e := range al.Resources {
		from := resource.Resources{e}
		var to resource.Resources
		var err error
		switch {
		case e.Volume != nil || e.Revocable:
			continue
		case !e.Reserved() && al.Role != "*":
			to, err = from.Reserve(resource.Reservation{Role: al.Role, Type: resource.Dynamic})
		case e.DynamicallyReserved():
			to, err = from.Unreserve()
		default:
			continue
		}
		require.NoError(m.t, err)
		s := *m.slaves[al.Slave]
		total, ok := s.Resources.Sub(from)
		rest, held := al.Resources.Sub(from)
		if !ok || !held || m.a.slaveIndex[al.Slave].over {
			return // the total was reduced, or ports are held twice
		}
		s.Resources = total.Add(to)
		m.slaves[al.Slave] = &s
		m.out[i].Resources = rest.Add(to)
		m.apply(Converted{al.Framework, al.Role, al.Slave, from, to})
		return
	}
}

func (m *model) quota() {
	ev := RoleSet{Role: m.role(), Weight: resource.Scalar(m.pick(3) * 700), Force: true}
	if m.pick(2) == 0 {
		ev.Limit = m.quantities(9)
	}
	if m.pick(2) == 0 {
		for _, g := range m.quantities(6) {
			if limit := ev.Limit.Get(g.Name); limit > 0 {
				g.Amount = min(g.Amount, limit)
			}
			ev.Guarantee = append(ev.Guarantee, g)
		}
	}
	m.limits[ev.Role] = ev.Limit
	m.apply(ev)
}

func (m *model) suppressOrRevive() {
	id := m.frameworkID()
	f := m.subs[id]
	if f == nil {
		return
	}
	var roles []string
	all := m.pick(2) == 0
	if !all {
		roles = f.Roles[:1]
	}
	revive := m.pick(3) > 0
	for _, role := range f.Roles {
		if all || role == roles[0] {
			m.quiet[string(id)+" "+role] = !revive
			if revive {
				m.clear(id, role)
			}
		}
	}
	if revive {
		m.apply(Revived{id, roles})
	} else {
		m.apply(Suppressed{id, roles})
	}
}

func (m *model) recover() {
	if len(m.out) == 0 {
		return
	}
	i := m.pick(len(m.out))
	al := m.out[i]
	part := al
	if m.pick(3) == 0 {
		part.Resources = part.Resources[:1+m.pick(len(part.Resources))]
	}
	rest, ok := al.Resources.Sub(part.Resources)
	require.True(m.t, ok)
	if m.out[i].Resources = rest; len(rest) == 0 {
		m.out = slices.Delete(m.out, i, i+1)
	}
	refuse := time.Duration(m.pick(4)) * 2 * time.Second
	if f := m.subs[al.Framework]; refuse > 0 && f != nil && slices.Contains(f.Roles, al.Role) && !m.inactive[al.Framework] {
		m.refusals = append(m.refusals, refusal{part, m.now.Add(refuse)})
	}
	m.apply(Recovered{part, refuse})
}

// run runs until nothing is pending, checks each allotment, and then tries every slave with every client again: whoever would take
// something now was forgotten.
func (m *model) run() {
	for range 100 {
		m.runOnce(false)
		if m.inverse(); !m.a.pending() {
			break
		}
	}
	m.inverse()
	at := m.a.Deadline()
	require.True(m.t, at.IsZero() || at.After(m.now), "pending after 100 runs: %s", m.a.Describe())
	m.a.run.work = 0
	require.Empty(m.t, m.a.Run(m.now, nil))
	require.Zero(m.t, m.a.run.work, "a run without news must look at nothing")
	require.Empty(m.t, m.twin.Run(m.now, nil))
	for _, a := range []*Hierarchical{m.a, m.twin} {
		for _, s := range a.slavesByID() {
			a.markDirty(s)
		}
	}
	for m.runOnce(true); m.a.dirtyCount > 0; m.runOnce(true) {
	}
}

func (m *model) runOnce(forced bool) {
	before := map[string]resource.Quantities{}
	for _, role := range modelRoles {
		before[role] = m.consumption(role)
	}
	deficit := m.deficit()
	log := m.a.Describe()
	got := m.a.Run(m.now, nil)
	require.Equal(m.t, got, m.twin.Run(m.now, nil), "two allocators with the same events")
	require.NoError(m.t, m.a.Check())
	for _, al := range got {
		if forced {
			require.Fail(m.t, "nobody looked at the slave again", "%s\n%v\n%s", show(al), m.events, log)
		}
		m.allowed(al)
		m.terms.unanswered = append(m.terms.unanswered, Answered{al.Framework, al.Role, al.Slave})
		m.out = append(m.out, al)
	}
	for _, role := range modelRoles {
		after := m.consumption(role)
		for _, limit := range m.limits[role] {
			require.LessOrEqual(m.t, after.Get(limit.Name), max(limit.Amount, before[role].Get(limit.Name)), "%s of role %s", limit.Name, role)
		}
	}
	m.boundKept()
	for k, d := range m.deficit() {
		require.LessOrEqual(m.t, d, deficit[k], "headroom of kind %d was given away: %v\n%s", k, got, log)
	}
}

// deficit returns what of the guarantees could not be met from what is free.
func (m *model) deficit() (d [4]int64) {
	for k := range d {
		d[k] = max(0, m.a.root.childRequire.at(k)-m.a.available.at(k))
	}
	return d
}

// consumption is what counts against the limit of a role, computed from what the slaves have and the frameworks hold.
func (m *model) consumption(role string) resource.Quantities {
	in := func(r string) bool { return r == role || resource.IsDescendant(r, role) }
	var sum resource.Quantities
	for _, s := range m.slaves {
		sum = sum.Add(s.Resources.Filter(func(e resource.Resource) bool { return e.Reserved() && !e.Revocable && in(e.Role()) }).Quantities())
	}
	for i := range 5 {
		for _, al := range m.a.Held(offer.FrameworkID(fmt.Sprint("f", i))) {
			if in(al.Role) {
				sum = sum.Add(al.Resources.Filter(func(e resource.Resource) bool {
					return !e.Revocable && (!e.Reserved() || !in(e.Role()) && resource.IsDescendant(al.Role, e.Role()))
				}).Quantities())
			}
		}
	}
	return sum
}

// allowed checks one allotment by itself.
func (m *model) allowed(al Allotment) {
	f, s := m.subs[al.Framework], m.slaves[al.Slave]
	require.NotNil(m.t, f)
	require.NotNil(m.t, s)
	require.Contains(m.t, f.Roles, al.Role)
	require.False(m.t, m.inactive[f.ID] || m.inactive[s.ID] || m.quiet[string(f.ID)+" "+al.Role], show(al))
	require.NotEmpty(m.t, al.Resources)
	require.NoError(m.t, al.Resources.Validate(resource.Limits{}))
	for _, e := range al.Resources {
		require.True(m.t, e.AvailableTo(al.Role), show(al))
		require.True(m.t, !e.Revocable || f.Capabilities.Has(offer.RevocableResources), show(al))
		require.True(m.t, !e.Shared || f.Capabilities.Has(offer.SharedResources), show(al))
		require.True(m.t, len(e.Reservations) < 2 || f.Capabilities.Has(offer.ReservationRefinement), show(al))
		require.True(m.t, e.Name != resource.GPUs || e.Scalar%1000 == 0, show(al))
	}
	m.wanted(al, f, s)
	require.True(m.t, s.Domain.Region != "away" || f.Capabilities.Has(offer.RegionAware), show(al))
	q := al.Resources.Quantities()
	if own, ok := f.MinAllocatable[al.Role]; ok {
		require.True(m.t, own[0].Fits(q), show(al))
	} else {
		require.True(m.t, q.Get(resource.CPUs) >= 10 || q.Get(resource.Mem) >= 32000, show(al))
	}
	for _, r := range m.refusals {
		if r.al.Framework == al.Framework && r.al.Role == al.Role && r.al.Slave == al.Slave && m.now.Before(r.until) {
			require.False(m.t, r.al.Resources.Contains(al.Resources), "%s refused %s until %s", show(al), r.al.Resources, r.until)
		}
	}
}
