package resource

import "strconv"

// Error is what this package returns for input that is not valid. It is a value that a caller may show to whoever sent the input.
type Error struct {
	// Field says which part is wrong, such as "cpus" or "reservations[1].role".
	Field string
	// Value is the offending input, quoted and shortened for display. It may be empty.
	Value string
	// Want says what is allowed, beginning with "must" or stating the conflict.
	Want string
}

// Error prints field, value and what is allowed in one lower-case line.
func (e *Error) Error() string {
	if e.Value == "" {
		return "resource: " + e.Field + ": " + e.Want
	}
	return "resource: " + e.Field + " " + e.Value + ": " + e.Want
}

func invalid(field, value, want string) error {
	const shown = 64
	if len(value) > shown {
		value = value[:shown] + "..."
	}
	return &Error{Field: field, Value: strconv.Quote(value), Want: want}
}

func conflict(field, want string) error { return &Error{Field: field, Want: want} }
