package refalloc_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/internal/refalloc"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
	"github.com/meros-project/meros/offer/resource"
)

// world is a small cluster in which anything may happen. What happens is told to both allocators, and what they allot is compared.
type world struct {
	t          require.TestingT
	pick       func(n int) int // a number from 0 to n-1; 0 is the simplest choice
	real       *allocator.Hierarchical
	plain      allocator.Allocator
	now        time.Time
	slaves     map[offer.SlaveID]*offer.Slave
	frameworks map[offer.FrameworkID]*offer.Framework
	held       []allocator.Allotment
	unanswered []allocator.Allotment
	log        []note
	size       int // how many frameworks there may be
	fleet      int // and how many slaves
	roles      []string
	does       []habit
	events     int
	runs       int // that allotted something
}

var (
	roles       = []string{"*", "a", "a/b", "a/c", "a/b/d", "b", "b/x"}
	cpus, units = resource.CPUs, resource.Units
)

func newWorld(t require.TestingT, pick func(int) int) *world {
	w := &world{t: t, pick: pick, now: time.Unix(5000, 0), slaves: map[offer.SlaveID]*offer.Slave{},
		frameworks: map[offer.FrameworkID]*offer.Framework{}}
	cfg := allocator.Config{MaxWork: 1 << 60, Seed: uint64(pick(4)), Region: []string{"here", ""}[pick(2)], GPUsToAll: w.rarely()}
	switch w.pick(4) {
	case 2:
		cfg.MinAllocatable = w.minimum()
	case 3:
		cfg.MinAllocatable = []resource.Quantities{} // anything
	}
	if w.rarely() {
		cfg.ExcludeFromFairness = []string{cpus}
	}
	if w.pick(3) == 2 {
		cfg.Policy = allocator.Random
	}
	if w.pick(3) == 2 {
		cfg.OfferShare = []resource.Scalar{30, 100, 333, 500, 999}[w.pick(5)]
	}
	if w.pick(3) == 2 {
		cfg.MaxOutstanding = 1 + w.pick(3)
	}
	if w.rarely() {
		cfg.Scarce = []string{"licence"}
	}
	w.note("config %+v", cfg)
	w.real, w.plain = allocator.New(cfg), refalloc.New(cfg)
	w.size = []int{2, 4, 6, 40}[pick(4)] // 40 are more than can be compared one by one
	w.fleet = max(2+pick(7), w.size/4)
	for _, role := range roles {
		if pick(2) == 0 {
			w.roles = append(w.roles, role)
		}
	}
	if len(w.roles) == 0 {
		w.roles = []string{"a"}
	}
	w.populate(pick(w.size))
	w.does = w.habits()
	return w
}

func (w *world) populate(frameworks int) {
	for range w.pick(5) {
		w.setRole()
	}
	for range frameworks {
		w.addFramework()
		if w.pick(2) == 0 {
			w.addSlave()
		}
	}
}

// note remembers what has happened, for a story that is hardly ever told.
func (w *world) note(format string, args ...any) { w.log = append(w.log, note{format, args}) }

type note struct {
	format string
	args   []any
}

func (w *world) rarely() bool { return w.pick(6) == 5 }

func (w *world) story() string {
	var b strings.Builder
	for _, n := range w.log {
		fmt.Fprintf(&b, n.format+"\n", n.args...)
	}
	return b.String() + w.real.Describe()
}

// apply tells both what has happened.
func (w *world) apply(ev allocator.Event) {
	w.note("%T%+v", ev, ev)
	asked, got, want := w.real.Validate(ev), w.real.Apply(w.now, ev), w.plain.Apply(w.now, ev)
	if (asked == nil) != (got == nil) || (want == nil) != (got == nil) {
		require.Fail(w.t, "refusals differ", "plain: %v\nreal:  %v\nasked: %v\n%s", want, got, asked, w.story())
	}
	if got != nil {
		w.note("refused: %v", got)
	}
	w.check()
}

// check has the real one look at its books, not after every event if there is a lot in them.
func (w *world) check() {
	if w.events++; w.events%max(1, w.size/10) > 0 {
		return
	}
	if err := w.real.Check(); err != nil {
		require.Fail(w.t, "the books are wrong", "%v\n%s", err, w.story())
	}
}

// run has both decide, and compares.
func (w *world) run() {
	due := w.due()
	want, got := w.plain.Run(w.now, nil), w.real.Run(w.now, nil)
	if len(want) > 0 && !due {
		require.Fail(w.t, "the deadline was wrong", "there was something to allot: %v\n%s", show(want), w.story())
	}
	for i := range max(len(want), len(got)) {
		if i >= len(want) || i >= len(got) || !sameAllotment(want[i], got[i]) {
			require.Fail(w.t, "allotments differ", "number %d of this run\nplain: %v\nreal:  %v\n%s", i, show(want), show(got), w.story())
		}
	}
	w.check()
	w.note("run: %v", shown(got))
	w.held = append(w.held, got...)
	w.unanswered = append(w.unanswered, got...)
	if len(got) > 0 {
		w.runs++
	}
}

