package allocator

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// looked runs and returns what the run has looked at.
func (f *fleet) looked() int {
	f.a.run.work = 0
	f.run()
	return f.a.run.work
}

// TestWhoComesBackIsTriedWithWhatHasChanged: a framework that was suppressed for a while has refused all that was there before.
func TestWhoComesBackIsTriedWithWhatHasChanged(t *testing.T) {
	const slaves = 500
	f := newFleet(slaves, 20, "cpus:16;mem:2014;disk:1024", "*")
	for f.run(); len(f.out) > 0; f.run() {
		f.recover(time.Hour)
	}
	picky := offer.FrameworkID("picky")
	f.a.Apply(f.now, FrameworkAdded{Framework: offer.Framework{ID: picky, Roles: []string{"*"},
		MinAllocatable: map[string][]resource.Quantities{"*": {{{Name: resource.CPUs, Amount: resource.Units(9)}}}}}})
	require.GreaterOrEqual(t, f.looked(), slaves, "the new one is tried with everything")
	require.Empty(t, f.out)

	f.a.Apply(f.now, Suppressed{Framework: picky})
	f.a.Apply(f.now, Revived{Framework: picky})
	require.Zero(t, f.looked(), "nothing has changed meanwhile")

	f.a.Apply(f.now, Suppressed{Framework: picky})
	for i := range 3 { // too little for the others: they refuse it as well
		al := Allotment{Framework: offer.FrameworkID(fmt.Sprintf("framework-%d", i)), Role: "*", Slave: offer.SlaveID(fmt.Sprintf("slave-%d", i)),
			Resources: resource.Must("cpus:1")}
		f.a.Apply(f.now, Recovered{al, 0})
	}
	for f.run(); len(f.out) > 0; f.run() {
		f.recover(time.Hour)
	}
	f.a.Apply(f.now, Revived{Framework: picky})
	require.Less(t, f.looked(), 20, "three have")
	require.Len(t, f.out, 3)
	f.recover(0)
	f.run()
	f.recover(time.Hour)
	f.run()

	// A role with more weight changes whom it is the turn of, and a role that is woken is tried with everything.
	f.a.Apply(f.now, Suppressed{Framework: picky})
	f.a.Apply(f.now, RoleSet{Role: "*", Limit: resource.Quantities{{Name: resource.CPUs, Amount: resource.Units(1_000_000)}}})
	f.run()
	f.a.Apply(f.now, Revived{Framework: picky})
	require.GreaterOrEqual(t, f.looked(), slaves)
	require.NoError(t, f.a.Check())
}

// TestAReviveCostsWhatItUnfilters: not the cluster.
func TestAReviveCostsWhatItUnfilters(t *testing.T) {
	const slaves = 500
	f := newFleet(slaves, 20, "cpus:16;mem:2014;disk:1024", "*")
	for f.run(); len(f.out) > 0; f.run() {
		f.recover(time.Hour)
	}
	one := f.a.findClient("framework-7", "*")
	f.a.Apply(f.now, Revived{Framework: "framework-7"})
	require.GreaterOrEqual(t, f.looked(), slaves)
	require.Len(t, f.out, slaves)
	for _, al := range f.out[:4] {
		f.a.Apply(f.now, Recovered{al, time.Hour})
	}
	require.Less(t, f.looked(), 20)
	require.Empty(t, f.out)
	require.NotEqual(t, none, one.filters)
	f.a.Apply(f.now, Revived{Framework: "framework-7"})
	require.Less(t, f.looked(), 30)
	require.Len(t, f.out, 4)
	f.a.Apply(f.now, Revived{Framework: "framework-7"})
	require.Zero(t, f.looked(), "it has no filters left")
}

// TestRolesWithoutRoomAreLeftOut: roles at their limits cost a run nothing, until something comes back.
func TestRolesWithoutRoomAreLeftOut(t *testing.T) {
	const roles = 300
	f := &fleet{a: New(Config{Seed: 7}), now: time.Unix(1, 0)}
	quota := resource.Quantities{{Name: resource.CPUs, Amount: resource.Units(1)}, {Name: resource.Mem, Amount: resource.Units(64)}}
	for i := range roles {
		role := fmt.Sprintf("role-%d", i)
		f.a.Apply(f.now, RoleSet{Role: role, Guarantee: quota, Limit: quota, Force: true})
		f.a.Apply(f.now, FrameworkAdded{Framework: offer.Framework{ID: offer.FrameworkID(role), Roles: []string{role}}})
	}
	for i := range roles + 50 {
		f.a.Apply(f.now, SlaveAdded{Slave: offer.Slave{ID: offer.SlaveID(fmt.Sprintf("s%d", i)), Resources: resource.Must("cpus:1;mem:64")}})
	}
	f.run()
	require.Len(t, f.out, roles)
	given := f.out[7]
	f.a.Apply(f.now, SlaveAdded{Slave: offer.Slave{ID: "new", Resources: resource.Must("cpus:1;mem:64")}})
	require.Less(t, f.looked(), 5)
	require.Empty(t, f.out)
	f.a.Apply(f.now, Recovered{given, time.Hour})
	f.run()
	require.Len(t, f.out, 1, "there is room in one role, on any other slave")
	require.Equal(t, given.Role, f.out[0].Role)
	require.NotEqual(t, given.Slave, f.out[0].Slave)
	require.NoError(t, f.a.Check())
}
