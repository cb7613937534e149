package launcher

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/meros-project/meros/framework"
	"github.com/meros-project/meros/framework/launcher/core"
	"github.com/meros-project/meros/offer"
)

// What can be asked for, and what comes of it.
type (
	// Task is one thing that should run, and where.
	Task = core.Task
	// Group is tasks of which all run or none.
	Group = core.Group
	// Constraint asks one thing of the slave that a task is to run on.
	Constraint = core.Constraint
	// Operator is what a Constraint asks.
	Operator = core.Operator
	// Policy says which of the slaves that could take a task gets it.
	Policy = core.Policy
	// Retry says what is tried again, and when.
	Retry = core.Retry
	// Unreachable says what is done about a task whose slave does not answer.
	Unreachable = core.Unreachable
	// Placed is where an attempt was launched.
	Placed = core.Placed
	// Outcome tells what became of a task.
	Outcome = core.Outcome
	// Kind is what an Outcome says.
	Kind = core.Kind
	// Waiting is a task that waits, and why.
	Waiting = core.Waiting
)

// The policies.
const (
	Spread  = core.Spread
	BestFit = core.BestFit
	Pack    = core.Pack
)

// The operators of constraints, by Marathon's names.
const (
	Unique  = core.Unique
	Cluster = core.Cluster
	GroupBy = core.GroupBy
	Like    = core.Like
	Unlike  = core.Unlike
	MaxPer  = core.MaxPer
	Is      = core.Is
)

// Fields of constraints that are not attributes.
const (
	FieldHostname = core.FieldHostname
	FieldRegion   = core.FieldRegion
	FieldZone     = core.FieldZone
)

// The kinds of outcomes.
const (
	Launching = core.Launching
	Changed   = core.Changed
	Retrying  = core.Retrying
	Replacing = core.Replacing
	Returned  = core.Returned
	Ended     = core.Ended
	Stranger  = core.Stranger
)

// Values with a meaning of their own: Retry.Failures Forever, Retry.Losses Never, Unreachable.Replace Wait.
const (
	Forever = core.Forever
	Never   = core.Never
	Wait    = core.Wait
)

// ParseOperator reads an operator's name, such as GROUP_BY.
func ParseOperator(name string) (Operator, error) { return core.ParseOperator(name) }

// Config of a Launcher. The zero value is meaningful.
type Config struct {
	// Core says how it decides. Its Roles must be those of the session. Defaults to its zero value, whose fields have defaults of their own.
	Core core.Config
	// OnOutcome is told what becomes of tasks, one outcome at a time, on the goroutine of the session's handlers; it may call the Launcher. After
	// an error it is told the same again, and everything else waits: no task is launched and no status is acknowledged meanwhile. Defaults
	// to none.
	OnOutcome func(ctx context.Context, l *Launcher, o Outcome) error
	// Prepare may complete a task for the place that it was given, before it is launched: its environment, for example. It may change neither ID nor
	// Resources. An error ends the attempt as TASK_ERROR. Defaults to none.
	Prepare func(task *offer.Task, at Placed) error
	// TellAgain is the time after which OnOutcome is tried again that has failed. Defaults to 1 s.
	TellAgain time.Duration
	// MaxUntold bounds what waits to be told or done while OnOutcome fails; the session ends beyond it. Defaults to 1,000,000.
	MaxUntold int
	// Logger defaults to none.
	Logger *slog.Logger
}

// Validate reports the first field with a value that is not allowed.
func (cfg Config) Validate() error {
	bad := func(field string, value any, allowed string) error {
		return offer.Refuse(offer.ReasonInvalidField, fmt.Sprintf("launcher: Config.%s %v: %s", field, value, allowed))
	}
	switch {
	case cfg.TellAgain < 0 || cfg.TellAgain > time.Hour:
		return bad("TellAgain", cfg.TellAgain, "must be from 0 to 1h, 0 for the default")
	case cfg.MaxUntold < 0:
		return bad("MaxUntold", cfg.MaxUntold, "must not be negative, 0 for the default")
	}
	return cfg.Core.Validate()
}

// A Launcher runs what it is told to. Its methods are safe for concurrent use; in a simulated cluster they are for handlers and the test's own
// goroutine, as those of the session.
type Launcher struct {
	cfg Config
	log *slog.Logger

	mu       sync.Mutex
	core     *core.Core
	session  *framework.Session
	todo     []core.Effect // in order; its first is being performed if busy
	busy     bool          // on the handlers' goroutine
	alarm    time.Time     // of the timer that is armed; zero: none is
	stop     func()
	arming   uint64
	last     time.Time               // the session's time when it was last asked for
	ahead    time.Duration           // by how much the core's time is ahead of it, because it was set back
	tellAt   time.Time               // when an outcome is told again that could not be told
	launched map[offer.TaskID]Placed // told, and not accepted yet
}

var _ interface {
	framework.Scheduler
	framework.Rescinder
	framework.Disconnecter
} = (*Launcher)(nil)

// New makes a Launcher that does nothing until it is run.
func New(cfg Config) (*Launcher, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.TellAgain == 0 {
		cfg.TellAgain = time.Second
	}
	if cfg.MaxUntold == 0 {
		cfg.MaxUntold = 1_000_000
	}
	c, err := core.New(cfg.Core)
	if err != nil {
		return nil, err
	}
	l := &Launcher{cfg: cfg, core: c, log: cfg.Logger, launched: map[offer.TaskID]Placed{}}
	if l.log == nil {
		l.log = slog.New(slog.DiscardHandler)
	}
	return l, nil
}

