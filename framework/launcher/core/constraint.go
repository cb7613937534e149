package core

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// Fields of a Constraint that are not attributes. "hostname" is the same as FieldHostname.
const (
	FieldHostname = "@hostname"
	FieldRegion   = "@region"
	FieldZone     = "@zone"
)

// An Operator is what a Constraint asks. The names are Marathon's.
type Operator uint8

// The operators. What has no such attribute passes Unlike only.
const (
	// Unique asks for a value that no other task of the set has.
	Unique Operator = iota + 1
	// Cluster asks for Value; without one, for the value of the set's first task, which goes anywhere.
	Cluster
	// GroupBy spreads the set evenly over the values. With a number as Value over that many, at most, of which none has more than its share of the
	// set; without, a value is good that no task has yet, or that as few have as any.
	GroupBy
	// Like asks that the regular expression Value matches from end to end.
	Like
	// Unlike asks that it does not.
	Unlike
	// MaxPer asks for a value that fewer than Value tasks of the set have.
	MaxPer
	// Is asks for exactly Value; numbers are compared as numbers, in thousandths.
	Is
)

var operators = [...]string{Unique: "UNIQUE", Cluster: "CLUSTER", GroupBy: "GROUP_BY", Like: "LIKE", Unlike: "UNLIKE", MaxPer: "MAX_PER", Is: "IS"}

// String returns Marathon's name of the operator.
func (op Operator) String() string {
	if op < Unique || op > Is {
		return fmt.Sprintf("operator %d", uint8(op))
	}
	return operators[op]
}

// ParseOperator reads what String writes, in letters of either case.
func ParseOperator(name string) (Operator, error) {
	for op, n := range operators {
		if n != "" && strings.EqualFold(n, name) {
			return Operator(op), nil
		}
	}
	return 0, bad("operator", within(name), "must be UNIQUE, CLUSTER, GROUP_BY, LIKE, UNLIKE, MAX_PER or IS")
}

// A Constraint asks one thing of the slave that a task is to run on.
type Constraint struct {
	// Field is the name of an attribute, or FieldHostname, FieldRegion or FieldZone.
	Field string
	// Op is what is asked.
	Op Operator
	// Value is a text, a number or a regular expression in RE2 syntax, of at most offer.MaxConstraintBytes bytes.
	Value string
}

// String prints the constraint as Marathon's users write it: rack:MAX_PER:2.
func (c Constraint) String() string {
	s := c.Field + ":" + c.Op.String()
	if c.Value != "" {
		s += ":" + c.Value
	}
	return s
}

// Validate checks field, operator and value.
func (c Constraint) Validate() error {
	_, err := c.compile()
	return err
}

// A rule is a constraint made ready for use. Classes with the same constraint share it.
type rule struct {
	Constraint
	key     Constraint // as it was submitted
	refs    int
	pattern *regexp.Regexp
	number  int
	memo    map[string]bool // what the pattern says of values
}

const maxMemo = 4096

func wrong(field, value, allowed string) (*rule, error) {
	return nil, fmt.Errorf("%s %s: %s", field, value, allowed)
}

func (c Constraint) compile() (*rule, error) {
	r := &rule{Constraint: c, key: c}
	switch c.Field {
	case "hostname":
		r.Field = FieldHostname
	case FieldHostname, FieldRegion, FieldZone:
	default:
		if err := offer.ValidateID("Field", c.Field); err != nil {
			return wrong("Field", within(c.Field), fmt.Sprintf("must be the name of an attribute, %s, %s or %s", FieldHostname, FieldRegion, FieldZone))
		}
	}
	refuse := func(allowed string) (*rule, error) {
		return wrong("Value", within(c.Value), allowed)
	}
	if len(c.Value) > offer.MaxConstraintBytes {
		return refuse(fmt.Sprintf("has %d bytes, must have at most %d", len(c.Value), offer.MaxConstraintBytes))
	}
	switch c.Op {
	case Unique:
		if c.Value != "" {
			return refuse("must be empty for UNIQUE")
		}
	case Cluster:
	case GroupBy, MaxPer:
		if c.Value == "" && c.Op == GroupBy {
			break
		}
		n, err := strconv.Atoi(c.Value)
		if err != nil || n < 1 || n > MaxPriority {
			return refuse(fmt.Sprintf("must be a number from 1 to %d for %s", MaxPriority, c.Op))
		}
		r.number = n
	case Like, Unlike:
		// The vocabulary's own check bounds what the pattern compiles to.
		if err := (offer.Constraint{Of: offer.OfHostname, Op: offer.Matches, Value: c.Value}).Validate(); err != nil {
			return refuse("must be a regular expression: " + err.Error())
		}
		r.pattern = regexp.MustCompile(`\A(?:` + c.Value + `)\z`)
		r.memo = map[string]bool{}
	case Is:
		r.Value = normal(c.Value)
	default:
		return wrong("Op", strconv.Itoa(int(c.Op)), "must be UNIQUE, CLUSTER, GROUP_BY, LIKE, UNLIKE, MAX_PER or IS (1 to 7)")
	}
	return r, nil
}

// normal writes numbers as attributes print them, so that 1, 1.0 and 1.0004 are the same.
func normal(text string) string {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return text
	}
	if s, err := resource.FromFloat(f); err == nil {
		return s.String()
	}
	return text
}

// moves reports whether the verdict depends on where the other tasks of the set are.
func (r *rule) moves() bool {
	return r.Op == Unique || r.Op == GroupBy || r.Op == MaxPer || r.Op == Cluster && r.Value == ""
}

// widens reports whether a placement may make a value good that was not.
func (r *rule) widens() bool { return r.Op == GroupBy }

// passes reports whether a task of the set may go where the field has this value, which n tasks have; set is the number of tasks in it.
func (r *rule) passes(v value, n int, t *tally, set int) bool {
	if !v.known {
		return r.Op == Unlike
	}
	switch r.Op {
	case Unique:
		return n == 0
	case MaxPer:
		return n < r.number
	case Cluster:
		if r.Value != "" {
			return v.text == r.Value
		}
		return t.placed == 0 || n > 0
	case Is:
		return v.text == r.Value
	case Like:
		return r.match(v.text)
	case Unlike:
		return !r.match(v.text)
	}
	return r.shares(n, t, set)
}

// shares is GROUP_BY.
func (r *rule) shares(n int, t *tally, set int) bool {
	if r.number == 0 {
		return n == 0 || n == t.least()
	}
	if n == 0 && t.groups() >= r.number {
		return false
	}
	each, rest := set/r.number, set%r.number
	return n < each || n == each && t.above(each) < rest
}

func (r *rule) match(text string) bool {
	is, known := r.memo[text]
	if !known {
		if len(r.memo) >= maxMemo {
			clear(r.memo)
		}
		is = r.pattern.MatchString(text)
		r.memo[text] = is
	}
	return is
}

// A value is that of a field on a slave.
type value struct {
	text  string
	known bool
}

// valueOf reads a field.
func valueOf(field, hostname string, domain offer.Domain, attributes []offer.Attribute) value {
	text := ""
	switch field {
	case FieldHostname:
		text = hostname
	case FieldRegion:
		text = domain.Region
	case FieldZone:
		text = domain.Zone
	default:
		for i := range attributes {
			a := &attributes[i]
			switch {
			case a.Name != field:
				continue
			case a.Scalar != nil:
				return value{a.Scalar.String(), true}
			case len(a.Ranges) > 0:
				return value{a.Ranges.String(), true}
			}
			return value{a.Text, true}
		}
	}
	return value{text, text != ""}
}
