package process

import (
	"context"
	"fmt"
	"os"
	"strings"

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
	// AllowPrivileges leaves out the ban on gaining privileges, for tasks that need setuid programs such as sudo. Such a program gains
	// no more than Capabilities. Defaults to false.
	AllowPrivileges bool
	// Capabilities are granted to every task on Linux, by name, as in "net_bind_service" or "CAP_NET_BIND_SERVICE". A slave can only
	// grant what it has. Defaults to none, for tasks of user 0 too.
	Capabilities []string
	// AllowCalls names system calls that tasks may make although they are on the default list of those that are not permitted; DeniedCalls
	// is that list. AllCalls alone turns the filter off. What Capabilities are of no use without is let through anyway. Defaults to none.
	AllowCalls []string

	// The limits below are lowered where the slave's own hard limit is below. RlimitInfinity of package isolation is no limit.

	// OpenFiles is the limit of open descriptors. Defaults to 65,536.
	OpenFiles uint64
	// CoreBytes is the size of a core dump; tasks can raise it. Defaults to 0, none.
	CoreBytes uint64
	// FileBytes is the size of a file that a task writes. Defaults to no limit.
	FileBytes uint64
	// LockedBytes is how much memory a task can lock. Defaults to 8 MiB.
	LockedBytes uint64
	// StackBytes is the size of the first thread's stack; tasks can raise it. Defaults to 8 MiB.
	StackBytes uint64
	// Processes is how many processes and threads the user of a task may have. The system counts them by user, over all tasks and whatever
	// else runs as that user, so that it is of use only where each framework has its own user; the cgroup isolator has a limit for each task.
	// Defaults to no limit.
	Processes uint64
}

// AllCalls in Config.AllowCalls lets every system call through.
const AllCalls = "all"

// Validate reports the first field that cannot be used.
func (c Config) Validate() error {
	for i, name := range c.Capabilities {
		if !knownCapability(capabilityName(name)) {
			return fmt.Errorf("process: config: Capabilities[%d] is %q (allowed: a capability's name, as in net_bind_service)", i, name)
		}
	}
	known := map[string]bool{AllCalls: true}
	for _, name := range DeniedCalls() {
		known[name] = true
	}
	for i, name := range c.AllowCalls {
		switch {
		case !known[name] && len(known) > 1:
			return fmt.Errorf("process: config: AllowCalls[%d] is %q (allowed: %s alone, or of %s)", i, name, AllCalls, strings.Join(DeniedCalls(), ", "))
		case name == AllCalls && len(c.AllowCalls) > 1:
			return fmt.Errorf("process: config: AllowCalls[%d] is %q beside others (allowed: alone)", i, name)
		}
	}
	return nil
}

// An Isolator is the process isolator.
type Isolator struct {
	cfg     Config
	invalid error // of cfg; every Prepare returns it
	filter  *isolation.Seccomp
	lacks   []string
}

var (
	_ isolation.Isolator = (*Isolator)(nil)
	_ isolation.Lacker   = (*Isolator)(nil)
)

// New returns a process isolator. With a Config that does not pass Validate it refuses every container.
func New(cfg Config) *Isolator {
	if cfg.User == "" {
		cfg.User = "nobody"
	}
	if cfg.Path == "" {
		cfg.Path = DefaultPath
	}
	for _, f := range []struct {
		field *uint64
		value uint64
	}{{&cfg.OpenFiles, 65536}, {&cfg.FileBytes, isolation.RlimitInfinity}, {&cfg.LockedBytes, 8 << 20}, {&cfg.StackBytes, 8 << 20},
		{&cfg.Processes, isolation.RlimitInfinity}} {
		if *f.field == 0 {
			*f.field = f.value
		}
	}
	p := &Isolator{cfg: cfg, invalid: cfg.Validate()}
	p.cfg.Capabilities = nil
	for _, name := range cfg.Capabilities {
		p.cfg.Capabilities = append(p.cfg.Capabilities, capabilityName(name))
	}
	if os.Geteuid() != 0 {
		p.lacks = append(p.lacks, "no other user for tasks than the slave's own, which is not root")
	}
	switch why := filterLacks(cfg.AllowPrivileges); {
	case len(cfg.AllowCalls) == 1 && cfg.AllowCalls[0] == AllCalls:
	case why != "":
		p.lacks = append(p.lacks, why)
	default:
		p.filter = &isolation.Seccomp{Allow: append(callsOf(p.cfg.Capabilities), cfg.AllowCalls...)}
	}
	return p
}

