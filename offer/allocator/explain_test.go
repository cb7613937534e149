package allocator

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// explain prints an explanation. Asking must change nothing.
func (w *world) explain(l *line) string {
	slave := offer.SlaveID("")
	if len(l.args) > 1 {
		slave = l.slave(1)
	}
	before, deadline := w.a.Describe(), w.a.Deadline()
	e, err := w.a.Explain(w.now, l.framework(0), l.opt["role"], slave)
	require.Equal(l.t, before, w.a.Describe())
	require.Equal(l.t, deadline, w.a.Deadline())
	if err != nil {
		return "refused: " + err.Error() + "\n"
	}
	return e.String()
}

// TestExplainAgreesWithTheNextRun asks about every framework, role and slave of random worlds and compares the answers with what the next run
// does. The twin of the model is never asked, and must do the same. At last, what is said to end a cause is done, and must end it.
func TestExplainAgreesWithTheNextRun(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := rapid.IntRange(0, 1<<20)
		pick := func(n int) int { return draw.Draw(t, "n") % n }
		if seed := rapid.Uint64().Draw(t, "seed"); seed%4 > 0 { // worlds that are more crowded, and do not shrink
			pick = rand.New(rand.NewPCG(seed, 1)).IntN
		}
		m := newModel(t, pick)
		for range rapid.IntRange(1, 80).Draw(t, "events") {
			m.step()
			if m.pick(3) == 0 {
				m.predict()
			}
		}
		m.remedy()
	})
}

// answer is an Explanation of one pair.
type answer struct {
	framework offer.FrameworkID
	role      string
	slave     offer.SlaveID
	Explanation
}

func (x *answer) has(c Cause) bool {
	return slices.ContainsFunc(x.Findings, func(f Finding) bool { return f.Cause == c })
}

// blocked reports whether something other than the turn of others stands in the way.
func (x *answer) blocked() bool {
	return slices.ContainsFunc(x.Findings, func(f Finding) bool { return f.Cause < OthersTurn || f.Cause == Holding })
}

// ask explains everything, one pair at a time, and compares that with the summaries.
func (m *model) ask() (all []answer) {
	for i := range 5 {
		id := offer.FrameworkID(fmt.Sprint("f", i))
		if m.a.frameworks[id] == nil {
			_, err := m.a.Explain(m.now, id, "", "")
			require.ErrorContains(m.t, err, `framework "`+string(id)+`": is not known`)
			continue
		}
		_, err := m.a.Explain(m.now, id, "", "nowhere")
		require.ErrorContains(m.t, err, `slave "nowhere": is not known`)
		for _, role := range modelRoles {
			count := map[Cause]int{}
			for _, s := range m.a.slavesByID() {
				e, err := m.a.Explain(m.now, id, role, s.id)
				require.NoError(m.t, err)
				require.NotEmpty(m.t, e.Findings, "%s in %s on %s: %s", id, role, s.id, m.a.Describe())
				require.NotEmpty(m.t, e.String())
				for _, f := range e.Findings {
					count[f.Cause] += f.Slaves
				}
				all = append(all, answer{id, role, s.id, e})
			}
			e, err := m.a.Explain(m.now, id, role, "")
			require.NoError(m.t, err)
			sum := map[Cause]int{}
			for _, f := range e.Findings {
				if f.Cause == NoSlaves || len(m.a.slaveIndex) == 0 {
					continue
				}
				sum[f.Cause] += f.Slaves
				require.LessOrEqual(m.t, len(f.Examples), maxNamed)
				require.True(m.t, f.Slave == "" || len(f.Examples) == min(f.Slaves, maxNamed), "%+v", f)
			}
			require.Equal(m.t, count, sum, "%s\n%v", e, all)
		}
	}
	return all
}

