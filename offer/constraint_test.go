package offer_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// TestConstraintsOfEachKind asks each operation of a text, of another text, of what is no text, and of what is missing.
func TestConstraintsOfEachKind(t *testing.T) {
	level := resource.Units(3)
	s := &offer.Slave{Hostname: "web-1", Domain: offer.Domain{Region: "north"}, Attributes: []offer.Attribute{
		{Name: "rack", Text: "r12"}, {Name: "rack", Text: "second"}, {Name: "level", Scalar: &level}, {Name: "ports", Ranges: resource.Ranges{{Begin: 1, End: 2}}}}}
	attribute := func(name string) offer.Constraint { return offer.Constraint{Attribute: name} }
	for _, row := range []struct {
		of    offer.Constraint
		value string
		want  string // of exists, not exists, equals, not equals, matches, not matches
	}{
		{attribute("rack"), "r12", "yes no yes no yes no"},
		{attribute("rack"), "second", "yes no no yes no yes"}, // the first of that name counts
		{attribute("rack"), "r[0-9]+", "yes no no yes yes no"},
		{attribute("rack"), "r1", "yes no no yes no yes"}, // not a full match
		{attribute("rack"), "r1|r12|x", "yes no no yes yes no"},
		{attribute("rack"), "(?i)R.*", "yes no no yes yes no"},
		{attribute("level"), "x", "yes no yes yes yes yes"}, // no text: the framework looks again
		{attribute("ports"), "x", "yes no yes yes yes yes"},
		{attribute("gone"), "x", "no yes no yes no yes"},
		{offer.Constraint{Of: offer.OfHostname}, "web-.", "yes no no yes yes no"},
		{offer.Constraint{Of: offer.OfRegion}, "north", "yes no yes no yes no"},
		{offer.Constraint{Of: offer.OfZone}, "z", "no yes no yes no yes"},
		{offer.Constraint{Of: offer.OfZone}, ".*", "no yes no yes no yes"}, // missing, whatever the pattern
	} {
		for i, want := range strings.Fields(row.want) {
			c := row.of
			c.Op = offer.Exists + offer.ConstraintOp(i)
			if c.Op > offer.NotExists {
				c.Value = row.value
			}
			f, err := offer.CompileConstraints([]offer.ConstraintGroup{{c}})
			require.NoError(t, err)
			require.Equal(t, want == "yes", f.Pass(s), "%s", c)
			require.Equal(t, c.Of == offer.OfHostname, f.ByHostname())
		}
	}
}

// TestConstraintsOfAGroupMustAllHoldAndGroupsAreAlternatives is the logic above single constraints.
func TestConstraintsOfAGroupMustAllHoldAndGroupsAreAlternatives(t *testing.T) {
	s := &offer.Slave{Hostname: "a", Domain: offer.Domain{Zone: "z"}}
	yes, no := offer.Constraint{Of: offer.OfHostname, Op: offer.Exists}, offer.Constraint{Of: offer.OfZone, Op: offer.NotExists}
	for _, c := range []struct {
		groups []offer.ConstraintGroup
		want   bool
	}{{nil, true}, {[]offer.ConstraintGroup{{yes, yes}}, true}, {[]offer.ConstraintGroup{{yes, no}}, false},
		{[]offer.ConstraintGroup{{no}, {yes}}, true}, {[]offer.ConstraintGroup{{no, yes}, {no}}, false}} {
		f, err := offer.CompileConstraints(c.groups)
		require.NoError(t, err)
		require.Equal(t, c.want, f.Pass(s), "%v", c.groups)
	}
}

