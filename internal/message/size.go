package message

import (
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// The sizes below are estimates of the encoded length in bytes, for cutting what is long into parts. They are generous: a part may be
// smaller than it could be, never larger than a frame.

// SizeOfResources estimates resources.
func SizeOfResources(rs resource.Resources) int {
	n := 8
	for i := range rs {
		r := &rs[i]
		n += 96 + len(r.Name) + 24*len(r.Ranges)
		for _, s := range r.Set {
			n += 8 + len(s)
		}
		for _, v := range r.Reservations {
			n += 32 + len(v.Role) + len(v.Principal)
			for _, l := range v.Labels {
				n += 16 + len(l.Key) + len(l.Value)
			}
		}
		if v := r.Volume; v != nil {
			n += 32 + len(v.ID) + len(v.ContainerPath) + len(v.Principal)
		}
	}
	return n
}

func sizeOfLabels(ls []resource.Label) int {
	n := 8
	for _, l := range ls {
		n += 16 + len(l.Key) + len(l.Value)
	}
	return n
}

func sizeOfCommand(cmd *offer.Command) int {
	if cmd == nil {
		return 8
	}
	n := 64 + len(cmd.Value) + len(cmd.User)
	for _, a := range cmd.Arguments {
		n += 8 + len(a)
	}
	for _, v := range cmd.Environment {
		n += 24 + len(v.Name) + len(v.Value)
	}
	for _, u := range cmd.URIs {
		n += 48 + len(u.Value) + len(u.OutputFile)
	}
	return n
}

func sizeOfVolumes(volumes []offer.Volume) int {
	n := 0
	for i := range volumes {
		v := &volumes[i]
		n += 96 + len(v.ContainerPath) + len(v.HostPath) + len(v.SandboxPath) + len(v.Secret)
	}
	return n
}

func sizeOfImage(i *offer.Image) int {
	if i == nil {
		return 0
	}
	return 24 + len(i.Reference)
}

// SizeOfExecutor estimates an executor, which may be nil.
func SizeOfExecutor(e *offer.Executor) int {
	if e == nil {
		return 8
	}
	return 128 + len(e.ID) + len(e.Name) + len(e.Data) + sizeOfCommand(e.Command) + SizeOfResources(e.Resources) + sizeOfLabels(e.Labels) +
		sizeOfImage(e.Image) + sizeOfVolumes(e.Volumes)
}

// SizeOfTask estimates a task.
func SizeOfTask(t *offer.Task) int {
	return 256 + len(t.ID) + len(t.Name) + len(t.SlaveID) + len(t.Function) + len(t.Data) + 32*len(t.Limits) +
		SizeOfResources(t.Resources) + sizeOfCommand(t.Command) + SizeOfExecutor(t.Executor) + sizeOfLabels(t.Labels) + sizeOfImage(t.Image) +
		sizeOfChecks(t) + sizeOfVolumes(t.Volumes)
}

func sizeOfChecks(t *offer.Task) int {
	n := 0
	if c := t.Check; c != nil {
		n += 96 + len(c.Path) + len(c.Scheme) + sizeOfCommand(c.Command)
	}
	if h := t.Health; h != nil {
		n += 128 + len(h.Path) + len(h.Scheme) + sizeOfCommand(h.Command)
	}
	return n
}

// SizeOfStatus estimates a status.
func SizeOfStatus(s *offer.Status) int {
	n := 192 + len(s.TaskID) + len(s.SlaveID) + len(s.ExecutorID) + len(s.Message) + len(s.Data) + SizeOfResources(s.Limitation)
	if s.Check != nil {
		n += 48
	}
	if s.Container != nil {
		n += 64 + len(s.Container.ID) + len(s.Container.Sandbox)
	}
	return n
}

// SizeOfSlave estimates a slave.
func SizeOfSlave(s *offer.Slave) int {
	n := 256 + len(s.ID) + len(s.Hostname) + len(s.Address) + SizeOfResources(s.Resources)
	for i := range s.Attributes {
		n += 64 + len(s.Attributes[i].Name) + len(s.Attributes[i].Text) + 24*len(s.Attributes[i].Ranges)
	}
	return n
}
