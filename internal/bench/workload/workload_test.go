package workload

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/allocator"
)

func hierarchical(cfg allocator.Config) allocator.Allocator { return allocator.New(cfg) }

func TestEveryWorkloadPassesAtASmallSize(t *testing.T) {
	for _, w := range All() {
		t.Run(w.Name, func(t *testing.T) {
			require.NotEmpty(t, w.What)
			phases := map[string]int{}
			r, err := w.Run(Options{Make: hierarchical, Before: func(p string) { phases[p]++ }, After: func(p string) { phases[p+" after"]++ }}, w.Tiny)
			require.NoError(t, err)
			for _, name := range r.Names() {
				require.NotEmpty(t, r.Times(name))
				require.Positive(t, phases[name], name)
				require.Equal(t, phases[name], phases[name+" after"], name)
			}
			sum := 0
			for _, p := range r.Phases {
				sum += p.Offers
			}
			require.Equal(t, r.Offers, sum)
			again, err := w.Run(Options{Make: hierarchical}, w.Tiny)
			require.NoError(t, err)
			require.Equal(t, r.Digest, again.Digest, "the same events give the same allotments")
		})
	}
}

// broken spoils one thing of what an allocator decides.
type broken struct {
	allocator.Allocator
	how    func(b *broken, run []allocator.Allotment) []allocator.Allotment
	runs   int // that allotted something
	first  allocator.Allotment
	frames []offer.FrameworkID
}

func (b *broken) Apply(now time.Time, ev allocator.Event) error {
	if added, ok := ev.(allocator.FrameworkAdded); ok {
		b.frames = append(b.frames, added.Framework.ID)
	}
	return b.Allocator.Apply(now, ev)
}

func (b *broken) Run(now time.Time, out []allocator.Allotment) []allocator.Allotment {
	n := len(out)
	out = b.Allocator.Run(now, out)
	if len(out) == n {
		return out
	}
	b.runs++
	if b.runs == 1 {
		b.first = out[n]
	}
	return append(out[:n], b.how(b, out[n:])...)
}

// TestABrokenAllocatorFailsEveryWorkload spoils the first run that allots anything, or the last ones.
func TestABrokenAllocatorFailsEveryWorkload(t *testing.T) {
	type spoil = func(b *broken, run []allocator.Allotment) []allocator.Allotment
	for _, kind := range []struct {
		name   string
		spares []string // who does not see it, and why
		how    spoil
	}{
		{"drops the first allotment", nil, func(_ *broken, run []allocator.Allotment) []allocator.Allotment { return run[1:] }},
		{"drops the last allotment", nil, func(_ *broken, run []allocator.Allotment) []allocator.Allotment { return run[:len(run)-1] }},
		{"allots twice", nil, func(_ *broken, run []allocator.Allotment) []allocator.Allotment { return append(run, run[0]) }},
		{"gives everything to one framework", []string{"UpdateAllocation", "AllocatorBacklog/Untakable"}, // which have but one, or one offer
			func(b *broken, run []allocator.Allotment) []allocator.Allotment {
				for i := range run {
					run[i].Framework = b.frames[0]
				}
				return run
			}},
		{"gives more than there is", nil, func(b *broken, run []allocator.Allotment) []allocator.Allotment {
			run[0].Resources = run[0].Resources.Add(run[0].Resources.NonShared())
			return run
		}},
		{"allots the first again, later", []string{"NonQuotaVsQuota/drf", "NonQuotaVsQuota/random"}, // two clusters, with a run each
			func(b *broken, run []allocator.Allotment) []allocator.Allotment {
				if b.runs > 1 {
					run = append(run, b.first)
				}
				return run
			}},
	} {
		for _, w := range All() {
			t.Run(kind.name+"/"+w.Name, func(t *testing.T) {
				runs := 0
				_, err := w.Run(Options{Make: func(cfg allocator.Config) allocator.Allocator {
					return &broken{Allocator: hierarchical(cfg), how: func(b *broken, run []allocator.Allotment) []allocator.Allotment {
						runs = max(runs, b.runs)
						return kind.how(b, run)
					}}
				}}, w.Tiny)
				if slices.Contains(kind.spares, w.Name) || strings.HasSuffix(kind.name, "later") && runs == 1 { // there is no later run
					require.NoError(t, err)
					return
				}
				require.Error(t, err)
				require.Contains(t, err.Error(), w.Name+": ")
			})
		}
	}
}

