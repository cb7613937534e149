package slave

import (
	"github.com/meros-project/meros/isolation/image"
	"github.com/meros-project/meros/isolation/supervisor"
)

// A Func is a task in Go: func(ctx context.Context, task FuncTask) error. It runs in a process of its own, as another program would, with its
// stdout and stderr in the sandbox. Nil is exit status 0, an error exit status 1, a panic exit status 2. ctx ends when the task is killed
// politely.
type Func = supervisor.Func

// Funcs are functions by the name that offer.Task.Function uses.
type Funcs = supervisor.Funcs

// A FuncTask is what a Func gets to know about the task that it is: the ids Framework, Task and Container, its Role, the task's Data, and the
// path of its Sandbox, which is its working directory.
type FuncTask = supervisor.Task

// Supervise must be called first in the main of a program that embeds a slave, and in TestMain of tests that run one with real
// processes. It returns at once unless this process is a copy of the program that a slave has started: as a task's supervisor, which
// outlives the slave and keeps the exit status, as a function task, or to fetch what a task needs. Then it ends the process with os.Exit. It alone reads arguments and
// environment.
//
// A service manager that ends a service must be told to leave supervisors alone, in systemd by KillMode=process.
func Supervise(funcs Funcs) {
	image.Main()
	supervisor.Main(funcs)
}
