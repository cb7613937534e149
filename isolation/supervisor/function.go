package supervisor

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// dataDescriptor is where a function task finds its Data.
const dataDescriptor = 3

func runFunction(name string, funcs Funcs) int {
	f, ok := funcs[name]
	if !ok {
		fmt.Fprintf(os.Stderr, "function %q: this program registers no function of that name\n", name)
		return 127
	}
	in := os.NewFile(dataDescriptor, "data")
	data, err := io.ReadAll(in)
	_ = in.Close()
	if err != nil {
		fmt.Fprintf(os.Stderr, "function %q: read its data: %v\n", name, err)
		return 126
	}
	dir, _ := os.Getwd()
	task := Task{Framework: os.Getenv("MESOS_FRAMEWORK_ID"), Task: os.Getenv("MESOS_TASK_ID"), Role: os.Getenv("MESOS_ALLOCATION_ROLE"),
		Container: os.Getenv("MEROS_CONTAINER_ID"), Data: data, Sandbox: dir}
	_ = os.Unsetenv(roleVariable)
	os.Args = []string{name}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := f(ctx, task); err != nil {
		fmt.Fprintf(os.Stderr, "function %q: %v\n", name, err)
		return 1
	}
	return 0
}
