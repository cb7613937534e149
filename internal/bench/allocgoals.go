package main

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/meros-project/meros/internal/bench/workload"
)

func declineBenchmark() benchmark {
	w := workload.Find("DeclineOffers")
	return allocBenchmark("alloc/decline", w.Name+": "+w.What,
		[]goal{{key: "ratio", limit: 30}, {key: "us_per_offer", most: true, limit: 2}}, w.Full,
		func(ctx context.Context, r *report, s *sizeFlags) error { return decline(ctx, r, w, s) })
}

// decline gives the plain allocator three rounds at most, several times, and the other one as many and then all of them.
func decline(ctx context.Context, r *report, w workload.Workload, s *sizeFlags) error {
	few := s.Size
	few.Rounds = min(few.Rounds, 3)
	fast, slow, err := duel(ctx, r, s.cut, w, few)
	if err != nil {
		return err
	}
	if _, err := compare(r, fast, slow, "round"); err != nil {
		return err
	}
	if slow.cut == "" {
		more, err := measure(ctx, r, fastSide(), 1, w, s.Size)
		if err != nil {
			return err
		}
		fast.results = append(fast.results, more.results...)
	}
	each := fast.perOffer("round")
	if each == 0 {
		return errNothing
	}
	ratio := float64(slow.perOffer("round")) / float64(each)
	if slow.cut == "round" {
		ratio = float64(slow.after) / float64(fast.median("round"))
	}
	r.print("with the declines in it: fast %.3f ms, plain %.3f ms a round, ratio %s", milliseconds(fast.median("round")+fast.median("decline")),
		milliseconds(slow.median("round")+slow.median("decline")),
		number(float64(slow.median("round")+slow.median("decline"))/float64(fast.median("round")+fast.median("decline"))))
	r.set("ms", milliseconds(fast.median("round")))
	r.set("us_per_offer", float64(each)/float64(time.Microsecond))
	r.set("ratio", ratio)
	return nil
}

func quotaBenchmark() benchmark {
	w := workload.Find("LargeAndSmallQuota/drf")
	return allocBenchmark("alloc/quota", w.Name+": "+w.What, []goal{{key: "ratio", limit: 500}}, w.Full,
		func(ctx context.Context, r *report, s *sizeFlags) error {
			fast, slow, err := after(ctx, r, s.cut, w, s.Size)
			if err != nil {
				return err
			}
			ratio, err := compare(r, fast, slow, "cycle 1")
			if err != nil {
				return err
			}
			r.set("ms", milliseconds(fast.median("cycle 1")))
			r.set("noop_us", microseconds(fast.median("cycle 2")))
			r.set("ratio", ratio)
			return nil
		})
}

func noopBenchmark() benchmark {
	filtered, limited := workload.Find("EverythingFiltered"), workload.Find("EverythingLimited")
	return allocBenchmark("alloc/noop", "a run while everything is filtered, at two sizes, or bound by limits", []goal{{key: "us", most: true, limit: 10}},
		filtered.Full, func(ctx context.Context, r *report, s *sizeFlags) error {
			small := s.Size
			small.Slaves = max(1, s.Slaves/10)
			roles := limited.Full
			roles.Slaves, roles.Frameworks = limitedSize(s.Slaves), limitedSize(s.Slaves)
			roles.Rounds = s.Rounds
			worst, back := 0.0, 0.0
			for _, x := range []struct {
				w    workload.Workload
				size workload.Size
			}{{filtered, small}, {filtered, s.Size}, {limited, roles}} {
				m, err := measure(ctx, r, fastSide(), 1, x.w, x.size)
				if err != nil {
					return err
				}
				worst = max(worst, microseconds(m.median("run with nothing new")))
				back = max(back, microseconds(m.median("run with one slave back")))
			}
			r.set("us", worst)
			r.set("slave_back_us", back)
			return nil
		})
}

// limitedSize is the number of roles, each with a slave, for a number of slaves: a third, a multiple of six.
func limitedSize(slaves int) int { return max(6, slaves*3/10/6*6) }

func mixedBenchmark() benchmark {
	names := []string{"MultiFrameworkAllocations", "MultiFrameworkAllocations/NoHints", "MultiFrameworkAllocations/RefuseOnly",
		"MultiFrameworkAllocations/Careless"}
	w := workload.Find(names[0])
	return allocBenchmark("alloc/mixed", w.Name+": "+w.What, []goal{{key: "launched", limit: 19_500}, {key: "seconds", most: true, limit: 2}}, w.Full,
		func(ctx context.Context, r *report, s *sizeFlags) error {
			for i, name := range names {
				m, err := measure(ctx, r, fastSide(), fastRuns, workload.Find(name), s.Size)
				if err != nil {
					return err
				}
				res := m.results[0]
				r.print("  launched %d of %d tasks in %d cycles, %.3f s in all; %d offers, of which %d came to frameworks with nothing left to run and %d were "+
					"too small for a task", res.Launched, res.Tasks, res.Cycles, m.median("").Seconds(), res.Offers, res.Needless, res.Unusable)
				if i == 0 {
					r.set("launched", float64(res.Launched))
					r.set("seconds", m.median("").Seconds())
				}
			}
			return nil
		})
}

