package allocator

import (
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// TestSteadyRunsTakeNoMemory: offers that go out, come back, with a filter or without, and go out again cost no memory. The events are
// made beforehand, as making one is the caller's allocation.
func TestSteadyRunsTakeNoMemory(t *testing.T) {
	for name, total := range map[string]string{
		"plain":    "cpus:24;mem:4096;disk:4096;ports:[31000-32000]",
		"reserved": "cpus:8;mem:4096;disk:4096;ports:[31000-32000];cpus(r):16;disk(other):1000",
	} {
		t.Run(name, func(t *testing.T) {
			f := &fleet{a: New(Config{Seed: 7}), now: time.Unix(1, 0)}
			const slaves, frameworks = 300, 40
			for i := range frameworks {
				id := offer.FrameworkID([]byte{'a' + byte(i/10), '0' + byte(i%10)})
				f.a.Apply(f.now, FrameworkAdded{Framework: offer.Framework{ID: id, Roles: []string{"r"}}})
			}
			for i := range slaves {
				id := offer.SlaveID([]byte{'a' + byte(i/10), '0' + byte(i%10)})
				f.a.Apply(f.now, SlaveAdded{Slave: offer.Slave{ID: id, Resources: resource.Must(total)}})
			}
			f.a.Apply(f.now, RoleSet{Role: "other", Limit: resource.Quantities{{Name: resource.CPUs, Amount: 1_000_000}}})
			events := make([]Event, 0, 2*slaves)
			round := func(refuse time.Duration) (allocs uint64) {
				events = events[:0]
				for _, al := range f.out {
					events = append(events, Recovered{al, refuse})
				}
				f.now = f.now.Add(time.Second)
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				for _, ev := range events {
					if err := f.a.Apply(f.now, ev); err != nil {
						panic(err)
					}
				}
				f.run()
				runtime.ReadMemStats(&after)
				return after.Mallocs - before.Mallocs
			}
			f.run()
			for i := range 300 { // until lists, heaps and tables have the size that they need
				round(time.Duration(i%3) * 10 * time.Second)
			}
			counts := make([]uint64, 9)
			for i := range counts {
				counts[i] = round(time.Duration(i%3) * 10 * time.Second)
				require.Len(t, f.out, slaves)
			}
			slices.Sort(counts)
			require.Zero(t, counts[len(counts)/2], "allocations by round, sorted: %v", counts) // others allocate now and then
			require.NoError(t, f.a.Check())
		})
	}
}

// TestBigTablesHoldNoPointers: what there is of slaves times frameworks, and what all sorting reads, is nothing to the garbage collector.
func TestBigTablesHoldNoPointers(t *testing.T) {
	for _, of := range []reflect.Type{reflect.TypeFor[filter](), reflect.TypeFor[deadline](), reflect.TypeFor[entry](), reflect.TypeFor[ticket](),
		reflect.TypeFor[remembered](), reflect.TypeFor[pair](), reflect.TypeFor[holding](), reflect.TypeFor[bitset]().Elem(), reflect.TypeFor[vec]().Elem()} {
		require.False(t, hasPointers(of), of)
	}
	require.True(t, hasPointers(reflect.TypeFor[slave]()))
}

func hasPointers(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Struct:
		for i := range t.NumField() {
			if hasPointers(t.Field(i).Type) {
				return true
			}
		}
		return false
	case reflect.Array:
		return hasPointers(t.Elem())
	}
	return t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer || t.Kind() == reflect.String || t.Kind() == reflect.Map ||
		t.Kind() == reflect.Interface || t.Kind() == reflect.Func
}

// TestEqualSlavesShareOneValue: ten thousand slaves alike keep one total and one of what is free.
func TestEqualSlavesShareOneValue(t *testing.T) {
	f := newFleet(10_000, 10, "cpus:16;mem:2014;disk:1024", "*")
	require.LessOrEqual(t, len(f.a.lots.info), 10)
	f.run()
	f.recover(time.Hour)
	f.run()
	require.LessOrEqual(t, len(f.a.lots.info), 20)
	require.NoError(t, f.a.Check())
}

// TestSlabsKeepListsApart changes many lists at random, long ones too, and compares them with slices.
func TestSlabsKeepListsApart(t *testing.T) {
	var s slab
	rng := rand.New(rand.NewPCG(3, 4))
	lists := make([]list, 50)
	want := make([][]uint64, len(lists))
	check := func(i int) {
		if got := s.words(lists[i]); !slices.Equal(got, want[i]) {
			require.Equal(t, want[i], got, "list %d", i)
		}
	}
	for step := range 200_000 {
		i := rng.IntN(len(lists))
		if step%3 == 0 {
			i = 0 // a long one
		}
		switch n := len(want[i]); {
		case rng.IntN(1000) == 0 && i > 0:
			s.drop(&lists[i])
			want[i] = nil
		case rng.IntN(2000) == 0 && i == 1:
			size := uint32(rng.IntN(3 * pageWords))
			s.resize(&lists[i], size)
			want[i] = append(want[i], make([]uint64, max(0, int(size)-n))...)[:size]
		case n > 0 && rng.IntN(3) == 0:
			at := rng.IntN(n)
			s.delete(&lists[i], at)
			want[i] = slices.Delete(want[i], at, at+1)
		default:
			at, word := rng.IntN(n+1), rng.Uint64()
			s.insert(&lists[i], at, word)
			want[i] = slices.Insert(want[i], at, word)
		}
		if len(want[i]) < 100 || step%100 == 0 {
			check(i)
		}
	}
	for i := range lists {
		check(i)
		s.drop(&lists[i])
	}
	pages := len(s.pages)
	for i := range lists {
		s.resize(&lists[i], 100)
	}
	require.Len(t, s.pages, pages, "memory is used again")
}
