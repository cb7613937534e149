package workload

import (
	"fmt"
	"strings"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
	"github.com/meros-project/meros/offer/resource"
)

// quotaSlave is a slave of the workloads about quota.
const quotaSlave = "cpus:2;mem:2048;disk:2048"

// quotas are the workloads about guarantees and limits. There is a framework, or two, to each role.
func quotas() []Workload {
	out := []Workload{{Name: "Metrics", What: "the state of a cluster in which every role has a guarantee is printed and read, as a page of metrics would",
		Full: Size{Slaves: 10_000, Frameworks: 1000}, Tiny: Size{Slaves: 30, Frameworks: 7}, run: metrics},
	}
	for _, by := range []struct {
		name   string
		policy allocator.Policy
	}{{"drf", allocator.DominantShares}, {"random", allocator.Random}} {
		out = append(out,
			Workload{Name: "LargeAndSmallQuota/" + by.name,
				What: "five roles in six with a quota of half a slave, one with two slaves; the second cycle finds slaves free and all at their limits",
				Full: Size{Slaves: 3000, Frameworks: 3000}, Tiny: Size{Slaves: 30, Frameworks: 30},
				run: func(d *driver, s Size) error { return d.largeAndSmall(s, by.policy) }},
			Workload{Name: "NonQuotaVsQuota/" + by.name, What: "two slaves and two frameworks to each role, without quota and then with one of two slaves",
				Full: Size{Slaves: 2000, Frameworks: 2000}, Tiny: Size{Slaves: 20, Frameworks: 20},
				run: func(d *driver, s Size) error { return d.nonQuotaVsQuota(s, by.policy) }})
	}
	return out
}

// setQuota gives a role a guarantee, and a limit if limited.
func (d *driver) setQuota(role, text string, limited bool) allocator.Event {
	ev := allocator.RoleSet{Role: role, Guarantee: quantities(text), Force: true} // there are no slaves yet
	if limited {
		ev.Limit = ev.Guarantee
		limit := amounts{-1, -1, -1, -1}
		for k, want := range amountsIn(ev.Limit) {
			if want > 0 {
				limit[k] = want
			}
		}
		d.book.limits[role] = limit
	}
	return ev
}

const smallQuota, largeQuota = "cpus:1;mem:1024;disk:1024", "cpus:4;mem:4096;disk:4096"

func (d *driver) largeAndSmall(s Size, by allocator.Policy) error {
	d.reset(allocator.Config{Policy: by})
	if need := s.Frameworks - s.Frameworks/4; s.Frameworks%6 != 0 || s.Slaves < need {
		return fmt.Errorf("%d frameworks on %d slaves (allowed: a multiple of 6, on at least %d slaves)", s.Frameworks, s.Slaves, need)
	}
	quota := func(i int) string {
		if i%6 == 5 {
			return largeQuota
		}
		return smallQuota
	}
	role := func(i int) string { return fmt.Sprintf("role-%d", i) }
	events := make([]allocator.Event, s.Frameworks)
	for i := range events {
		events[i] = d.setQuota(role(i), quota(i), true)
	}
	d.send("set quota", events)
	d.addFrameworks(s.Frameworks, func(i int, f *offer.Framework) { f.Roles = []string{role(i)} })
	d.send("add slaves", d.slavesOf(s.Slaves, parsed(quotaSlave), nil))
	if err := d.settle("cycle 1"); err != nil {
		return err
	}
	// A large role may get its two slaves in halves.
	large, small := s.Frameworks/6, s.Frameworks-s.Frameworks/6
	if n := len(d.out); n < small+2*large || n > small+4*large {
		return fmt.Errorf("cycle 1: %d offers, must be %d to %d", n, small+2*large, small+4*large)
	}
	for i := range s.Frameworks {
		if err := d.book.has(role(i), amountsIn(quantities(quota(i)))); err != nil {
			return err
		}
	}
	if err := d.settle("cycle 2"); err != nil {
		return err
	}
	return d.expect(0)
}

