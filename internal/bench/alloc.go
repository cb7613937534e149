package main

import (
	"context"
	"flag"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/meros-project/meros/internal/bench/workload"
)

// allocBenchmarks are those of the allocator alone: first the ones with goals, then the other workloads.
func allocBenchmarks() []benchmark {
	return append([]benchmark{declineBenchmark(), noopBenchmark(), quotaBenchmark(), mixedBenchmark(), reviveBenchmark(), curveBenchmark()},
		comparisons()...)
}

// sizeFlags are -slaves, -frameworks and -rounds; those that a workload has no use for are not declared.
type sizeFlags struct {
	workload.Size
	cut time.Duration
}

func (s *sizeFlags) declare(fs *flag.FlagSet, full workload.Size) {
	s.Size = full
	if full.Slaves > 0 {
		fs.IntVar(&s.Slaves, "slaves", full.Slaves, "slaves")
	}
	if full.Frameworks > 0 {
		fs.IntVar(&s.Frameworks, "frameworks", full.Frameworks, "frameworks, or roles where each role has its own")
	}
	if full.Rounds > 0 {
		fs.IntVar(&s.Rounds, "rounds", full.Rounds, "rounds that are timed")
	}
	fs.DurationVar(&s.cut, "cut", 30*time.Second, "how long one phase of the plain allocator may take; one that takes longer is given up")
}

func (s *sizeFlags) check(full workload.Size) error {
	for _, f := range []struct {
		name        string
		value, full int
	}{{"slaves", s.Slaves, full.Slaves}, {"frameworks", s.Frameworks, full.Frameworks}, {"rounds", s.Rounds, full.Rounds}} {
		if f.full > 0 {
			if err := atLeast(f.name, f.value, 1); err != nil {
				return err
			}
		}
	}
	if s.cut <= 0 {
		return &badFlag{fmt.Sprintf("-cut is %s (allowed: above 0)", s.cut)}
	}
	return nil
}

// allocBenchmark makes a benchmark out of what runs it. The size is that of the first workload.
func allocBenchmark(name, what string, goals []goal, full workload.Size, run func(context.Context, *report, *sizeFlags) error) benchmark {
	return benchmark{name: name, what: what, goals: goals, flags: func(fs *flag.FlagSet) func(context.Context, *report) error {
		s := new(sizeFlags)
		s.declare(fs, full)
		return func(ctx context.Context, r *report) error {
			if err := s.check(full); err != nil {
				return err
			}
			return run(ctx, r, s)
		}
	}}
}

// A comparison is a benchmark without goals: workloads, with the phase by which they are compared with the plain allocator.
type comparison struct {
	name      string
	workloads []string
	phase     string // "": all phases
	slow      bool   // the plain allocator takes so long that it comes last, and once
}

func comparisons() []benchmark {
	var out []benchmark
	for _, c := range []comparison{
		{"alloc/suppress", []string{"SuppressOffers"}, "cycle", false},
		{"alloc/suppress-extreme", []string{"ExtremeSuppressOffers"}, "cycle", false},
		{"alloc/slaves", []string{"AddAndUpdateSlave"}, "update slaves and run", false},
		{"alloc/labels", []string{"ResourceLabels"}, "round", false},
		{"alloc/volumes", []string{"PersistentVolumes/Regular", "PersistentVolumes/Shared", "PersistentVolumes/Mixed"}, "cycle", false},
		{"alloc/metrics", []string{"Metrics"}, "run", false},
		{"alloc/backlog", []string{"AllocatorBacklog"}, "revives", true},
		{"alloc/reserve", []string{"UpdateAllocation"}, "reserve and unreserve", false},
		{"alloc/quota-random", []string{"LargeAndSmallQuota/random"}, "cycle 1", true},
		{"alloc/nonquota", []string{"NonQuotaVsQuota/drf"}, "cycle 1 with quota", false},
		{"alloc/nonquota-random", []string{"NonQuotaVsQuota/random"}, "cycle 1 with quota", false},
		{"alloc/sort", []string{"FullSort"}, "", false},
		{"alloc/sort-tree", []string{"HierarchyFullSort/3x32", "HierarchyFullSort/7x3", "HierarchyFullSort/10x2"}, "", false},
	} {
		w := workload.Find(c.workloads[0])
		full := w.Full
		out = append(out, allocBenchmark(c.name, c.workloads[0]+": "+w.What, nil, full, c.run))
	}
	return out
}

func (c comparison) run(ctx context.Context, r *report, s *sizeFlags) error {
	worst := math.Inf(1)
	for _, name := range c.workloads {
		w := workload.Find(name)
		size := w.Full // the trees differ
		size.Slaves, size.Frameworks, size.Rounds = s.Slaves, s.Frameworks, s.Rounds
		compete := duel
		if c.slow {
			compete = after
		}
		fast, slow, err := compete(ctx, r, s.cut, w, size)
		if err != nil {
			return err
		}
		ratio, err := compare(r, fast, slow, c.phase)
		if err != nil {
			return err
		}
		worst = min(worst, ratio)
		key := ""
		if len(c.workloads) > 1 {
			_, key, _ = strings.Cut(strings.ToLower(name), "/")
			key += "_"
		}
		r.set(key+"ms", milliseconds(fast.median(c.phase)))
		r.set(key+"ratio", ratio)
		if slow.cut != "" {
			break // it still runs, and would disturb what comes after it
		}
	}
	if len(c.workloads) > 1 {
		r.set("ratio", worst)
	}
	return nil
}
