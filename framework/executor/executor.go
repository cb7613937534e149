package executor

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
)

// An Executor runs tasks. Its methods are called one after another, in the order in which the slave sent the orders, so that they start
// and stop things and return; what takes time belongs in a goroutine that ends with ctx. ctx ends with Run. An error ends Run.
type Executor interface {
	// Launch begins a task. Tell how it fares with Session.Update: at least that it runs, and how it ended.
	Launch(ctx context.Context, s *Session, task offer.Task) error
	// Kill ends a task. policy is the one that counts: the kill's own, or else the task's. The end is told with Session.Update.
	Kill(ctx context.Context, s *Session, task offer.TaskID, policy offer.KillPolicy) error
}

// A Shutdowner is told to end all its tasks. When it returns, what it has told is delivered and Run returns nil. The slave waits for
// the executor's grace and then kills it. Without it, ctx just ends.
type Shutdowner interface {
	Shutdown(ctx context.Context, s *Session) error
}

// A Messenger gets the bytes that its framework sends. They may be lost.
type Messenger interface {
	Message(ctx context.Context, s *Session, data []byte) error
}

// A GroupLauncher gets the tasks of a launch group together. Without it each is launched by itself.
type GroupLauncher interface {
	LaunchGroup(ctx context.Context, s *Session, tasks []offer.Task) error
}

// Errors that Run returns.
var (
	// ErrSlaveLost says that the slave did not come back within the recovery timeout.
	ErrSlaveLost = errors.New("executor: the slave has not come back")
	// ErrPanic says that a method of the Executor has panicked.
	ErrPanic = errors.New("executor: panic")
)

// errShutdown ends the handler when the executor was told to shut down.
var errShutdown = errors.New("shut down")

// handle calls the Executor for one order.
func (s *Session) handle(ctx context.Context, ex Executor, m message.Message) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v\n%s", ErrPanic, p, debug.Stack())
		}
	}()
	switch m := m.(type) {
	case *message.ExecutorLaunch:
		tasks := s.remember(m.Tasks)
		if g, ok := ex.(GroupLauncher); ok && m.Group && len(tasks) > 0 {
			return g.LaunchGroup(ctx, s, tasks)
		}
		for _, t := range tasks {
			if err := ex.Launch(ctx, s, t); err != nil {
				return err
			}
		}
	case *message.ExecutorKill:
		policy := s.policyOf(m.Task)
		if m.Policy != nil {
			policy = *m.Policy
		}
		return ex.Kill(ctx, s, m.Task, policy)
	case *message.ExecutorMessage:
		if x, ok := ex.(Messenger); ok {
			return x.Message(ctx, s, m.Data)
		}
	case *message.ExecutorStop:
		if x, ok := ex.(Shutdowner); ok {
			if err := x.Shutdown(ctx, s); err != nil {
				return err
			}
		}
		return errShutdown
	}
	return nil
}
