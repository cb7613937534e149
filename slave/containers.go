package slave

import (
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/meros-project/meros/internal/slavecore"
	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/offer"
)

// spec describes what a Start effect asks for.
func (s *Slave) spec(e *slavecore.Start) *isolation.Spec {
	spec := &isolation.Spec{Container: e.Container, Framework: e.Framework.ID, Role: e.Role, Resources: e.Resources, Limits: e.Limits,
		User: e.Framework.User, Tied: e.Framework.NoCheckpoint}
	if t := e.Task; t != nil {
		spec.Task, spec.Name = t.ID, t.Name
		spec.Command, spec.Function, spec.Data, spec.Limits, spec.Image = t.Command, t.Function, t.Data, t.Limits, t.Image
		spec.Network, spec.Volumes = t.Network, t.Volumes
		spec.Streams, spec.Hostname = t.Streams, t.Hostname
		if e.Group != "" {
			spec.Group = &isolation.Group{ID: e.Group, Resources: e.Beside, Shared: t.ShareCgroups}
		}
		spec.Sandbox = s.sandbox(e.Framework.ID, "tasks", string(t.ID))
		if spec.Lease = t.Lease; t.Lease > 0 {
			spec.LeaseUntil = s.leases.until(e.Renewal, t.Lease)
		}
	}
	if x := e.Executor; x != nil {
		spec.Executor, spec.Name, spec.Command, spec.Image = x.ID, x.Name, x.Command, x.Image
		spec.Network, spec.Volumes, spec.Hostname = x.Network, x.Volumes, x.Hostname
		spec.Sandbox = s.sandbox(e.Framework.ID, "executors", string(x.ID))
	}
	if spec.Command != nil && spec.Command.User != "" {
		spec.User = spec.Command.User
	}
	spec.Environment = s.environment(e, spec.Sandbox)
	s.live.started(spec)
	return spec
}

// environment is what tasks and executors are told about themselves. The names that begin with MESOS_ are those that programs written
// for Mesos look for.
func (s *Slave) environment(e *slavecore.Start, sandbox string) []offer.Variable {
	most := 8
	if e.Executor != nil {
		most = 13
	}
	env := make([]offer.Variable, 0, most)
	env = append(env, []offer.Variable{
		{Name: "MEROS_CONTAINER_ID", Value: e.Container},
		{Name: "MESOS_CONTAINER_ID", Value: e.Container},
		{Name: "MESOS_FRAMEWORK_ID", Value: string(e.Framework.ID)},
		{Name: "MESOS_SLAVE_ID", Value: string(s.core.SlaveID())},
		{Name: "MESOS_SANDBOX", Value: sandbox},
		{Name: "MESOS_DIRECTORY", Value: sandbox},
		{Name: "MESOS_ALLOCATION_ROLE", Value: e.Role},
	}...)
	if e.Task != nil {
		env = append(env, offer.Variable{Name: "MESOS_TASK_ID", Value: string(e.Task.ID)})
	}
	if x := e.Executor; x != nil {
		checkpoint := "1"
		if e.Framework.NoCheckpoint {
			checkpoint = "0"
		}
		grace := x.ShutdownGrace
		if grace == 0 {
			grace = s.cfg.ExecutorShutdownGrace
		}
		if grace == 0 {
			grace = 5 * time.Second
		}
		env = append(env,
			offer.Variable{Name: "MESOS_EXECUTOR_ID", Value: string(x.ID)},
			offer.Variable{Name: "MESOS_CHECKPOINT", Value: checkpoint},
			offer.Variable{Name: "MESOS_EXECUTOR_SHUTDOWN_GRACE_PERIOD", Value: grace.String()},
			offer.Variable{Name: "MEROS_EXECUTOR_SOCKET", Value: s.executors.seenBy(x)},
			offer.Variable{Name: "MEROS_EXECUTOR_TOKEN", Value: e.Token})
	}
	return env
}

const sep = string(filepath.Separator)

// sandboxRoot is where the sandboxes of this slave's frameworks are, once it has an id. Of the loop.
type sandboxRoot struct {
	of   offer.SlaveID
	root string
}

// sandbox is where the sandbox of a task or an executor is. The ids were validated by the core: each is one path element.
func (s *Slave) sandbox(framework offer.FrameworkID, kind, id string) string {
	if slave := s.core.SlaveID(); slave != s.sandboxes.of {
		s.sandboxes.of, s.sandboxes.root = slave, filepath.Join(s.folder.dir, "slaves", string(slave), "frameworks")
	}
	return s.sandboxes.root + sep + string(framework) + sep + kind + sep + id
}

// liveContainers knows which containers there are, and so which sandboxes are in use.
type liveContainers struct {
	mu    sync.Mutex
	specs map[string]*isolation.Spec // by container; of adopted ones only what says whose they are, and the sandbox
}

func (l *liveContainers) init() { l.specs = map[string]*isolation.Spec{} }

func (l *liveContainers) started(spec *isolation.Spec) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.specs[spec.Container] = spec
}

func (s *Slave) adopted(e *slavecore.Adopt) {
	kind, id := "tasks", string(e.Task)
	if e.Executor != "" {
		kind, id = "executors", string(e.Executor)
	}
	s.live.started(&isolation.Spec{Container: e.Container, Framework: e.Framework, Task: e.Task, Executor: e.Executor,
		Sandbox: s.sandbox(e.Framework, kind, id)})
}

// of is the sandbox that a container uses, empty if it uses none.
func (l *liveContainers) of(container string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if spec := l.specs[container]; spec != nil {
		return spec.Sandbox
	}
	return ""
}

// ended says that a container does not use its sandbox any more.
func (l *liveContainers) ended(container string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.specs, container)
}

// all are the containers of now, sorted by id, or the one that is named.
func (l *liveContainers) all(container string) []*isolation.Spec {
	l.mu.Lock()
	out := make([]*isolation.Spec, 0, len(l.specs))
	for id, spec := range l.specs {
		if container == "" || id == container {
			out = append(out, spec)
		}
	}
	l.mu.Unlock()
	slices.SortFunc(out, func(a, b *isolation.Spec) int { return strings.Compare(a.Container, b.Container) })
	return out
}

// inUse are the sandboxes that containers use now.
func (l *liveContainers) inUse() map[string]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make(map[string]bool, len(l.specs))
	for _, spec := range l.specs {
		out[spec.Sandbox] = true
	}
	return out
}

// unlessInUse calls f, which must be quick, while no container can begin to use the sandbox; it reports whether it did.
func (l *liveContainers) unlessInUse(sandbox string, f func() error) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, spec := range l.specs {
		if spec.Sandbox == sandbox {
			return false, nil
		}
	}
	return true, f()
}
