package workload

import (
	"fmt"
	"strings"
	"time"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
	"github.com/meros-project/meros/offer/resource"
)

// sorting are the workloads that measure how the order of frameworks and roles is kept. Slaves take no part in offers, so that only the
// order is at work, but for two, which show who is first.
func sorting() []Workload {
	out := []Workload{{Name: "FullSort", What: "allocations come to frameworks in turn, two slaves show the order, and everything goes again",
		Full: Size{Slaves: 10_000, Frameworks: 1000}, Tiny: Size{Slaves: 33, Frameworks: 7},
		run: func(d *driver, s Size) error {
			d.addFrameworks(s.Frameworks, nil)
			return d.fullSort(s)
		}}}
	for _, tree := range []struct{ height, branching int }{{3, 32}, {7, 3}, {10, 2}} {
		out = append(out, Workload{Name: fmt.Sprintf("HierarchyFullSort/%dx%d", tree.height, tree.branching),
			What: "the same with a framework in every role of a tree",
			Full: Size{Slaves: 10_000, Height: tree.height, Branching: tree.branching}, Tiny: Size{Slaves: 33, Height: 4, Branching: 2},
			run: func(d *driver, s Size) error {
				paths := treeOf(s)
				d.addFrameworks(len(paths), func(i int, f *offer.Framework) { f.Roles = []string{paths[i]} })
				return d.fullSort(s)
			}})
	}
	return out
}

// treeOf returns the roles of a tree but for its root, level by level.
func treeOf(s Size) []string {
	var all []string
	level := []string{""}
	for range s.Height - 1 {
		var next []string
		for _, above := range level {
			for i := range s.Branching {
				path := fmt.Sprintf("role-%d", i)
				if above != "" {
					path = above + "/" + path
				}
				next = append(next, path)
			}
		}
		all = append(all, next...)
		level = next
	}
	return all
}

func (d *driver) fullSort(s Size) error {
	const probes = 2
	added := d.slavesOf(s.Slaves+probes, parsed(wholeSlave), nil)
	for i, ev := range added {
		ev := ev.(allocator.SlaveAdded)
		ev.Inactive = true
		added[i] = ev
		d.book.slaves[i].active = false
	}
	d.send("add slaves", added)
	used := fragmented(declinedUsed, 100)
	allocated := make([]allocator.Event, s.Slaves)
	freed := make([]allocator.Event, s.Slaves)
	for i := range allocated {
		f := d.book.frameworks[i%len(d.book.frameworks)]
		al := allocator.Allotment{Framework: f.id, Role: f.role, Slave: slaveID(i), Resources: used(i)}
		allocated[i], freed[i] = allocator.Used{Allotment: al}, allocator.Recovered{Allotment: al}
		d.book.use(al)
	}
	d.send("add allocations", allocated)
	for i, phase := range []string{"full sort", "no-op sort"} {
		if err := d.probe(phase, slaveID(s.Slaves+i)); err != nil {
			return fmt.Errorf("%s: %w", phase, err)
		}
		d.apply(allocator.SlaveActive{Slave: slaveID(s.Slaves + i)})
		d.book.bySlave[slaveID(s.Slaves+i)].active = false
		freed = append(freed, allocator.Recovered{Allotment: d.out[0]})
	}
	d.send("remove allocations", freed)
	for _, ev := range freed {
		d.book.recover(d.now, ev.(allocator.Recovered).Allotment, 0)
	}
	if err := d.book.empty(); err != nil {
		return err
	}
	// Nothing is held any more: a slave that takes part is offered whole.
	if err := d.probe("sort of nothing", slaveID(0)); err != nil {
		return err
	}
	if !d.out[0].Resources.Equal(resource.Must(wholeSlave)) {
		return fmt.Errorf("after everything came back, %s is offered", d.out[0].Resources)
	}
	return d.removeAll()
}

// probe has a slave take part, which must be offered to whoever is first.
func (d *driver) probe(phase string, id offer.SlaveID) error {
	d.out = d.out[:0]
	d.timed(phase, func() {
		d.apply(allocator.SlaveActive{Slave: id, Active: true})
		d.decide()
	})
	d.book.bySlave[id].active = true
	if len(d.out) > 0 {
		if err := d.book.first(d.out[0]); err != nil {
			return err
		}
	}
	if err := d.enter(); err != nil {
		return err
	}
	return d.expect(1)
}

func (d *driver) removeAll() error {
	events := make([]allocator.Event, len(d.book.slaves))
	for i, s := range d.book.slaves {
		events[i] = allocator.SlaveRemoved{Slave: s.id}
	}
	d.send("remove slaves", events)
	events = make([]allocator.Event, len(d.book.frameworks))
	for i, f := range d.book.frameworks {
		events[i] = allocator.FrameworkRemoved{Framework: f.id}
	}
	d.send("remove frameworks", events)
	d.book = newLedger()
	if err := d.settle("run of nothing"); err != nil {
		return err
	}
	if err := d.expect(0); err != nil {
		return err
	}
	if due := d.a.Deadline(); !due.IsZero() {
		return fmt.Errorf("with nothing left, the next run is due at %s", due.Format(time.RFC3339))
	}
	return nil
}

// first checks that no other framework would have come before the one of an allotment, at each level of the tree of roles. The allotment is
// not in the books yet.
func (l *ledger) first(al allocator.Allotment) error {
	below, direct := map[string]amounts{}, map[string]amounts{}
	children := map[string][]string{}
	add := func(to map[string]amounts, role string, held amounts) bool {
		sum, known := to[role]
		sum.add(held, 1)
		to[role] = sum
		return !known
	}
	for _, f := range l.frameworks {
		add(direct, f.role, f.held)
		for role := f.role; role != ""; role = above(role) {
			if add(below, role, f.held) {
				children[above(role)] = append(children[above(role)], role)
			}
		}
	}
	for at := al.Role; ; at = above(at) {
		// At the parent of at, nothing beside at may have less; at the role itself, nothing below it.
		mine, node := below[at].share(l.total), above(at)
		if at == al.Role {
			if leaf := direct[at].share(l.total); l.lowest(children[at], below) < leaf-1e-9 {
				return fmt.Errorf("role %s itself comes before a role below it that has less than its %.9f", at, leaf)
			}
		}
		if l.lowest(children[node], below) < mine-1e-9 {
			return fmt.Errorf("role %s has a share of %.9f and comes before a role beside it that has less", at, mine)
		}
		if leaf, ok := direct[node]; ok && leaf.share(l.total) < mine-1e-9 {
			return fmt.Errorf("role %s has a share of %.9f and comes before the frameworks of %s, which have less", at, mine, node)
		}
		if node == "" {
			break
		}
	}
	mine := l.byID[al.Framework].held.share(l.total)
	for _, f := range l.frameworks {
		if f.role == al.Role && f.held.share(l.total) < mine-1e-9 {
			return fmt.Errorf("framework %s has a share of %.9f and comes before %s, which has less", al.Framework, mine, f.id)
		}
	}
	return nil
}

func (l *ledger) lowest(roles []string, held map[string]amounts) float64 {
	out := 2.0
	for _, r := range roles {
		out = min(out, held[r].share(l.total))
	}
	return out
}

// above returns the role above one; "" stands for the root.
func above(role string) string {
	if i := strings.LastIndexByte(role, '/'); i >= 0 {
		return role[:i]
	}
	return ""
}