// predict asks, runs, and compares.
func (m *model) predict() {
	all := m.ask()
	log := m.a.Describe()
	n := len(m.out)
	m.runOnce(false)
	got := m.out[n:]
	willing := map[offer.SlaveID]int{}
	var next []answer
	for _, x := range all {
		took := slices.ContainsFunc(got, func(al Allotment) bool {
			return al.Framework == x.framework && al.Role == x.role && al.Slave == x.slave
		})
		if x.has(NextRun) {
			next = append(next, x)
		}
		if !x.blocked() {
			require.True(m.t, x.has(NextRun) != x.has(OthersTurn), "%s", x)
			willing[x.slave] += 1
			continue
		}
		require.False(m.t, x.has(NextRun), "%s", x)
		require.False(m.t, took && !m.excused(&x, got), "%s\ngot %v\n%v\n%s", x, got, m.events, log)
	}
	require.Len(m.t, next, len(willing), "one framework comes first on each slave that somebody takes: %v\n%s", all, log)
	if len(willing) == 0 {
		require.Empty(m.t, got, "%v\n%s", all, log)
		return
	}
	if m.a.cfg.MaxWork < 1000 {
		return // the run may have been cut
	}
	require.NotEmpty(m.t, got, "%v\n%s", next, log)
	require.True(m.t, slices.ContainsFunc(next, func(x answer) bool {
		return x.framework == got[0].Framework && x.role == got[0].Role && x.slave == got[0].Slave
	}), "%s is not among %v\n%s", show(got[0]), next, log)
	if len(willing) == 1 {
		require.True(m.t, got[0].Resources.Contains(next[0].Findings[0].Resources), "%s: %v", show(got[0]), next[0])
	}
}

