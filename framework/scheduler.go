package framework

import (
	"context"

	"github.com/meros-project/meros/offer"
)

// A Scheduler is the user's program. Its methods, and those of the optional interfaces below, are called one at a time on one goroutine
// of the session: a slow one slows only its own framework, and the next call waits for it. The context ends with the session. A panic
// ends the session with an error.
type Scheduler interface {
	// Subscribed says that the session is subscribed, first and again after each lost connection. An error ends the session.
	Subscribed(ctx context.Context, s *Session) error
	// Offers brings new offers. They may be kept, until they are accepted, declined or rescinded, or their time at the master is over.
	// An error ends the session.
	Offers(ctx context.Context, s *Session, offers []offer.Offer) error
	// Status reports on a task. Nil means that the program has taken it over: it is acknowledged and not told again. With an error it
	// will be told again later. The same status may come more than once.
	Status(ctx context.Context, s *Session, st offer.Status) error
}

// A Rescinder is told that offers are no longer valid. Using one afterwards does no harm: its tasks are answered with Dropped.
type Rescinder interface {
	Rescinded(ctx context.Context, s *Session, offers []offer.OfferID)
}

// A MessageReceiver gets the bytes that executors send. They may be lost or come twice.
type MessageReceiver interface {
	Message(ctx context.Context, s *Session, slave offer.SlaveID, executor offer.ExecutorID, data []byte)
}

// A FailureReceiver is told that a slave was lost (executor is empty) or that an executor has ended (exit is set). Best effort.
type FailureReceiver interface {
	Failed(ctx context.Context, s *Session, slave offer.SlaveID, executor offer.ExecutorID, exit *offer.Exit)
}

// An OperationReceiver is told the outcome of operations that had an id. Nil acknowledges, as in Scheduler.Status.
type OperationReceiver interface {
	OperationStatus(ctx context.Context, s *Session, st offer.OperationStatus) error
}

// A Disconnecter is told that the connection to the leading master is lost. Offers that were kept are void; Subscribed follows when
// the session is back.
type Disconnecter interface {
	Disconnected(ctx context.Context, s *Session)
}

// An ErrorReceiver is told that the master refused a call that the session could not check by itself. An error that ends the session
// is returned by Run instead.
type ErrorReceiver interface {
	Refused(ctx context.Context, s *Session, refusal *offer.Refusal)
}

// Funcs is a Scheduler made of functions. Those that are nil do nothing: a nil OnStatus acknowledges every status, a nil OnOffers declines
// every offer.
type Funcs struct {
	OnSubscribed func(ctx context.Context, s *Session) error
	OnOffers     func(ctx context.Context, s *Session, offers []offer.Offer) error
	OnStatus     func(ctx context.Context, s *Session, st offer.Status) error
}

// Subscribed implements Scheduler.
func (f Funcs) Subscribed(ctx context.Context, s *Session) error {
	if f.OnSubscribed == nil {
		return nil
	}
	return f.OnSubscribed(ctx, s)
}

// Offers implements Scheduler.
func (f Funcs) Offers(ctx context.Context, s *Session, offers []offer.Offer) error {
	if f.OnOffers == nil {
		return s.Decline(IDs(offers))
	}
	return f.OnOffers(ctx, s, offers)
}

// Status implements Scheduler.
func (f Funcs) Status(ctx context.Context, s *Session, st offer.Status) error {
	if f.OnStatus == nil {
		return nil
	}
	return f.OnStatus(ctx, s, st)
}

// IDs returns the ids of offers, as Accept and Decline take them.
func IDs(offers []offer.Offer) []offer.OfferID {
	ids := make([]offer.OfferID, len(offers))
	for i := range offers {
		ids[i] = offers[i].ID
	}
	return ids
}