func (d *driver) nonQuotaVsQuota(s Size, by allocator.Policy) error {
	if s.Frameworks%2 != 0 || s.Slaves != s.Frameworks {
		return fmt.Errorf("%d frameworks on %d slaves (allowed: an even number, on as many slaves)", s.Frameworks, s.Slaves)
	}
	roles := s.Frameworks / 2
	role := func(i int) string { return fmt.Sprintf("role-%d", i%roles) }
	for _, with := range []bool{false, true} {
		d.reset(allocator.Config{Policy: by})
		name := "without quota"
		if with {
			name = "with quota"
			events := make([]allocator.Event, roles)
			for i := range events {
				events[i] = d.setQuota(role(i), largeQuota, true)
			}
			d.send("set quota", events)
		}
		d.addFrameworks(s.Frameworks, func(i int, f *offer.Framework) { f.Roles = []string{role(i)} })
		d.send("add slaves", d.slavesOf(s.Slaves, parsed(quotaSlave), nil))
		if err := d.settle("cycle 1 " + name); err != nil {
			return err
		}
		if err := d.expect(s.Slaves); err != nil {
			return err
		}
		// By chance a role may get more than another, but no more than its limit, and a framework in any case.
		uneven := false
		for i := range roles {
			if err := d.book.has(role(i), amountsIn(quantities(largeQuota))); err != nil {
				if with || by == allocator.DominantShares {
					return fmt.Errorf("%s: %w", name, err)
				}
				uneven = true
			}
		}
		if by == allocator.Random && !with && roles >= 10 && !uneven {
			return fmt.Errorf("%s: each of %d roles holds two slaves, which chance does not bring about", name, roles)
		}
		for _, f := range d.book.frameworks {
			if one := amountsIn(quantities(quotaSlave)); f.held != one && by == allocator.DominantShares {
				return fmt.Errorf("%s: framework %s holds %v, must hold %v", name, f.id, f.held, one)
			}
		}
		if err := d.settle("cycle 2 " + name); err != nil {
			return err
		}
		if err := d.expect(0); err != nil {
			return err
		}
	}
	return nil
}

// A describer prints its state and says what is free, as Hierarchical does.
type describer interface {
	Describe() string
	Free(offer.SlaveID) resource.Resources
}

func metrics(d *driver, s Size) error {
	role := func(i int) string { return fmt.Sprintf("role-%d", i) }
	const quota = "cpus:1;mem:512;disk:256"
	events := make([]allocator.Event, s.Frameworks)
	for i := range events {
		events[i] = d.setQuota(role(i), quota, false)
	}
	d.send("set quota", events)
	d.addFrameworks(s.Frameworks, func(i int, f *offer.Framework) { f.Roles = []string{role(i)} })
	d.send("add slaves", d.slavesOf(s.Slaves, parsed("cpus:16;mem:2048;disk:1024"), nil))
	if err := d.settle("run"); err != nil {
		return err
	}
	for i := range s.Frameworks {
		if got := d.book.consumed[role(i)]; !got.contains(amountsIn(quantities(quota))) {
			return fmt.Errorf("role %s holds %v, less than its guarantee", role(i), got)
		}
	}
	a, ok := d.a.(describer)
	if !ok {
		return nil // it has nothing to show
	}
	var page map[string]resource.Quantities
	free := amounts{}
	var err error
	d.timed("snapshot", func() {
		page, err = consumption(a.Describe())
		for _, s := range d.book.slaves {
			free.add(amountsOf(a.Free(s.id)), 1)
		}
	})
	if err != nil {
		return err
	}
	want := amounts{}
	for _, s := range d.book.slaves {
		want.add(amountsOf(s.free), 1)
	}
	if free != want {
		return fmt.Errorf("free is %v, must be %v", free, want)
	}
	for i := range s.Frameworks {
		if got := amountsIn(page[role(i)]); got != d.book.consumed[role(i)] {
			return fmt.Errorf("the page shows %v for %s, must show %v", got, role(i), d.book.consumed[role(i)])
		}
	}
	return nil
}

// consumption reads what each role consumes out of the first table of Describe, and every line of the rest.
func consumption(page string) (map[string]resource.Quantities, error) {
	out := map[string]resource.Quantities{}
	column, inRoles := -1, true
	for line := range strings.Lines(page) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0:
		case column < 0:
			for i, f := range fields {
				if f == "consumed" {
					column = i
				}
			}
			if column < 0 {
				return nil, fmt.Errorf("no column tells what roles consume: %q", line)
			}
		case fields[0] == "framework":
			inRoles = false
		case inRoles && len(fields) > column && fields[column] != "-":
			q, err := resource.ParseQuantities(fields[column])
			if err != nil {
				return nil, err
			}
			out[fields[0]] = q
		}
	}
	return out, nil
}
