package resource

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits bounds what Validate accepts, so that one sender's resources cost the receiver little. A zero field means its default.
type Limits struct {
	// Entries is the number of entries. Defaults to 1024.
	Entries int
	// Values is the number of ranges and set items of all entries together. Defaults to 16384.
	Values int
	// Reservations is the depth of a stack. Defaults to 16.
	Reservations int
	// Labels is the number of labels on one reservation. Defaults to 64.
	Labels int
	// TextBytes is the length of a principal, a label's key or value, a set item or a path. Defaults to 4096.
	TextBytes int
	// SharedCount is the sum of the counts above one of all shared volumes. Defaults to 4096.
	SharedCount int
}

func (l Limits) withDefaults() Limits {
	l.Entries = cmp.Or(l.Entries, 1024)
	l.Values = cmp.Or(l.Values, 16384)
	l.Reservations = cmp.Or(l.Reservations, 16)
	l.Labels = cmp.Or(l.Labels, 64)
	l.TextBytes = cmp.Or(l.TextBytes, 4096)
	l.SharedCount = cmp.Or(l.SharedCount, 4096)
	return l
}

const maxPort = 65535

// Validate reports the first thing that is wrong as an *Error: an entry that is empty, negative, too large or badly named, of a
// type that its name does not have, a stack that is not a refinement, a volume that is not on reserved disk, shared or revocable
// where that is not allowed, entries out of canonical order, ports or items in two entries, a volume id twice in one role, or
// more of anything than limits allow.
func (r Resources) Validate(limits Limits) error {
	limits = limits.withDefaults()
	if len(r) > limits.Entries {
		return conflict("entries", fmt.Sprintf("%d are more than the allowed %d", len(r), limits.Entries))
	}
	for i := range r {
		if err := r[i].validate(limits); err != nil {
			return err
		}
		if i == 0 {
			continue
		}
		prev, e := &r[i-1], &r[i]
		if c := compare(prev, e); c > 0 || c == 0 && !e.whole() {
			return conflict(e.Name, "entries must be sorted and merged")
		}
		if prev.Name == e.Name && prev.Type != e.Type {
			return conflict(e.Name, "must not be both "+prev.Type.String()+" and "+e.Type.String())
		}
	}
	if err := r.validateTotals(limits); err != nil {
		return err
	}
	return r.validateAcross()
}

// validateTotals bounds what the next check and MarshalJSON cost.
func (r Resources) validateTotals(l Limits) error {
	values, shared := 0, 0
	for i := range r {
		values += len(r[i].Ranges) + len(r[i].Set)
		shared += r[i].count() - 1
	}
	switch {
	case values > l.Values:
		return conflict("values", fmt.Sprintf("%d ranges and items are more than the allowed %d", values, l.Values))
	case shared > l.SharedCount:
		return conflict("shared_count", fmt.Sprintf("%d counts of shared volumes are more than the allowed %d", shared, l.SharedCount))
	}
	return nil
}

// validateAcross checks entries of one name against each other. Sums so far are enough: entries are sorted by name.
func (r Resources) validateAcross() error {
	type volume struct{ role, id string }
	var (
		name   string
		ranges Ranges
		set    Set
		seen   []volume
	)
	for i := range r {
		e := &r[i]
		if e.Name != name {
			name, ranges, set = e.Name, nil, nil
		}
		if ranges.Intersects(e.Ranges) {
			return invalid(e.Name, ranges.Intersect(e.Ranges).String(), "must not be in two entries")
		}
		if set.Intersects(e.Set) {
			return conflict(e.Name, "an item must not be in two entries")
		}
		ranges, set = ranges.Add(e.Ranges), set.Add(e.Set)
		if e.Volume != nil {
			seen = append(seen, volume{e.role(), e.Volume.ID})
		}
	}
	slices.SortFunc(seen, func(a, b volume) int { return cmp.Or(strings.Compare(a.role, b.role), strings.Compare(a.id, b.id)) })
	for i := 1; i < len(seen); i++ {
		if seen[i] == seen[i-1] {
			return invalid("volume.id", seen[i].id, "must not be used twice in role "+seen[i].role)
		}
	}
	return nil
}

// Validate checks one entry as Resources.Validate does.
func (r Resource) Validate(limits Limits) error { return r.validate(limits.withDefaults()) }

