package resource

import (
	"strconv"
	"strings"
)

// MaxTextBytes is the longest text or JSON that Parse and UnmarshalJSON read.
const MaxTextBytes = 4 << 20

// Parse reads Mesos' text form: entries "name:value" or, reserved statically, "name(role):value", separated by semicolons. A
// value is a decimal number, ranges "[31000-32000,8080]" or a set "{a,b}". Spaces around entries, names and values do not count;
// nor do empty entries, nor amounts of zero. Text that begins with '[' is read as JSON, which can also say dynamic reservations,
// volumes, revocable and shared. The error is an *Error.
func Parse(text string) (Resources, error) {
	if len(text) > MaxTextBytes {
		return nil, invalid("text", text, "must be at most "+strconv.Itoa(MaxTextBytes)+" bytes")
	}
	if strings.HasPrefix(strings.TrimSpace(text), "[") {
		return decodeJSON([]byte(text))
	}
	var items []Resource
	for entry := range strings.SplitSeq(text, ";") {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		item, err := parseEntry(entry)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return New(items...)
}

// Must is Parse for constants in programs and tests. It panics on an error.
func Must(text string) Resources {
	r, err := Parse(text)
	if err != nil {
		panic(err)
	}
	return r
}

func parseEntry(entry string) (Resource, error) {
	var r Resource
	const form = "must be name:value or name(role):value"
	split := strings.IndexAny(entry, ":(")
	if split < 0 {
		return r, invalid("entry", entry, form)
	}
	r.Name = strings.TrimSpace(entry[:split])
	if err := ValidateName(r.Name); err != nil {
		return r, err
	}
	rest := entry[split:]
	if rest[0] == '(' {
		role, after, closed := strings.Cut(rest[1:], ")")
		if rest = strings.TrimSpace(after); !closed || !strings.HasPrefix(rest, ":") {
			return r, invalid("entry", entry, form)
		}
		if role = strings.TrimSpace(role); role != AnyRole {
			if err := ValidateRole(role); err != nil {
				return r, err
			}
			if strings.Contains(role, "(") { // it could not be printed so that it is read again
				return r, invalid("role", role, "must not have a parenthesis here (allowed: in JSON)")
			}
			r.Reservations = []Reservation{{Type: Static, Role: role}}
		}
	}
	return r, parseValue(&r, strings.TrimSpace(rest[1:]))
}

func parseValue(r *Resource, value string) error {
	var err error
	switch {
	case strings.HasPrefix(value, "["):
		r.Type = RangesType
		r.Ranges, err = ParseRanges(value)
	case strings.HasPrefix(value, "{"):
		r.Type = SetType
		r.Set, err = parseSet(value)
	default:
		r.Scalar, err = ParseScalar(value)
	}
	if e, ok := err.(*Error); ok {
		e.Field = r.Name
	}
	return err
}

// ParseRanges reads ranges such as "[31000-32000,8080]", in any order. They are returned as written, for Normalize or New to
// sort.
func ParseRanges(text string) (Ranges, error) {
	bad := func() (Ranges, error) { return nil, invalid("ranges", text, "must be like [31000-32000,8080]") }
	body, ok := inside(text, '[', ']')
	if !ok {
		return bad()
	}
	if body == "" {
		return nil, nil
	}
	out := make(Ranges, 0, strings.Count(body, ",")+1)
	for part := range strings.SplitSeq(body, ",") {
		first, last, two := strings.Cut(part, "-")
		if !two {
			last = first
		}
		begin, err1 := parseInteger(first)
		end, err2 := parseInteger(last)
		if err1 != nil || err2 != nil {
			return bad()
		}
		out = append(out, Range{begin, end})
	}
	return out, nil
}

func parseInteger(s string) (uint64, error) {
	return strconv.ParseUint(strings.TrimSpace(s), 10, 64)
}

func parseSet(text string) (Set, error) {
	bad := func() (Set, error) { return nil, invalid("set", text, "must be like {a,b}") }
	body, ok := inside(text, '{', '}')
	if !ok {
		return bad()
	}
	if body == "" {
		return nil, nil
	}
	out := make(Set, 0, strings.Count(body, ",")+1)
	for item := range strings.SplitSeq(body, ",") {
		if item = strings.TrimSpace(item); !plainItem(item) {
			return bad()
		}
		out = append(out, item)
	}
	return out, nil
}

func inside(text string, open, end byte) (string, bool) {
	n := len(text)
	if n < 2 || text[0] != open || text[n-1] != end {
		return "", false
	}
	return strings.TrimSpace(text[1 : n-1]), true
}