func reviveBenchmark() benchmark {
	names := []string{"AllocatorBacklog", "AllocatorBacklog/Filtered", "AllocatorBacklog/Untakable"}
	w := workload.Find(names[0])
	return allocBenchmark("alloc/revive", "every framework revives offers, with a run after each: everything offered, everything filtered, nothing large enough",
		[]goal{{key: "ms", most: true, limit: 100}}, w.Full, func(ctx context.Context, r *report, s *sizeFlags) error {
			worst := time.Duration(0)
			for _, name := range names {
				m, err := measure(ctx, r, fastSide(), fastRuns, workload.Find(name), s.Size)
				if err != nil {
					return err
				}
				worst = max(worst, m.median("revives"))
			}
			everybody := workload.Find("AllocatorBacklog/Everybody")
			size := everybody.Full
			size.Slaves, size.Frameworks = s.Slaves, min(size.Frameworks, s.Frameworks)
			m, err := measure(ctx, r, fastSide(), 1, everybody, size)
			if err != nil {
				return err
			}
			r.print("  one revive that unfilters %d slaves and is offered them all: %.3f us a slave", size.Slaves, microseconds(m.perOffer("revive and run")))
			r.set("ms", milliseconds(worst))
			return nil
		})
}

// curvePasses is how often the sizes are gone through, so that what else the machine does at one time does not fall on one size.
const curvePasses = 3

func curveBenchmark() benchmark {
	full := workload.Size{Slaves: 100_000, Rounds: 3}
	return allocBenchmark("alloc/curve", "how the processor's time for full runs, and for runs with a hundred changed slaves, grows from 1,000 slaves up, ten to a framework",
		[]goal{{key: "exponent", most: true, limit: 1.15}, {key: "delta_ratio", most: true, limit: 2}}, full, curve)
}

func curve(ctx context.Context, r *report, s *sizeFlags) error {
	w := workload.Find("ChangedSlaves")
	var sizes []workload.Size
	for _, n := range []int{1000, 3000, 10_000, 30_000, 100_000} {
		if n <= s.Slaves || len(sizes) < 2 {
			sizes = append(sizes, workload.Size{Slaves: n, Frameworks: n / 10, Rounds: s.Rounds})
		}
	}
	at := make([]measured, len(sizes))
	for range curvePasses {
		for i, size := range sizes {
			at[i].side = fastSide()
			if err := at[i].once(ctx, w, size); err != nil {
				return err
			}
		}
	}
	slaves := make([]float64, len(sizes))
	wall, cpu := growth{}, growth{}
	for i, size := range sizes {
		at[i].print(r, w, size)
		slaves[i] = math.Log(float64(size.Slaves))
		wall.add(at[i].times("full run"), at[i].times("run with changes"))
		cpu.add(at[i].cpu["full run"], at[i].cpu["run with changes"])
	}
	// On a busy machine a short run is seldom interrupted and a long one always is. The processor's time does not know that.
	if !cpu.known() {
		cpu = wall
		r.print("the system does not tell a thread's time on the processor: the exponent is that of the wall clock")
	}
	r.set("exponent", slope(slaves, cpu.full))
	r.set("delta_ratio", cpu.delta[len(cpu.delta)-1]/cpu.delta[0])
	r.set("wall_exponent", slope(slaves, wall.full))
	r.set("wall_delta_ratio", wall.delta[len(wall.delta)-1]/wall.delta[0])
	return nil
}

// growth is what runs took at one size after the other: the logarithms of full runs, and runs with changes.
type growth struct{ full, delta []float64 }

func (g *growth) add(full, delta []time.Duration) {
	g.full = append(g.full, math.Log(float64(median(full))))
	g.delta = append(g.delta, float64(median(delta)))
}

// known reports whether everything took some time.
func (g *growth) known() bool {
	return !slices.ContainsFunc(g.full, func(x float64) bool { return math.IsInf(x, 0) }) && !slices.Contains(g.delta, 0)
}

// slope is that of the line of least squares.
func slope(x, y []float64) float64 {
	var mx, my float64
	for i := range x {
		mx += x[i] / float64(len(x))
		my += y[i] / float64(len(y))
	}
	var above, below float64
	for i := range x {
		above += (x[i] - mx) * (y[i] - my)
		below += (x[i] - mx) * (x[i] - mx)
	}
	return above / below
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