func (r *Resource) validate(l Limits) error {
	if err := validateName("name", r.Name); err != nil {
		return err
	}
	if err := r.validateValue(l); err != nil {
		return err
	}
	if len(r.Reservations) > l.Reservations {
		return conflict(r.Name, fmt.Sprintf("a stack of %d reservations is more than the allowed %d", len(r.Reservations), l.Reservations))
	}
	for i := range r.Reservations {
		if err := r.validateReservation(i, l); err != nil {
			return err
		}
	}
	if r.Volume != nil {
		if err := r.validateVolume(l); err != nil {
			return err
		}
	}
	switch {
	case r.Shared && r.Volume == nil:
		return conflict(r.Name, "only a persistent volume can be shared")
	case r.SharedCount < 0 || r.SharedCount > l.SharedCount || r.SharedCount == 1 || !r.Shared && r.SharedCount != 0:
		return invalid(r.Name+".shared_count", fmt.Sprint(r.SharedCount), fmt.Sprintf("must be 0, or 2 to %d on a shared volume", l.SharedCount))
	}
	return nil
}

func (r *Resource) validateValue(l Limits) error {
	if want, known := knownType(r.Name); known && r.Type != want {
		return conflict(r.Name, "must be of type "+want.String())
	}
	switch {
	case r.Type > SetType:
		return invalid(r.Name, fmt.Sprint(uint8(r.Type)), "must be of type SCALAR, RANGES or SET")
	case r.Type != ScalarType && r.Scalar != 0, r.Type != RangesType && len(r.Ranges) > 0, r.Type != SetType && len(r.Set) > 0:
		return conflict(r.Name, "must have no value but that of its type "+r.Type.String())
	case r.Type == ScalarType && (r.Scalar <= 0 || r.Scalar > MaxScalar):
		return invalid(r.Name, r.Scalar.String(), "must be above 0 and at most "+MaxScalar.String())
	case r.Name == GPUs && r.Scalar%thousandths != 0:
		return invalid(r.Name, r.Scalar.String(), "must be a whole number")
	case r.empty():
		return conflict(r.Name, "must not be empty")
	case len(r.Ranges) > l.Values || len(r.Set) > l.Values:
		return conflict(r.Name, fmt.Sprintf("%d values are more than the allowed %d", max(len(r.Ranges), len(r.Set)), l.Values))
	case !r.Ranges.normal():
		return conflict(r.Name, "ranges must be sorted and must not overlap or touch")
	case !r.Set.normal():
		return conflict(r.Name, "items must be sorted and distinct")
	case r.Name == Ports && r.Ranges[len(r.Ranges)-1].End > maxPort:
		return invalid(r.Name, fmt.Sprint(r.Ranges[len(r.Ranges)-1].End), "must be at most 65535")
	}
	for _, item := range r.Set {
		if item == "" {
			return conflict(r.Name, "an item must not be empty")
		}
		if err := validateText(r.Name+" item", item, l); err != nil {
			return err
		}
	}
	return nil
}

func knownType(name string) (Type, bool) {
	switch name {
	case CPUs, Mem, Disk, GPUs:
		return ScalarType, true
	case Ports:
		return RangesType, true
	}
	return 0, false
}

func (r *Resource) validateReservation(i int, l Limits) error {
	res := &r.Reservations[i]
	field := fmt.Sprintf("%s.reservations[%d]", r.Name, i)
	if err := ValidateRole(res.Role); err != nil {
		return err
	}
	switch {
	case res.Role == AnyRole:
		return invalid(field+".role", res.Role, "must be a role that can own resources")
	case res.Type > Dynamic:
		return invalid(field+".type", fmt.Sprint(uint8(res.Type)), "must be STATIC or DYNAMIC")
	case i > 0 && res.Type == Static:
		return conflict(field+".type", "only the first reservation of a stack can be STATIC")
	case i > 0 && !IsDescendant(res.Role, r.Reservations[i-1].Role):
		return invalid(field+".role", res.Role, "must be below the role "+r.Reservations[i-1].Role+" that it refines")
	case res.Type == Dynamic && r.Revocable:
		return conflict(field, "revocable resources cannot be reserved dynamically")
	case len(res.Labels) > l.Labels:
		return conflict(field, fmt.Sprintf("%d labels are more than the allowed %d", len(res.Labels), l.Labels))
	case !slices.IsSortedFunc(res.Labels, compareLabels):
		return conflict(field+".labels", "must be sorted")
	}
	for _, label := range res.Labels {
		if err := cmp.Or(validateText(field+".labels key", label.Key, l), validateText(field+".labels value", label.Value, l)); err != nil {
			return err
		}
	}
	return validateText(field+".principal", res.Principal, l)
}

