package mastercore

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"
)

// Describe prints the core as aligned tables, sorted, for scenarios and for operators.
func (c *Core) Describe() string { return c.View().Describe() }

// Describe prints the view as aligned tables, sorted.
func (v *View) Describe() string {
	var b strings.Builder
	s := v.Summary()
	fmt.Fprintf(&b, "master %s of cluster %s, reign %d: %d slaves (%d not back, %d silent), %d frameworks away, %d offers", orNone(s.Master),
		orNone(string(s.Cluster)), s.Reign, s.Admitted, s.Recovering, s.Silent, s.Away, s.Offers)
	if s.QuotaHeld {
		b.WriteString(", quota held")
	}
	if s.Brake {
		b.WriteString(", brake on")
	}
	b.WriteByte('\n')
	table := func(header string, rows func(row func(cells ...any))) {
		w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		first := true
		rows(func(cells ...any) {
			if first {
				fmt.Fprintln(w, header)
				first = false
			}
			for i, cell := range cells {
				if i > 0 {
					fmt.Fprint(w, "\t")
				}
				fmt.Fprint(w, cell)
			}
			fmt.Fprintln(w)
		})
		w.Flush()
	}
	table("slave\thost\tstate\ttasks\ttotal\tused\toffered", func(row func(...any)) {
		for s := range v.Slaves() {
			row(s.ID, s.Hostname, slaveWords(s), s.Tasks, orNone(s.Resources.String()), orNone(s.Used.String()), orNone(s.Offered.String()))
		}
	})
	table("framework\tname\tstate\troles\ttasks\tended", func(row func(...any)) {
		for f := range v.Frameworks() {
			row(f.ID, orNone(f.Name), frameworkWords(f), strings.Join(f.Roles, ","), f.Tasks, f.Ended)
		}
	})
	table("offer\tframework\tslave\trole\tresources", func(row func(...any)) {
		for o := range v.Offers() {
			row(o.ID, o.FrameworkID, o.SlaveID, o.Role, o.Resources)
		}
	})
	table("task\tframework\tslave\trole\tstate\tlatest\tresources", func(row func(...any)) {
		for t := range v.Tasks() {
			row(t.ID, t.Framework, t.Slave, t.Role, t.State, t.Latest, t.Resources)
		}
	})
	table("remnant\tframework\tslave\trole\tresources", func(row func(...any)) {
		for s := range v.Slaves() {
			for _, r := range s.Remnants {
				row(string(r.Task)+string(r.Executor), r.Framework, s.ID, r.Role, orNone(r.Resources.String()))
			}
		}
	})
	table("role\tweight\tguarantee\tlimit", func(row func(...any)) {
		for r := range v.Roles() {
			row(r.Role, r.Weight, orNone(r.Guarantee.String()), orNone(r.Limit.String()))
		}
	})
	return b.String()
}

func orNone(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func slaveWords(s Slave) string {
	words := string(s.State)
	if s.Drain != nil && s.State != SlaveGone {
		if s.Drained {
			words += " drained"
		} else {
			words += " draining"
		}
	} else if !s.Active && s.State != SlaveGone {
		words += " inactive"
	}
	return words
}

func frameworkWords(f Framework) string {
	switch {
	case f.Completed:
		return "removed"
	case f.Connected:
		return "connected"
	}
	return "away, " + f.Remaining.Round(time.Millisecond).String() + " left"
}