// lazy runs only every other time it is asked, and says that nothing is due.
type lazy struct {
	allocator.Allocator
	asked int
}

func (l *lazy) Run(now time.Time, out []allocator.Allotment) []allocator.Allotment {
	if l.asked++; l.asked%2 == 0 {
		return out
	}
	return l.Allocator.Run(now, out)
}

func (l *lazy) Deadline() time.Time { return time.Time{} }

// deaf does not hear some events.
type deaf struct {
	allocator.Allocator
	hears func(allocator.Event) bool
}

func (d *deaf) Apply(now time.Time, ev allocator.Event) error {
	if d.hears(ev) {
		return d.Allocator.Apply(now, ev)
	}
	return nil
}

func TestWhatAnAllocatorMissesIsFound(t *testing.T) {
	without := func(match func(allocator.Event) bool) Maker {
		return func(cfg allocator.Config) allocator.Allocator {
			return &deaf{hierarchical(cfg), func(ev allocator.Event) bool { return !match(ev) }}
		}
	}
	for _, c := range []struct {
		name, workload, want string
		make                 Maker
	}{
		{"a run that should have been", "DeclineOffers", "was not offered",
			func(cfg allocator.Config) allocator.Allocator { return &lazy{Allocator: hierarchical(cfg)} }},
		{"filters", "DeclineOffers", "has refused that", func(cfg allocator.Config) allocator.Allocator { return forgetful{hierarchical(cfg)} }},
		{"suppression", "SuppressOffers", "suppressed offers", without(func(ev allocator.Event) bool { _, ok := ev.(allocator.Suppressed); return ok })},
		{"limits", "LargeAndSmallQuota/drf", "over its limit", without(func(ev allocator.Event) bool { _, ok := ev.(allocator.RoleSet); return ok })},
		{"new totals", "AddAndUpdateSlave", "was not offered", without(func(ev allocator.Event) bool { _, ok := ev.(allocator.SlaveUpdated); return ok })},
		{"reservations", "UpdateAllocation", "was not offered", without(func(ev allocator.Event) bool { c, ok := ev.(allocator.Converted); return ok && c.To.Reserved() != nil })},
		{"revives", "AllocatorBacklog/Filtered", "was not offered", without(func(ev allocator.Event) bool { _, ok := ev.(allocator.Revived); return ok })},
		{"what is in use", "FullSort", "which has less", without(func(ev allocator.Event) bool { _, ok := ev.(allocator.Used); return ok })},
		{"chance", "NonQuotaVsQuota/random", "which chance does not bring about", func(cfg allocator.Config) allocator.Allocator {
			cfg.Policy = allocator.DominantShares
			return hierarchical(cfg)
		}},
		{"nothing, but refuses", "Metrics", "allocator.RoleSet is refused: no", func(cfg allocator.Config) allocator.Allocator { return sullen{hierarchical(cfg)} }},
		{"minimum", "AllocatorBacklog/Untakable", "less than the minimum",
			func(cfg allocator.Config) allocator.Allocator { return generous{hierarchical(cfg)} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := Find(c.workload)
			_, err := w.Run(Options{Make: c.make}, w.Tiny)
			require.ErrorContains(t, err, c.want)
		})
	}
}

// forgetful sets no filters.
type forgetful struct{ allocator.Allocator }

func (f forgetful) Apply(now time.Time, ev allocator.Event) error {
	if r, ok := ev.(allocator.Recovered); ok {
		r.Refuse = 0
		ev = r
	}
	return f.Allocator.Apply(now, ev)
}

