package main

import (
	"fmt"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/meros-project/meros/internal/sim"
)

// bankFile is where the seeds of the tests are, seen from the root of the module.
const bankFile = "internal/sim/testdata/bank.txt"

// A hunt looks for one planted bug.
type hunt struct {
	name, rule string
	seed       uint64
	tried      int
	hours      float64
	spent      time.Duration // on one core
	stored     *sim.Stored
	others     map[string]int // what else was broken, by rule
}

// hunts looks for the bugs, one after the other, each with seeds from first on and at most for budget. With rewrite, what it finds takes the
// place of what is stored. It reports whether all were found.
func hunts(names []string, first uint64, budget time.Duration, rewrite bool) bool {
	var all []*hunt
	for i, name := range names {
		h := &hunt{name: name, others: map[string]int{}}
		all = append(all, h)
		h.run(first, budget, rewrite)
		if h.stored == nil {
			fmt.Printf("%d of %d: %s was not found in %d seeds; they broke %v\n", i+1, len(names), name, h.tried, h.others)
		} else if h.spent > 5*time.Second {
			fmt.Printf("%d of %d: %s was found after %d seeds\n", i+1, len(names), name, h.tried)
		}
	}
	caught := report(all)
	if rewrite && caught {
		if err := store(all); err != nil {
			fail("%v", err)
		}
	}
	return caught
}

func (h *hunt) run(first uint64, budget time.Duration, rewrite bool) {
	began := cpu()
	for seed := first; h.spent < budget; seed++ {
		cfg := sim.BankConfig(seed)
		cfg.Plant = sim.Plants[h.name]()
		r := sim.Run(cfg)
		h.tried++
		h.hours += r.Time.Hours()
		h.spent = cpu() - began
		switch {
		case r.Violation == nil:
		case !r.Breaks():
			h.others[r.Violation.Rule]++
		case rewrite && !clean(cfg):
		default:
			h.rule, h.seed = r.Violation.Rule, seed
			cfg.Plant = r.Config.Plant
			h.stored = &sim.Stored{Rule: h.rule, Config: cfg}
			return
		}
	}
}

// clean reports whether a seed is sound without its plant.
func clean(cfg sim.Config) bool {
	cfg.Plant = nil
	return sim.Run(cfg).Violation == nil
}

// report prints a table of the hunts and a line of figures, and reports whether all have found what they looked for.
func report(all []*hunt) bool {
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "bug\trule\tseed\tseeds tried\thours simulated\tcpu")
	var times []time.Duration
	caught := 0
	for _, h := range all {
		seed, rule := "-", "missed"
		if h.stored != nil {
			caught++
			seed, rule = fmt.Sprint(h.seed), h.rule
		}
		times = append(times, h.spent)
		_, _ = fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%.1f\t%.2fs\n", h.name, rule, seed, h.tried, h.hours, h.spent.Seconds())
	}
	_ = t.Flush()
	slices.Sort(times)
	fmt.Printf("bank bugs=%d caught=%d median_cpu_s=%.2f max_cpu_s=%.2f\n", len(all), caught, times[len(times)/2].Seconds(), times[len(times)-1].Seconds())
	return caught == len(all)
}

func store(all []*hunt) error {
	var seeds []sim.Stored
	for _, h := range all {
		seeds = append(seeds, *h.stored)
	}
	f, err := os.Create(bankFile)
	if err != nil {
		return err
	}
	if err := sim.WriteBank(f, seeds); err != nil {
		return err
	}
	return f.Close()
}
