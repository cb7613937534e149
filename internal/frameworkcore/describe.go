package frameworkcore

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/meros-project/meros/internal/describe"
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
	fmt.Fprintf(&b, "framework %s cluster=%s reign=%d %s\n", describe.Dash(string(c.framework.ID)), describe.Dash(string(c.cluster)), c.reign, link)
	if c.ending.asked && !c.ended {
		b.WriteString("teardown under way\n")
	}
	if len(c.suppress.roles) > 0 {
		fmt.Fprintf(&b, "suppressed %s\n", strings.Join(c.suppress.roles, ","))
	}
	fmt.Fprintf(&b, "deliveries outstanding=%d queued=%d  calls waiting=%d  reconciling=%d\n", c.deliver.open, c.deliver.queue.len(),
		len(c.calls), len(c.reconcile.waiting))
	var rows [][]string
	for _, id := range slices.Sorted(maps.Keys(c.offers)) {
		rows = append(rows, []string{string(id), string(c.offers[id])})
	}
	describe.Table(&b, []string{"offer", "slave"}, rows)
	rows = nil
	for _, id := range c.sortedTasks() {
		t := c.tasks[id]
		note := ""
		if t.kill != nil {
			note = "kill"
		}
		rows = append(rows, []string{string(id), describe.Dash(string(t.slave)), t.state.String(), note})
	}
	describe.Table(&b, []string{"task", "slave", "state", ""}, rows)
	return b.String()
}
