package framework

import (
	"fmt"
	"time"

	"github.com/meros-project/meros/internal/message"
	"github.com/meros-project/meros/offer"
	"github.com/meros-project/meros/offer/resource"
)

// An Option changes one call.
type Option func(*callOptions)

type callOptions struct {
	filter offer.Filter
	policy *offer.KillPolicy
}

// Refuse says for how long the resources that a Decline gives back, or an Accept leaves unused, are not to be offered to this framework
// again: offer.NoFilter for no time at all. Without it offer.DefaultRefuse.
func Refuse(d time.Duration) Option {
	return func(o *callOptions) { o.filter.Refuse = d }
}

// WithPolicy kills by another policy than the task's own.
func WithPolicy(p offer.KillPolicy) Option {
	return func(o *callOptions) { o.policy = &p }
}

func options(opts []Option) (o callOptions) {
	for _, f := range opts {
		f(&o)
	}
	return o
}

// Accept uses offers, which must be of one slave and one role, for operations; what is left over is declined. The outcome of tasks comes
// by Scheduler.Status, that of operations with an id by OperationReceiver.
func (s *Session) Accept(offers []offer.OfferID, ops []offer.Operation, opts ...Option) error {
	if err := validateOffers("accept", offers); err != nil {
		return err
	}
	for i := range ops {
		if err := validateOperation(fmt.Sprintf("accept: operations[%d]", i), &ops[i]); err != nil {
			return err
		}
	}
	return s.call(&message.Accept{Last: true, Offers: clone(offers), Operations: clone(ops), Filter: options(opts).filter})
}

// Launch accepts one offer for tasks, which start one by one; what they leave over is declined for offer.DefaultRefuse. See Accept.
func (s *Session) Launch(o offer.Offer, tasks ...offer.Task) error {
	return s.Accept([]offer.OfferID{o.ID}, []offer.Operation{offer.Launch(tasks...)})
}

// Decline gives offers back; of none it does nothing. What is declined is not offered again for offer.DefaultRefuse, or as Refuse says.
func (s *Session) Decline(offers []offer.OfferID, opts ...Option) error {
	if len(offers) == 0 {
		return nil
	}
	if err := validateOffers("decline", offers); err != nil {
		return err
	}
	return s.call(&message.Decline{Offers: clone(offers), Filter: options(opts).filter})
}

// Revive clears the filters of roles, or of all of the framework's, and ends their suppression.
func (s *Session) Revive(roles ...string) error { return s.call(&message.Revive{Roles: clone(roles)}) }

// Suppress stops offers for roles, or for all of the framework's, until Revive.
func (s *Session) Suppress(roles ...string) error {
	return s.call(&message.Suppress{Roles: clone(roles)})
}

// Kill asks for the end of a task; a Status tells when it has ended. Slave may be empty. Killing twice does no harm.
func (s *Session) Kill(task offer.TaskID, slave offer.SlaveID, opts ...Option) error {
	if err := validateID("kill: task", string(task)); err != nil {
		return err
	}
	return s.call(&message.KillTask{Task: task, Slave: slave, Policy: options(opts).policy})
}

// A TaskRef names a task for Reconcile. Slave may be empty; with it the answer about a task that nobody knows is sharper.
type TaskRef struct {
	Task  offer.TaskID
	Slave offer.SlaveID
	// Lease is that of the task, if it has one: a leader that knows nothing of the task tells then when it is gone. A session knows the
	// leases of what it has launched itself, and asks with them.
	Lease time.Duration
}