// due reports whether the real one says that there is something to do now.
func (w *world) due() bool {
	at := w.real.Deadline()
	return !at.IsZero() && !at.After(w.now)
}

func sameAllotment(x, y allocator.Allotment) bool {
	return x.Framework == y.Framework && x.Role == y.Role && x.Slave == y.Slave && x.Resources.Equal(y.Resources)
}

// shown is printed as show prints it.
type shown []allocator.Allotment

func (s shown) String() string { return show(s) }

func show(list []allocator.Allotment) string {
	var b strings.Builder
	for _, al := range list {
		fmt.Fprintf(&b, "\n  %s in %s on %s: %s", al.Framework, al.Role, al.Slave, al.Resources)
	}
	return b.String()
}

// habits is what happens in a world, and how often. Each world knows only a part of it, so that some have time to get far with that.
func (w *world) habits() []habit {
	list := []habit{{8, w.pass}, {4, w.updateSlave}, {3, w.switchSlave}, {2, w.removeSlave}, {8, w.updateFramework}, {3, w.switchFramework},
		{2, w.removeFramework}, {4, w.use}, {8, w.convert}, {12, w.setRole}, {8, w.suppressOrRevive}, {6, w.comeBack}, {4, w.request},
		{6, w.maintain}, {2, w.list}, {4, w.recoverAll}, {3, w.refuse}, {4, w.explain}}
	list = slices.DeleteFunc(list, func(habit) bool { return w.pick(2) == 1 })
	return append(list, habit{20, w.run}, habit{20, w.recover}, habit{6, w.addSlave}, habit{8, w.addFramework}, habit{12, w.answer})
}

type habit struct {
	weight int
	do     func()
}

// step makes one thing happen.
func (w *world) step() {
	sum := 0
	for _, k := range w.does {
		sum += k.weight
	}
	x := w.pick(sum)
	for _, k := range w.does {
		if x -= k.weight; x < 0 {
			k.do()
			return
		}
	}
}

func (w *world) role() string { return w.roles[w.pick(len(w.roles))] }
func (w *world) slaveID() offer.SlaveID {
	return offer.SlaveID(fmt.Sprint("s", w.pick(w.fleet)))
}
func (w *world) frameworkID() offer.FrameworkID {
	return offer.FrameworkID(fmt.Sprint("f", w.pick(w.size)))
}
func (w *world) pass() { w.now = w.now.Add(time.Duration(w.pick(5)) * time.Second) }

func (w *world) addSlave() {
	s := w.slave(w.slaveID())
	w.forgetSlave(s.ID)
	ev := allocator.SlaveAdded{Slave: s, Inactive: w.rarely()}
	for range w.pick(3) - 1 {
		if used := w.part(s.Resources); len(used) > 0 {
			al := allocator.Allotment{Framework: w.frameworkID(), Role: w.role(), Slave: s.ID, Resources: used}
			ev.Used = append(ev.Used, al)
			w.held = append(w.held, al)
		}
	}
	w.slaves[s.ID] = &s
	w.apply(ev)
}

func (w *world) forgetSlave(id offer.SlaveID) {
	delete(w.slaves, id)
	w.held = slices.DeleteFunc(w.held, func(al allocator.Allotment) bool { return al.Slave == id })
}

func (w *world) updateSlave() {
	s := w.slaves[w.slaveID()]
	if s == nil {
		return
	}
	to := w.slave(s.ID)
	switch w.pick(4) {
	case 0:
		to.Attributes, to.Domain = s.Attributes, s.Domain
	case 1:
		to.Resources = s.Resources
	case 2:
		to.Resources = s.Resources.Add(resource.Must("cpus:0.5;mem:20"))
		to.Attributes, to.Domain = s.Attributes, s.Domain
	}
	w.slaves[s.ID] = &to
	w.apply(allocator.SlaveUpdated{Slave: to})
}

func (w *world) switchSlave() {
	w.apply(allocator.SlaveActive{Slave: w.slaveID(), Active: w.pick(3) > 0})
}

func (w *world) removeSlave() {
	id := w.slaveID()
	w.forgetSlave(id)
	w.apply(allocator.SlaveRemoved{Slave: id})
}

func (w *world) addFramework() {
	f, suppressed := w.framework(w.frameworkID())
	w.apply(allocator.FrameworkAdded{Framework: f, Suppressed: suppressed, Inactive: w.rarely()})
}

