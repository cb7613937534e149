package slave

import "github.com/meros-project/meros/isolation/supervisor"

// A Func is a task in Go; see Supervise.
type Func = supervisor.Func

// Funcs are functions by the name that offer.Task.Function uses.
type Funcs = supervisor.Funcs

// A FuncTask is what a Func gets to know about the task that it is.
type FuncTask = supervisor.Task

// Supervise must be called first in the main of a program that embeds a slave, and in TestMain of tests that run one with real
// processes. It returns at once unless this process is a copy of the program that a slave has started: as a task's supervisor, which
// outlives the slave and keeps the exit status, or as a function task. Then it ends the process with os.Exit. It alone reads arguments and
// environment.
//
// A service manager that ends a service must be told to leave supervisors alone, in systemd by KillMode=process.
func Supervise(funcs Funcs) { supervisor.Main(funcs) }
