package workload

import (
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"time"

	"github.com/meros-project/meros/offer/allocator"
)

// A Maker makes the allocator that a workload drives. It is called once for each cluster that the workload builds.
type Maker func(allocator.Config) allocator.Allocator

// Size says how large a workload is. A field that the workload has no use for is zero.
type Size struct {
	Slaves     int
	Frameworks int
	Rounds     int
	Height     int // levels of the tree of roles, with the root
	Branching  int // roles below each role
}

func (s Size) String() string {
	switch {
	case s.Height > 0:
		return fmt.Sprintf("%d slaves, a tree of %d levels x %d", s.Slaves, s.Height, s.Branching)
	case s.Slaves == 0:
		return fmt.Sprintf("1 slave x %d roles", s.Frameworks)
	}
	return fmt.Sprintf("%d slaves x %d frameworks", s.Slaves, s.Frameworks)
}

// Options say what to drive and how to watch it.
type Options struct {
	// Make makes the allocator. It must be given.
	Make Maker
	// Before and After are called around each timed phase with its name, outside of the time. Default to nothing.
	Before, After func(phase string)
}

// A Phase is one timed part of a workload. Parts that are repeated have the same name.
type Phase struct {
	Name   string
	Took   time.Duration
	Offers int // allotments that were made in it
}

// A Result is what a workload has seen.
type Result struct {
	Phases []Phase
	Offers int // allotments in all
	// Digest is a hash of every allotment in order: two allocators with the same one have decided the same.
	Digest uint64
	// Launched and Tasks are, for MultiFrameworkAllocations, the tasks that found a place and all there are; Unusable the offers in which a
	// framework that still had tasks could not place one, Needless those to frameworks that had none left, Cycles the runs.
	Launched, Tasks, Unusable, Needless, Cycles int
}

// Times returns how long each phase of a name took, in order.
func (r Result) Times(phase string) []time.Duration {
	var out []time.Duration
	for _, p := range r.Phases {
		if p.Name == phase {
			out = append(out, p.Took)
		}
	}
	return out
}

// Names returns the names of the phases, each once, in order.
func (r Result) Names() []string {
	var out []string
	for _, p := range r.Phases {
		if !slices.Contains(out, p.Name) {
			out = append(out, p.Name)
		}
	}
	return out
}

// A Workload is one entry of All.
type Workload struct {
	Name string // as in Mesos, with the variant behind a slash
	What string // one line
	Full Size   // a size of the reference, which is what is usually quoted, with few rounds
	Tiny Size   // for tests
	run  func(*driver, Size) error
}

// All returns every workload.
func All() []Workload {
	return slices.Concat(declining(), suppressing(), changing(), volumes(), backlog(), quotas(), mixed(), sorting(), idle())
}

// Find returns the workload of a name. It panics when there is none.
func Find(name string) Workload {
	all := All()
	i := slices.IndexFunc(all, func(w Workload) bool { return w.Name == name })
	if i < 0 {
		panic("no workload " + name)
	}
	return all[i]
}

// Run runs the workload once. The error names what the allocator did wrong, or which field of the size is not allowed.
func (w Workload) Run(o Options, s Size) (Result, error) {
	for _, f := range []struct {
		name  string
		value int
		used  int
	}{{"slaves", s.Slaves, w.Full.Slaves}, {"frameworks", s.Frameworks, w.Full.Frameworks}, {"rounds", s.Rounds, w.Full.Rounds},
		{"height", s.Height, w.Full.Height}, {"branching", s.Branching, w.Full.Branching}} {
		if f.used > 0 && f.value < 1 || f.used == 0 && f.value != 0 {
			return Result{}, fmt.Errorf("%s: %s is %d (allowed: above 0 where the workload has it, else 0)", w.Name, f.name, f.value)
		}
	}
	d := &driver{opts: o}
	d.reset(allocator.Config{})
	if err := w.run(d, s); err != nil {
		return Result{}, fmt.Errorf("%s: %w", w.Name, err)
	}
	return d.result, nil
}

// maxRuns is how often a run may leave work over before it counts as endless.
const maxRuns = 1_000_000

