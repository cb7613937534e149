package supervisor

import (
	"context"
	"os"
	"sync"
	"sync/atomic"

	"github.com/meros-project/meros/isolation/fetch"
)

// The names under which the host program is started again. A process has such a role when its argv[0] is one of these and
// roleVariable is set too.
const (
	supervisorName = "meros-supervisor"
	stageName      = "meros-stage"
	functionName   = "meros-function"
	roleVariable   = "MEROS_ROLE"
	readyArgument  = "ready" // of a supervisor that is started before there is a container for it
)

// raceSetting keeps processes of a host program that was built with the race detector from waiting a second at each end. Others ignore it.
const raceSetting = "GORACE=atexit_sleep_ms=0"

// A Task is what a function gets to know about the task that it is.
type Task struct {
	Framework string
	Task      string
	Role      string
	Container string
	Data      []byte // of offer.Task
	Sandbox   string // the working directory
}

// A Func is a task in Go. It runs in a process of its own, as another program would: stdout and stderr go to the sandbox. Nil is exit
// status 0; an error is printed to stderr and is exit status 1; a panic is exit status 2. ctx ends when the task is killed politely.
type Func func(ctx context.Context, task Task) error

// Funcs are functions by the name that offer.Task.Function uses.
type Funcs map[string]Func

var (
	entered    atomic.Bool
	registered sync.Map // name -> nothing
)

// Main must be called first in main. It returns at once unless this process was started by a Runner: as a supervisor, which ends
// with os.Exit when its container has ended, or as a function task, which ends with os.Exit when the function returns. It is the only
// place in the library that reads arguments and environment by itself.
func Main(funcs Funcs) {
	for name := range funcs {
		registered.Store(name, nil)
	}
	entered.Store(true)
	fetch.Main()
	if len(os.Args) == 0 || os.Getenv(roleVariable) != os.Args[0] {
		return
	}
	switch os.Args[0] {
	case supervisorName:
		guard(supervisorName)
		os.Exit(supervise(len(os.Args) > 1 && os.Args[1] == readyArgument))
	case stageName:
		os.Exit(stage())
	case functionName:
		os.Exit(runFunction(os.Args[1], funcs))
	}
}

// Entered reports whether Main was called in this process. Without it a supervisor would be a second copy of the whole host program.
func Entered() bool { return entered.Load() }

// Registered reports whether Main was called with a function of this name.
func Registered(name string) bool {
	_, ok := registered.Load(name)
	return ok
}
