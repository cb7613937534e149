package offer

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
)

// Bounds of the constraints of a framework, so that what it sends costs little to keep and to evaluate.
const (
	// MaxConstraintGroups bounds the alternatives of one role.
	MaxConstraintGroups = 64
	// MaxConstraints bounds the constraints of one group.
	MaxConstraints = 64
	// MaxConstraintBytes bounds a value, a pattern among them.
	MaxConstraintBytes = 256
	// MaxPatternSize bounds the instructions of one compiled pattern.
	MaxPatternSize = 1000
	// MaxPatternsSize bounds the instructions of all patterns of a role together.
	MaxPatternsSize = 20_000
)

// A ConstraintSubject is what of a slave a Constraint looks at.
type ConstraintSubject uint8

// The subjects. All but the first are texts; one that is empty is missing.
const (
	// OfAttribute is the first attribute of the slave with the constraint's name.
	OfAttribute ConstraintSubject = iota
	// OfHostname is the slave's hostname.
	OfHostname
	// OfRegion is the region of the slave's fault domain.
	OfRegion
	// OfZone is the zone of the slave's fault domain.
	OfZone
)

// A ConstraintOp is what a Constraint asks of its subject. The zero value is not valid.
type ConstraintOp uint8

// The operations. The last four are about texts: a scalar and ranges pass all of them, and their framework looks again.
const (
	// Exists asks that the subject is there.
	Exists ConstraintOp = iota + 1
	// NotExists asks that it is not.
	NotExists
	// Equals asks for this text. What is missing is not equal.
	Equals
	// NotEquals asks for another text. What is missing passes.
	NotEquals
	// Matches asks for a text that the regular expression matches from end to end. What is missing does not match.
	Matches
	// NotMatches asks for a text that it does not match from end to end. What is missing passes.
	NotMatches
)

var constraintOps = [...]string{Exists: "exists", NotExists: "not exists", Equals: "equals", NotEquals: "not equals", Matches: "matches",
	NotMatches: "not matches"}

// String returns the operation in words.
func (op ConstraintOp) String() string {
	if op < Exists || op > NotMatches {
		return fmt.Sprintf("operation %d", uint8(op))
	}
	return constraintOps[op]
}

// A Constraint asks one thing of a slave. Mesos: AttributeConstraint.
type Constraint struct {
	Of        ConstraintSubject
	Attribute string // the name, OfAttribute only
	Op        ConstraintOp
	Value     string // text, or a regular expression in RE2 syntax; empty for Exists and NotExists
}

// A ConstraintGroup is constraints that must all hold. The groups of a role are alternatives.
type ConstraintGroup []Constraint

// String prints the constraint for operators: attribute "rack" equals "r1".
func (c Constraint) String() string {
	subject := fmt.Sprintf("attribute %q", c.Attribute)
	switch c.Of {
	case OfHostname:
		subject = "hostname"
	case OfRegion:
		subject = "region"
	case OfZone:
		subject = "zone"
	}
	if c.Op == Exists || c.Op == NotExists {
		return subject + " " + c.Op.String()
	}
	return fmt.Sprintf("%s %s %q", subject, c.Op, c.Value)
}

// Validate checks subject, name, operation and value, and that a pattern is a regular expression within the bounds.
func (c Constraint) Validate() error {
	_, _, err := c.compile()
	return err
}

// Validate checks that there are constraints, not too many, and each of them.
func (g ConstraintGroup) Validate() error {
	_, err := CompileConstraints([]ConstraintGroup{g})
	return err
}

func (c *Constraint) compile() (*regexp.Regexp, int, error) {
	bad := func(field, value, why string) (*regexp.Regexp, int, error) {
		if len(value) > 64 {
			value = value[:64] + "..."
		}
		return nil, 0, fmt.Errorf("constraint %s %q: %s", field, value, why)
	}
	switch {
	case c.Of > OfZone:
		return bad("subject", fmt.Sprint(uint8(c.Of)), "must be attribute, hostname, region or zone (0 to 3)")
	case c.Of != OfAttribute && c.Attribute != "":
		return bad("attribute", c.Attribute, "must be empty for a constraint of the hostname, the region or the zone")
	case c.Op < Exists || c.Op > NotMatches:
		return bad("operation", fmt.Sprint(uint8(c.Op)), "must be exists, not exists, equals, not equals, matches or not matches (1 to 6)")
	case (c.Op == Exists || c.Op == NotExists) && c.Value != "":
		return bad("value", c.Value, "must be empty for "+c.Op.String())
	case len(c.Value) > MaxConstraintBytes:
		return bad("value", c.Value, fmt.Sprintf("has %d bytes (allowed: at most %d)", len(c.Value), MaxConstraintBytes))
	}
	if c.Of == OfAttribute {
		if err := ValidateID("constraint attribute", c.Attribute); err != nil {
			return nil, 0, err
		}
	}
	if c.Op != Matches && c.Op != NotMatches {
		return nil, 0, nil
	}
	tree, err := syntax.Parse(c.Value, syntax.Perl)
	if err != nil {
		return bad("value", c.Value, err.Error())
	}
	// Compiling what nested repetitions blow up is what must be bounded, so their size is estimated before.
	size := patternSize(tree)
	if size <= 4*MaxPatternSize {
		prog, err := syntax.Compile(tree.Simplify())
		if err != nil {
			return bad("value", c.Value, err.Error())
		}
		size = len(prog.Inst)
	}
	if size > MaxPatternSize {
		return bad("value", c.Value, fmt.Sprintf("compiles to %d instructions or more (allowed: at most %d)", size, MaxPatternSize))
	}
	re, err := regexp.Compile(`\A(?:` + c.Value + `)\z`)
	if err != nil {
		return bad("value", c.Value, err.Error())
	}
	return re, size, nil
}