// A driver sends events to an allocator and keeps the books.
type driver struct {
	opts   Options
	a      allocator.Allocator
	now    time.Time
	book   *ledger
	out    []allocator.Allotment // what the last settle has brought
	stuck  bool                  // a run found no end
	bad    error                 // the first event that was refused
	result Result
}

// reset begins with a new cluster.
func (d *driver) reset(cfg allocator.Config) {
	cfg.Seed, cfg.MaxWork = 7, math.MaxInt
	d.a, d.now, d.book, d.out = d.opts.Make(cfg), time.Unix(1, 0), newLedger(), nil
}

// timed runs f as a phase.
func (d *driver) timed(phase string, f func()) {
	if d.opts.Before != nil {
		d.opts.Before(phase)
	}
	start := time.Now()
	f()
	took := time.Since(start)
	if d.opts.After != nil {
		d.opts.After(phase)
	}
	d.result.Phases = append(d.result.Phases, Phase{Name: phase, Took: took})
}

// series is timed for something short: n phases of one name, with Before and After around all of them.
func (d *driver) series(phase string, n int, f func(i int)) {
	took := make([]time.Duration, n)
	if d.opts.Before != nil {
		d.opts.Before(phase)
	}
	for i := range took {
		start := time.Now()
		f(i)
		took[i] = time.Since(start)
	}
	if d.opts.After != nil {
		d.opts.After(phase)
	}
	for _, t := range took {
		d.result.Phases = append(d.result.Phases, Phase{Name: phase, Took: t})
	}
}

// apply sends an event. One that is refused shows at the next enter.
func (d *driver) apply(ev allocator.Event) {
	if err := d.a.Apply(d.now, ev); err != nil && d.bad == nil {
		d.bad = fmt.Errorf("%T is refused: %w", ev, err)
	}
}

// send sends events as a phase.
func (d *driver) send(phase string, events []allocator.Event) {
	d.timed(phase, func() {
		for _, ev := range events {
			d.apply(ev)
		}
	})
}

// decide runs until nothing is pending, and adds what it brings to out.
func (d *driver) decide() {
	for range maxRuns {
		d.out = d.a.Run(d.now, d.out)
		if due := d.a.Deadline(); due.IsZero() || due.After(d.now) {
			return
		}
	}
	d.stuck = true
}

// settle is decide as a phase of its own. Everything that it brings is checked, and that nothing is left over.
func (d *driver) settle(phase string) error {
	d.out = d.out[:0]
	d.timed(phase, d.decide)
	return d.enter()
}

// enter puts into the books what the last phase has brought, and checks it.
func (d *driver) enter() error {
	if d.bad != nil {
		return d.bad
	}
	if d.stuck {
		return fmt.Errorf("work is still pending after %d runs", maxRuns)
	}
	if n := len(d.result.Phases); n > 0 {
		d.result.Phases[n-1].Offers += len(d.out)
	}
	d.result.Offers += len(d.out)
	h := fnv.New64a()
	var text []byte
	for i := range d.out {
		al := &d.out[i]
		if err := d.book.take(d.now, al); err != nil {
			return err
		}
		text = append(append(append(append(text[:0], al.Framework...), al.Role...), al.Slave...), al.Resources.String()...)
		h.Write(text)
	}
	if len(d.out) > 0 {
		d.result.Digest = d.result.Digest*31 + h.Sum64()
	}
	return d.book.leftover(d.now)
}

// expect checks how many allotments the last phase has brought.
func (d *driver) expect(offers int) error {
	if len(d.out) != offers {
		return fmt.Errorf("%s: %d offers, must be %d", d.result.Phases[len(d.result.Phases)-1].Name, len(d.out), offers)
	}
	return nil
}

// recover returns everything that the last settle has brought, as a phase.
func (d *driver) recover(phase string, refuse time.Duration) {
	events := make([]allocator.Event, len(d.out))
	for i, al := range d.out {
		events[i] = allocator.Recovered{Allotment: al, Refuse: refuse}
		d.book.recover(d.now, al, refuse)
	}
	d.send(phase, events)
}