// TestConstraintsThatAreRefused names the field, the value and what is allowed.
func TestConstraintsThatAreRefused(t *testing.T) {
	rack := func(op offer.ConstraintOp, value string) offer.Constraint {
		return offer.Constraint{Attribute: "rack", Op: op, Value: value}
	}
	for want, c := range map[string]offer.Constraint{
		`constraint subject "9": must be attribute`:                                        {Of: 9, Op: offer.Exists},
		`constraint attribute "": is empty`:                                                {Op: offer.Exists},
		`constraint attribute "rack": must be empty for a constraint of the hostname`:      {Of: offer.OfHostname, Attribute: "rack", Op: offer.Exists},
		`constraint operation "0": must be exists`:                                         rack(0, ""),
		`constraint operation "7": must be exists`:                                         rack(7, ""),
		`constraint value "x": must be empty for not exists`:                               rack(offer.NotExists, "x"),
		`has 257 bytes (allowed: at most 256)`:                                             rack(offer.Equals, strings.Repeat("x", 257)),
		`constraint value "(": error parsing regexp: missing closing ): `:                  rack(offer.Matches, "("),
		`constraint value "a)(b": error parsing regexp: unexpected ): `:                    rack(offer.Matches, "a)(b"),
		`constraint value "(?=a)": error parsing regexp`:                                   rack(offer.Matches, "(?=a)"),
		"constraint value \"(ab){900}\": compiles to ":                                     rack(offer.NotMatches, "(ab){900}"),
		"constraint value \"((((a{9}){10}b{9}){9}cdefgh){1}(ijklmnop){1000})\": compiles ": rack(offer.Matches, "((((a{9}){10}b{9}){9}cdefgh){1}(ijklmnop){1000})"),
	} {
		require.ErrorContains(t, c.Validate(), want)
		require.ErrorContains(t, offer.ConstraintGroup{c}.Validate(), want)
	}
	require.NoError(t, rack(offer.Matches, "[a-z]{1,300}").Validate())
	require.ErrorContains(t, offer.ConstraintGroup{}.Validate(), "has 0 constraints (allowed: 1 to 64)")
	require.ErrorContains(t, make(offer.ConstraintGroup, 65).Validate(), "has 65 constraints (allowed: 1 to 64)")
	_, err := offer.CompileConstraints(make([]offer.ConstraintGroup, 65))
	require.ErrorContains(t, err, "65 groups (allowed: at most 64)")
	big := offer.ConstraintGroup{}
	for range 30 {
		big = append(big, rack(offer.Matches, "a{900}"))
	}
	require.ErrorContains(t, big.Validate(), "(allowed: at most 20000)")

	groups := map[string][]offer.ConstraintGroup{"b": {{rack(offer.Exists, "")}}, "a": nil}
	require.NoError(t, offer.ValidateConstraints(groups, []string{"a", "b", "c"}))
	require.ErrorContains(t, offer.ValidateConstraints(groups, []string{"c", "d"}), `role "a" is not among the framework's (allowed: ["c" "d"])`)
	groups["b"] = []offer.ConstraintGroup{{rack(offer.Exists, "x")}}
	require.ErrorContains(t, offer.ValidateConstraints(groups, []string{"a", "b"}), `role "b": group 0: constraint value "x"`)
}

// FuzzConstraintPattern compiles any pattern within bounded time and memory, or refuses it.
func FuzzConstraintPattern(f *testing.F) {
	f.Add("r[0-9]+", "r1")
	f.Add("((a{9}){9}){9}", "aaa")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		c := offer.Constraint{Of: offer.OfHostname, Op: offer.Matches, Value: pattern}
		yes, err := offer.CompileConstraints([]offer.ConstraintGroup{{c}})
		if err != nil {
			return
		}
		c.Op = offer.NotMatches
		no, err := offer.CompileConstraints([]offer.ConstraintGroup{{c}})
		require.NoError(t, err)
		s := &offer.Slave{Hostname: text}
		if text == "" {
			require.False(t, yes.Pass(s))
			require.True(t, no.Pass(s))
			return
		}
		require.NotEqual(t, yes.Pass(s), no.Pass(s))
	})
}

// TestTheNearestMiss is the group in which the fewest constraints fail, and what the slave has instead.
func TestTheNearestMiss(t *testing.T) {
	level := resource.Units(3)
	s := &offer.Slave{Hostname: "web-1", Attributes: []offer.Attribute{{Name: "rack", Text: "r12"}, {Name: "level", Scalar: &level}}}
	rack := func(value string) offer.Constraint {
		return offer.Constraint{Attribute: "rack", Op: offer.Equals, Value: value}
	}
	zone := offer.Constraint{Of: offer.OfZone, Op: offer.Matches, Value: "z.*"}
	bare := offer.Constraint{Attribute: "level", Op: offer.NotExists}
	for _, c := range []struct {
		groups []offer.ConstraintGroup
		want   offer.Miss
	}{
		{[]offer.ConstraintGroup{{rack("r1"), zone}, {rack("r12"), zone}}, offer.Miss{Group: 1, Failed: 1, Constraint: zone, Missing: true}},
		{[]offer.ConstraintGroup{{rack("r1")}, {zone}}, offer.Miss{Failed: 1, Constraint: rack("r1"), Value: "r12"}},
		{[]offer.ConstraintGroup{{rack("r12"), bare, zone}}, offer.Miss{Failed: 2, Constraint: bare}},
	} {
		f, err := offer.CompileConstraints(c.groups)
		require.NoError(t, err)
		got, missed := f.Nearest(s)
		require.True(t, missed)
		require.Equal(t, c.want, got)
	}
	f, err := offer.CompileConstraints([]offer.ConstraintGroup{{zone}, {rack("r12")}})
	require.NoError(t, err)
	_, missed := f.Nearest(s)
	require.False(t, missed)
}
