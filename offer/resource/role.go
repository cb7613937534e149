package resource

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// AnyRole is the role of what is not reserved.
const AnyRole = "*"

const maxNameBytes = 255

// ValidateRole applies Mesos' rules: "*", or a path such as "ops/db" whose components are not empty, not ".", ".." or "*", do
// not begin with '-' and hold no white space or control character; at most 255 bytes of UTF-8. The error is an *Error.
func ValidateRole(role string) error {
	bad := func(want string) error { return invalid("role", role, want) }
	switch {
	case role == AnyRole:
		return nil
	case role == "":
		return bad("must not be empty")
	case len(role) > maxNameBytes:
		return bad("must be at most 255 bytes")
	case !utf8.ValidString(role):
		return bad("must be valid UTF-8")
	}
	for part := range strings.SplitSeq(role, "/") {
		switch {
		case part == "":
			return bad("must not have an empty component")
		case part == "." || part == ".." || part == AnyRole:
			return bad("must not have the component " + part)
		case part[0] == '-':
			return bad("must not have a component that begins with -")
		case strings.IndexFunc(part, func(c rune) bool { return unicode.IsSpace(c) || unicode.IsControl(c) }) >= 0:
			return bad("must not hold white space or control characters")
		}
	}
	return nil
}

// RoleAncestors returns the roles above role, the nearest first: "a/b/c" has "a/b" and "a". "*" and top-level roles have none.
func RoleAncestors(role string) []string {
	var out []string
	for i := strings.LastIndexByte(role, '/'); i > 0; i = strings.LastIndexByte(role[:i], '/') {
		out = append(out, role[:i])
	}
	return out
}

// IsDescendant reports whether role is strictly below of: "a/b" is below "a"; "a" and "ab" are not. Nothing is below "*".
func IsDescendant(role, of string) bool {
	return of != "" && len(role) > len(of)+1 && role[len(of)] == '/' && role[:len(of)] == of
}
