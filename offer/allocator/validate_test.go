package allocator

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// TestWhatTheTextFormsCannotSayIsRefused holds what scenario files cannot write. A refused event changes nothing, not even the clock.
func TestWhatTheTextFormsCannotSayIsRefused(t *testing.T) {
	negative := resource.Quantities{{Name: resource.CPUs, Amount: -1}}
	twice := resource.Quantities{{Name: resource.CPUs, Amount: 1}, {Name: resource.Mem, Amount: 1}, {Name: resource.CPUs, Amount: 1}}
	huge := resource.Quantities{{Name: resource.CPUs, Amount: resource.MaxScalar + 1}}
	unnamed := resource.Quantities{{Amount: 1}}
	var many resource.Quantities
	for i := range maxQuantities + 1 {
		many = append(many, resource.Quantity{Name: fmt.Sprint("k", i), Amount: 1})
	}
	framework := func(min resource.Quantities) offer.Framework {
		return offer.Framework{ID: "f", Roles: []string{"a"}, MinAllocatable: map[string][]resource.Quantities{"a": {min}}}
	}
	for _, c := range []struct {
		ev   Event
		want string
	}{
		{RoleSet{Role: "a", Guarantee: negative, Force: true}, "guarantee of role a cpus:-0.001: must be between 0 and 9007199254740.991"},
		{RoleSet{Role: "a", Limit: negative, Force: true}, "limit of role a cpus:-0.001: must be between 0 and"},
		{RoleSet{Role: "a", Guarantee: twice, Force: true}, "guarantee of role a cpus:0.001: must not be listed twice"},
		{RoleSet{Role: "a", Limit: twice, Force: true}, "limit of role a cpus:0.001: must not be listed twice"},
		{RoleSet{Role: "a", Limit: huge, Force: true}, "limit of role a cpus:9007199254740.992: must be between 0 and"},
		{RoleSet{Role: "a", Limit: unnamed, Force: true}, "limit of role a: resource: name"},
		{RoleSet{Role: "a", Limit: many, Force: true}, "limit of role a: 65 names (allowed: at most 64)"},
		{RoleSet{Role: "", Force: true}, "must not be empty"},
		{Requested{Framework: "f", Role: "a", Needs: []resource.Quantities{negative}}, "requested needs cpus:-0.001: must be between"},
		{Requested{Framework: "f", Role: "a", Needs: []resource.Quantities{twice}}, "must not be listed twice"},
		{FrameworkUpdated{Framework: framework(negative)}, `framework "f": min allocatable of role a cpus:-0.001: must be between`},
		{FrameworkAdded{Framework: framework(twice)}, "must not be listed twice"},
		{FrameworkAdded{Framework: offer.Framework{Roles: []string{"a"}}}, `framework id "": must not be empty`},
		{FrameworkAdded{Framework: offer.Framework{ID: "g", Roles: []string{"a", ""}}}, `framework "g": resource: role`},
		{FrameworkAdded{Framework: offer.Framework{ID: "g", Roles: []string{"a"}, Constraints: map[string][]offer.ConstraintGroup{"a": {{}}}}},
			"group 0 has 0 constraints (allowed: 1 to 64)"},
		{SlaveAdded{}, `slave id "": must not be empty`},
		{Used{Allotment{Role: "a", Slave: "s"}}, `used: framework id "": must not be empty`},
		{Whitelist{Hosts: []string{"a", ""}}, `whitelist: host 1 "": must not be empty`},
		{Whitelist{Hosts: make([]string, MaxHosts+1)}, "1048577 hosts (allowed: at most 1048576)"},
	} {
		a, now := New(Config{}), time.Unix(1, 0)
		require.NoError(t, a.Apply(now, FrameworkAdded{Framework: offer.Framework{ID: "f", Roles: []string{"a"}}}))
		before := a.Describe()
		require.ErrorContains(t, a.Validate(c.ev), c.want)
		require.ErrorContains(t, a.Apply(now.Add(time.Hour), c.ev), c.want)
		require.Equal(t, before, a.Describe())
		require.EqualValues(t, 0, a.clock.last)
		require.NoError(t, a.Check())
	}
	for want, cfg := range map[string]Config{
		"max outstanding -1: must not be negative":     {MaxOutstanding: -1},
		"min allocatable cpus:-0.001: must be between": {MinAllocatable: []resource.Quantities{negative}},
		"scarce: 33 names (allowed: at most 32)":       {Scarce: make([]string, MaxScarce+1)},
		"scarce: resource: name":                       {Scarce: []string{"a b"}},
		"exclude from fairness: resource: name":        {ExcludeFromFairness: []string{""}},
	} {
		require.ErrorContains(t, cfg.Validate(), want)
	}
}

// TestFrameworksCannotUseUpTheNamesOfKinds: what frameworks ask for is only looked up, so that kinds that slaves have later still count in shares.
func TestFrameworksCannotUseUpTheNamesOfKinds(t *testing.T) {
	a, now := New(Config{}), time.Unix(1, 0)
	for i := range 2 * maxKinds {
		id := offer.FrameworkID(fmt.Sprint("f", i))
		kind := resource.Quantities{{Name: fmt.Sprint("kind", i), Amount: 1000}}
		require.NoError(t, a.Apply(now, FrameworkAdded{Framework: offer.Framework{ID: id, MinAllocatable: map[string][]resource.Quantities{"*": {kind}},
			Roles: []string{"*"}}}))
		require.NoError(t, a.Apply(now, Requested{Framework: id, Role: "*", Needs: []resource.Quantities{kind}}))
	}
	require.Len(t, a.kinds.names, 4)
	require.NoError(t, a.Apply(now, SlaveAdded{Slave: offer.Slave{ID: "s", Resources: resource.Must("cpus:1;mem:64;kind7:2")}}))
	out := a.Run(now, nil)
	require.Len(t, out, 1)
	require.EqualValues(t, "f7", out[0].Framework)
	require.EqualValues(t, 1<<shareBits, a.share(a.findClient("f7", "*").held))
}