func (r *Resource) validateVolume(l Limits) error {
	v := r.Volume
	switch {
	case r.Name != Disk:
		return conflict(r.Name, "only disk can hold a persistent volume")
	case !r.Reserved():
		return conflict(r.Name, "a persistent volume must be on reserved disk")
	case r.Revocable:
		return conflict(r.Name, "a persistent volume must not be revocable")
	case v.ContainerPath == "":
		return conflict("volume.container_path", "must not be empty")
	case slices.Contains(strings.Split(v.ContainerPath, "/"), ".."):
		return invalid("volume.container_path", v.ContainerPath, "must not have the component ..")
	case v.ID == "." || v.ID == "..":
		return invalid("volume.id", v.ID, "must not be . or ..")
	}
	return cmp.Or(validateName("volume.id", v.ID), validateText("volume.container_path", v.ContainerPath, l), validateText("volume.principal", v.Principal, l))
}

// ValidateName checks the name of a resource: not empty, at most 255 bytes of UTF-8, no '/', white space, control character or
// any of the characters that the text form uses: ; : , ( ) [ ] { } < > ".
func ValidateName(name string) error { return validateName("name", name) }

func validateName(field, name string) error {
	bad := func(c rune) bool {
		return unicode.IsControl(c) || unicode.IsSpace(c) || strings.ContainsRune(`/;:,()[]{}<>"`, c)
	}
	switch {
	case name == "":
		return invalid(field, name, "must not be empty")
	case len(name) > maxNameBytes:
		return invalid(field, name, "must be at most 255 bytes")
	case !utf8.ValidString(name):
		return invalid(field, name, "must be valid UTF-8")
	case strings.IndexFunc(name, bad) >= 0:
		return invalid(field, name, `must not hold white space, control characters or any of /;:,()[]{}<>"`)
	}
	return nil
}

func validateText(field, text string, l Limits) error {
	switch {
	case len(text) > l.TextBytes:
		return invalid(field, text, fmt.Sprintf("must be at most %d bytes", l.TextBytes))
	case !utf8.ValidString(text):
		return invalid(field, text, "must be valid UTF-8")
	case strings.IndexFunc(text, unicode.IsControl) >= 0:
		return invalid(field, text, "must not hold control characters")
	}
	return nil
}

// normalize sorts what may come in any order in one entry, and refuses what cannot be sorted without losing something.
func normalize(r Resource) (Resource, error) {
	if r.Scalar < 0 {
		return r, invalid(r.Name, r.Scalar.String(), "must not be negative")
	}
	if r.Type == RangesType {
		for _, x := range r.Ranges {
			if x.Begin > x.End {
				return r, invalid(r.Name, fmt.Sprintf("%d-%d", x.Begin, x.End), "a range must not end before it begins")
			}
		}
		sorted := r.Ranges.Normalize()
		if r.Ranges.overlaps() {
			return r, invalid(r.Name, r.Ranges.String(), "ranges must not overlap")
		}
		r.Ranges = sorted
	}
	if r.Type == SetType {
		sorted := NewSet(r.Set...)
		if len(sorted) != len(r.Set) {
			return r, invalid(r.Name, r.Set.String(), "an item must not be named twice")
		}
		r.Set = sorted
	}
	if r.SharedCount == 1 {
		r.SharedCount = 0
	}
	for i := range r.Reservations {
		if !slices.IsSortedFunc(r.Reservations[i].Labels, compareLabels) {
			r.Reservations = slices.Clone(r.Reservations)
			for j := range r.Reservations {
				r.Reservations[j].Labels = sortedLabels(r.Reservations[j].Labels)
			}
			break
		}
	}
	return r, nil
}

// overlaps reports whether a value is in two ranges, in whatever order they are.
func (r Ranges) overlaps() bool {
	s := slices.Clone(r)
	slices.SortFunc(s, func(a, b Range) int { return cmp.Compare(a.Begin, b.Begin) })
	for i := 1; i < len(s); i++ {
		if s[i].Begin <= s[i-1].End {
			return true
		}
	}
	return false
}

// disjoint refuses to merge two entries of one identity that name the same value.
func disjoint(a, b *Resource) error {
	if a.Ranges.Intersects(b.Ranges) {
		return invalid(a.Name, a.Ranges.Intersect(b.Ranges).String(), "ranges must not overlap")
	}
	if a.Set.Intersects(b.Set) {
		return conflict(a.Name, "an item must not be named twice")
	}
	return nil
}
