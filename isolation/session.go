package isolation

import (
	"context"
	"errors"
	"io"

	"github.com/meros-project/meros/offer"
)

// An Execer is a Runner that can run other commands in its containers.
type Execer interface {
	// Exec starts a command in a container that runs: in its cgroups and namespaces, with its user, limits and rights, and with its environment
	// before the command's own. It returns when the command was started. The command, with all that it has started, ends with ctx, with
	// the Session, with the slave and with the container. Errors are ErrNotRunning, ErrTooMany, an offer.Refusal of the ExecSpec, or say why
	// the command could not be started.
	Exec(ctx context.Context, container string, spec ExecSpec) (Session, error)
}

// An Attacher is a Runner that lets others see what its containers print, and type to them.
type Attacher interface {
	// Attach shows what a container's first process prints from now on, and gives it what is written to the Session if it reads that. The first
	// who attaches to a container that reads is also shown what it printed before, its last 64 KiB. The
	// Session ends with ctx and with the container, whose exit status Wait then returns; the container does not end with the Session. Who does
	// not take the output fast enough is cut off. Errors are ErrNotRunning, ErrTooMany, or say what is wrong.
	Attach(ctx context.Context, container string, spec AttachSpec) (Session, Attached, error)
}

// An AttachSpec says what somebody wants who attaches to a container.
type AttachSpec struct {
	// Stdin asks for the container's standard input, where that is open; only one can have it at a time.
	Stdin bool
	// Stdout and Stderr get what is printed, called from one goroutine, maybe before Attach has returned. Nil throws it away.
	Stdout, Stderr io.Writer `json:"-"`
}

// Attached says what somebody who is attached has got.
type Attached struct {
	Stdin    bool // what is written to the Session is read
	Terminal bool // it is typed on a terminal, which Resize changes
}

// The errors of sessions, which errors.Is finds.
var (
	// ErrNotRunning says that there is no such container, not yet or not any more.
	ErrNotRunning = errors.New("isolation: the container does not run")
	// ErrTooMany says that the container has as many sessions as it may have.
	ErrTooMany = errors.New("isolation: the container has too many sessions")
	// ErrSessionLost says that a session has ended and nobody knows how: its connection is broken.
	ErrSessionLost = errors.New("isolation: the session is lost")
	// ErrTooSlow says that somebody who was attached is not any more, having taken the output too slowly.
	ErrTooSlow = errors.New("isolation: the output was not taken fast enough")
)

// An ExecSpec describes a command that is run in a container beside what runs there.
type ExecSpec struct {
	// Command is what to run. It has neither User nor URIs: the user is the container's.
	Command offer.Command
	// Terminal gives the command a terminal of that size, which is its standard input, output and error; all output is Stdout then. Nil gives it
	// none.
	Terminal *offer.TerminalSize
	// Stdin lets the command read what is written to the Session. Without it and without Terminal it reads nothing.
	Stdin bool
	// Stdout and Stderr get the command's output, called from one goroutine, maybe before Exec has returned. While they block, so does the command when it prints; an error
	// ends the Session. Nil throws output away.
	Stdout, Stderr io.Writer `json:"-"`
	// Quiet throws output away where it is printed, so that it costs nobody anything, for a command that asks something about the container: one
	// that the container's end has killed has no exit status, but Wait returns ErrNotRunning. Not together with Terminal, Stdout or Stderr.
	Quiet bool
}

// A Session is a command that runs in a container for somebody, or somebody who is attached to a container. Its methods are safe for concurrent use.
type Session interface {
	// Stdin is where the command reads. Write blocks while the command does not read; Close is the end of its input.
	Stdin() io.WriteCloser
	// Resize changes the terminal's size, which the command is told by a signal.
	Resize(offer.TerminalSize) error
	// Signal sends a signal of the operating system to the command's process group. It does nothing for who is attached.
	Signal(number int) error
	// Wait returns when the command has ended, nothing of it runs any more and all of its output was written. It must be called.
	Wait() (offer.Exit, error)
	// Close ends the session, and its command with all that this has started. It may be called again.
	Close() error
}
