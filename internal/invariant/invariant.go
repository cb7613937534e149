// Package invariant names what must hold. A core's Check returns a Violation with the number of the rule that does not; tests turn it
// into a failure, programs into a note and a refusal.
package invariant

import (
	"errors"
	"fmt"
)

// A Violation says that a numbered invariant, such as R1 or T2, does not hold.
type Violation struct {
	Rule string // the invariant's number
	Text string // what was found
}

// Error prints the rule and what was found.
func (v *Violation) Error() string { return "invariant " + v.Rule + ": " + v.Text }

// Violated makes a Violation.
func Violated(rule, format string, args ...any) error {
	return &Violation{Rule: rule, Text: fmt.Sprintf(format, args...)}
}

// Rule returns the number of the violated invariant in err's chain, or "".
func Rule(err error) string {
	var v *Violation
	if errors.As(err, &v) {
		return v.Rule
	}
	return ""
}
