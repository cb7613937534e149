package process

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"strconv"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/offer"
)

// DefaultPath is the PATH that tasks get.
const DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Config is the configuration of the process isolator.
type Config struct {
	// User is whom a task runs as when neither it nor its framework names a user. It counts only where the slave runs as root;
	// elsewhere tasks run as the slave's user. Defaults to "nobody".
	User string
	// AllowRoot lets tasks run as user 0 when they, or User, ask for it. Defaults to false.
	AllowRoot bool
	// Path is the PATH that tasks get. Defaults to DefaultPath.
	Path string
	// OpenFiles is the limit of open descriptors, lowered where the slave's own hard limit is below. Defaults to 65,536.
	OpenFiles uint64
	// AllowPrivileges leaves out the ban on gaining privileges, for tasks that need setuid programs such as sudo. Defaults to false.
	AllowPrivileges bool
}

// An Isolator is the process isolator.
type Isolator struct{ cfg Config }

var _ isolation.Isolator = (*Isolator)(nil)

// New returns a process isolator.
func New(cfg Config) *Isolator {
	if cfg.User == "" {
		cfg.User = "nobody"
	}
	if cfg.Path == "" {
		cfg.Path = DefaultPath
	}
	if cfg.OpenFiles == 0 {
		cfg.OpenFiles = 65536
	}
	return &Isolator{cfg: cfg}
}

// Name implements isolation.Isolator.
func (*Isolator) Name() string { return "process" }

// Prepare fills in the plan and hands the sandbox to the task's user.
func (p *Isolator) Prepare(_ context.Context, spec *isolation.Spec, plan *isolation.Plan) error {
	u, err := p.user(spec)
	if err != nil {
		return err
	}
	if err := p.arguments(spec, plan); err != nil {
		return err
	}
	p.environment(spec, plan, u)
	plan.Directory = spec.Sandbox
	plan.Umask = 0o022
	plan.NoNewPrivileges = !p.cfg.AllowPrivileges
	plan.Rlimits = append(plan.Rlimits,
		isolation.Rlimit{Name: "core", Soft: 0, Hard: isolation.RlimitInfinity, AtMost: true},
		isolation.Rlimit{Name: "nofile", Soft: p.cfg.OpenFiles, Hard: p.cfg.OpenFiles, AtMost: true})
	if err := os.Chmod(spec.Sandbox, 0o700); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	if os.Geteuid() == 0 {
		plan.User = u
		if err := os.Lchown(spec.Sandbox, u.UID, u.GID); err != nil {
			return fmt.Errorf("sandbox: %w", err)
		}
	}
	return nil
}

// Attach implements isolation.Isolator; the plan has done everything already.
func (*Isolator) Attach(context.Context, string, int) error { return nil }

// Cleanup implements isolation.Isolator; nothing outlives the processes but the sandbox, which is not an isolator's.
func (*Isolator) Cleanup(context.Context, string) error { return nil }

func (p *Isolator) arguments(spec *isolation.Spec, plan *isolation.Plan) error {
	c := spec.Command
	switch {
	case c == nil && spec.Function == "":
		return fmt.Errorf("container %q: has neither command nor function", spec.Container)
	case c == nil:
		return nil
	case c.Shell && c.Value == "":
		return fmt.Errorf("command.value: is empty (allowed: a line for the shell)")
	case c.Shell:
		plan.Argv = []string{"/bin/sh", "-c", c.Value}
	case c.Value == "" && len(c.Arguments) == 0:
		return fmt.Errorf("command.value: is empty (allowed: a program's path or name)")
	case len(c.Arguments) == 0:
		plan.Argv = []string{c.Value}
	case c.Value == "" || c.Value == c.Arguments[0]:
		plan.Argv = append([]string(nil), c.Arguments...)
	default:
		plan.Program = c.Value
		plan.Argv = append([]string(nil), c.Arguments...)
	}
	return nil
}

// environment builds the task's environment from nothing: of the slave's own, a task sees no variable.
func (p *Isolator) environment(spec *isolation.Spec, plan *isolation.Plan, u *isolation.User) {
	plan.Setenv("PATH", p.cfg.Path)
	plan.Setenv("LANG", "C.UTF-8")
	plan.Setenv("HOME", spec.Sandbox)
	plan.Setenv("USER", u.Name)
	plan.Setenv("LOGNAME", u.Name)
	plan.Setenv("SHELL", "/bin/sh")
	plan.Setenv("TMPDIR", spec.Sandbox)
	set := func(vars []offer.Variable) {
		for _, v := range vars {
			plan.Setenv(v.Name, v.Value)
		}
	}
	set(spec.Environment)
	if spec.Command != nil {
		set(spec.Command.Environment)
	}
}

// user decides whom the container runs as.
func (p *Isolator) user(spec *isolation.Spec) (*isolation.User, error) {
	if os.Geteuid() != 0 {
		u, err := current()
		if err != nil {
			return nil, err
		}
		if spec.User != "" && spec.User != u.Name && spec.User != strconv.Itoa(u.UID) {
			return nil, fmt.Errorf("user %q: the slave runs as %q and may not start tasks of another user", spec.User, u.Name)
		}
		return u, nil
	}
	name := spec.User
	if name == "" {
		name = p.cfg.User
	}
	u, err := lookup(name)
	if err != nil {
		return nil, err
	}
	if u.UID == 0 && !p.cfg.AllowRoot {
		return nil, fmt.Errorf("user %q: tasks may not run as user 0 on this slave", name)
	}
	return u, nil
}

func current() (*isolation.User, error) {
	u, err := user.Current()
	if err != nil {
		// A user without an entry in the system's list can still run tasks.
		return &isolation.User{UID: os.Geteuid(), GID: os.Getegid(), Name: strconv.Itoa(os.Geteuid())}, nil
	}
	return convert(u)
}

func lookup(name string) (*isolation.User, error) {
	u, err := user.Lookup(name)
	if err == nil {
		return convert(u)
	}
	if id, numeric := strconv.Atoi(name); numeric == nil && id >= 0 {
		if u, err := user.LookupId(name); err == nil {
			return convert(u)
		}
		return &isolation.User{UID: id, GID: id, Name: name}, nil
	}
	if name == "nobody" {
		return &isolation.User{UID: 65534, GID: 65534, Name: name}, nil
	}
	return nil, fmt.Errorf("user %q: is not known on this machine", name)
}

func convert(u *user.User) (*isolation.User, error) {
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	if err1 != nil || err2 != nil {
		return nil, fmt.Errorf("user %q: has no numeric ids", u.Username)
	}
	out := &isolation.User{UID: uid, GID: gid, Name: u.Username, Home: u.HomeDir}
	ids, _ := u.GroupIds() // without a list of groups, only the primary one
	for _, s := range ids {
		if g, err := strconv.Atoi(s); err == nil && g != gid {
			out.Groups = append(out.Groups, g)
		}
	}
	return out, nil
}