// updateFramework changes a framework, or only which of its roles are suppressed.
func (w *world) updateFramework() {
	old := w.frameworks[w.frameworkID()]
	if old == nil {
		return
	}
	f, suppressed := w.framework(old.ID)
	if w.pick(3) > 0 {
		f = *old
		w.frameworks[f.ID] = old
		suppressed = nil
		for _, role := range f.Roles {
			if w.pick(2) == 0 {
				suppressed = append(suppressed, role)
			}
		}
	}
	w.apply(allocator.FrameworkUpdated{Framework: f, Suppressed: suppressed})
}

func (w *world) switchFramework() {
	w.apply(allocator.FrameworkActive{Framework: w.frameworkID(), Active: w.pick(3) > 0})
}

func (w *world) removeFramework() {
	id := w.frameworkID()
	delete(w.frameworks, id)
	w.apply(allocator.FrameworkRemoved{Framework: id})
}

// use has a framework hold what it was not allotted: what is there, whether it is free or not.
func (w *world) use() {
	s := w.slaves[w.slaveID()]
	if s == nil {
		return
	}
	if used := w.part(s.Resources); len(used) > 0 {
		al := allocator.Allotment{Framework: w.frameworkID(), Role: w.role(), Slave: s.ID, Resources: used}
		w.held = append(w.held, al)
		w.apply(allocator.Used{Allotment: al})
	}
}

// recover gives back all or a part of something that is held, mostly with a filter.
func (w *world) recover() {
	if len(w.held) == 0 {
		return
	}
	for range 1 + w.pick(3) {
		if len(w.held) == 0 {
			return
		}
		i := w.pick(len(w.held))
		al := w.held[i]
		back := al
		if w.pick(3) == 2 {
			back.Resources = w.part(al.Resources)
		}
		if rest, ok := al.Resources.Sub(back.Resources); ok && len(rest) > 0 {
			w.held[i].Resources = rest
		} else {
			w.held = slices.Delete(w.held, i, i+1)
		}
		if w.rarely() { // a refusal of what is not held, too
			back.Resources = back.Resources.Add(resource.Must("cpus:1"))
		}
		w.apply(allocator.Recovered{Allotment: back, Refuse: time.Duration(w.pick(4)) * 2 * time.Second})
	}
}

// recoverAll gives back all that is held, mostly for good.
func (w *world) recoverAll() {
	held := w.held
	w.held = nil
	for _, al := range held {
		if w.rarely() {
			w.held = append(w.held, al)
			continue
		}
		w.apply(allocator.Recovered{Allotment: al, Refuse: time.Duration(w.pick(3)) * 2 * time.Second})
	}
}

// refuse has a framework refuse many different parts of a slave, which it need not hold.
func (w *world) refuse() {
	s := w.slaves[w.slaveID()]
	if s == nil {
		return
	}
	al := allocator.Allotment{Framework: w.frameworkID(), Role: w.role(), Slave: s.ID}
	if f := w.frameworks[al.Framework]; f != nil {
		al.Role = f.Roles[w.pick(len(f.Roles))]
	}
	for range 1 + w.pick(12) {
		if al.Resources = w.part(s.Resources); len(al.Resources) > 0 {
			w.apply(allocator.Recovered{Allotment: al, Refuse: time.Duration(1+w.pick(9)) * time.Second})
		}
	}
}

// convert reserves, unreserves, creates or destroys the first entry of something held, or of a slave, for which that can be done.
func (w *world) convert() {
	ev := allocator.Converted{}
	var from resource.Resources
	i := -1
	if len(w.held) > 0 && w.pick(4) > 0 {
		i = w.pick(len(w.held))
		al := w.held[i]
		ev.Framework, ev.Role, ev.Slave, from = al.Framework, al.Role, al.Slave, al.Resources
	} else {
		s := w.slaves[w.slaveID()]
		if s == nil {
			return
		}
		ev.Slave, ev.Role, from = s.ID, w.role(), w.real.Free(s.ID)
	}
	s := w.slaves[ev.Slave]
	start := w.pick(max(len(from), 1))
	for j := range from {
		e := from[(start+j)%len(from)]
		to, ok := w.conversion(e, ev.Role)
		if !ok {
			continue
		}
		ev.From, ev.To = resource.Resources{e}, to
		total, ok := s.Resources.Sub(ev.From)
		if !ok || total.Add(ev.To).Validate(resource.Limits{}) != nil {
			continue
		}
		if i >= 0 {
			w.held[i].Resources, _ = w.held[i].Resources.Sub(ev.From)
			w.held[i].Resources = w.held[i].Resources.Add(ev.To)
		}
		next := *s
		next.Resources = total.Add(ev.To)
		w.slaves[s.ID] = &next
		w.apply(ev)
		return
	}
}

