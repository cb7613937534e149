package frameworkcore

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Describe prints the state as sorted, aligned tables, for scenarios and for operators.
func (c *Core) Describe() string {
	var b strings.Builder
	link := "disconnected"
	switch {
	case c.ended:
		link = "ended"
	case c.subscribed:
		link = fmt.Sprintf("subscribed conn=%d", c.conn)
	case c.linked:
		link = fmt.Sprintf("subscribing conn=%d attempts=%d", c.conn, c.attempts)
	}
	fmt.Fprintf(&b, "framework %s cluster=%s reign=%d %s\n", dash(string(c.framework.ID)), dash(string(c.cluster)), c.reign, link)
	if len(c.suppress.roles) > 0 {
		fmt.Fprintf(&b, "suppressed %s\n", strings.Join(c.suppress.roles, ","))
	}
	fmt.Fprintf(&b, "deliveries outstanding=%d queued=%d  calls waiting=%d  reconciling=%d\n", len(c.deliver.outstanding), len(c.deliver.queue),
		len(c.calls), len(c.reconcile.waiting))
	var rows [][]string
	for _, id := range slices.Sorted(maps.Keys(c.offers)) {
		rows = append(rows, []string{string(id), string(c.offers[id])})
	}
	table(&b, []string{"offer", "slave"}, rows)
	rows = nil
	for _, id := range c.sortedTasks() {
		t := c.tasks[id]
		note := ""
		if t.kill != nil {
			note = "kill"
		}
		rows = append(rows, []string{string(id), dash(string(t.slave)), t.state.String(), note})
	}
	table(&b, []string{"task", "slave", "state", ""}, rows)
	return b.String()
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// table prints rows in aligned columns, and nothing if there are none.
func table(b *strings.Builder, head []string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	widths := make([]int, len(head))
	rows = append([][]string{head}, rows...)
	for _, r := range rows {
		for i, s := range r {
			widths[i] = max(widths[i], len(s))
		}
	}
	for _, r := range rows {
		var line strings.Builder
		for i, s := range r {
			line.WriteString(s)
			line.WriteString(strings.Repeat(" ", widths[i]-len(s)+2))
		}
		b.WriteString(strings.TrimRight(line.String(), " "))
		b.WriteByte('\n')
	}
}
