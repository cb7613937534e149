package isolation

import (
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// A Spec describes a container before it is started: a task, or a custom executor. It is a value that nobody changes once it is
// handed over.
type Spec struct {
	Container string            // unique on the slave, for ever
	Framework offer.FrameworkID //
	Role      string            // whose share it uses
	Task      offer.TaskID      // empty for a custom executor
	Executor  offer.ExecutorID  // empty for a task
	Name      string            // for people

	// Command is the program to run; nil for a function task.
	Command *offer.Command
	// Function names the Go function of the host program to run instead, which gets Data.
	Function string
	Data     []byte
	// Environment is added to the minimal one that every task gets, before the command's own. Later entries of a name win.
	Environment []offer.Variable
	// User is the operating system user to run as: the command's, else the framework's. Empty means the isolator's default.
	User string

	// Sandbox is the absolute path of the container's own folder, which exists: its working directory, with stdout and stderr.
	Sandbox   string
	Resources resource.Resources
	Limits    []offer.Limit // upper bounds above Resources; empty means that Resources are the bound

	// Tied containers end with the slave process that started them.
	Tied bool

	// Image is what the container has as its root folder; nil means the machine's.
	Image *offer.Image
}

// A Plan says how the first process of a container is started. Isolators add to it in the order of the chain; it is written to disk
// for the process that carries it out, so that it holds plain values only.
type Plan struct {
	// Argv is the program with its arguments. A name without '/' is looked up in the PATH of Environment. Unused for a function.
	Argv        []string
	Program     string   // the program, if it is not Argv[0]
	Environment []string // complete, NAME=value
	Directory   string   // working directory
	User        *User    // whom to become; nil means to stay
	Umask       int
	Rlimits     []Rlimit
	// NoNewPrivileges keeps programs in the container from gaining rights by setuid bits or file capabilities. Linux only.
	NoNewPrivileges bool
	// Capabilities are those that the task keeps, by name in lower case and without "cap_"; empty means none, also for user 0. Linux only.
	Capabilities []string
	// Seccomp keeps system calls from the task; nil means that it may make all. Linux only.
	Seccomp *Seccomp
	// Rootfs is the absolute path of the folder that is the container's root; empty means the machine's. Where it is set, Directory and the
	// paths in Argv and Program are looked up in there. Linux only.
	Rootfs string
}

// Seccomp is the default filter of system calls, which answers what no ordinary program needs with "operation not permitted".
type Seccomp struct {
	Allow []string // names of calls on the default list that are let through
}

// A User is an operating system user by number.
type User struct {
	UID, GID int
	Groups   []int
	Name     string
	Home     string
}

// An Rlimit is a resource limit of the operating system.
type Rlimit struct {
	Name       string // core, nofile, nproc, stack, fsize or memlock
	Soft, Hard uint64 // RlimitInfinity means none
	// AtMost lowers limits and never raises them, so that an unprivileged slave can set it.
	AtMost bool
}

// RlimitInfinity is an Rlimit without bound.
const RlimitInfinity = ^uint64(0)

// Setenv sets one variable, replacing an earlier value.
func (p *Plan) Setenv(name, value string) {
	prefix := name + "="
	for i, e := range p.Environment {
		if len(e) >= len(prefix) && e[:len(prefix)] == prefix {
			p.Environment[i] = prefix + value
			return
		}
	}
	p.Environment = append(p.Environment, prefix+value)
}

// Getenv returns the value of a variable, empty if it is not set.
func (p *Plan) Getenv(name string) string {
	prefix := name + "="
	for _, e := range p.Environment {
		if len(e) >= len(prefix) && e[:len(prefix)] == prefix {
			return e[len(prefix):]
		}
	}
	return ""
}
