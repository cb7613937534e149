package isolation

import (
	"time"

	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// A Runner starts containers and tells how they end. But for Open and Close its methods do not block: what comes of them is told by
// events.
type Runner interface {
	// Open readies the runner. Containers of an earlier run that are not in known are orphans: they are killed and cleaned up. events
	// is called from any goroutine until Close returns; it does not block.
	Open(known []string, events func(Event)) error
	// Start starts a container. Answered by Started or StartFailed and, after Started, in the end by Exited. With recovered, an
	// earlier run of the slave may have started it already: then this one takes it over, so that it is started at most once.
	Start(spec *Spec, recovered bool)
	// Adopt takes over a container that an earlier run of the slave has started. Answered by Started if it runs, then Exited when it
	// ends; or at once by Exited.
	Adopt(container string)
	// Kill signals a container that was started or adopted: politely, or surely.
	Kill(container string, sure bool)
	// Update changes what a container may use: resources, and up to limits above them, which replace those from before.
	Update(container string, resources resource.Resources, limits []offer.Limit)
	// Renew says until when the lease of a container is good, by process.Clock. It is for containers whose Spec has a lease; what has
	// run out stays so, and a container that is recovered keeps the deadline that an earlier run of the slave has set until then.
	Renew(container string, until time.Duration)
	// Forget says that a container, which has ended, will not be asked for again.
	Forget(container string)
	// Close ends the runner's goroutines, not its containers.
	Close() error
}

// EventKind tells events of a Runner apart.
type EventKind uint8

// The kinds of events.
const (
	Started     EventKind = 1 + iota // PID is set
	StartFailed                      // Reason and Message are set; nothing of it runs
	Exited                           // nothing of it runs any more; Exit, if Known
)

// An Event is what a Runner tells about one container.
type Event struct {
	Kind       EventKind
	Container  string
	PID        int
	Sandbox    string
	Exit       offer.Exit
	Known      bool // false: it ended while nobody watched, Exit is not known
	Reason     offer.Reason
	Message    string
	Limitation resource.Resources
}