// patternSize is about how many instructions a pattern compiles to.
func patternSize(t *syntax.Regexp) int {
	size := 1
	for _, sub := range t.Sub {
		size += patternSize(sub)
	}
	switch t.Op {
	case syntax.OpLiteral:
		size += len(t.Rune)
	case syntax.OpRepeat:
		size *= max(t.Min, t.Max, 1)
	}
	return min(size, 1<<20)
}

// Constraints are the groups of a role, compiled. It is immutable.
type Constraints struct {
	groups [][]compiled
	byHost bool
}

type compiled struct {
	Constraint
	pattern *regexp.Regexp
}

// CompileConstraints validates groups and makes them ready for use. No groups give nil, which every slave passes.
func CompileConstraints(groups []ConstraintGroup) (*Constraints, error) {
	if len(groups) == 0 {
		return nil, nil
	}
	if len(groups) > MaxConstraintGroups {
		return nil, fmt.Errorf("constraints: %d groups (allowed: at most %d)", len(groups), MaxConstraintGroups)
	}
	out, size := &Constraints{}, 0
	for i, g := range groups {
		if len(g) == 0 || len(g) > MaxConstraints {
			return nil, fmt.Errorf("constraints: group %d has %d constraints (allowed: 1 to %d)", i, len(g), MaxConstraints)
		}
		var list []compiled
		for j := range g {
			pattern, n, err := g[j].compile()
			if err != nil {
				return nil, fmt.Errorf("group %d: %w", i, err)
			}
			if size += n; size > MaxPatternsSize {
				return nil, fmt.Errorf("group %d: constraint value %q: the patterns of the role compile to more than %d instructions together (allowed: at most %d)",
					i, g[j].Value, size-n, MaxPatternsSize)
			}
			out.byHost = out.byHost || g[j].Of == OfHostname
			list = append(list, compiled{g[j], pattern})
		}
		out.groups = append(out.groups, list)
	}
	return out, nil
}

// ByHostname reports whether the verdict can differ between slaves that differ in nothing but their hostname.
func (c *Constraints) ByHostname() bool { return c != nil && c.byHost }

// Pass reports whether a slave passes any group. No attribute but those that are named, the hostname and the domain matter.
func (c *Constraints) Pass(s *Slave) bool {
	return c == nil || slices.ContainsFunc(c.groups, func(g []compiled) bool {
		return !slices.ContainsFunc(g, func(x compiled) bool { return !x.holds(s) })
	})
}

// subject returns what of a slave the constraint looks at, whether it has that, and whether it is a text.
func (c *compiled) subject(s *Slave) (text string, exists, isText bool) {
	isText = true
	switch c.Of {
	case OfHostname:
		text = s.Hostname
	case OfRegion:
		text = s.Domain.Region
	case OfZone:
		text = s.Domain.Zone
	default:
		i := slices.IndexFunc(s.Attributes, func(a Attribute) bool { return a.Name == c.Attribute })
		if i >= 0 {
			a := &s.Attributes[i]
			text, exists, isText = a.Text, true, a.Scalar == nil && len(a.Ranges) == 0
		}
	}
	return text, exists || text != "", isText
}

func (c *compiled) holds(s *Slave) bool {
	text, exists, isText := c.subject(s)
	switch c.Op {
	case Exists:
		return exists
	case NotExists:
		return !exists
	}
	if exists && !isText {
		return true
	}
	switch c.Op {
	case Equals:
		return exists && text == c.Value
	case NotEquals:
		return !exists || text != c.Value
	case Matches:
		return exists && c.pattern.MatchString(text)
	}
	return !exists || !c.pattern.MatchString(text)
}

// ValidateConstraints checks the constraints of each role, and that roles has it.
func ValidateConstraints(byRole map[string][]ConstraintGroup, roles []string) error {
	known := 0
	for i, role := range roles {
		groups, ok := byRole[role]
		if !ok || slices.Contains(roles[:i], role) {
			continue
		}
		known++
		if _, err := CompileConstraints(groups); err != nil {
			return fmt.Errorf("role %q: %w", role, err)
		}
	}
	if known == len(byRole) {
		return nil
	}
	first := ""
	for role := range byRole {
		if !slices.Contains(roles, role) && (first == "" || role < first) {
			first = role
		}
	}
	return fmt.Errorf("constraints: role %.64q is not among the framework's (allowed: %.255q)", first, roles)
}

// A Miss is why a slave does not pass.
type Miss struct {
	Group      int        // of the role's alternatives, from 0: the first of those in which the fewest constraints fail
	Failed     int        // how many of its constraints fail
	Constraint Constraint // the first of them
	Value      string     // what the slave has instead
	Missing    bool       // it has no such attribute, hostname, region or zone
}

// Nearest returns what keeps a slave from passing, in the group that comes nearest to it; false when it passes.
func (c *Constraints) Nearest(s *Slave) (miss Miss, missed bool) {
	if c.Pass(s) {
		return Miss{}, false
	}
	for i, g := range c.groups {
		m := Miss{Group: i}
		for j := range g {
			if g[j].holds(s) {
				continue
			}
			if m.Failed++; m.Failed == 1 {
				text, exists, _ := g[j].subject(s)
				m.Constraint, m.Value, m.Missing = g[j].Constraint, text, !exists
			}
		}
		if i == 0 || m.Failed < miss.Failed {
			miss = m
		}
	}
	return miss, true
}
