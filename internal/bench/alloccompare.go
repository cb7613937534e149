package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/meros-project/meros/internal/bench/workload"
	"github.com/meros-project/meros/internal/refalloc"
	"github.com/meros-project/meros/offer/allocator"
)

func hierarchical(cfg allocator.Config) allocator.Allocator { return allocator.New(cfg) }
func plain(cfg allocator.Config) allocator.Allocator        { return refalloc.New(cfg) }

// A side is one of the allocators that are compared.
type side struct {
	name string
	make workload.Maker
	cut  time.Duration // how long a phase may take; zero: as long as it likes
}

func fastSide() side                   { return side{name: "fast", make: hierarchical} }
func plainSide(cut time.Duration) side { return side{name: "plain", make: plain, cut: cut} }

// measured is what a side has shown.
type measured struct {
	side
	results []workload.Result
	cpu     map[string][]time.Duration // by phase, where there is no cut and the system tells
	cut     string                     // the phase that was given up, if any
	after   time.Duration              // how long it had run
}

// enough is how long a side is run again and again; then fewer runs than were asked for will do.
const enough = time.Minute

// measure runs a workload several times and prints its phases.
func measure(ctx context.Context, r *report, s side, runs int, w workload.Workload, size workload.Size) (measured, error) {
	m := measured{side: s}
	start := time.Now()
	for i := 0; i < runs && m.cut == "" && (i == 0 || time.Since(start) < enough); i++ {
		if err := m.once(ctx, w, size); err != nil {
			return m, err
		}
	}
	m.print(r, w, size)
	return m, nil
}

// fastRuns and plainRuns are how often a workload is run with either allocator.
const fastRuns, plainRuns = 5, 3

// duel runs a workload with both allocators in turn, so that what else the machine does is shared between them, and prints the phases.
func duel(ctx context.Context, r *report, cut time.Duration, w workload.Workload, size workload.Size) (fast, slow measured, err error) {
	fast.side, slow.side = fastSide(), plainSide(cut)
	start := time.Now()
	for i := range fastRuns {
		if err := fast.once(ctx, w, size); err != nil {
			return fast, slow, err
		}
		if i < plainRuns && (i == 0 || time.Since(start) < enough) {
			if err := slow.once(ctx, w, size); err != nil {
				return fast, slow, err
			}
		}
		if slow.cut != "" { // it still runs, and would disturb what comes after it
			break
		}
	}
	fast.print(r, w, size)
	slow.print(r, w, size)
	return fast, slow, nil
}

// after is duel for what the plain allocator is not expected to finish soon: it comes last, and once.
func after(ctx context.Context, r *report, cut time.Duration, w workload.Workload, size workload.Size) (fast, slow measured, err error) {
	if fast, err = measure(ctx, r, fastSide(), fastRuns, w, size); err == nil {
		slow, err = measure(ctx, r, plainSide(cut), 1, w, size)
	}
	return fast, slow, err
}

// once runs a workload.
func (m *measured) once(ctx context.Context, w workload.Workload, size workload.Size) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if m.side.cut > 0 {
		return m.watched(ctx, w, size)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if m.cpu == nil {
		m.cpu = map[string][]time.Duration{}
	}
	collect := collector()
	var from time.Duration
	res, err := w.Run(workload.Options{Make: m.make,
		Before: func(string) {
			collect()
			from, _ = threadCPU()
		},
		After: func(phase string) {
			if to, ok := threadCPU(); ok {
				m.cpu[phase] = append(m.cpu[phase], to-from)
			}
		}}, size)
	m.results = append(m.results, res)
	return m.wrong(err)
}

// watched runs a workload on a goroutine of its own, which it leaves behind when a phase takes too long: nothing can stop an allocator in the
// middle of a run.
func (m *measured) watched(ctx context.Context, w workload.Workload, size workload.Size) error {
	collect := collector()
	var mu sync.Mutex
	var phase string
	var since time.Time
	var passed []workload.Phase
	type outcome struct {
		res workload.Result
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		res, err := w.Run(workload.Options{Make: m.make,
			Before: func(p string) {
				collect()
				mu.Lock()
				defer mu.Unlock()
				phase, since = p, time.Now()
			},
			After: func(p string) {
				mu.Lock()
				defer mu.Unlock()
				passed = append(passed, workload.Phase{Name: p, Took: time.Since(since)})
				phase = ""
			}}, size)
		done <- outcome{res, err}
	}()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case o := <-done:
			m.results = append(m.results, o.res)
			return m.wrong(o.err)
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			mu.Lock()
			if ran := time.Since(since); phase != "" && ran > m.side.cut {
				m.cut, m.after = phase, ran
				m.results = append(m.results, workload.Result{Phases: slices.Clone(passed)})
			}
			mu.Unlock()
			if m.cut != "" {
				return nil
			}
		}
	}
}