// excused reports whether what stood in the way may have gone away in the run itself, because of what others were given: a guarantee was met
// from what was reserved, or with less on the slave a limit cuts another entry, or shares of it are of other kinds.
func (m *model) excused(x *answer, got []Allotment) bool {
	before := slices.IndexFunc(got, func(al Allotment) bool {
		return al.Framework == x.framework && al.Role == x.role && al.Slave == x.slave
	})
	for _, f := range x.Findings {
		switch f.Cause {
		case KeptBack:
			if !slices.ContainsFunc(got[:before], func(al Allotment) bool {
				return len(al.Resources.Reserved()) > 0 || m.a.inParts() && al.Slave == x.slave
			}) {
				return false
			}
		case OverLimit, Filtered, BelowMinimum:
			if !slices.ContainsFunc(got[:before], func(al Allotment) bool { return al.Slave == x.slave }) {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// remedy does what is said to end one cause of those that are found.
func (m *model) remedy() {
	type one struct {
		x *answer
		f *Finding
	}
	var byCause [NextRun + 1][]one
	all := m.ask()
	for i := range all {
		for j := range all[i].Findings {
			f := &all[i].Findings[j]
			byCause[f.Cause] = append(byCause[f.Cause], one{&all[i], f})
		}
	}
	found := slices.DeleteFunc(byCause[:], func(list []one) bool { return len(list) == 0 })
	if len(found) == 0 {
		return
	}
	list := found[m.pick(len(found))]
	of := list[m.pick(len(list))]
	x, f := of.x, of.f
	log := m.a.Describe()
	role, now, ok := m.change(x, f)
	if !ok {
		return
	}
	after, err := m.a.Explain(now, x.framework, role, x.slave)
	require.NoError(m.t, err)
	require.NoError(m.t, m.a.Check())
	for _, g := range after.Findings {
		same := g.Cause == f.Cause && g.Of == f.Of && g.Name == f.Name && g.Capability == f.Capability && g.Change.Kind == f.Change.Kind
		if f.Cause == OthersTurn {
			same = same && g.Rival.Framework == f.Rival.Framework && g.Rival.Role == f.Rival.Role && g.Rival.Later == f.Rival.Later
		}
		require.False(m.t, same, "%s in %s on %s: %s\nis not ended by %+v\n%s\nbefore:\n%s\nafter:\n%s", x.framework, x.role, x.slave, f, f.Change, g, log, m.a.Describe())
	}
}

// change does to the allocator what a finding says, and returns the role and the time to ask for then.
func (m *model) change(x *answer, f *Finding) (role string, now time.Time, ok bool) {
	a, c := m.a, f.Change
	do := func(ev Event) { require.NoError(m.t, a.Apply(m.now, ev)) }
	role, now, ok = x.role, m.now, true
	known, s := m.subs[x.framework], a.slaveIndex[x.slave]
	switch c.Kind {
	case Reconnect:
		do(FrameworkActive{x.framework, true})
	case Revive:
		do(Revived{x.framework, []string{c.Role}})
	case WaitOrRevive:
		early, err := a.Explain(now.Add(c.Wait-1), x.framework, role, x.slave)
		require.NoError(m.t, err)
		require.True(m.t, slices.ContainsFunc(early.Findings, func(g Finding) bool { return g.Cause == Filtered }), "%s", early)
		if m.pick(2) == 0 {
			return role, now.Add(c.Wait), true
		}
		do(Revived{x.framework, []string{c.Role}})
	case AnswerOffers:
		n := c.Amount / 1000
		for _, o := range a.slavesByID() {
			for _, u := range slices.Clone(o.unanswered) {
				for range u.offers {
					if n > 0 && u.framework.id == x.framework {
						n--
						do(Answered{x.framework, u.role, o.id})
					}
				}
			}
		}
	case ActivateSlave:
		do(SlaveActive{c.Slave, true})
	case ListHost:
		hosts := []string{c.Host}
		for host := range a.whitelist {
			hosts = append(hosts, host)
		}
		do(Whitelist{Hosts: hosts})
	case Unreserve:
		ok = m.unreserve(s, f)
	case RaiseLimit:
		r := a.roleIndex[c.Role]
		ev := RoleSet{Role: c.Role, Weight: resource.Scalar(r.weight), Force: true}
		for k, n := range r.limit {
			if name := a.kinds.names[k]; name == c.Name {
				require.Equal(m.t, c.From, resource.Scalar(n))
				ev.Limit = ev.Limit.Add(resource.Quantities{{Name: name, Amount: c.To}})
			} else if n > 0 {
				ev.Limit = ev.Limit.Add(resource.Quantities{{Name: name, Amount: resource.Scalar(n)}})
			}
		}
		for k, n := range r.guarantee {
			if n > 0 {
				ev.Guarantee = ev.Guarantee.Add(resource.Quantities{{Name: a.kinds.names[k], Amount: resource.Scalar(n)}})
			}
		}
		do(ev)
	case RaiseWeight:
		r := a.role(c.Role)
		require.Equal(m.t, c.From, resource.Scalar(r.weight))
		r.weight = int64(c.To)
		a.epoch++
	case FreeAnywhere:
		do(SlaveAdded{Slave: offer.Slave{ID: "new", Hostname: "new", Resources: resource.Resources{resource.NewScalar(c.Name, c.Amount)}}})
		ok = a.slaveIndex["new"].active
	case FreeOn:
		name, amount := c.Name, c.Amount
		if name == "" {
			name, amount = resource.CPUs, 1
		}
		more := offer.Slave{ID: s.id, Hostname: s.hostname, Attributes: s.attributes, Domain: s.domain,
			Resources: a.value(s.total).Add(resource.Resources{resource.NewScalar(name, amount)})}
		ok = !s.over // what is held beyond the slave's total has to come back first
		do(SlaveUpdated{more})
	default:
		ok = known != nil && m.changeFramework(*known, &role, x, f)
	}
	return role, now, ok
}

// changeFramework is change for what the framework itself can do.
func (m *model) changeFramework(known offer.Framework, role *string, x *answer, f *Finding) bool {
	c := f.Change
	switch c.Kind {
	case Subscribe:
		known.Roles = append(slices.Clone(known.Roles), c.Role)
		*role = c.Role
	case RelaxConstraint:
		known.Constraints = nil
	case AddCapability:
		known.Capabilities |= c.Capability
	case AskFor:
		if c.Name != resource.GPUs {
			require.NoError(m.t, m.a.Apply(m.now, Requested{x.framework, c.Role, []resource.Quantities{{{Name: c.Name, Amount: 1}}}}))
			return true
		}
		known.Capabilities |= offer.GPUResources
	case AskLess:
		if f.Cause != BelowMinimum {
			return false
		}
		var least resource.Quantities
		if c.Amount > 0 {
			least = resource.Quantities{{Name: c.Name, Amount: c.Amount}}
		}
		known.MinAllocatable = map[string][]resource.Quantities{c.Role: {least}}
	default:
		return false
	}
	require.NoError(m.t, m.a.Apply(m.now, FrameworkUpdated{Framework: known}))
	return true
}

// unreserve converts what a finding says, if nobody holds it and it is all that is reserved.
func (m *model) unreserve(s *slave, f *Finding) bool {
	from := slices.Clone(f.Resources)
	from[0].Scalar = f.Change.Amount
	to, err := from.Unreserve()
	require.NoError(m.t, err)
	if !m.a.value(s.free).Contains(from) {
		return false
	}
	require.NoError(m.t, m.a.Apply(m.now, Converted{Slave: s.id, From: from, To: to}))
	return f.Want-f.Have == f.Change.Amount
}
