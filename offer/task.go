package offer

import (
	"time"

	"github.com/meros-project/meros/offer/resource"
)

// A Task is one thing to run: a command, a Go function of the slave's host program, or work for an executor. Exactly one of Command,
// Function and Executor is set.
type Task struct {
	ID        TaskID
	Name      string  // for people
	SlaveID   SlaveID // filled in by the session when the task is launched on an offer
	Resources resource.Resources
	Limits    []Limit // upper bounds above the request; empty means the request is the bound

	Command  *Command
	Function string // a name registered with slave.Supervise
	Executor *Executor
	Data     []byte // handed to the function or the executor

	Kill          KillPolicy
	MaxCompletion time.Duration // from launch; zero means no limit. A custom executor is asked to end it; see Executor.EndWithLateTask
	Labels        []resource.Label
	Image         *Image       // the root folder of a command or a function; nil means the machine's
	Check         *Check       // reports; nil means none
	Health        *HealthCheck // reports, and kills the task that fails it; nil means none
	// Lease ends the task where it runs when its slave has been out of touch with a leading master for this long; see ValidateLease. Zero
	// means never.
	Lease   time.Duration
	Network Network
	Volumes []Volume // what a command or a function sees beside its root folder and its sandbox
	Streams *Streams // of a command or a function; nil means output files of the slave's size, and no input
	// ShareCgroups is for a member of a LaunchGroup under the built-in executor: it is held to what all such members under one executor have
	// asked for together, and to the bounds of all of them together, instead of to its own; one may use what another leaves. Whichever uses
	// most is killed when their memory runs out. What each uses is still counted, and each is still ended alone. Mesos: LinuxInfo.share_cgroups,
	// where sharing is the default for groups.
	ShareCgroups bool
	Hostname     string // of a command or a function; see ValidateHostname. Empty means the machine's. Mesos: ContainerInfo.hostname
}

// A Command is a program to run.
type Command struct {
	Value       string   // with Shell: a line for `sh -c`; else the program's path or name
	Shell       bool     // runs Value with /bin/sh
	Arguments   []string // without Shell: argv, of which the first is the program's name
	Environment []Variable
	User        string // empty means the framework's
	URIs        []URI  // fetched into the sandbox before the command is started
}

// A Variable is one entry of an environment.
type Variable struct {
	Name, Value string
}

// An Executor runs tasks of one framework on one slave. The same id with the same description is started once and shared.
type Executor struct {
	ID            ExecutorID
	Name          string
	Command       *Command
	Resources     resource.Resources // its own, beside those of its tasks
	ShutdownGrace time.Duration      // zero means the slave's default, 5 s
	Data          []byte
	Labels        []resource.Label
	// Default marks the built-in executor that runs the members of a LaunchGroup beside each other; it has no Command.
	Default bool
	Image   *Image // the root folder of a custom executor and of its tasks; nil means the machine's
	Network Network
	Volumes []Volume // what a custom executor and its tasks see beside their root folder and sandbox
	// EndWithLateTask ends a custom executor, and with it all of its tasks, when one of them has not ended ShutdownGrace after it should have:
	// after the grace of its kill, or after its MaxCompletion. Otherwise such a task is asked to end and the executor is trusted to see to it,
	// since what a task of a custom executor is, only the executor knows. Mesos does the latter.
	EndWithLateTask bool
	Hostname        string // of a custom executor and of its tasks; as of a task
}

// DefaultKillGrace is the time between the polite and the sure kill. Mesos: KillPolicy.
const DefaultKillGrace = 3 * time.Second

// A KillPolicy says how a task is killed: SIGTERM, then SIGKILL to whatever is left after Grace.
type KillPolicy struct {
	Grace time.Duration // zero means DefaultKillGrace; negative means at once
}

// Duration returns the effective grace.
func (k KillPolicy) Duration() time.Duration {
	switch {
	case k.Grace == 0:
		return DefaultKillGrace
	case k.Grace < 0:
		return 0
	}
	return k.Grace
}
