package resource

import (
	"strconv"
	"strings"
)

// String prints the entries separated by semicolons. What the text form can say comes back from Parse as it was; the rest, such
// as a dynamic reservation, is printed in braces after the name, for people, and Parse refuses it: "disk{dynamic ops by
// alice,volume v1 at data}:64".
func (r Resources) String() string {
	var dst []byte
	for i := range r {
		if i > 0 {
			dst = append(dst, ';')
		}
		dst = r[i].append(dst)
	}
	return string(dst)
}

// String prints one entry as Resources.String does.
func (r Resource) String() string { return string(r.append(nil)) }

func (r *Resource) append(dst []byte) []byte {
	dst = append(dst, r.Name...)
	switch {
	case !r.plain():
		dst = r.appendDetails(dst)
	case r.Reserved():
		dst = append(append(append(dst, '('), r.role()...), ')')
	}
	dst = append(dst, ':')
	switch r.Type {
	case RangesType:
		return r.Ranges.append(dst)
	case SetType:
		return r.Set.append(dst)
	}
	return r.Scalar.append(dst)
}

// plain reports whether the text form can say all but the value.
func (r *Resource) plain() bool {
	if r.Volume != nil || r.Revocable || r.Shared || len(r.Reservations) > 1 {
		return false
	}
	if len(r.Reservations) == 0 {
		return true
	}
	res := &r.Reservations[0]
	return res.Type == Static && res.Principal == "" && len(res.Labels) == 0 && !strings.ContainsAny(res.Role, "();")
}

func (r *Resource) appendDetails(dst []byte) []byte {
	var parts []string
	for _, res := range r.Reservations {
		part := strings.ToLower(res.Type.String()) + " " + res.Role
		if res.Principal != "" {
			part += " by " + res.Principal
		}
		for _, label := range res.Labels {
			part += " " + label.Key + "=" + label.Value
		}
		parts = append(parts, part)
	}
	if v := r.Volume; v != nil {
		part := "volume " + v.ID + " at " + v.ContainerPath
		if v.ReadOnly {
			part += " read-only"
		}
		if v.Principal != "" {
			part += " by " + v.Principal
		}
		parts = append(parts, part)
	}
	if r.Revocable {
		parts = append(parts, "revocable")
	}
	if r.Shared {
		part := "shared"
		if n := r.count(); n > 1 {
			part += " x" + strconv.Itoa(n)
		}
		parts = append(parts, part)
	}
	return append(append(append(dst, '{'), strings.Join(parts, ",")...), '}')
}
