package offer

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// Ids are opaque text. Those that the cluster hands out (slaves, frameworks, offers) never repeat in the life of a cluster; those that
// a framework chooses (tasks, executors, operations) must be unique among the framework's live ones.
type (
	ClusterID   string
	SlaveID     string
	FrameworkID string
	OfferID     string
	TaskID      string
	ExecutorID  string
	OperationID string
)

// MaxID is the longest id, in bytes.
const MaxID = 255

// ValidateID checks an id that a stranger chose and that may become part of a path: 1 to MaxID bytes, not "." or "..", no '/', no
// '\\', no white space at the ends and no control characters. What is the name of the field, for the error.
func ValidateID(what, id string) error {
	bad := func(why string) error {
		shown := id
		if len(shown) > 40 {
			shown = shown[:40] + "..."
		}
		return fmt.Errorf("%s %q: %s (allowed: 1 to %d bytes without '/', '\\' or control characters, not '.' or '..')", what, shown, why, MaxID)
	}
	switch {
	case id == "":
		return bad("is empty")
	case len(id) > MaxID:
		return bad(fmt.Sprintf("has %d bytes", len(id)))
	case id == "." || id == "..":
		return bad("names a directory")
	case strings.ContainsAny(id, `/\`):
		return bad("contains a path separator")
	case strings.TrimSpace(id) != id:
		return bad("begins or ends with white space")
	}
	for i := 0; i < len(id); i++ {
		if id[i] < 0x20 || id[i] == 0x7f {
			return bad("contains a control character")
		}
	}
	return nil
}

// A UUID names one status update, so that it can be acknowledged. The zero UUID means "needs no acknowledgement".
type UUID [16]byte

// IsZero reports whether u is the zero UUID.
func (u UUID) IsZero() bool { return u == UUID{} }

// String formats u as RFC 9562 does.
func (u UUID) String() string {
	var b [36]byte
	hex.Encode(b[:8], u[:4])
	hex.Encode(b[9:], u[4:6])
	hex.Encode(b[14:], u[6:8])
	hex.Encode(b[19:], u[8:10])
	hex.Encode(b[24:], u[10:])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}

// ParseUUID reads the form that String writes, and the same without dashes.
func ParseUUID(s string) (UUID, error) {
	var u UUID
	b, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err != nil || len(b) != len(u) {
		return u, fmt.Errorf("uuid %.40q: want 32 hexadecimal digits", s)
	}
	copy(u[:], b)
	return u, nil
}

// MarshalText makes a UUID a JSON string.
func (u UUID) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (u *UUID) UnmarshalText(b []byte) error {
	v, err := ParseUUID(string(b))
	if err == nil {
		*u = v
	}
	return err
}
