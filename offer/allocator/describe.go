package allocator

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/meros-project/meros/offer/resource"
)

// Describe prints the state as aligned tables, sorted by name: the roles with their shares and quotas, the frameworks in their roles, the
// slaves, planned maintenance and who was asked because of it, and the filters. Shares are percentages of the cluster, before weights.
func (a *Hierarchical) Describe() string {
	var b strings.Builder
	table(&b, "role\tweight\tshare\tcount\tconsumed\tguarantee\tlimit", func(row func(string, ...any)) {
		for _, r := range a.rolesByName() {
			row("%s\t%s\t%s\t%d\t%s\t%s\t%s", r.name, resource.Scalar(r.weight), percent(a.share(r.held)), r.count,
				a.print(r.consumed), a.print(r.guarantee), a.printLimit(r.limit))
		}
	})
	table(&b, "framework\trole\tstate\tshare\tcount\tholds", func(row func(string, ...any)) {
		for _, c := range a.clientsByName() {
			row("%s\t%s\t%s\t%s\t%d\t%s", c.framework.id, c.role.name, c.state(), percent(a.share(c.held)), c.count, a.print(c.held))
		}
	})
	table(&b, "slave\tstate\ttotal\tfree", func(row func(string, ...any)) {
		for _, s := range a.slavesByID() {
			state := "active"
			switch {
			case !s.on:
				state = "inactive"
			case !s.active:
				state = "unlisted"
			}
			if s.over {
				state += ",over"
			}
			row("%s\t%s\t%s\t%s", s.id, state, dash(a.value(s.total).String()), dash(a.value(s.free).String()))
		}
	})
	if len(a.maintained.slaves) > 0 {
		table(&b, "away\tin\tfor\tframework\tanswer", func(row func(string, ...any)) {
			now := a.clock.time(a.clock.last)
			for _, s := range a.maintained.slaves {
				plan := s.maintenance.plan
				if len(s.maintenance.asked) == 0 {
					row("%s\t%s\t%s\t-\t-", s.id, plan.Start.Sub(now), plan.Duration)
				}
				for i := range s.maintenance.asked {
					q := &s.maintenance.asked[i]
					row("%s\t%s\t%s\t%s\t%s", s.id, plan.Start.Sub(now), plan.Duration, q.framework.id, q.answer())
				}
			}
		})
	}
	if a.filters.live > 0 {
		table(&b, "filter on\tframework\trole\tfor\trefused", func(row func(string, ...any)) {
			for _, s := range a.slavesByID() {
				for _, c := range a.clientsByName() {
					from, to := a.pairs(s, c.handle)
					for _, p := range a.words.words(s.filters)[from:to] {
						f := a.filters.slab.at(pair(p).id())
						row("%s\t%s\t%s\t%s\t%s", s.id, c.framework.id, c.role.name, a.clock.time(f.expiry).Sub(a.clock.time(a.clock.last)),
							a.value(f.refused))
					}
				}
			}
		})
	}
	return b.String()
}

func (q *asked) answer() string {
	switch {
	case q.outstanding:
		return "none yet"
	case q.accepted:
		return "accepted"
	}
	return "declined"
}

// table writes aligned columns without spaces at the ends of lines.
func table(b *strings.Builder, head string, fill func(row func(string, ...any))) {
	var raw strings.Builder
	w := tabwriter.NewWriter(&raw, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, head)
	fill(func(format string, args ...any) { fmt.Fprintf(w, format+"\n", args...) })
	w.Flush()
	for line := range strings.Lines(raw.String()) {
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
}

func (c *client) state() string {
	switch {
	case !c.framework.known:
		return "unknown"
	case !c.framework.active:
		return "inactive"
	case !c.subscribed:
		return "unsubscribed"
	case c.suppressed:
		return "suppressed"
	case len(c.needs) > 0:
		return "requesting"
	}
	return "active"
}

func percent(share uint64) string {
	const scale = 100_00
	p := mulDiv(share, scale, 1<<shareBits)
	return fmt.Sprintf("%d.%02d%%", p/100, p%100)
}

// print writes the amounts above zero in the text form; "-" for none.
func (a *Hierarchical) print(v vec) string { return a.printAbove(v, 0) }

// printLimit is print for limits, which may be zero.
func (a *Hierarchical) printLimit(v vec) string { return a.printAbove(v, noLimit) }

func (a *Hierarchical) printAbove(v vec, floor int64) string {
	var parts []string
	for k, x := range v {
		if x > floor {
			parts = append(parts, a.kinds.names[k]+":"+resource.Scalar(x).String())
		}
	}
	return dash(strings.Join(parts, ";"))
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
