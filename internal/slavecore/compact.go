package slavecore

// Compact returns the shortest journal that replays to the state at hand, records of checkpoints that are under way included. A shell that
// replaces its journal by it answers those checkpoints as usual once the new journal is on disk.
func (c *Core) Compact() []Record {
	out := []Record{}
	if c.boot != "" {
		out = append(out, &Boot{ID: c.boot})
	}
	if c.slave.ID != "" {
		out = append(out, &Registered{Cluster: c.cluster, Slave: c.slave})
	}
	if c.reign != 0 {
		out = append(out, &Reign{Reign: c.reign})
	}
	for o := range c.operations.all {
		if h := o.stream.head(); h != nil {
			out = append(out, &Resources{Total: c.slave.Resources, Framework: o.framework, Status: h.value})
		}
	}
	if c.draining != nil {
		d := *c.draining
		out = append(out, &Draining{Config: &d})
	}
	for f := range c.frameworks.all {
		if f.info.NoCheckpoint {
			continue
		}
		for e := range f.executors.all {
			out = append(out, &ExecutorStarted{Framework: *f.info, Role: e.role, Executor: e.info, Container: e.container, Token: e.token})
		}
		for t := range f.tasks.all {
			if !t.bare {
				out = t.compact(out)
			}
		}
	}
	return out
}

func (t *task) compact(out []Record) []Record {
	l := &Launched{Framework: t.fw.info, Role: t.role, Task: t.info, Container: t.container, Group: t.groupID, At: t.at}
	if t.exec != nil {
		l.Executor = t.exec.info.ID
	}
	out = append(out, l)
	if t.last != nil {
		out = append(out, &Updated{Framework: t.fw.id, Status: t.last}, &Acked{Framework: t.fw.id, Task: t.info.ID, UUID: t.last.UUID})
	}
	for i := range t.stream.entries {
		out = append(out, &Updated{Framework: t.fw.id, Status: &t.stream.entries[i].value.Status})
	}
	if t.kill != nil && !t.state.Terminal() {
		out = append(out, &Killed{Framework: t.fw.id, Task: t.info.ID, Policy: exactPolicy(t.kill.grace), Reason: t.kill.reason})
	}
	return out
}
