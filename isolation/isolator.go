package isolation

import (
	"context"
	"time"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// An Isolator holds containers to their Specs in one respect. Its methods are safe for concurrent use for different containers; those
// of one container are called one at a time, in the order Prepare, Attach, Cleanup. What it can do beyond that it says by
// implementing Recoverer, Updater, Watcher, Meter, Killer, Enforcer or Lacker. All but the first and the last two may be called beside each
// other, and beside Attach, from the return of Prepare to the call of Cleanup, and must bear a container that is not known.
type Isolator interface {
	// Name is short and lower case, and unique in a chain.
	Name() string
	// Prepare readies what must exist before the container's first process does, and adds to the plan how that is to be started. After
	// an error Cleanup is called.
	Prepare(ctx context.Context, spec *Spec, plan *Plan) error
	// Attach puts the first process under control. The process has executed nothing of the task's yet; it goes on only when every
	// isolator of the chain has returned. It may be called again for the same process, by a slave that was restarted.
	Attach(ctx context.Context, container string, pid int) error
	// Cleanup removes whatever was made for the container, of which nothing runs any more. It may be called again, and for a
	// container that is not known.
	Cleanup(ctx context.Context, container string) error
}

// A Provider brings what a container needs from elsewhere, such as files from a network.
type Provider interface {
	// Provides reports whether it has anything to bring for this container.
	Provides(spec *Spec) bool
	// Provide is called after every Prepare of the chain and before the first process exists, if Provides says so. It may take long, and
	// ends soon after ctx, which ends with a kill of the container and with the slave. After an error Cleanup is called. A slave that was
	// restarted meanwhile begins the container anew, with Prepare.
	Provide(ctx context.Context, spec *Spec, plan *Plan) error
}

// A Recoverer is told, once and before everything else, which containers an earlier run of the slave has left. It cleans up after
// those of its own that are not among them.
type Recoverer interface {
	Recover(ctx context.Context, running []Recovered) error
}

// Recovered is one container that an earlier run of the slave started and that may still run.
type Recovered struct {
	Spec *Spec // of which only Container is set where the rest cannot be read any more
	PID  int   // of its first process; zero if that is not known
}

// An Updater can change what a container may use while it runs.
type Updater interface {
	Update(ctx context.Context, container string, resources resource.Resources, limits []offer.Limit) error
}

// A Watcher finds out that a container has broken a limit. Watch returns when that happens, or with ctx's error. It looks once more when ctx
// has ended, so that a limit that was broken right before the end, or while no slave ran, is told even then; where that would be no reason to
// call failed what has done its work, it tells what it has found before.
type Watcher interface {
	Watch(ctx context.Context, container string) (Limitation, error)
}

// A Meter measures what a container uses.
type Meter interface {
	Usage(ctx context.Context, container string) (Usage, error)
}

// A Limitation is a broken limit: the container is killed for it.
type Limitation struct {
	Reason    offer.Reason       // such as ReasonContainerLimitationMemory
	Message   string             // for people
	Resources resource.Resources // what was exceeded
}

// Usage is what a container uses. Zero means not measured.
type Usage struct {
	CPUUser, CPUSystem   float64 // seconds so far
	MemoryBytes, RSS     uint64  // bytes
	MemoryLimit          uint64  // bytes
	Processes, Threads   int     // at this moment
	DiskBytes, DiskLimit uint64  // bytes
	// At is the moment that the cpu time is of, so that what was used between two of them can be told on a busy machine, too; zero: not known.
	At time.Time
}
