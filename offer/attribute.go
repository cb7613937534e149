package offer

import (
	"fmt"
	"strings"

	"github.com/meros-project/meros/offer/resource"
)

// MaxAttributes bounds the attributes of one slave.
const MaxAttributes = 256

// ParseAttributes reads the text form `rack:r1;level:10;ports:[1-2,5-6]`: a value that is a number becomes a scalar, one in brackets becomes
// ranges, everything else is text, colons included. Mesos: docs/attributes-resources.md.
func ParseAttributes(text string) ([]Attribute, error) {
	var list []Attribute
	for part := range strings.SplitSeq(text, ";") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		name, value, ok := strings.Cut(part, ":")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok || value == "" {
			return nil, fmt.Errorf("attribute %.60q: want NAME:VALUE", part)
		}
		a := Attribute{Name: name}
		if strings.HasPrefix(value, "[") {
			r, err := resource.ParseRanges(value)
			if err != nil {
				return nil, fmt.Errorf("attribute %.60q: %w", name, err)
			}
			for _, one := range r {
				if one.Begin > one.End {
					return nil, fmt.Errorf("attribute %.60q: range %d-%d must not end before it begins", name, one.Begin, one.End)
				}
			}
			a.Ranges = r.Normalize()
		} else if n, err := resource.ParseScalar(value); err == nil {
			a.Scalar = &n
		} else {
			a.Text = value
		}
		list = append(list, a)
	}
	return list, ValidateAttributes(list)
}

// ValidateAttributes checks names, bounds, and that each attribute has exactly one value.
func ValidateAttributes(list []Attribute) error {
	if len(list) > MaxAttributes {
		return fmt.Errorf("attributes: %d of them (allowed: at most %d)", len(list), MaxAttributes)
	}
	for i := range list {
		a := &list[i]
		if err := ValidateID("attribute name", a.Name); err != nil {
			return err
		}
		values := 0
		for _, set := range []bool{a.Text != "", a.Scalar != nil, len(a.Ranges) > 0} {
			if set {
				values++
			}
		}
		if values != 1 {
			return fmt.Errorf("attribute %q: has %d values (allowed: exactly one of text, scalar and ranges)", a.Name, values)
		}
		if len(a.Text) > 4096 {
			return fmt.Errorf("attribute %q: text has %d bytes (allowed: at most 4096)", a.Name, len(a.Text))
		}
	}
	return nil
}

// String writes the text form that ParseAttributes reads.
func (a Attribute) String() string {
	switch {
	case a.Scalar != nil:
		return a.Name + ":" + a.Scalar.String()
	case len(a.Ranges) > 0:
		return a.Name + ":" + a.Ranges.String()
	}
	return a.Name + ":" + a.Text
}