// Reconcile asks for the state of the named tasks, or of all if none is named. The answers come by Scheduler.Status. The session asks for
// all by itself after each subscription.
func (s *Session) Reconcile(tasks ...TaskRef) error {
	refs := make([]message.TaskRef, len(tasks))
	for i, t := range tasks {
		if err := validateID(fmt.Sprintf("reconcile: tasks[%d]", i), string(t.Task)); err != nil {
			return err
		}
		if err := offer.ValidateLease(t.Lease); err != nil {
			return fmt.Errorf("framework: reconcile: tasks[%d]: %w", i, err)
		}
		refs[i] = message.TaskRef{Task: t.Task, Slave: t.Slave, Lease: t.Lease}
	}
	return s.call(&message.Reconcile{Tasks: refs})
}

// ReconcileOperation asks for the outcome of an operation on the slave that it was for. The answer comes by OperationReceiver.
func (s *Session) ReconcileOperation(operation offer.OperationID, slave offer.SlaveID) error {
	if err := validateID("reconcile operation: operation", string(operation)); err != nil {
		return err
	}
	return s.call(&message.ReconcileOperations{Operations: []message.OperationRef{{Operation: operation, Slave: slave}}})
}

// Message sends bytes, at most 1 MiB, to an executor. They may be lost.
func (s *Session) Message(slave offer.SlaveID, executor offer.ExecutorID, data []byte) error {
	if err := validateID("message: slave", string(slave)); err != nil {
		return err
	}
	if err := validateID("message: executor", string(executor)); err != nil {
		return err
	}
	if len(data) > maxData {
		return offer.Refuse(offer.ReasonTooLarge, fmt.Sprintf("message: data has %d bytes (allowed: at most %d)", len(data), maxData))
	}
	return s.call(&message.ToExecutor{Slave: slave, Executor: executor, Data: clone(data)})
}

// ShutdownExecutor ends an executor and its tasks, after the executor's own grace. Statuses tell of the tasks, FailureReceiver of the executor.
func (s *Session) ShutdownExecutor(slave offer.SlaveID, executor offer.ExecutorID) error {
	if err := validateID("shutdown executor: slave", string(slave)); err != nil {
		return err
	}
	if err := validateID("shutdown executor: executor", string(executor)); err != nil {
		return err
	}
	return s.call(&message.ShutdownExecutor{Slave: slave, Executor: executor})
}

// Request tells the allocator what the framework needs in a role, as a hint.
func (s *Session) Request(role string, needs ...resource.Quantities) error {
	if err := resource.ValidateRole(role); err != nil {
		return offer.Refuse(offer.ReasonInvalidField, "request: "+err.Error())
	}
	return s.call(&message.Request{Role: role, Needs: clone(needs)})
}

// UpdateFramework changes roles, suppressed roles, labels, failover timeout and the like without a new subscription. What Config says
// about identity (ID, Principal, User, NoCheckpoint) cannot change, and what it says about the connection is not read.
func (s *Session) UpdateFramework(c Config) error {
	c.Masters, c.Detector, c.Network = s.cfg.Masters, s.cfg.Detector, s.cfg.Network
	if c.ID == "" {
		c.ID = s.ID()
	}
	if err := c.Validate(); err != nil {
		return err
	}
	switch {
	case c.Principal != s.cfg.Principal:
		return offer.Refuse(offer.ReasonPrincipalChanged, "update framework: Config.Principal cannot change")
	case c.User != s.cfg.User:
		return offer.Refuse(offer.ReasonInvalidField, "update framework: Config.User cannot change")
	case c.NoCheckpoint != s.cfg.NoCheckpoint:
		return offer.Refuse(offer.ReasonInvalidField, "update framework: Config.NoCheckpoint cannot change")
	}
	return s.call(&message.UpdateFramework{Framework: c.framework(), Suppressed: clone(c.Suppressed)})
}

// Teardown ends the framework: its tasks are killed and its id is retired. It is said again, to the next leader if need be, until a master has
// confirmed it; then Run returns nil. After a minute without, Run returns a refusal. No handler is called for anything new meanwhile.
func (s *Session) Teardown() error { return s.call(&message.Teardown{}) }

func clone[T any](list []T) []T { return append([]T(nil), list...) }
