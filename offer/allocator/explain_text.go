package allocator

import (
	"fmt"
	"strings"
)

// String says it in sentences, one line for each finding.
func (e Explanation) String() string {
	var b strings.Builder
	for i := range e.Findings {
		fmt.Fprintf(&b, "%s %s\n", e.Framework, e.Findings[i].sentence(e.Slaves))
	}
	if e.More > 0 {
		fmt.Fprintf(&b, "and %d causes more; ask for one role and one slave\n", e.More)
	}
	if e.Unseen > 0 {
		fmt.Fprintf(&b, "%d pairs of a role and a slave were not looked at; ask for one role or one slave\n", e.Unseen)
	}
	return b.String()
}

// String says it in a sentence.
func (f Finding) String() string { return f.sentence(0) }

// sentence says where of so many slaves, why, and what would change it.
func (f *Finding) sentence(of int) string {
	var b strings.Builder
	if f.Role != "" {
		fmt.Fprintf(&b, "in %s ", f.Role)
	}
	switch {
	case f.Slave == "":
	case f.Slaves == 1:
		fmt.Fprintf(&b, "on %s", f.Slave)
	case of > 1:
		fmt.Fprintf(&b, "on %d of %d slaves", f.Slaves, of)
	default:
		fmt.Fprintf(&b, "on %d slaves", f.Slaves)
	}
	if f.Slaves > 1 && len(f.Examples) > 0 {
		names := make([]string, len(f.Examples))
		for i, id := range f.Examples {
			names[i] = string(id)
		}
		rest := ""
		if f.Slaves > len(names) {
			rest = ", ..."
		}
		fmt.Fprintf(&b, " (%s%s)", strings.Join(names, ", "), rest)
	}
	head := strings.TrimSpace(b.String())
	b.Reset()
	if head != "" {
		b.WriteString(head + ": ")
	}
	b.WriteString(f.why())
	if f.Slaves > 1 && f.Slave != "" && f.varies() {
		fmt.Fprintf(&b, " (nearest is %s)", f.Slave)
	}
	if change := f.Change.String(); change != "" {
		b.WriteString(": " + change)
	}
	return b.String()
}

// varies reports whether slaves with the same cause differ in its numbers.
func (f *Finding) varies() bool {
	switch f.Cause {
	case Constrained, Filtered, OverLimit, KeptBack, BelowMinimum, NotNeeded, OthersTurn, Holding, Reserved, Hidden, NextRun:
		return true
	}
	return false
}

// why says the cause.
func (f *Finding) why() string {
	switch f.Cause {
	case NotSubscribed:
		return "is not subscribed to the role"
	case Inactive:
		return "is not connected"
	case SuppressedRole:
		return "has suppressed its offers"
	case TooManyOffers:
		return fmt.Sprintf("has %s of at most %s offers outstanding", f.Want, f.Have)
	case NoSlaves:
		return "no slave is registered"
	case SlaveInactive:
		return "the slave takes no part in offers: it is draining, deactivated or not connected"
	case NotListed:
		return fmt.Sprintf("host %q is not on the whitelist", f.Of)
	case Constrained:
		return f.whyConstrained()
	case NotCompared:
		return "the constraints have not been compared with it yet"
	case ScarceKind:
		return fmt.Sprintf("the slave has %s, which is scarce and not asked for", f.Of)
	case Remote:
		return fmt.Sprintf("the slave is in another region, %s", f.Of)
	case Reserved:
		return fmt.Sprintf("%s is reserved to role %s", f.Resources, f.Of)
	case Hidden:
		return fmt.Sprintf("%s is only for frameworks with %s", f.Resources, capabilityName(f.Capability))
	case Filtered:
		return fmt.Sprintf("has refused %s for another %s", f.Resources, f.Wait)
	}
	return f.whyNotEnough()
}

// whyNotEnough says causes that come of amounts.
func (f *Finding) whyNotEnough() string {
	switch f.Cause {
	case OverLimit:
		return fmt.Sprintf("the limit of role %s is %s %s; %s consumed, %s left, %s needed", f.Of, f.Limit, f.Name, f.Consumed, f.Have, f.Want)
	case KeptBack:
		names := make([]string, len(f.Promises))
		for i, p := range f.Promises {
			names[i] = fmt.Sprintf("%s (%s, %s consumed)", p.Role, p.Guarantee, p.Consumed)
		}
		return fmt.Sprintf("%s is kept for the guarantees of %s; %s left, %s needed", f.Name, strings.Join(names, ", "), f.Have, f.Want)
	case BelowMinimum:
		if f.Name == "" {
			return "the slave has nothing free"
		}
		return fmt.Sprintf("%s of %s %s free, and %s is the least worth an offer", f.Have, f.Total, f.Name, f.Set)
	case NotNeeded:
		return fmt.Sprintf("%s of %s %s free, and it needs %s", f.Have, f.Total, f.Name, f.Set)
	case OthersTurn:
		return f.Rival.String()
	case Holding:
		if f.Offers > 0 {
			return fmt.Sprintf("is offered %s", f.Resources)
		}
		return fmt.Sprintf("holds %s, offered or used", f.Resources)
	case NextRun:
		return fmt.Sprintf("will be offered %s in the next run", f.Resources)
	}
	return f.Cause.String()
}

func (f *Finding) whyConstrained() string {
	if f.Miss == nil {
		return "the slave does not meet the constraints"
	}
	value := "has none"
	if !f.Miss.Missing {
		value = fmt.Sprintf("has %q", f.Miss.Value)
	}
	more := ""
	if f.Miss.Failed > 1 {
		more = fmt.Sprintf(" (and %d more)", f.Miss.Failed-1)
	}
	return fmt.Sprintf("alternative %d of the constraints comes nearest: %s fails%s, the slave %s", f.Miss.Group+1, f.Miss.Constraint, more, value)
}

// String compares the two.
func (r *Rival) String() string {
	who := fmt.Sprintf("%s in %s", r.Framework, r.Role)
	if len(r.Resources) > 0 {
		who += fmt.Sprintf(" holds %s", r.Resources)
		if r.Later {
			who += ", and comes later now"
		} else {
			who += ", and comes first"
		}
	} else {
		who += " comes first"
	}
	level := ""
	if r.Level != "" {
		level = " below " + r.Level
	}
	switch {
	case r.guaranteed:
		return who + ": its guarantee is not met"
	case r.random:
		return fmt.Sprintf("%s: %s and %s%s draw their order for each slave", who, r.Mine, r.Its, level)
	}
	equal := ""
	if r.ItsShare == r.MyShare {
		equal = ", and equals go by the number of offers so far, then by arrival or name"
	}
	return fmt.Sprintf("%s: %s has a weighted share of %s, %s%s of %s%s", who, r.Its, ofMillion(r.ItsShare), r.Mine, level, ofMillion(r.MyShare), equal)
}

// ofMillion prints millionths as a percentage.
func ofMillion(m int64) string {
	m = m/100 + m%100/50
	return fmt.Sprintf("%d.%02d%%", m/100, m%100)
}
