package discovery

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"
)

// A member's tags travel as: version (1), flags, then for each tag in the order of the keys a length byte, the key, a length byte,
// the value.
const (
	metaVersion = 1
	flagLeaving = 1 // the member is about to leave, and has not failed when it is gone
)

var errMeta = errors.New("discovery: tags are malformed")

func encodeMeta(tags map[string]string, leaving bool) ([]byte, error) {
	b := []byte{metaVersion, 0}
	if leaving {
		b[1] |= flagLeaving
	}
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		v := tags[k]
		if len(k) == 0 || len(k) > 255 || len(v) > 255 {
			return nil, fmt.Errorf("discovery: tag %.40q: its key has %d bytes and its value %d, allowed are 1 to 255 and 0 to 255", k, len(k), len(v))
		}
		if !utf8.ValidString(k) || !utf8.ValidString(v) {
			return nil, fmt.Errorf("discovery: tag %.40q is not UTF-8", k)
		}
		b = append(append(b, byte(len(k))), k...)
		b = append(append(b, byte(len(v))), v...)
	}
	if len(b) > maxMeta {
		return nil, fmt.Errorf("discovery: tags have %d bytes, at most %d are allowed", len(b), maxMeta)
	}
	return b, nil
}

// decodeMeta reads what another member says. Strangers to this package, which say nothing, have no tags.
func decodeMeta(b []byte) (tags map[string]string, leaving bool, err error) {
	tags = map[string]string{}
	if len(b) == 0 {
		return tags, false, nil
	}
	if len(b) < 2 || len(b) > maxMeta || b[0] != metaVersion {
		return tags, false, errMeta
	}
	leaving = b[1]&flagLeaving != 0
	next := func() (string, bool) {
		if len(b) == 0 || len(b) < 1+int(b[0]) {
			return "", false
		}
		s := string(b[1 : 1+int(b[0])])
		b = b[1+int(b[0]):]
		return s, utf8.ValidString(s)
	}
	for b = b[2:]; len(b) > 0; {
		k, ok1 := next()
		v, ok2 := next()
		if !ok1 || !ok2 || k == "" {
			return map[string]string{}, leaving, errMeta
		}
		tags[k] = v
	}
	return tags, leaving, nil
}
