package isolation

import (
	"time"

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
	// Network is the network that the container has.
	Network offer.Network
	// Volumes are what the container sees beside its root folder and its sandbox.
	Volumes []offer.Volume

	// Streams are what goes in and out of it; nil means output of the default size, and no input.
	Streams *offer.Streams

	// Lease is that of a task that has one: the container is ended with reason ReasonLeaseExpired when it was not renewed in time, whether or
	// not the slave runs. LeaseUntil is until when it is good at first, by process.Clock; zero, which is over, for a container that an
	// earlier run of the slave may have started.
	Lease      time.Duration
	LeaseUntil time.Duration

	// Group is those that the container belongs with; nil means that it is alone.
	Group *Group

	// Hostname is the container's own; empty means the machine's.
	Hostname string
}

// A Group is containers that belong together: the members of a launch group under the built-in executor.
type Group struct {
	// ID is the same for all of them, and for no others that the slave has at the time.
	ID string
	// Resources are what they have together beside their own.
	Resources resource.Resources
	// Shared says that this one is held to what those that share may use together, and not to what it has asked for itself.
	Shared bool
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
	// Namespaces gives the container namespaces of its own: then its first process stays, and the task is that process's child. Nil means that
	// it shares all of the machine's. Linux only.
	Namespaces *Namespaces
	// Rootfs is the absolute path of the folder that is the container's root; empty means the machine's. Where it is set, Directory and the
	// paths in Argv and Program are looked up in there. Needs Namespaces.
	Rootfs string
	// Mounts are what the container sees beside its root and its sandbox, in their order. Need Namespaces.
	Mounts []Mount
	// Cgroups are those that the first process joins by itself before it waits to be put under control, so that nobody need move it there, which
	// has to wait for the whole machine. Nil says, before isolators prepare the container, that it does not. Linux only.
	Cgroups *Cgroups
}

// Cgroups are the cgroups of a container, as absolute paths. What a process cannot join by itself it is moved to all the same.
type Cgroups struct {
	// Folder is that of version 2; empty for none.
	Folder string
	// Tasks are the files, one for each hierarchy of version 1, to which a thread that joins writes its number, or 0.
	Tasks []string
}

// SandboxPath is where a container with a root folder of its own finds its sandbox, as with Mesos. With the machine's it is where it is.
const SandboxPath = "/mnt/mesos/sandbox"

// Namespaces are those of Linux for processes, mounts, inter-process communication and names, and what the container sees in them.
type Namespaces struct {
	// Network gives it a network too, with nothing but a loopback.
	Network bool
	// Sandbox is the container's own folder on the machine.
	Sandbox string
	// ShmBytes bounds the files in its /dev/shm.
	ShmBytes int64
	// Masked are absolute paths that it sees nothing in, and ReadOnly those that it cannot write to; those that are missing are passed over.
	Masked, ReadOnly []string
	// Hostname is the container's name; empty leaves it the machine's. Where the container has a root folder of its own, /etc/hostname and /etc/hosts
	// say it, too.
	Hostname string
}

// A Mount is something of the machine, or a secret, that a container sees at a path of its own.
type Mount struct {
	// Field is what errors call it.
	Field string
	// Target is where it is seen: absolute, or relative to the sandbox.
	Target string
	// Source is the absolute path of a file or folder of the machine. No link on the way is followed out of Within.
	Source string
	// Within is the folder that Source is in, itself trusted; empty means that all of Source is.
	Within string
	// Make makes Source, as a folder of the task's user, where it is missing.
	Make bool
	// Secret is the content of a file, instead of Source.
	Secret []byte
	// ReadOnly keeps the container from writing to it.
	ReadOnly bool
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