func (w *world) setRole() {
	ev := allocator.RoleSet{Role: w.role(), Weight: resource.Scalar(w.pick(3) * 700), Force: w.pick(4) > 0}
	if w.pick(2) == 1 {
		ev.Guarantee = w.amounts(6)
	}
	if w.pick(2) == 1 {
		ev.Limit = ev.Guarantee.Add(w.amounts(7))
	}
	if w.rarely() {
		switch w.pick(5) {
		case 0:
			ev.Weight = -1
		case 1:
			ev.Role = "a//b"
		case 2:
			ev.Limit = w.amounts(3) // perhaps under the guarantee
		case 3:
			ev.Limit = resource.Quantities{{Name: cpus}} // of nothing
		default:
			ev.Guarantee = resource.Quantities{{Name: cpus, Amount: 1}, {Name: cpus, Amount: 1}}
		}
	}
	w.apply(ev)
}

func (w *world) suppressOrRevive() {
	id := w.frameworkID()
	var named []string
	if f := w.frameworks[id]; f != nil && w.pick(2) == 1 {
		named = []string{f.Roles[w.pick(len(f.Roles))]}
	}
	if w.pick(3) == 0 {
		w.apply(allocator.Suppressed{Framework: id, Roles: named})
	} else {
		w.apply(allocator.Revived{Framework: id, Roles: named})
	}
}

// maintain plans maintenance, answers what was asked for it, or asks.
func (w *world) maintain() {
	switch w.pick(5) {
	case 0:
		ev := allocator.SlaveUnavailable{Slave: w.slaveID()}
		if w.pick(4) > 0 {
			ev.Unavailability = &offer.Unavailability{Start: time.Unix(int64(9000+w.pick(2)), 0), Duration: time.Duration(w.pick(3)-1) * time.Hour}
		}
		w.apply(ev)
	case 1, 2:
		w.apply(allocator.InverseAnswered{Framework: w.frameworkID(), Slave: w.slaveID(), Accepted: w.pick(2) == 0,
			Refuse: time.Duration(w.pick(3)) * 2 * time.Second})
	default:
		due := w.due()
		want, got := w.plain.Inverse(w.now, nil), w.real.Inverse(w.now, nil)
		if len(want) > 0 && !due {
			require.Fail(w.t, "the deadline was wrong", "there was something to ask for: %v\n%s", want, w.story())
		}
		if !slices.Equal(want, got) {
			require.Fail(w.t, "inverse offers differ", "plain: %v\nreal:  %v\n%s", want, got, w.story())
		}
		w.note("inverse: %v", got)
	}
}

// answer answers some offers.
func (w *world) answer() {
	for range 1 + w.pick(4) {
		if len(w.unanswered) == 0 {
			return
		}
		i := w.pick(len(w.unanswered))
		al := w.unanswered[i]
		w.unanswered = slices.Delete(w.unanswered, i, i+1)
		w.apply(allocator.Answered{Framework: al.Framework, Role: al.Role, Slave: al.Slave})
	}
}

// list says which hosts take part.
func (w *world) list() {
	ev := allocator.Whitelist{All: w.pick(2) == 0}
	for i := range 3 {
		if !ev.All && w.pick(2) == 0 {
			ev.Hosts = append(ev.Hosts, fmt.Sprint("host-", i))
		}
	}
	w.apply(ev)
}

// comeBack has a framework suppress its roles, and revive them after something else has happened.
func (w *world) comeBack() {
	f := w.frameworks[w.frameworkID()]
	if f == nil {
		return
	}
	quietly := w.pick(2) == 0 // filters stay
	if quietly {
		w.apply(allocator.FrameworkUpdated{Framework: *f, Suppressed: f.Roles})
	} else {
		w.apply(allocator.Suppressed{Framework: f.ID})
	}
	w.run()
	for range 1 + w.pick(2) {
		[]func(){w.setRole, w.setRole, w.use, w.recover, w.pass, w.answer, w.convert, w.run}[w.pick(8)]()
	}
	if w.frameworks[f.ID] != f {
		return
	}
	if quietly {
		w.apply(allocator.FrameworkUpdated{Framework: *f})
	} else {
		w.apply(allocator.Revived{Framework: f.ID})
	}
	w.run()
}

// explain asks why somebody was offered nothing, which must change nothing.
func (w *world) explain() {
	slave := w.slaveID()
	if w.pick(2) == 0 {
		slave = ""
	}
	w.note("explain %s", slave)
	w.real.Explain(w.now, w.frameworkID(), w.role(), slave)
}

func (w *world) request() {
	w.apply(allocator.Requested{Framework: w.frameworkID(), Role: w.role(), Needs: w.minimum()})
}
