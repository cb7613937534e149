package mastercore

import (
	"fmt"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// taskBytes estimates the size of a task's description on the wire.
func taskBytes(t *offer.Task) int {
	n := 128 + len(t.ID) + len(t.Name) + len(t.Function) + len(t.Data) + 64*len(t.Resources)
	for i := range t.Resources {
		n += 16*len(t.Resources[i].Ranges) + 16*len(t.Resources[i].Set)
	}
	for _, l := range t.Labels {
		n += len(l.Key) + len(l.Value) + 8
	}
	n += commandBytes(t.Command) + imageBytes(t.Image) + volumesBytes(t.Volumes)
	if c := t.Check; c != nil {
		n += 64 + len(c.Path) + commandBytes(c.Command)
	}
	if h := t.Health; h != nil {
		n += 80 + len(h.Path) + commandBytes(h.Command)
	}
	if t.Executor != nil {
		n += executorBytes(t.Executor)
	}
	return n
}

func executorBytes(e *offer.Executor) int {
	return 128 + len(e.ID) + len(e.Name) + len(e.Data) + commandBytes(e.Command) + imageBytes(e.Image) + volumesBytes(e.Volumes) + 64*len(e.Resources)
}

func operationBytes(op *offer.Operation) int {
	n := len(op.ID) + 64*len(op.Resources)
	for i := range op.Tasks {
		n += taskBytes(&op.Tasks[i])
	}
	if op.Executor != nil {
		n += executorBytes(op.Executor)
	}
	return n
}

func commandBytes(c *offer.Command) int {
	if c == nil {
		return 0
	}
	n := 32 + len(c.Value) + len(c.User)
	for _, a := range c.Arguments {
		n += len(a) + 5
	}
	for _, v := range c.Environment {
		n += len(v.Name) + len(v.Value) + 16
	}
	for _, u := range c.URIs {
		n += len(u.Value) + len(u.OutputFile) + 16
	}
	return n
}

func imageBytes(i *offer.Image) int {
	if i == nil {
		return 0
	}
	return len(i.Reference) + 8
}

func volumesBytes(volumes []offer.Volume) int {
	n := 0
	for i := range volumes {
		v := &volumes[i]
		n += 32 + len(v.ContainerPath) + len(v.HostPath) + len(v.SandboxPath) + len(v.Secret)
	}
	return n
}

// validateTask checks all of a task that does not depend on how much is left of the offer. Group is the operation of a group's member.
func (c *Core) validateTask(r *running, t *offer.Task, size int, group *offer.Operation) *offer.Refusal {
	invalid := func(format string, args ...any) *offer.Refusal {
		return offer.Refuse(offer.ReasonTaskInvalid, fmt.Sprintf(format, args...))
	}
	if err := offer.ValidateID("task id", string(t.ID)); err != nil {
		return invalid("%v", err)
	}
	switch {
	case size > c.cfg.MaxTaskBytes:
		return offer.Refuse(offer.ReasonTooLarge, fmt.Sprintf("the task has %d bytes (allowed: at most %d)", size, c.cfg.MaxTaskBytes))
	case len(t.Labels) > c.cfg.MaxLabels:
		return offer.Refuse(offer.ReasonTooLarge, fmt.Sprintf("%d labels (allowed: at most %d)", len(t.Labels), c.cfg.MaxLabels))
	case r.f.tasks.count >= c.cfg.MaxTasks:
		return offer.Refuse(offer.ReasonLimitReached, fmt.Sprintf("the framework has %d tasks, the most that is allowed", r.f.tasks.count))
	case t.SlaveID != "" && t.SlaveID != r.s.info.ID:
		return invalid("slave id %s: the offer is of slave %s", short(string(t.SlaveID)), r.s.info.ID)
	case c.tasks.find(r.n, t.ID) != 0:
		return offer.Refuse(offer.ReasonDuplicateID, "task id "+short(string(t.ID))+": is in use by a task that is not known to have ended")
	case len(t.Resources) == 0:
		return invalid("resources: must not be empty")
	case t.MaxCompletion < 0:
		return invalid("max completion %v: must not be negative", t.MaxCompletion)
	}
	if !t.Resources.Same(r.checked) {
		if err := t.Resources.Validate(resource.Limits{}); err != nil {
			return invalid("%v", err)
		}
		if err := mixesRevocable(t.Resources); err != "" {
			return invalid("%s", err)
		}
		r.checked = t.Resources
	}
	if err := limits(t); err != "" {
		return invalid("%s", err)
	}
	if err := offer.ValidateChecks(t); err != nil {
		return invalid("%v", err)
	}
	if err := offer.ValidateLease(t.Lease); err != nil {
		return invalid("%v", err)
	}
	if custom := t.Executor != nil || group != nil && group.Executor != nil && !group.Executor.Default; custom && t.Lease > 0 {
		return invalid("lease %v: a task of a custom executor cannot have one", t.Lease)
	} else if custom && t.Streams != nil {
		return invalid("streams: a task of a custom executor has the executor's")
	}
	if err := offer.ValidateStreams(t.Streams); err != nil {
		return invalid("%v", err)
	}
	if err := offer.ValidateHostname(t.Hostname); err != nil {
		return invalid("%v", err)
	}
	return c.validateKind(r, t, group)
}

// validateKind checks that a task is exactly one of a command, a function and work for an executor.
func (c *Core) validateKind(r *running, t *offer.Task, group *offer.Operation) *offer.Refusal {
	kinds := 0
	for _, set := range [...]bool{t.Command != nil, t.Function != "", t.Executor != nil} {
		if set {
			kinds++
		}
	}
	switch {
	case group == nil && kinds != 1:
		return offer.Refuse(offer.ReasonTaskInvalid, fmt.Sprintf("%d of command, function and executor are set (allowed: exactly one)", kinds))
	case group != nil && t.Executor != nil:
		return offer.Refuse(offer.ReasonTaskGroupInvalid, "a member of a group cannot have an executor of its own")
	case group != nil && (group.Executor == nil || group.Executor.Default) && kinds != 1:
		return offer.Refuse(offer.ReasonTaskGroupInvalid, fmt.Sprintf("%d of command and function are set (allowed: exactly one)", kinds))
	case group != nil && kinds > 1:
		return offer.Refuse(offer.ReasonTaskGroupInvalid, "both command and function are set (allowed: at most one)")
	case t.Command != nil && t.Command.Value == "" && len(t.Command.Arguments) == 0 && t.Image == nil: // an image says what it runs
		return offer.Refuse(offer.ReasonTaskInvalid, "command: must not be empty")
	case t.Executor != nil && t.Image != nil:
		return offer.Refuse(offer.ReasonTaskInvalid, "image: a task of an executor runs in the executor's")
	case (t.Executor != nil || group != nil && group.Executor != nil && !group.Executor.Default) && (t.Network != offer.NetworkHost || len(t.Volumes) > 0 || t.Hostname != ""):
		return offer.Refuse(offer.ReasonTaskInvalid, "network, volumes, hostname: a task of an executor has the executor's")
	case t.ShareCgroups && (group == nil || group.Executor != nil && !group.Executor.Default):
		return offer.Refuse(offer.ReasonTaskInvalid, "share cgroups: the task shares with nobody (allowed: a member of a group under the built-in executor)")
	}
	if err := fetched(t.Command, t.Image, t.Network, t.Volumes); err != nil {
		return offer.Refuse(offer.ReasonTaskInvalid, err.Error())
	}
	if t.Executor == nil {
		return nil
	}
	if t.Executor.Default {
		return offer.Refuse(offer.ReasonTaskInvalid, "executor: the built-in one runs groups only")
	}
	return c.validateExecutor(r, t.Executor)
}

func (c *Core) validateExecutor(r *running, e *offer.Executor) *offer.Refusal {
	invalid := func(format string, args ...any) *offer.Refusal {
		return offer.Refuse(offer.ReasonTaskInvalid, "executor: "+fmt.Sprintf(format, args...))
	}
	if err := offer.ValidateID("executor id", string(e.ID)); err != nil {
		return invalid("%v", err)
	}
	if err := e.Resources.Validate(resource.Limits{}); err != nil {
		return invalid("%v", err)
	}
	switch {
	case e.Default && e.Command != nil:
		return invalid("the built-in one has no command")
	case !e.Default && e.Command == nil:
		return invalid("command: must be set")
	case e.ShutdownGrace < 0:
		return invalid("shutdown grace %v: must not be negative", e.ShutdownGrace)
	case e.Default && e.EndWithLateTask:
		return invalid("end with late task: the built-in one ends each task by itself")
	}
	if err := offer.ValidateHostname(e.Hostname); err != nil {
		return invalid("%v", err)
	}
	if err := fetched(e.Command, e.Image, e.Network, e.Volumes); err != nil {
		return invalid("%v", err)
	}
	if have := r.s.executor(r.n, e.ID); have != nil && !have.resources.Equal(e.Resources) {
		return invalid("%s runs with %v, not %v", short(string(e.ID)), have.resources, e.Resources)
	}
	return nil
}

// fetched checks what the slave is to fetch for a command, which may be nil, and what it is to run in.
func fetched(c *offer.Command, i *offer.Image, n offer.Network, volumes []offer.Volume) error {
	if c != nil && len(c.URIs) > 0 {
		if err := offer.ValidateURIs(c.URIs); err != nil {
			return fmt.Errorf("command.%w", err)
		}
	}
	return offer.ValidateContainer(i, n, volumes)
}

func mixesRevocable(rs resource.Resources) string {
	for i := 1; i < len(rs); i++ {
		if rs[i].Name == rs[i-1].Name && rs[i].Revocable != rs[i-1].Revocable {
			return "resources: " + rs[i].Name + " is both revocable and not"
		}
	}
	return ""
}

func limits(t *offer.Task) string {
	for i, l := range t.Limits {
		switch {
		case l.Name != resource.CPUs && l.Name != resource.Mem:
			return "limit " + short(l.Name) + ": only cpus and mem can have one"
		case l.Amount != -1 && l.Amount < t.Resources.Scalar(l.Name):
			return fmt.Sprintf("limit %s: %v is below the request %v", l.Name, l.Amount, t.Resources.Scalar(l.Name))
		}
		for _, before := range t.Limits[:i] {
			if before.Name == l.Name {
				return "limit " + l.Name + ": is named twice"
			}
		}
	}
	return ""
}
