package registry

import (
	"fmt"
	"unicode/utf8"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// Limits that every master computes alike. They are part of the meaning of the log: changing one needs a new feature level.
const (
	MaxKeys        = 65536  // idempotency keys that are remembered
	MaxCommands    = 4096   // commands in one entry
	MaxSlaves      = 200000 // slaves on record, in any state
	MaxGone        = 100000 // ids of gone slaves that are remembered after they were pruned
	MaxFrameworks  = 20000  // frameworks that are not retired
	MaxRoles       = 20000  // roles with a weight or quota of their own
	MaxRecordBytes = 65536  // of one slave's or framework's description, counted by its texts and resources
	MaxCountDown   = 2048   // frameworks in one CountDown
	MaxPrune       = 4096   // slaves in one PruneSlaves

	maxText       = 4096 // bytes of one text field
	maxName       = 255  // bytes of a host name, user or attribute name
	maxAttributes = 1024
	maxLabels     = 1024
	maxListed     = 1024 // roles of a framework
)

func refuse(r offer.Reason, format string, args ...any) *offer.Refusal {
	return offer.Refuse(r, fmt.Sprintf(format, args...))
}

func invalid(field, value, want string) *offer.Refusal {
	const shown = 64
	if len(value) > shown {
		value = value[:shown] + "..."
	}
	return refuse(offer.ReasonInvalidField, "%s %q: %s", field, value, want)
}

func checkText(field, value string, limit int) *offer.Refusal {
	if len(value) > limit {
		return invalid(field, value, fmt.Sprintf("has %d bytes (allowed: at most %d)", len(value), limit))
	}
	if !utf8.ValidString(value) {
		return invalid(field, value, "must be valid UTF-8")
	}
	for i := 0; i < len(value); i++ {
		if value[i] < 0x20 || value[i] == 0x7f {
			return invalid(field, value, "must not hold control characters")
		}
	}
	return nil
}

// ValidateSlave checks a slave's description as AdmitSlave and its like do; nil means that they would take it.
func ValidateSlave(s *offer.Slave) *offer.Refusal {
	for _, f := range [...]struct {
		name, value string
		limit       int
	}{{"hostname", s.Hostname, maxName}, {"address", s.Address, maxText}, {"version", s.Version, maxName},
		{"domain.region", s.Domain.Region, maxName}, {"domain.zone", s.Domain.Zone, maxName}} {
		if bad := checkText(f.name, f.value, f.limit); bad != nil {
			return bad
		}
	}
	if err := s.Resources.Validate(resource.Limits{}); err != nil {
		return refuse(offer.ReasonInvalidField, "%v", err)
	}
	if len(s.Attributes) > maxAttributes {
		return refuse(offer.ReasonTooLarge, "attributes: %d are more than the allowed %d", len(s.Attributes), maxAttributes)
	}
	size := len(s.Hostname) + len(s.Address) + len(s.Version) + len(s.Resources.AppendKey(nil))
	for i := range s.Attributes {
		a := &s.Attributes[i]
		if bad := checkAttribute(a); bad != nil {
			return bad
		}
		size += len(a.Name) + len(a.Text) + 16*len(a.Ranges) + 8
	}
	if size > MaxRecordBytes {
		return refuse(offer.ReasonTooLarge, "slave: %d bytes are more than the allowed %d", size, MaxRecordBytes)
	}
	return nil
}

func checkAttribute(a *offer.Attribute) *offer.Refusal {
	if a.Name == "" {
		return invalid("attribute.name", "", "must not be empty")
	}
	if bad := checkText("attribute.name", a.Name, maxName); bad != nil {
		return bad
	}
	if bad := checkText("attribute "+a.Name, a.Text, maxText); bad != nil {
		return bad
	}
	if a.Scalar != nil && (a.Text != "" || a.Ranges != nil) || a.Text != "" && a.Ranges != nil {
		return invalid("attribute", a.Name, "must have one of text, scalar and ranges")
	}
	return nil
}

// ValidateFramework checks a framework's description as AdmitFramework and UpdateFramework do; nil means that they would take it.
func ValidateFramework(f *offer.Framework) *offer.Refusal {
	size := 0
	for _, t := range [...]struct {
		name, value string
		limit       int
	}{{"name", f.Name, maxText}, {"user", f.User, maxName}, {"principal", f.Principal, maxText}, {"hostname", f.Hostname, maxName},
		{"web url", f.WebURL, maxText}} {
		if bad := checkText(t.name, t.value, t.limit); bad != nil {
			return bad
		}
		size += len(t.value)
	}
	if f.FailoverTimeout < 0 {
		return invalid("failover timeout", f.FailoverTimeout.String(), "must not be negative")
	}
	if len(f.Roles) > maxListed || len(f.Labels) > maxLabels || len(f.MinAllocatable) > maxListed {
		return refuse(offer.ReasonTooLarge, "framework: %d roles, %d labels, %d minimums (allowed: at most %d each)", len(f.Roles), len(f.Labels),
			len(f.MinAllocatable), maxListed)
	}
	if bad := ValidateRoles(f.Roles); bad != nil {
		return bad
	}
	for _, r := range f.Roles {
		size += len(r)
	}
	for _, l := range f.Labels {
		if len(l.Key) > maxText || len(l.Value) > maxText {
			return invalid("label", l.Key, fmt.Sprintf("key and value must have at most %d bytes", maxText))
		}
		size += len(l.Key) + len(l.Value)
	}
	extra, bad := minAllocatableSize(f)
	if bad != nil {
		return bad
	}
	if err := offer.ValidateConstraints(f.Constraints, f.Roles); err != nil {
		return refuse(offer.ReasonInvalidField, "%v", err)
	}
	for _, r := range f.Roles {
		for _, g := range f.Constraints[r] {
			for i := range g {
				size += 8 + len(g[i].Attribute) + len(g[i].Value)
			}
		}
	}
	if size+extra > MaxRecordBytes {
		return refuse(offer.ReasonTooLarge, "framework: %d bytes are more than the allowed %d", size+extra, MaxRecordBytes)
	}
	return nil
}

// minAllocatableSize looks up the framework's own roles in order, so that no map order is involved; other roles may not be named.
func minAllocatableSize(f *offer.Framework) (size int, bad *offer.Refusal) {
	known := 0
	for _, role := range f.Roles {
		sets, ok := f.MinAllocatable[role]
		if !ok {
			continue
		}
		known++
		for _, q := range sets {
			if bad := checkQuantities("minimum allocatable of "+role, q); bad != nil {
				return 0, bad
			}
			size += 16 * len(q)
		}
	}
	if known != len(f.MinAllocatable) {
		return 0, refuse(offer.ReasonInvalidField, "minimum allocatable: names a role that is not among the framework's roles %q", f.Roles)
	}
	return size, nil
}

// ValidateRoles checks the names of roles and that none is listed twice.
func ValidateRoles(roles []string) *offer.Refusal {
	seen := make(map[string]bool, len(roles))
	for _, r := range roles {
		if err := resource.ValidateRole(r); err != nil {
			return refuse(offer.ReasonInvalidField, "%v", err)
		}
		if seen[r] {
			return invalid("role", r, "must not be listed twice")
		}
		seen[r] = true
	}
	return nil
}

func checkQuantities(field string, q resource.Quantities) *offer.Refusal {
	if len(q) > 64 {
		return refuse(offer.ReasonTooLarge, "%s: %d kinds are more than the allowed 64", field, len(q))
	}
	for i := range q {
		if err := resource.ValidateName(q[i].Name); err != nil {
			return refuse(offer.ReasonInvalidField, "%s: %v", field, err)
		}
		if q[i].Amount < 0 || q[i].Amount > resource.MaxScalar {
			return refuse(offer.ReasonInvalidField, "%s: %s must be between 0 and %v", field, q[i].Name, resource.MaxScalar)
		}
		if i > 0 && q[i-1].Name >= q[i].Name {
			return refuse(offer.ReasonInvalidField, "%s: names must be sorted and distinct", field)
		}
	}
	return nil
}
