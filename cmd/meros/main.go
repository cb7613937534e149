// Command meros runs the parts of a cluster: masters, slaves, and tasks on them.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/meros-project/meros/isolation/image"
	"github.com/meros-project/meros/isolation/image/registry"
	"github.com/meros-project/meros/slave"
)

func main() {
	image.UseRegistry(registry.Open)
	slave.Supervise(nil) // does not return in the processes that watch over tasks
	err := newRoot().ExecuteContext(untilSignal())
	var code exitCode
	switch {
	case err == nil:
	case errors.As(err, &code):
		os.Exit(int(code))
	case errors.As(err, new(*usageError)):
		fmt.Fprintln(os.Stderr, "meros:", oneLine(err))
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "meros:", oneLine(err))
		os.Exit(1)
	}
}

// An interruption is why the context of a command has ended.
type interruption struct{ signal syscall.Signal }

func (i *interruption) Error() string { return i.signal.String() }

// exit is the status of a program that the signal has ended, as shells count it.
func (i *interruption) exit() exitCode { return exitCode(128 + int(i.signal)) }

// untilSignal is a context that ends with the first SIGINT or SIGTERM. A second one ends the program at once.
func untilSignal() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		first := <-signals
		signal.Stop(signals)
		number, _ := first.(syscall.Signal)
		cancel(&interruption{number})
	}()
	return ctx
}

// exitCode ends the program with a task's exit status and no message.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit status %d", int(c)) }

// usageError is a wrong flag, value or argument: exit status 2.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// badFlag names the flag, the value and what is allowed.
func badFlag(name, value, allowed string) error {
	return usagef("--%s %q: %s", name, value, allowed)
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "meros",
		Short: "Run a resource-scheduling cluster: masters, slaves, and tasks on them",
		Long: `Meros runs a cluster: masters offer what slaves have to frameworks, frameworks decide what to run, slaves run it.

Start with:
  meros dev                                     a master and a slave in this terminal
  meros run --cpus 1 --mem 64 -- echo hello     one command on it, from another`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			var names []string
			for _, c := range cmd.Commands() {
				if c.IsAvailableCommand() {
					names = append(names, c.Name())
				}
			}
			return usagef("command %q: allowed are %s", args[0], strings.Join(names, ", "))
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usagef("%s: %v; see meros %s --help", cmd.Name(), err, cmd.Name())
	})
	root.AddCommand(newDev(), newMaster(), newSlave(), newRun(), newExec(), newAttach(), newTasks(), newExplain(), newMembers(), newSnapshot(), newRecoverQuorum(), newReplay(), newVersion())
	return root
}

// noArgs refuses arguments, naming the first.
func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usagef("%s: argument %q: none is allowed", cmd.Name(), args[0])
	}
	return nil
}

// logFlags are those of every long-running command.
type logFlags struct{ level string }

func (f *logFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.level, "log-level", "info", "`level` of the log on standard error: debug, info, warn or error")
}

func (f *logFlags) logger() (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.level)); err != nil {
		return nil, badFlag("log-level", f.level, "must be debug, info, warn or error")
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})), nil
}