// Lacks implements isolation.Lacker.
func (p *Isolator) Lacks() []string { return p.lacks }

// Name implements isolation.Isolator.
func (*Isolator) Name() string { return "process" }

// Prepare fills in the plan and hands the sandbox to the task's user.
func (p *Isolator) Prepare(_ context.Context, spec *isolation.Spec, plan *isolation.Plan) error {
	if p.invalid != nil {
		return p.invalid
	}
	u, err := p.user(spec)
	if err != nil {
		return err
	}
	if err := checkSpec(spec); err != nil {
		return err
	}
	plan.Program, plan.Argv = Arguments(spec.Command)
	p.environment(spec, plan, u)
	plan.Directory = spec.Sandbox
	plan.Umask = 0o022
	plan.NoNewPrivileges = !p.cfg.AllowPrivileges
	plan.Capabilities, plan.Seccomp = p.cfg.Capabilities, p.filter
	plan.Rlimits = append(plan.Rlimits, p.limits()...)
	if os.Geteuid() == 0 {
		plan.User = u
	}
	return Own(spec.Sandbox, plan.User)
}

// Own hands a sandbox to a user and closes it to others; nil means that it stays whose it is.
func Own(sandbox string, u *isolation.User) error {
	// Not by its name from here on: what the name leads to could have been changed by whoever may write beside it.
	dir, err := openFolder(sandbox)
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	defer dir.Close()
	if err := dir.Chmod(0o700); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	if u == nil {
		return nil
	}
	if err := dir.Chown(u.UID, u.GID); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	return nil
}

// limits lets tasks raise what only they themselves would suffer from.
func (p *Isolator) limits() []isolation.Rlimit {
	c := &p.cfg
	return []isolation.Rlimit{
		{Name: "core", Soft: c.CoreBytes, Hard: isolation.RlimitInfinity, AtMost: true},
		{Name: "stack", Soft: c.StackBytes, Hard: isolation.RlimitInfinity, AtMost: true},
		{Name: "nofile", Soft: c.OpenFiles, Hard: c.OpenFiles, AtMost: true},
		{Name: "fsize", Soft: c.FileBytes, Hard: c.FileBytes, AtMost: true},
		{Name: "memlock", Soft: c.LockedBytes, Hard: c.LockedBytes, AtMost: true},
		{Name: "nproc", Soft: c.Processes, Hard: c.Processes, AtMost: true},
	}
}

// Attach implements isolation.Isolator; the plan has done everything already.
func (*Isolator) Attach(context.Context, string, int) error { return nil }

// Cleanup implements isolation.Isolator; nothing outlives the processes but the sandbox, which is not an isolator's.
func (*Isolator) Cleanup(context.Context, string) error { return nil }

// Arguments are a command's program, empty if that is the first argument, and arguments. Nil has none.
func Arguments(c *offer.Command) (program string, argv []string) {
	switch {
	case c == nil:
	case c.Shell:
		argv = []string{"/bin/sh", "-c", c.Value}
	case len(c.Arguments) == 0:
		argv = []string{c.Value}
	case c.Value == "" || c.Value == c.Arguments[0]:
		argv = append(argv, c.Arguments...)
	default:
		program, argv = c.Value, append(argv, c.Arguments...)
	}
	return program, argv
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