// collector returns what collects the garbage of the books before a phase is timed, but not all the time where phases are short.
func collector() func() {
	var last time.Time
	return func() {
		if time.Since(last) > 50*time.Millisecond {
			runtime.GC()
			last = time.Now()
		}
	}
}

func (m *measured) wrong(err error) error {
	if err != nil {
		return fmt.Errorf("%s allocator: %w", m.name, err)
	}
	return nil
}

// times are those of a phase over all runs; of all phases of each run for "".
func (m *measured) times(phase string) []time.Duration {
	var out []time.Duration
	for _, res := range m.results {
		if phase != "" {
			out = append(out, res.Times(phase)...)
			continue
		}
		sum := time.Duration(0)
		for _, p := range res.Phases {
			sum += p.Took
		}
		out = append(out, sum)
	}
	return out
}

func (m *measured) median(phase string) time.Duration { return median(m.times(phase)) }

// offers is how many each phase of a name has brought, at the median.
func (m *measured) offers(phase string) int {
	var out []int
	for _, res := range m.results {
		for _, p := range res.Phases {
			if p.Name == phase {
				out = append(out, p.Offers)
			}
		}
	}
	return median(out)
}

// perOffer is the median of the time that an offer took, over the phases of a name that have brought any.
func (m *measured) perOffer(phase string) time.Duration {
	var out []time.Duration
	for _, res := range m.results {
		for _, p := range res.Phases {
			if p.Name == phase && p.Offers > 0 {
				out = append(out, p.Took/time.Duration(p.Offers))
			}
		}
	}
	return median(out)
}

func (m *measured) print(r *report, w workload.Workload, size workload.Size) {
	r.print("%s, %s, %s, %d runs:", w.Name, size, m.name, len(m.results))
	for _, name := range m.names() {
		times := m.times(name)
		text := fmt.Sprintf("  %-28s %10.3f ms", name, milliseconds(median(times)))
		if len(times) > 1 {
			text += fmt.Sprintf("  (median of %d, %.3f to %.3f)", len(times), milliseconds(quantile(times, 0)), milliseconds(quantile(times, 1)))
		}
		if cpu := m.cpu[name]; len(cpu) == len(times) { // not of a series
			text += fmt.Sprintf("  cpu %.3f", milliseconds(median(cpu)))
		}
		if n := m.offers(name); n > 0 {
			text += fmt.Sprintf("  %d offers, %.3f us each", n, float64(m.perOffer(name))/1000)
		}
		r.print("%s", text)
	}
	if m.cut != "" {
		r.print("  %-28s %10.3f ms, and not done: given up", m.cut, milliseconds(m.after))
	}
}

func (m *measured) names() []string {
	var out []string
	for _, res := range m.results {
		for _, name := range res.Names() {
			if !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}

// compare checks that both sides have made as many offers, and returns how many times longer the plain one took for a phase: at least that
// much if it was given up.
func compare(r *report, fast, slow measured, phase string) (float64, error) {
	base := fast.median(phase)
	if base <= 0 {
		return 0, fmt.Errorf("%q took no time", phase)
	}
	if slow.cut != "" {
		took := max(slow.after, slow.median(phase))
		if slow.cut != phase && phase != "" {
			return 0, fmt.Errorf("the plain allocator was given up in %q, before %q could be compared (raise -cut)", slow.cut, phase)
		}
		ratio := float64(took) / float64(base)
		r.print("  the ratio is at least %s", number(ratio))
		return ratio, nil
	}
	a, b := fast.results[0], slow.results[0]
	if a.Offers != b.Offers {
		return 0, fmt.Errorf("%d offers, the plain allocator made %d", a.Offers, b.Offers)
	}
	if a.Digest != b.Digest {
		r.print("  the allotments are as many, but not the same")
	}
	return float64(slow.median(phase)) / float64(base), nil
}

var errNothing = errors.New("no offers were made")