// Run runs a session with the Launcher as its scheduler, as framework.Run does. Roles default to those of the Launcher.
func (l *Launcher) Run(ctx context.Context, cfg framework.Config) error {
	if len(cfg.Roles) == 0 {
		cfg.Roles = slices.Clone(l.cfg.Core.Roles)
	}
	roles := l.cfg.Core.Roles
	if len(roles) == 0 {
		roles = []string{"*"}
	}
	for _, r := range roles {
		if !slices.Contains(cfg.Roles, r) && len(cfg.Roles) > 0 {
			return offer.Refuse(offer.ReasonInvalidField, fmt.Sprintf("launcher: framework.Config.Roles %q: must have %q, a role of the launcher's", cfg.Roles, r))
		}
	}
	return framework.Run(ctx, cfg, l)
}

// Submit takes tasks that should run. The first that is refused is returned as an *offer.Refusal, and those behind it are not taken.
func (l *Launcher) Submit(tasks ...Task) error {
	for _, t := range tasks {
		if err := l.ask(core.Submitted{Task: t}); err != nil {
			return err
		}
	}
	return nil
}

// SubmitGroup takes a group that should run as a whole.
func (l *Launcher) SubmitGroup(g Group) error { return l.ask(core.SubmittedGroup{Group: g}) }

// Adopt takes a task that was launched already, before this process began, where Launching said. Its state is asked for; state is what was last known.
func (l *Launcher) Adopt(t Task, at Placed, state offer.State) error {
	return l.ask(core.Adopted{Task: t, At: at, State: state})
}

// Kill ends a task or a group for good, whether it waits or runs; Ended is told when it has. A nil policy is the task's own. It is repeated until
// the task has ended, also over a change of the leading master.
func (l *Launcher) Kill(id string, policy *offer.KillPolicy) error {
	return l.ask(core.Killed{ID: id, Policy: policy})
}

// Forgive ends the delay of those that share a Backoff.
func (l *Launcher) Forgive(backoff string) error { return l.ask(core.Forgiven{Backoff: backoff}) }

// Waiting returns at most limit of the tasks that wait, the most urgent first, each with the reason.
func (l *Launcher) Waiting(limit int) []Waiting {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.core.Waiting(limit)
}

// Explain says why a task waits; false if it does not, or is not known.
func (l *Launcher) Explain(task offer.TaskID) (Waiting, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.core.Explain(task)
}

// Session is the one that the Launcher runs in; nil before it is subscribed for the first time.
func (l *Launcher) Session() *framework.Session {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.session
}

// ask steps the core with a user's event, and has what follows done on the handlers' goroutine.
func (l *Launcher) ask(ev core.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	effects := l.step(ev, nil)
	if len(effects) > 0 {
		if r, is := effects[0].(core.Refused); is {
			l.todo = append(l.todo, effects[1:]...)
			l.rouse()
			return r.Refusal
		}
	}
	l.todo = append(l.todo, effects...)
	l.rouse()
	return nil
}

func (l *Launcher) step(ev core.Event, out []core.Effect) []core.Effect {
	return l.core.Step(l.now(), ev, out)
}

// now is the time for the core: that of the session, but it never goes back. Zero before there is a session.
func (l *Launcher) now() time.Time {
	if l.session == nil {
		return time.Time{}
	}
	now := l.session.Now()
	if now.Before(l.last) {
		l.ahead += l.last.Sub(now)
	}
	l.last = now
	return now.Add(l.ahead)
}

// rouse has the handlers' goroutine do what there is to do, at once or when the core says.
func (l *Launcher) rouse() {
	if l.session == nil || l.busy {
		return
	}
	if len(l.todo) > 0 {
		at := l.now()
		if l.tellAt.After(at) {
			at = l.tellAt
		}
		l.arm(at)
	} else if at := l.core.Deadline(); !at.IsZero() {
		l.arm(at)
	}
}

// arm sets the one timer, unless it will ring by then anyway.
func (l *Launcher) arm(at time.Time) {
	if !l.alarm.IsZero() {
		if !at.Before(l.alarm) {
			return
		}
		l.stop()
	}
	l.alarm = at
	l.arming++
	this := l.arming
	l.stop = l.session.After(max(at.Sub(l.now()), 0), func(ctx context.Context, s *framework.Session) error {
		l.mu.Lock()
		if this != l.arming {
			l.mu.Unlock()
			return nil
		}
		l.alarm = time.Time{}
		l.mu.Unlock()
		return fatal(l.handle(ctx, s, core.Tick{}))
	})
}

// errUntold leaves a status unacknowledged: it comes again.
var errUntold = errors.New("launcher: an outcome could not be told")

// handle steps the core and does what follows. It runs on the handlers' goroutine.
func (l *Launcher) handle(ctx context.Context, s *framework.Session, ev core.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.session = s
	l.todo = l.step(ev, l.todo)
	return l.work(ctx)
}

// work does what there is to do, until there is nothing or an outcome cannot be told.
func (l *Launcher) work(ctx context.Context) error {
	l.busy = true
	defer func() { l.busy = false; l.rouse() }()
	for len(l.todo) > 0 {
		e := l.todo[0]
		if err := l.perform(ctx, e); err != nil {
			if len(l.todo) > l.cfg.MaxUntold {
				return fmt.Errorf("launcher: Config.MaxUntold %d: more waits to be told: %w", l.cfg.MaxUntold, err)
			}
			l.log.Warn("an outcome could not be told", "err", err)
			l.tellAt = l.now().Add(l.cfg.TellAgain)
			return errUntold
		}
		l.todo[0] = nil
		l.todo = l.todo[1:]
	}
	l.todo, l.tellAt = nil, time.Time{}
	return nil
}
