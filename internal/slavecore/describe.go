package slavecore

import (
	"fmt"
	"strings"
	"time"

	"github.com/meros-project/meros/internal/describe"
	"github.com/meros-project/meros/offer"
)

// Describe prints the state as sorted, aligned tables, for scenarios and for operators.
func (c *Core) Describe() string {
	var b strings.Builder
	r := &c.registration
	link := "disconnected"
	switch {
	case c.stopped:
		link = "stopped"
	case r.registered:
		link = fmt.Sprintf("registered conn=%d", r.conn)
	case r.linked:
		link = fmt.Sprintf("registering conn=%d attempts=%d", r.conn, r.attempts)
	}
	fmt.Fprintf(&b, "slave %s cluster=%s reign=%d %s\n", describe.Dash(string(c.slave.ID)), describe.Dash(string(c.cluster)), c.reign, link)
	fmt.Fprintf(&b, "total %s\n", c.slave.Resources.String())
	if d := c.draining; d != nil {
		fmt.Fprintf(&b, "draining max-grace=%v mark-gone=%v\n", d.MaxGrace, d.MarkGone)
	}
	if c.stop != nil {
		fmt.Fprintf(&b, "stopping leave=%v\n", c.stop.leave)
	}
	var rows [][]string
	for f := range c.frameworks.all {
		for e := range f.executors.all {
			rows = append(rows, []string{string(f.id), string(e.info.ID), execPhaseNames[e.phase], fmt.Sprintf("conn=%d tasks=%d queued=%d", e.conn,
				e.tasks.len(), len(e.queue))})
		}
	}
	describe.Table(&b, []string{"framework", "executor", "phase", ""}, rows)
	rows = nil
	for f := range c.frameworks.all {
		for t := range f.tasks.all {
			rows = append(rows, []string{string(f.id), string(t.info.ID), phaseNames[t.phase], t.state.String(), c.describeStream(t), describeTask(t)})
		}
	}
	describe.Table(&b, []string{"framework", "task", "phase", "state", "updates", ""}, rows)
	rows = nil
	for o := range c.operations.all {
		if h := o.stream.head(); h != nil {
			rows = append(rows, []string{string(o.framework), describe.Dash(string(h.value.ID)), h.value.State.String(), fmt.Sprint(h.durable)})
		}
	}
	describe.Table(&b, []string{"framework", "operation", "state", "on-disk"}, rows)
	return b.String()
}

func (c *Core) describeStream(t *task) string {
	if len(t.stream.entries) == 0 {
		return "-"
	}
	var parts []string
	for i := range t.stream.entries {
		e := &t.stream.entries[i]
		s := strings.TrimPrefix(e.value.State.String(), "TASK_")
		if !e.durable {
			s += "(unwritten)"
		}
		if i == 0 && t.stream.tries > 0 {
			s += fmt.Sprintf("(sent %d)", t.stream.tries)
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, ",")
}

func describeTask(t *task) string {
	var parts []string
	if t.exec != nil {
		parts = append(parts, "executor="+string(t.exec.info.ID))
	}
	if t.groupID != 0 {
		parts = append(parts, fmt.Sprintf("group=%d", t.groupID))
	}
	if t.kill != nil && !t.state.Terminal() {
		parts = append(parts, "kill="+t.kill.at.Format(time.TimeOnly))
		if t.kill.reason != offer.ReasonNone {
			parts = append(parts, t.kill.reason.String())
		}
	}
	if k := t.checks; k != nil && k.told.known {
		parts = append(parts, fmt.Sprintf("healthy=%v", k.told.healthy))
	}
	if k := t.checks; k != nil && k.told.result.Known {
		parts = append(parts, "check="+strings.ReplaceAll(k.told.result.String(), " ", "-"))
	}
	if t.bare {
		parts = append(parts, "answer")
	}
	return strings.Join(parts, " ")
}
