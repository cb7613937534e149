package sim

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestAClassThatIsOffChangesNothingInASeed compares seeds without a class with those that may have it: where the round did not draw it, all is the
// same.
func TestAClassThatIsOffChangesNothingInASeed(t *testing.T) {
	small := func(seed uint64, f Fault) uint64 {
		return Run(Config{Seed: seed, Slaves: 2, Frameworks: 1, Tasks: 4, Trouble: 20 * time.Second, FaultEvery: time.Second, Rich: true, Swarm: true,
			Faults: f}).Hash
	}
	const seeds = 12
	const first = Fault(1)<<founders - 1
	var without [seeds]uint64
	for seed := range without {
		without[seed] = small(uint64(seed), first)
	}
	for i := founders; i < len(faultNames); i++ {
		if Fault(1)<<i == FaultTransient {
			continue // is for the whole life of a seed's schedulers
		}
		same := 0
		for seed := range without {
			if small(uint64(seed), first|Fault(1)<<i) == without[seed] {
				same++
			}
		}
		require.Positive(t, same, "%s changes every seed", faultNames[i])
		require.Less(t, same, seeds, "%s is never on", faultNames[i])
	}
}

// TestASuspendedMachineKeepsItsMonotonicTime compares a node's clock before and after it has slept.
func TestASuspendedMachineKeepsItsMonotonicTime(t *testing.T) {
	w := New(Config{Faults: NoFaults, Frameworks: -1})
	n := &w.slaves[0].node
	w.Advance(10 * time.Second)
	n.clock.drift(w.ns, 500)
	before := n.time()
	n.sleep(time.Minute)
	w.Advance(time.Minute)
	after := n.time()
	require.Zero(t, after.Sub(before), "time went on while it slept")
	require.InDelta(t, time.Minute, after.Round(0).Sub(before.Round(0)), float64(time.Second), "the date stood still")
	w.Advance(time.Second)
	require.InDelta(t, time.Second, n.time().Sub(after), float64(time.Millisecond))
}

// TestAStarvedNodeHandlesItsEventsInOrderAndLate gives a node events faster than it can take them.
func TestAStarvedNodeHandlesItsEventsInOrderAndLate(t *testing.T) {
	w := New(Config{Faults: NoFaults, Frameworks: -1})
	w.Advance(10 * time.Second)
	n := &w.slaves[0].node
	var order []int
	var step func(i int)
	step = func(i int) {
		if !n.queued(func() { step(i) }) {
			order = append(order, i)
		}
	}
	n.cost = int64(time.Second)
	began := w.ns
	for i := range 3 {
		step(i)
	}
	w.Advance(1500 * time.Millisecond)
	require.Equal(t, []int{0}, order)
	n.fed()
	step(3)
	require.Equal(t, []int{0}, order, "an event has overtaken those that wait")
	w.Advance(10 * time.Second)
	require.Equal(t, []int{0, 1, 2, 3}, order)
	require.GreaterOrEqual(t, n.turn-began, int64(3*time.Second))
}
