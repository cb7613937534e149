package namespace

import (
	"context"
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/offer"
)

// An Isolator is the namespace isolator.
type Isolator struct{ cfg Config }

var (
	_ isolation.Isolator = (*Isolator)(nil)
	_ isolation.Enforcer = (*Isolator)(nil)
)

// New returns a namespace isolator. The error says in a line what is wrong with the configuration, or why there is none on this machine.
func New(cfg Config) (*Isolator, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := Detect(); err != nil {
		return nil, err
	}
	if cfg.ShmBytes == 0 {
		cfg.ShmBytes = 64 << 20
	}
	return &Isolator{cfg: cfg}, nil
}

// Name implements isolation.Isolator.
func (*Isolator) Name() string { return "namespace" }

// Enforces implements isolation.Enforcer.
func (*Isolator) Enforces() []isolation.Feature {
	return []isolation.Feature{isolation.FeatureRootfs, isolation.FeatureNetwork, isolation.FeatureVolumes, isolation.FeatureHostname}
}

// Prepare says what the container's namespaces are like. What it names is looked at again, and mounted, by the container's first process.
func (i *Isolator) Prepare(_ context.Context, spec *isolation.Spec, plan *isolation.Plan) error {
	plan.Namespaces = &isolation.Namespaces{Network: spec.Network == offer.NetworkNone, Sandbox: spec.Sandbox, ShmBytes: i.cfg.ShmBytes,
		Masked: masked, ReadOnly: readOnly, Hostname: spec.Hostname}
	sandbox := spec.Sandbox
	if spec.Image != nil {
		sandbox = isolation.SandboxPath
		move(plan, spec.Sandbox)
	}
	for n := range spec.Volumes {
		m, err := i.mount(spec, n)
		if err != nil {
			return err
		}
		plan.Mounts = append(plan.Mounts, m)
	}
	for n, m := range plan.Mounts {
		for _, before := range plan.Mounts[:n] {
			if a, b := inContainer(sandbox, before.Target), inContainer(sandbox, m.Target); a == b || below(a, b) || below(b, a) {
				return refuse(offer.ReasonInvalidField, "%s.containerPath %.80q: is, holds or lies in that of %s (allowed: a path apart from the others)",
					m.Field, m.Target, before.Field)
			}
		}
	}
	return nil
}

// move tells a container with a root folder of its own where its sandbox is.
func move(plan *isolation.Plan, from string) {
	if plan.Directory == from {
		plan.Directory = isolation.SandboxPath
	}
	for _, name := range []string{"MESOS_SANDBOX", "HOME", "TMPDIR"} {
		if plan.Getenv(name) == from {
			plan.Setenv(name, isolation.SandboxPath)
		}
	}
}

// mount is one of a container's volumes.
func (i *Isolator) mount(spec *isolation.Spec, n int) (isolation.Mount, error) {
	v := &spec.Volumes[n]
	m := isolation.Mount{Field: fmt.Sprintf("volumes[%d]", n), Target: v.ContainerPath, ReadOnly: v.ReadOnly}
	switch {
	case len(v.Secret) > 0:
		m.Secret, m.ReadOnly = v.Secret, true
	case v.SandboxPath != "":
		m.Source, m.Within, m.Make = filepath.Join(spec.Sandbox, v.SandboxPath), spec.Sandbox, true
	default:
		for _, allowed := range i.cfg.HostPaths {
			// The longest: a link in one that leads to another is still not followed.
			if (v.HostPath == allowed || below(allowed, v.HostPath)) && len(allowed) > len(m.Within) {
				m.Source, m.Within = v.HostPath, allowed
			}
		}
		if m.Within == "" {
			shown := "none"
			if len(i.cfg.HostPaths) > 0 {
				shown = "what is in " + strings.Join(i.cfg.HostPaths, ", ")
			}
			return m, refuse(offer.ReasonForbidden, "%s.hostPath %.80q: may not be seen by tasks of this slave (allowed: %s)", m.Field, v.HostPath, shown)
		}
		if err := exists(m); err != nil {
			return m, refuse(offer.ReasonInvalidField, "%s.hostPath %.80q: %v", m.Field, v.HostPath, err)
		}
	}
	return m, nil
}

func refuse(reason offer.Reason, format string, args ...any) error {
	return offer.Refuse(reason, fmt.Sprintf(format, args...))
}

// inContainer is where a mount's target is.
func inContainer(sandbox, target string) string {
	if path.IsAbs(target) {
		return target
	}
	return path.Join(sandbox, target)
}

// below reports whether a path lies in a folder.
func below(folder, path string) bool {
	return folder == "/" && path != "/" || strings.HasPrefix(path, folder+"/")
}

// Attach implements isolation.Isolator; the plan has done everything already.
func (*Isolator) Attach(context.Context, string, int) error { return nil }

// Cleanup implements isolation.Isolator; nothing outlives the container's processes.
func (*Isolator) Cleanup(context.Context, string) error { return nil }