// sullen refuses what roles are entitled to.
type sullen struct{ allocator.Allocator }

func (s sullen) Apply(now time.Time, ev allocator.Event) error {
	if _, ok := ev.(allocator.RoleSet); ok {
		return errors.New("no")
	}
	return s.Allocator.Apply(now, ev)
}

// generous ignores what frameworks call too little.
type generous struct{ allocator.Allocator }

func (g generous) Apply(now time.Time, ev allocator.Event) error {
	if f, ok := ev.(allocator.FrameworkAdded); ok {
		f.Framework.MinAllocatable = nil
		ev = f
	}
	return g.Allocator.Apply(now, ev)
}

func TestSizesAreChecked(t *testing.T) {
	for _, c := range []struct {
		workload string
		size     Size
		want     string
	}{
		{"DeclineOffers", Size{Frameworks: 1, Rounds: 1}, "slaves is 0 (allowed: above 0 where the workload has it, else 0)"},
		{"DeclineOffers", Size{Slaves: 1, Frameworks: -1, Rounds: 1}, "frameworks is -1"},
		{"SuppressOffers", Size{Slaves: 1, Frameworks: 1, Rounds: 1}, "rounds is 1"},
		{"FullSort", Size{Slaves: 1, Frameworks: 1, Height: 2}, "height is 2"},
		{"LargeAndSmallQuota/drf", Size{Slaves: 7, Frameworks: 7}, "7 frameworks on 7 slaves (allowed: a multiple of 6, on at least 6 slaves)"},
		{"LargeAndSmallQuota/drf", Size{Slaves: 8, Frameworks: 12}, "on at least 9 slaves"},
		{"NonQuotaVsQuota/drf", Size{Slaves: 3, Frameworks: 4}, "an even number, on as many slaves"},
	} {
		w := Find(c.workload)
		_, err := w.Run(Options{Make: hierarchical}, c.size)
		require.ErrorContains(t, err, c.want)
	}
	require.PanicsWithValue(t, "no workload Nothing", func() { Find("Nothing") })
}

func TestOddSizesPass(t *testing.T) {
	for _, c := range []struct {
		workload string
		size     Size
	}{
		{"DeclineOffers", Size{Slaves: 1, Frameworks: 1, Rounds: 2}},
		{"DeclineOffers", Size{Slaves: 5, Frameworks: 11, Rounds: 22}},
		{"SuppressOffers", Size{Slaves: 3, Frameworks: 7}},
		{"ExtremeSuppressOffers", Size{Slaves: 7, Frameworks: 1}},
		{"ExtremeSuppressOffers", Size{Slaves: 7, Frameworks: 250}},
		{"LargeAndSmallQuota/drf", Size{Slaves: 9, Frameworks: 12}},
		{"LargeAndSmallQuota/drf", Size{Slaves: 300, Frameworks: 300}},
		{"AllocatorBacklog/Filtered", Size{Slaves: 3, Frameworks: 8}},
		{"ChangedSlaves", Size{Slaves: 3, Frameworks: 2, Rounds: 1}},
		{"MultiFrameworkAllocations", Size{Slaves: 20, Frameworks: 139}},
		{"HierarchyFullSort/3x32", Size{Slaves: 11, Height: 2, Branching: 3}},
	} {
		t.Run(fmt.Sprint(c.workload, " ", c.size), func(t *testing.T) {
			_, err := Find(c.workload).Run(Options{Make: hierarchical}, c.size)
			require.NoError(t, err)
		})
	}
}

func TestTheFullMixLaunchesEveryTask(t *testing.T) {
	w := Find("MultiFrameworkAllocations")
	r, err := w.Run(Options{Make: hierarchical}, w.Full)
	require.NoError(t, err)
	require.Equal(t, 19_500, r.Tasks)
	require.Equal(t, r.Tasks, r.Launched)
	require.Zero(t, r.Unusable)
}
