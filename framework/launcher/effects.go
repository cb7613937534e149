package launcher

import (
	"context"
	"errors"
	"fmt"

	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/framework/launcher/core"
	"github.com/meros-project/meros/offer"
)

// perform is the one switch over what the core wants. Only an outcome that cannot be told is an error. The lock is held, but not while a
// function of the user's runs.
func (l *Launcher) perform(ctx context.Context, e core.Effect) error {
	s := l.session
	switch e := e.(type) {
	case core.Tell:
		return l.tell(ctx, e.Outcome)
	case core.Accept:
		l.accept(e)
	case core.Decline:
		l.note("decline", s.Decline(e.Offers, framework.Refuse(e.Refuse)))
	case core.Suppress:
		l.note("suppress", s.Suppress(e.Role))
	case core.Revive:
		l.note("revive", s.Revive(e.Role))
	case core.Kill:
		var opts []framework.Option
		if e.Policy != nil {
			opts = append(opts, framework.WithPolicy(*e.Policy))
		}
		l.note("kill", s.Kill(e.Task, e.Slave, opts...))
	case core.Reconcile:
		refs := make([]framework.TaskRef, len(e.Tasks))
		for i, t := range e.Tasks {
			refs[i] = framework.TaskRef{Task: t.Task, Slave: t.Slave, Lease: t.Lease}
		}
		l.note("reconcile", s.Reconcile(refs...))
	case core.Refused:
		l.log.Warn("refused", "err", e.Refusal)
	default:
		panic(fmt.Sprintf("launcher: effect %T is not known", e))
	}
	return nil
}

// note logs a call that failed: the session has ended, or what it says is said again later.
func (l *Launcher) note(call string, err error) {
	if err != nil {
		l.log.Warn("a call failed", "call", call, "err", err)
	}
}

func (l *Launcher) tell(ctx context.Context, o core.Outcome) error {
	if l.cfg.OnOutcome != nil {
		l.mu.Unlock()
		err := func() error {
			defer l.mu.Lock()
			return l.cfg.OnOutcome(ctx, l, o)
		}()
		if err != nil {
			return err
		}
	}
	if o.Kind == core.Launching && l.cfg.Prepare != nil {
		l.launched[o.Placed.Task] = o.Placed
	}
	return nil
}

// accept launches tasks. Those that cannot be launched have ended as TASK_ERROR.
func (l *Launcher) accept(e core.Accept) {
	tasks := e.Tasks
	if l.cfg.Prepare != nil {
		tasks = nil
		for i := range e.Tasks {
			t := e.Tasks[i]
			at := l.launched[t.ID]
			delete(l.launched, t.ID)
			id, resources := t.ID, t.Resources
			if err := l.prepare(&t, at); err != nil {
				l.fail([]offer.Task{e.Tasks[i]}, err)
				continue
			}
			t.ID, t.Resources = id, resources
			if err := checked(t); err != nil {
				l.fail([]offer.Task{e.Tasks[i]}, err)
				continue
			}
			tasks = append(tasks, t)
		}
	}
	if len(tasks) == 0 {
		l.note("decline", l.session.Decline(e.Offers, framework.Refuse(e.Refuse)))
		return
	}
	err := l.session.Accept(e.Offers, []offer.Operation{offer.Launch(tasks...)}, framework.Refuse(e.Refuse))
	var refusal *offer.Refusal
	if !errors.As(err, &refusal) {
		l.note("accept", err)
		return
	}
	// They were checked by the same rules when they were submitted and prepared, so that nothing good goes down with something bad.
	l.log.Warn("an accept was refused", "err", err)
	l.note("decline", l.session.Decline(e.Offers, framework.Refuse(e.Refuse)))
	l.fail(tasks, err)
}

// checked looks at what Prepare has made of a task. The id of a later attempt is longer than that of a task may be.
func checked(t offer.Task) error {
	t.ID = "prepared"
	return (&Task{Task: t}).Validate(core.Config{})
}

func (l *Launcher) prepare(t *offer.Task, at core.Placed) error {
	l.mu.Unlock()
	defer l.mu.Lock()
	return l.cfg.Prepare(t, at)
}

func (l *Launcher) fail(tasks []offer.Task, err error) {
	l.todo = l.step(core.NotLaunched{Tasks: tasks, Why: err.Error()}, l.todo)
}

// Subscribed implements framework.Scheduler.
func (l *Launcher) Subscribed(ctx context.Context, s *framework.Session) error {
	return fatal(l.handle(ctx, s, core.Subscribed{}))
}

// Offers implements framework.Scheduler.
func (l *Launcher) Offers(ctx context.Context, s *framework.Session, offers []offer.Offer) error {
	return fatal(l.handle(ctx, s, core.Offered{Offers: offers}))
}

// Status implements framework.Scheduler. An error means that an outcome could not be told.
func (l *Launcher) Status(ctx context.Context, s *framework.Session, st offer.Status) error {
	return l.handle(ctx, s, core.Updated{Status: st})
}

// Rescinded implements framework.Rescinder.
func (l *Launcher) Rescinded(ctx context.Context, s *framework.Session, offers []offer.OfferID) {
	l.note("rescinded", fatal(l.handle(ctx, s, core.Rescinded{Offers: offers})))
}

// Disconnected implements framework.Disconnecter.
func (l *Launcher) Disconnected(ctx context.Context, s *framework.Session) {
	l.note("disconnected", fatal(l.handle(ctx, s, core.Disconnected{})))
}

// fatal leaves out what is only tried again later.
func fatal(err error) error {
	if errors.Is(err, errUntold) {
		return nil
	}
	return err
}
