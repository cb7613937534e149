package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/meros-project/meros/isolation"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/slave"
)

type execFlags struct {
	master    masterFlags
	framework string
	terminal  bool
	noInput   bool
	env       []string
}

func newExec() *cobra.Command {
	f := &execFlags{}
	cmd := &cobra.Command{
		Use:   "exec [flags] TASK -- COMMAND [ARGUMENT...]",
		Short: "Run a command in the container of a running task, with its input and output here and its exit status as mine",
		Example: `  meros exec run-1a2b3c -- ps ax
  meros exec -t run-1a2b3c -- sh`,
		Args: func(cmd *cobra.Command, args []string) error {
			switch at := cmd.ArgsLenAtDash(); {
			case at != 1:
				return usagef("exec: the task comes before -- and the command after it, as in: meros exec TASK -- ps ax")
			case len(args) < 2:
				return usagef("exec: no command: write it after --, as in: meros exec TASK -- ps ax")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0], args[1:]) },
	}
	f.master.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&f.framework, "framework", "", "`id` of the task's framework; by default any, where only one has a task of that id")
	flags.BoolVarP(&f.terminal, "terminal", "t", false, "give the command a terminal, which is mine; needs one")
	flags.BoolVarP(&f.noInput, "no-input", "n", false, "give the command no input, and leave mine alone")
	flags.StringArrayVarP(&f.env, "env", "e", nil, "variable for the command, as `NAME=VALUE`; may be repeated; none by default")
	return cmd
}

func (f *execFlags) run(cmd *cobra.Command, task string, args []string) error {
	spec := isolation.ExecSpec{Command: offer.Command{Value: args[0], Arguments: args}, Stdin: !f.noInput && !f.terminal}
	for _, e := range f.env {
		name, value, ok := strings.Cut(e, "=")
		if !ok || name == "" {
			return badFlag("env", e, "must be NAME=VALUE")
		}
		spec.Command.Environment = append(spec.Command.Environment, offer.Variable{Name: name, Value: value})
	}
	t := newTalk(cmd)
	if f.terminal {
		if f.noInput || !t.own.there() {
			return badFlag("terminal", "true", "must be false without a terminal here, and with --no-input")
		}
		size := t.own.size()
		t.raw, spec.Terminal = true, &size
		if name := os.Getenv("TERM"); name != "" {
			spec.Command.Environment = append(spec.Command.Environment, offer.Variable{Name: "TERM", Value: name})
		}
	}
	request, address, err := f.master.findTask(cmd.Context(), f.framework, task)
	if err != nil {
		return err
	}
	request.Exec = &spec
	s, err := f.master.openSession(context.WithoutCancel(cmd.Context()), address, request)
	if err != nil {
		return err
	}
	exit, err := t.run(s)
	if err != nil {
		return err
	}
	return statusOf(exit)
}

type attachFlags struct {
	master    masterFlags
	framework string
	noInput   bool
}

func newAttach() *cobra.Command {
	f := &attachFlags{}
	cmd := &cobra.Command{
		Use:   "attach [flags] TASK",
		Short: "See what a running task prints from now on, and type to one that reads",
		Long: `See what a running task prints from now on, until it ends: its exit status is mine then.

A task that was started with --stdin or --terminal gets what is typed here. Ctrl-C leaves the task alone and running; on a task's terminal,
where Ctrl-C is the task's, Ctrl-P Ctrl-Q does.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("attach: %d arguments: allowed is one, a task's id", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
	}
	f.master.add(cmd)
	cmd.Flags().StringVar(&f.framework, "framework", "", "`id` of the task's framework; by default any, where only one has a task of that id")
	cmd.Flags().BoolVarP(&f.noInput, "no-input", "n", false, "only look, so that another can type")
	return cmd
}

func (f *attachFlags) run(cmd *cobra.Command, task string) error {
	request, address, err := f.master.findTask(cmd.Context(), f.framework, task)
	if err != nil {
		return err
	}
	request.Attach = &isolation.AttachSpec{Stdin: !f.noInput}
	s, err := f.master.openSession(context.WithoutCancel(cmd.Context()), address, request)
	if err != nil {
		return err
	}
	t := newTalk(cmd)
	t.raw, t.leaves = t.own.there() && !f.noInput, true
	exit, err := t.run(s)
	switch {
	case errors.Is(err, errLeft):
		fmt.Fprintln(cmd.ErrOrStderr(), "meros: left; the task goes on")
		if cmd.Context().Err() != nil {
			return interrupted(cmd.Context())
		}
		return nil
	case err != nil:
		return err
	}
	return statusOf(exit)
}

// newTalk is one with the program's own input, output and signals.
func newTalk(cmd *cobra.Command) *talk {
	signal.Ignore(syscall.SIGPIPE) // whoever reads the output may go: that comes as an error
	t := &talk{in: cmd.InOrStdin(), out: cmd.OutOrStdout(), errs: cmd.ErrOrStderr(), interrupted: cmd.Context().Done()}
	t.own.in, _ = t.in.(*os.File)
	t.own.out, _ = t.out.(*os.File)
	t.signal = func() syscall.Signal {
		if i := (*interruption)(nil); errors.As(context.Cause(cmd.Context()), &i) {
			return i.signal
		}
		return syscall.SIGTERM
	}
	return t
}

// findTask asks the leading master where a task is.
func (f *masterFlags) findTask(ctx context.Context, framework, id string) (request slave.SessionRequest, address string, err error) {
	rows, err := f.listTasks(ctx, framework)
	if err != nil {
		return request, "", err
	}
	var found []taskRow
	ended := ""
	for _, t := range rows {
		var state offer.State
		switch {
		case t.ID != id:
		case state.UnmarshalText([]byte(t.State)) == nil && state.Terminal():
			ended = t.State
		default:
			found = append(found, t)
		}
	}
	switch {
	case len(found) == 0 && ended != "":
		return request, "", fmt.Errorf("task %q has ended: %s", id, ended)
	case len(found) == 0:
		return request, "", fmt.Errorf("task %q: no such task (meros tasks lists them)", id)
	case len(found) > 1:
		return request, "", usagef("task %q: frameworks %s and %s have one: choose with --framework", id, found[0].FrameworkID, found[1].FrameworkID)
	}
	t := found[0]
	var answer struct {
		Slaves []struct{ ID, PID string }
	}
	if err := f.ask(ctx, "GET", "/slaves", nil, &answer); err != nil {
		return request, "", err
	}
	for _, s := range answer.Slaves {
		if s.ID == t.SlaveID && s.PID != "" {
			return slave.SessionRequest{Framework: offer.FrameworkID(t.FrameworkID), Task: offer.TaskID(id), Executor: offer.ExecutorID(t.ExecutorID)}, s.PID, nil
		}
	}
	return request, "", fmt.Errorf("task %q: slave %s has no address where it could be reached", id, t.SlaveID)
}
